//! What operators see of a running process: its log and its metrics.

mod json;

use std::io::{BufWriter, IsTerminal};

use json::JsonLine;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
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

/// The running log. Dropped, it writes what still waits.
#[derive(Debug)]
pub struct Log {
    _writer: WorkerGuard,
    dropped: ErrorCounter,
}

impl Log {
    /// Counts the lines that were dropped because they were not taken fast enough.
    pub fn register(&self, registry: &mut Registry) {
        let dropped = Dropped(self.dropped.clone());
        registry.register_collector(Box::new(dropped));
    }
}

/// Lines that may wait to be written: some seconds of denials at full load.
const WAITING_LINES: usize = 8192;

/// Sends the process's events to standard error, by way of a thread of its own: a pipe that nobody empties,
/// or a full disk behind it, must not hold up a review. What cannot be written in time is dropped and counted.
///
/// # Errors
/// [`LogError`] if `filter` is neither a level nor a list of directives.
pub fn start_log(format: LogFormat, filter: &str) -> Result<Log, LogError> {
    let wrong = || LogError { filter: filter.to_owned() };
    let env_filter = EnvFilter::builder().parse(filter).map_err(|_| wrong())?;
    // The thread flushes when nothing waits any more, so under load many lines share one write.
    let stderr = BufWriter::new(std::io::stderr());
    let (writer, guard) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(WAITING_LINES).finish(stderr);
    let dropped = writer.error_counter();
    let is_terminal = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(env_filter).with_writer(writer).with_target(false);
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
    Ok(Log { _writer: guard, dropped })
}

/// The lines that the log dropped, read when metrics are.
#[derive(Debug)]
struct Dropped(ErrorCounter);

impl Collector for Dropped {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let dropped = ConstCounter::new(u64::try_from(self.0.dropped_lines()).unwrap_or(u64::MAX));
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
