//! The level of the log, which changes while the process runs.

use std::fmt;
use std::sync::Arc;

use tracing::{error, info};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::reload;

/// What is logged beside what the configuration asks for, while somebody looks for something. Only Lockstep's
/// own events: those of the libraries may hold tokens and whole objects.
const DEBUG: &str = "lockstep=debug";

type Replace = Arc<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

/// Changes the level of the running log. Clones change the same one.
#[derive(Clone)]
pub struct Level {
    configured: String,
    replace: Replace,
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Level").field("configured", &self.configured).finish_non_exhaustive()
    }
}

impl Level {
    pub(super) fn new(configured: &str, replace: Replace) -> Self {
        Self { configured: configured.to_owned(), replace }
    }

    /// Logs Lockstep's own debug events as well. It says so in the log.
    pub fn debug(&self) {
        let filter = with_debug(&self.configured);
        if self.set(&filter) {
            info!(filter, "the log's level was changed");
        }
    }

    /// Logs what the configuration asks for, and no more. It says so in the log.
    pub fn as_configured(&self) {
        info!(filter = self.configured, "the log's level is changed back");
        self.set(&self.configured);
    }

    fn set(&self, filter: &str) -> bool {
        let Ok(parsed) = parse(filter) else {
            error!(filter, "the log's level cannot be changed: the filter is not understood");
            return false;
        };
        // It fails only where another log is the process's log.
        (self.replace)(parsed).is_ok()
    }
}

/// Reads a level, or a list of directives.
pub(super) fn parse(filter: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(filter)
}

/// Directives that are more specific, such as `lockstep::cluster=warn`, stay in force.
fn with_debug(configured: &str) -> String {
    if configured.is_empty() { DEBUG.to_owned() } else { format!("{configured},{DEBUG}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_adds_lockstep_s_own_events_to_every_configuration() {
        for configured in ["", "info", "warn,kube_runtime::watcher=error", "off", "lockstep=error"] {
            let filter = parse(&with_debug(configured)).unwrap().to_string();
            assert!(filter.contains(DEBUG) && !filter.contains("lockstep=error"), "{configured}: {filter}");
        }
    }
}
