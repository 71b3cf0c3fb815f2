//! The memory and descriptors of a process.

use std::fs;

/// The memory and descriptors of a process at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// The resident set in bytes.
    pub resident: u64,
    /// The number of open descriptors.
    pub descriptors: u64,
}

impl Usage {
    /// The usage of a process; zeros once it has ended.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        Self { resident: kilobytes.unwrap_or_default() << 10, descriptors: descriptors as u64 }
    }

    /// The medians of both over some moments.
    #[must_use]
    pub fn median(moments: &[Self]) -> Self {
        let median = |of: fn(&Self) -> u64| {
            let mut values: Vec<u64> = moments.iter().map(of).collect();
            values.sort_unstable();
            values.get(values.len() / 2).copied().unwrap_or_default()
        };
        Self { resident: median(|usage| usage.resident), descriptors: median(|usage| usage.descriptors) }
    }

    /// The resident set in mebibytes.
    #[must_use]
    pub fn mebibytes(&self) -> f64 {
        self.resident as f64 / f64::from(1 << 20)
    }
}
