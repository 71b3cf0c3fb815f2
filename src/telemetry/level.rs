//! The log level, which signals change while the process runs.

use std::fmt;
use std::sync::Arc;

use tracing::{error, info};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::reload;

/// The directive that [`LogLevel::debug`] adds. It covers only Lockstep's own events, because those of libraries may
/// contain tokens and whole objects.
const DEBUG: &str = "lockstep=debug";

type Replace = Arc<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

/// A handle that changes the level of the running log. Clones change the same log.
#[derive(Clone)]
pub struct LogLevel {
    configured: String,
    replace: Replace,
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogLevel").field("configured", &self.configured).finish_non_exhaustive()
    }
}

impl LogLevel {
    pub(super) fn new(configured: &str, replace: Replace) -> Self {
        Self { configured: configured.to_owned(), replace }
    }

    /// Adds Lockstep's debug events to the configured level, and logs the change.
    pub fn debug(&self) {
        let filter = with_debug(&self.configured);
        if self.set(&filter) {
            info!(filter, "changed the log level");
        }
    }

    /// Restores the configured level, and logs the change.
    pub fn as_configured(&self) {
        // The event comes before the change, because the configured level may be above info.
        info!(filter = self.configured, "restoring the configured log level");
        self.set(&self.configured);
    }

    fn set(&self, filter: &str) -> bool {
        let Ok(parsed) = parse(filter) else {
            error!(filter, "cannot change the log level: the filter cannot be parsed");
            return false;
        };
        // Reloading fails only in tests, where another log is that of the process.
        (self.replace)(parsed).is_ok()
    }
}

/// Parses a level or a list of directives.
pub(super) fn parse(filter: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(filter)
}

/// Returns the configured filter with [`DEBUG`]. More specific directives, such as `lockstep::cluster=warn`, still
/// apply.
fn with_debug(configured: &str) -> String {
    if configured.is_empty() { DEBUG.to_owned() } else { format!("{configured},{DEBUG}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_adds_lockstep_s_own_events_to_every_filter() {
        for configured in ["", "info", "warn,kube_runtime::watcher=error", "off", "lockstep=error"] {
            let filter = parse(&with_debug(configured)).unwrap().to_string();
            assert!(filter.contains(DEBUG) && !filter.contains("lockstep=error"), "{configured}: {filter}");
        }
    }
}
