//! How far an import is: a bar on a terminal, a line every few seconds elsewhere. On stderr.

use crate::cli::output::note;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use vectron_base::clock::{Clock, SystemClock, Tick};
use vectron_client::{Error, RetryWatch};

const STEPS: u64 = 10_000;
const LINE_EVERY: Duration = Duration::from_secs(5);
const BAR_EVERY: Duration = Duration::from_millis(100);

/// Shows progress of files that are read one after the other.
pub struct Meter {
    clock: SystemClock,
    start: Tick,
    shown: Tick,
    bar: Option<ProgressBar>,
}

impl Meter {
    /// Starts the clock.
    pub fn start() -> Self {
        let clock = SystemClock::new();
        let start = clock.now();
        let bar = io::stderr().is_terminal().then(bar);
        Self { clock, start, shown: start, bar }
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.clock.now().since(self.start).as_secs_f64()
    }

    /// Shows `rows` and the share of everything, if it is time to.
    pub fn show(&mut self, rows: u64, share: Option<f64>, failed: u64) {
        let now = self.clock.now();
        let every = if self.bar.is_some() { BAR_EVERY } else { LINE_EVERY };
        if now.since(self.shown) < every {
            return;
        }
        self.shown = now;
        let seconds = self.seconds();
        let line = line(rows, share, failed, seconds);
        match &self.bar {
            Some(bar) => {
                bar.set_position((share.unwrap_or(0.0) * STEPS as f64) as u64);
                bar.set_message(line);
            }
            None => note(line),
        }
    }

    /// Shows why and how long batches wait before they are sent again.
    pub fn retry_watch(&self) -> RetryWatch {
        let (clock, bar) = (SystemClock::new(), self.bar.clone());
        let shown = Mutex::new(None);
        Arc::new(move |error, pause| {
            let line = waiting_line(error, pause);
            if let Some(bar) = &bar {
                return bar.set_message(line);
            }
            let now = clock.now();
            let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
            if shown.is_none_or(|last| now.since(last) >= LINE_EVERY) {
                *shown = Some(now);
                note(line);
            }
        })
    }

    /// Takes the bar away.
    pub fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Says something without tearing the bar.
    pub fn note(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| note(text)),
            None => note(text),
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr());
    // The template is a constant; if it ever were wrong, the default style would do.
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {msg}") {
        bar.set_style(style);
    }
    bar
}

fn line(rows: u64, share: Option<f64>, failed: u64, seconds: f64) -> String {
    let rate = rows as f64 / seconds.max(0.001);
    let mut line = format!("{rows} rows, {rate:.0}/s");
    if let Some(share) = share {
        line += &format!(", {:.0} %", share * 100.0);
        if share > 0.01 && share < 1.0 {
            line += &format!(", {} left", human_seconds(seconds / share - seconds));
        }
    }
    if failed > 0 {
        line += &format!(", {failed} refused");
    }
    line
}

fn waiting_line(error: &Error, pause: Duration) -> String {
    format!("waiting: {}; trying again in {:.1} s", error.fault.detail, pause.as_secs_f64())
}

fn human_seconds(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_rate_share_and_time_left() {
        assert_eq!(line(1000, Some(0.25), 3, 10.0), "1000 rows, 100/s, 25 %, 30 s left, 3 refused");
        assert_eq!(line(0, None, 0, 0.0), "0 rows, 0/s");
        let busy = Error::local(vectron_client::Code::Overloaded, "9 points wait to be indexed");
        assert_eq!(
            waiting_line(&busy, Duration::from_millis(500)),
            "waiting: 9 points wait to be indexed; trying again in 0.5 s"
        );
        assert_eq!(human_seconds(7300.0), "2 h 1 min");
    }
}
