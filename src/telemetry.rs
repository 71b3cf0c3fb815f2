//! Telemetry of the process: its log and its metrics.

mod format;
mod level;
mod process;
mod writer;

pub use level::LogLevel;

use std::io::IsTerminal;
use std::sync::Arc;

use format::LineFormat;
use process::ProcessMetrics;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tracing_subscriber::util::SubscriberInitExt;
use writer::{CAPACITY, LogWriter};

/// The format of the log.
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

/// The error of a log that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be parsed.
    #[error(
        "`{filter}` is not a log level: use error, warn, info, debug or trace, or directives such as `info,lockstep::cluster=debug`"
    )]
    Filter {
        /// The filter, as given.
        filter: String,
    },
    /// The operating system cannot start a thread for the log.
    #[error("cannot start the log's thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// The running log. Dropping it flushes it.
#[derive(Debug)]
pub struct Log {
    writer: LogWriter,
    level: LogLevel,
}

impl Log {
    /// Registers the metrics of dropped and queued lines.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(LogMetrics(self.writer.clone())));
    }

    /// Returns a handle that changes the log level.
    #[must_use]
    pub fn level(&self) -> LogLevel {
        self.level.clone()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.writer.finish();
    }
}

/// Logs the process's events, and the records of libraries that use the `log` crate, to standard error.
///
/// # Errors
/// [`LogError`] if `filter` is neither a level nor a list of directives, or if no thread can be started.
pub fn start_log(format: LogFormat, filter: &str) -> Result<Log, LogError> {
    let parsed = level::parse(filter).map_err(|_| LogError::Filter { filter: filter.to_owned() })?;
    let writer = LogWriter::start(std::io::stderr())?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(writer.clone())
        .event_format(line_format(format))
        .with_filter_reloading();
    let handle = log.reload_handle();
    // Only tests start a second log in one process; the first one stays in use.
    drop(log.finish().try_init());
    let level = LogLevel::new(filter, Arc::new(move |filter| handle.reload(filter)));
    Ok(Log { writer, level })
}

fn line_format(format: LogFormat) -> LineFormat {
    let is_terminal = std::io::stderr().is_terminal();
    match format {
        LogFormat::Json => LineFormat::Json,
        LogFormat::Auto if !is_terminal => LineFormat::Json,
        LogFormat::Auto | LogFormat::Text => {
            let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            LineFormat::Text { has_colour: is_terminal && !no_colour }
        }
    }
}

/// The metrics of the log's queue, updated at each scrape.
#[derive(Debug)]
struct LogMetrics(LogWriter);

impl Collector for LogMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let dropped = ConstCounter::new(self.0.dropped());
        let help = "Log lines dropped because the queue was full or standard error could not be written";
        let metric = encoder.encode_descriptor("log_lines_dropped", help, None, dropped.metric_type())?;
        dropped.encode(metric)?;
        for (name, help, bytes) in [
            ("log_queue", "Size of the log lines that wait to be written", self.0.queued()),
            ("log_queue_capacity", "Size of the log queue; lines that find it full are dropped", CAPACITY),
        ] {
            let bytes = ConstGauge::new(u32::try_from(bytes).unwrap_or(u32::MAX));
            let metric = encoder.encode_descriptor(name, help, Some(&Unit::Bytes), bytes.metric_type())?;
            bytes.encode(metric)?;
        }
        Ok(())
    }
}

/// Returns a registry with the prefix `lockstep` and the build information.
#[must_use]
pub fn registry() -> Registry {
    let mut registry = Registry::with_prefix("lockstep");
    let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The running version of Lockstep", build);
    registry
}

/// Returns the metrics, and those of the process, in the OpenMetrics text format.
#[must_use]
pub fn render(registry: &Registry) -> String {
    let mut process = Registry::with_prefix("process");
    process.register_collector(Box::new(ProcessMetrics));
    let mut text = String::new();
    // Writing to a string never fails.
    let _ = encode_registry(&mut text, registry);
    let _ = encode_registry(&mut text, &process);
    let _ = encode_eof(&mut text);
    text
}
