//! A control group that limits memory, of version 1 or 2.

use std::fs;
use std::path::{Path, PathBuf};

/// The control group. It is removed when dropped.
pub struct MemoryGroup {
    path: PathBuf,
}

impl MemoryGroup {
    /// Creates a group that limits its processes to `bytes`.
    pub fn create(bytes: u64) -> Self {
        let root = Path::new("/sys/fs/cgroup");
        let (folder, limit) = if root.join("cgroup.controllers").exists() {
            (root.to_owned(), "memory.max")
        } else {
            (root.join("memory"), "memory.limit_in_bytes")
        };
        let path = folder.join(format!("lockstep-attack-{}", std::process::id()));
        fs::create_dir(&path).expect("a control group; run this as root");
        fs::write(path.join(limit), bytes.to_string()).expect("the memory controller");
        Self { path }
    }

    /// Moves a process into the group.
    pub fn add(&self, pid: u32) {
        fs::write(self.path.join("cgroup.procs"), pid.to_string()).expect("a process that runs");
    }

    /// The number of processes that the kernel killed for lack of memory.
    pub fn kills(&self) -> u64 {
        let read = |file: &str| fs::read_to_string(self.path.join(file)).ok();
        let text = read("memory.events").or_else(|| read("memory.oom_control")).expect("a memory controller");
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.expect("a count of kills").parse().expect("a number")
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // The program may still end; the kernel keeps an empty group at most.
        let _ = fs::remove_dir(&self.path);
    }
}
