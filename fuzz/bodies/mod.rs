//! The bodies of the fuzz targets. libFuzzer calls them (`fuzz_targets`), and so do the ordinary tests (`tests/offline/fuzz.rs`).

#![allow(dead_code, reason = "libFuzzer takes the bodies alone, and every program uses its own")]

mod ca_secret;
mod certificate_files;
pub mod check;
mod decision_log;
mod kubeconfig;
mod patch;
mod review;
mod selectors;
mod topology;

use std::path::{Path, PathBuf};

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of the target, of its file in `fuzz_targets`, and of the folder with its inputs in `seeds`.
    pub name: &'static str,
    /// Checks what must hold of any input.
    ///
    /// # Panics
    /// If it does not hold.
    pub body: fn(&[u8]),
    /// Files and folders of the repository, whose files are inputs, too.
    pub seeds: &'static [&'static str],
    /// Words that a mutation inserts.
    pub words: &'static [&'static str],
}

/// Words of objects.
const OBJECT_WORDS: &[&str] = &[
    "null",
    "{}",
    "[]",
    "\"\"",
    "true",
    "0",
    "\"metadata\":",
    "\"spec\":",
    "\"labels\":",
    "\"nodeSelector\":null",
    "\"deletionTimestamp\":\"2026-11-26T00:00:00Z\"",
    "\"oldObject\":null",
    "\"DELETE\"",
    "\"UPDATE\"",
    "\"\\ud800\"",
];

/// All targets.
pub const TARGETS: [Target; 9] = [
    Target {
        name: "ca_secret",
        body: ca_secret::body,
        seeds: &[],
        words: &["\0", "-----", "2026-11-26T00:00:00Z"],
    },
    Target {
        name: "certificate_files",
        body: certificate_files::body,
        seeds: &[],
        words: &["\0", "-----", "=\n"],
    },
    Target {
        name: "check",
        body: check::body,
        seeds: &["examples", "tests/cases/state", "benches/reviews"],
        words: &["---\n", "null", "&a ", "*a", "!!binary ", "? ", "\"", "\u{feff}", "- ", "<<: *a\n"],
    },
    Target {
        name: "decision_log",
        body: decision_log::body,
        seeds: &[],
        words: &["\n", "\"sequence\":", "\"dropped\"", "\"ended\"", "{}", "18446744073709551615"],
    },
    Target {
        name: "kubeconfig",
        body: kubeconfig::body,
        seeds: &[],
        words: &["null", "[]", "{}", "https://", "server: ", "\n- ", "!!binary "],
    },
    Target { name: "patch", body: patch::body, seeds: &["benches/reviews"], words: OBJECT_WORDS },
    Target { name: "review", body: review::body, seeds: &["benches/reviews"], words: OBJECT_WORDS },
    Target { name: "selectors", body: selectors::body, seeds: &[], words: &[] },
    Target {
        name: "topology",
        body: topology::body,
        seeds: &["examples", "tests/cases/state"],
        words: &["null", "{}", "[]", "match: ", "exceptions:\n", "enforcement: Audit", "-"],
    },
];

impl Target {
    /// The target of this name.
    ///
    /// # Panics
    /// If there is none.
    pub fn named(name: &str) -> Self {
        TARGETS.into_iter().find(|target| target.name == name).expect("the target exists")
    }

    /// The inputs of the target in the repository at `root`, in a fixed order.
    pub fn inputs(&self, root: &Path) -> Vec<Vec<u8>> {
        let own = Path::new("fuzz/seeds").join(self.name);
        let mut files = Vec::new();
        for folder in self.seeds.iter().map(Path::new).chain([own.as_path()]) {
            add_files(&root.join(folder), &mut files);
        }
        files.sort_unstable();
        let read = |path: &PathBuf| std::fs::read(path).expect("a file of the repository is readable");
        files.iter().map(read).collect()
    }
}

fn add_files(path: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(path) else { return };
    for entry in entries {
        let path = entry.expect("a folder of the repository is readable").path();
        if path.is_dir() { add_files(&path, files) } else { files.push(path) }
    }
}

/// The parts of an input, separated by zero bytes.
fn parts(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    input.split(|byte| *byte == 0)
}

/// Checks the text of an error: one line, without characters that a terminal would interpret, and no secret in it.
fn assert_is_sentence(error: &dyn std::fmt::Display, secret: &[u8]) {
    let text = error.to_string();
    assert!(!text.is_empty() && !text.contains(lockstep_core::escape::is_unsafe), "{text:?}");
    // The lines of a key are base64; a shorter coincidence proves nothing, nor do our own words in the input.
    let is_key = |line: &&[u8]| line.len() >= 24 && !line.contains(&b' ');
    let lines = secret.split(|byte| *byte == b'\n').filter(is_key);
    for line in lines.filter_map(|line| std::str::from_utf8(line).ok()) {
        assert!(!text.contains(line), "the error quotes {line:?}");
    }
}
