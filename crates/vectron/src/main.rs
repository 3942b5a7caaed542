//! The `vectron` program.

fn main() -> std::process::ExitCode {
    vectron::cli::main()
}
