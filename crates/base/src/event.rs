//! Noteworthy happenings: a room declares them as an enum, and one match gives the log line, the counter
//! label and the severity, so that none of the three can drift from the others.

use crate::metric::{Counter, Family, Registry};

/// How loud an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Normal life.
    Info,
    /// Somebody should look when there is time.
    Warn,
    /// Somebody should look now.
    Error,
}

/// A happening that a room reports.
pub trait Event {
    /// Stable name, `room.thing_happened`; the counter's label and the log line's `event` field.
    fn name(&self) -> &'static str;
    /// How loud.
    fn severity(&self) -> Severity;
    /// The sentence for people.
    fn message(&self) -> String;
}

/// Where a room reports what happens: the log, and a counter by name.
#[derive(Clone, Debug, Default)]
pub struct Events {
    counts: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Events {
    /// Events whose counter appears in `registry` as `vectron_<room>_events_total{event}`.
    pub fn register(registry: &mut Registry, room: &str) -> Self {
        let events = Self::default();
        let name = format!("vectron_{room}_events");
        registry.register(name, "Noteworthy happenings by name", events.counts.clone());
        events
    }

    /// Logs an event and counts it.
    pub fn note(&self, event: &dyn Event) {
        let (name, message) = (event.name(), event.message());
        match event.severity() {
            Severity::Info => tracing::info!(event = name, "{message}"),
            Severity::Warn => tracing::warn!(event = name, "{message}"),
            Severity::Error => tracing::error!(event = name, "{message}"),
        }
        self.counts.get_or_create(&[("event", name)]).inc();
    }
}
