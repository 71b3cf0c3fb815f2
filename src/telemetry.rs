//! What operators see of a running process: its log and its metrics.

mod json;
mod level;
mod text;
mod writer;

pub use level::Level;

use std::io::IsTerminal;
use std::sync::Arc;

use json::JsonLine;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use text::TextLine;
use tracing_subscriber::fmt::format::DefaultFields;
use tracing_subscriber::fmt::{FormatEvent, SubscriberBuilder};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry as Spans};
use writer::{CAPACITY, LogWriter};

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
    level: Level,
}

impl Log {
    /// Counts the lines that were dropped because they were not taken fast enough, and those that wait.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(Queue(self.writer.clone())));
    }

    /// Changes what is logged.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level.clone()
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
    let parsed = level::parse(filter).map_err(|_| LogError::Filter { filter: filter.to_owned() })?;
    let writer = LogWriter::start(std::io::stderr())?;
    let is_terminal = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(writer.clone());
    let level = match format {
        LogFormat::Json => begin(log.event_format(JsonLine), filter),
        LogFormat::Auto if !is_terminal => begin(log.event_format(JsonLine), filter),
        LogFormat::Auto | LogFormat::Text => {
            let has_colour = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            begin(log.event_format(TextLine { has_colour }), filter)
        }
    };
    Ok(Log { writer, level })
}

/// Makes it the process's log.
fn begin<E>(log: SubscriberBuilder<DefaultFields, E, EnvFilter, LogWriter>, filter: &str) -> Level
where
    E: FormatEvent<Spans, DefaultFields> + Send + Sync + 'static,
{
    let log = log.with_filter_reloading();
    let handle = log.reload_handle();
    // A second subscriber in one process is a test's; the first one stays.
    drop(log.finish().try_init());
    Level::new(filter, Arc::new(move |filter| handle.reload(filter)))
}

/// The lines that wait to be written and those that the log dropped, read when metrics are.
#[derive(Debug)]
struct Queue(LogWriter);

impl Collector for Queue {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let dropped = ConstCounter::new(self.0.dropped());
        let help =
            "Log lines that were dropped because they were not taken fast enough or could not be written";
        let metric = encoder.encode_descriptor("log_lines_dropped", help, None, dropped.metric_type())?;
        dropped.encode(metric)?;
        for (name, help, bytes) in [
            ("log_queue", "Log lines that wait to be written", self.0.waiting()),
            ("log_queue_capacity", "How much may wait before lines are dropped", CAPACITY),
        ] {
            let bytes = ConstGauge::new(u32::try_from(bytes).unwrap_or(u32::MAX));
            let metric = encoder.encode_descriptor(name, help, Some(&Unit::Bytes), bytes.metric_type())?;
            bytes.encode(metric)?;
        }
        Ok(())
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
