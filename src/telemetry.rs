//! What operators see of a running process: its log and its metrics.

mod json;
mod writer;

use std::io::IsTerminal;

use json::JsonLine;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;
use writer::LogWriter;

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

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error(
        "`{filter}` is not a log level: use error, warn, info, debug or trace, or directives such as `info,lockstep::cluster=debug`"
    )]
    Filter {
        /// The filter.
        filter: String,
    },
    /// The thread that writes it cannot be started.
    #[error("the log's thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// The running log. Dropped, it writes what still waits.
#[derive(Debug)]
pub struct Log {
    writer: LogWriter,
}

impl Log {
    /// Counts the lines that were dropped because they were not taken fast enough.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(Dropped(self.writer.clone())));
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.writer.finish();
    }
}

/// Sends the process's events to standard error.
///
/// # Errors
/// [`LogError`] if `filter` is neither a level nor a list of directives, or if no thread can be started.
pub fn start_log(format: LogFormat, filter: &str) -> Result<Log, LogError> {
    let wrong = || LogError::Filter { filter: filter.to_owned() };
    let env_filter = EnvFilter::builder().parse(filter).map_err(|_| wrong())?;
    let writer = LogWriter::start(std::io::stderr())?;
    let is_terminal = std::io::stderr().is_terminal();
    let log =
        tracing_subscriber::fmt().with_env_filter(env_filter).with_writer(writer.clone()).with_target(false);
    // A second subscriber in one process is a test's; the first one stays.
    let started = match format {
        LogFormat::Json => log.event_format(JsonLine).finish().try_init(),
        LogFormat::Auto if !is_terminal => log.event_format(JsonLine).finish().try_init(),
        LogFormat::Auto | LogFormat::Text => {
            let has_colour = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            log.with_ansi(has_colour).finish().try_init()
        }
    };
    drop(started);
    Ok(Log { writer })
}

/// The lines that the log dropped, read when metrics are.
#[derive(Debug)]
struct Dropped(LogWriter);

impl Collector for Dropped {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let dropped = ConstCounter::new(self.0.dropped());
        let help = "Log lines that were dropped because they were not taken fast enough";
        let metric = encoder.encode_descriptor("log_lines_dropped", help, None, dropped.metric_type())?;
        dropped.encode(metric)
    }
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
