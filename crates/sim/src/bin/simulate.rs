//! Runs scenarios over a range of seeds: `simulate [SEEDS] [FIRST]`. A seed that fails is printed by its panic;
//! add it to `seeds.txt`, where it stays.
#![allow(clippy::disallowed_methods, reason = "measures its own run")]

use vectron_sim::scenarios;

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let (seeds, first) = (numbers.first().copied().unwrap_or(200), numbers.get(1).copied().unwrap_or(1));
    let begun = std::time::Instant::now();
    let (mut crashes, mut answered) = (0, 0);
    for seed in first..first + seeds {
        let report = scenarios::crash_churn(seed);
        crashes += report.crashes;
        answered += report.answered;
        scenarios::failed_sync(seed);
        scenarios::full_disk(seed);
        scenarios::clock_steps(seed);
    }
    println!(
        "{seeds} seeds from {first}: {crashes} power losses, {answered} answered calls, {:.1} s",
        begun.elapsed().as_secs_f64()
    );
}
