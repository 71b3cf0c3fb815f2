//! The metrics of the process, with the names that Prometheus' client libraries give them, as far as Linux reports them.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// The numbers that the kernel reports of this process, read at each scrape. A number that cannot be read is not exported.
#[derive(Debug)]
pub(super) struct ProcessMetrics;

/// The numbers of `/proc/self/stat` (proc_pid_stat(5)).
struct Stat {
    /// CPU time in user and kernel mode, in clock ticks.
    ticks: u64,
    /// The start of the process in clock ticks after the start of the system.
    started: u64,
    /// Virtual memory in bytes.
    virtual_bytes: u64,
    /// Resident memory in pages.
    resident_pages: u64,
}

impl Stat {
    fn read(text: &str) -> Option<Self> {
        // The name of the program may contain spaces and brackets. The field after it is the third.
        let (_, fields) = text.rsplit_once(')')?;
        let field =
            |number: usize| fields.split_whitespace().nth(number.checked_sub(3)?)?.parse::<u64>().ok();
        Some(Self {
            ticks: field(14)?.checked_add(field(15)?)?,
            started: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// The time since the start of the system, from `/proc/uptime`.
fn uptime(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.split_whitespace().next()?.parse().ok()?).ok()
}

#[expect(clippy::cast_precision_loss, reason = "times of processes are far below 2^53 ticks")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / clock_ticks_per_second() as f64
}

/// The start of the process in seconds since 1970.
fn start_time(stat: &Stat) -> Option<f64> {
    let running = uptime(&fs::read_to_string("/proc/uptime").ok()?)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(now.checked_sub(running)?.as_secs_f64() + seconds(stat.started))
}

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: Option<f64>| {
            let Some(value) = value else { return Ok(()) };
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)
        };
        let stat = fs::read_to_string("/proc/self/stat").ok().and_then(|text| Stat::read(&text));
        // The directory is open while it is read.
        let files = fs::read_dir("/proc/self/fd").ok().map(|files| files.count().saturating_sub(1));
        let limit = getrlimit(Resource::Nofile).current;
        #[expect(clippy::cast_precision_loss, reason = "sizes of processes are far below 2^53 bytes")]
        let number = |value: u64| value as f64;
        gauge(
            "open_fds",
            "Open file descriptors",
            None,
            files.and_then(|it| u64::try_from(it).ok()).map(number),
        )?;
        gauge("max_fds", "Limit of open file descriptors", None, limit.map(number))?;
        let Some(stat) = stat else { return Ok(()) };
        let page = u64::try_from(page_size()).unwrap_or_default();
        let resident = number(stat.resident_pages.saturating_mul(page));
        let bytes = Some(&Unit::Bytes);
        gauge("virtual_memory", "Virtual memory", bytes, Some(number(stat.virtual_bytes)))?;
        gauge("resident_memory", "Resident memory", bytes, Some(resident))?;
        gauge(
            "start_time",
            "Unix time of the start of the process",
            Some(&Unit::Seconds),
            start_time(&stat),
        )?;
        let cpu = ConstCounter::new(seconds(stat.ticks));
        let help = "CPU time in user and kernel mode";
        cpu.encode(encoder.encode_descriptor("cpu", help, Some(&Unit::Seconds), cpu.metric_type())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_program_may_have_spaces_and_brackets() {
        let text = "4242 (a) (b c) S 1 1 1 0 -1 4194304 1 0 0 0 300 200 0 0 20 0 3 0 777 1048576 64 184467";
        let stat = Stat::read(text).unwrap();
        assert_eq!(
            (stat.ticks, stat.started, stat.virtual_bytes, stat.resident_pages),
            (500, 777, 1_048_576, 64)
        );
        assert!(Stat::read("4242 (a) S 1").is_none() && Stat::read("").is_none());
    }

    #[test]
    fn this_process_started_before_now_and_not_long_ago() {
        let stat = Stat::read(&fs::read_to_string("/proc/self/stat").unwrap()).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - start_time(&stat).unwrap();
        assert!((-1.0..86_400.0).contains(&age), "{age}");
    }
}
