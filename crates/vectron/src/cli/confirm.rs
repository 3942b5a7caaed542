//! Asking before something is destroyed.

use super::exit::{Failure, Outcome};
use clap::Args;
use std::io::{self, BufRead, IsTerminal, Write};

/// The option that answers beforehand.
#[derive(Clone, Copy, Debug, Args)]
pub struct Confirm {
    /// Do it without asking.
    #[arg(long, short = 'y')]
    pub yes: bool,
}

impl Confirm {
    /// Goes on only after `--yes` or a typed `yes`. Without a terminal to ask on, `--yes` is required.
    pub fn ask(self, act: &str) -> Outcome<()> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(Failure::usage(format!("{act} needs a confirmation and nobody can be asked here"))
                .fix("add --yes"));
        }
        let mut answer = String::new();
        let asked = write!(io::stderr(), "{act}? Type 'yes' to go on: ")
            .and_then(|()| io::stderr().flush())
            .and_then(|()| io::stdin().lock().read_line(&mut answer));
        match asked {
            Ok(_) if matches!(answer.trim(), "yes" | "y") => Ok(()),
            _ => Err(Failure::error("nothing was changed")),
        }
    }
}
