//! Log lines of a node, on stderr.

use crate::settings::Settings;
use tracing::level_filters::LevelFilter;

/// Starts logging as the settings say. A second start in one process changes nothing.
pub fn start(settings: &Settings) {
    let level = settings.node.log_level.parse().unwrap_or(LevelFilter::INFO);
    let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr);
    // Fails only if a logger is there already, and then that one is meant.
    let _ = if settings.node.log_format == "json" {
        builder.json().try_init()
    } else {
        builder.with_ansi(super::output::color_on_stderr()).try_init()
    };
}
