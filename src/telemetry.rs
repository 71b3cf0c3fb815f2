//! What operators see of a running process: its log and its metrics.

use std::io::IsTerminal;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// The form of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// One line of text per event.
    Text,
    /// One JSON object per event.
    Json,
}

/// A log filter that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{filter}` is not a log level: use error, warn, info, debug or trace, or directives such as `info,lockstep::cluster=debug`"
)]
pub struct LogError {
    filter: String,
}

/// Sends the process's events to standard error.
///
/// # Errors
/// [`LogError`] if `filter` is neither a level nor a list of directives.
pub fn start_log(format: LogFormat, filter: &str) -> Result<(), LogError> {
    let wrong = || LogError {
        filter: filter.to_owned(),
    };
    let env_filter = EnvFilter::builder().parse(filter).map_err(|_| wrong())?;
    let is_terminal = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt()
        .with_env_filter(env_filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    // A second subscriber in one process is a test's; the first one stays.
    let started = match format {
        LogFormat::Json => log.json().flatten_event(true).finish().try_init(),
        LogFormat::Auto if !is_terminal => log.json().flatten_event(true).finish().try_init(),
        LogFormat::Auto | LogFormat::Text => {
            let has_colour = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            log.with_ansi(has_colour).finish().try_init()
        }
    };
    drop(started);
    Ok(())
}

/// An empty registry with the product's prefix and its build information.
#[must_use]
pub fn registry() -> Registry {
    let mut registry = Registry::with_prefix("lockstep");
    let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The version that runs", build);
    registry
}

/// The metrics in `OpenMetrics`' text format.
#[must_use]
pub fn render(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = encode(&mut text, registry);
    text
}
