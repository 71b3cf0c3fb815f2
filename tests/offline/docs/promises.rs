//! Every test that a document names is there, in the file that it names.

use std::path::{Path, PathBuf};

use super::page::{page, root};

/// The file, and what belongs to it: `tests/serve.rs` is also all that is in `tests/serve`.
fn sources(named: &str) -> Vec<PathBuf> {
    let file = root().join(named);
    let mut open = vec![file.with_extension(""), file];
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.exists() {
            found.push(path);
        }
    }
    found
}

/// The functions of a file that `cargo test` runs.
fn tests(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut tests = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        let name =
            line.trim_start_matches("async ").strip_prefix("fn ").and_then(|rest| rest.split('(').next());
        match name {
            Some(name) if is_test => tests.push(name.to_owned()),
            None if line.starts_with("#[") => {
                is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
                continue;
            }
            // An attribute may take several lines.
            None if is_test => continue,
            _ => {}
        }
        is_test = false;
    }
    tests
}

/// Whether a span is the name of a test, or of several: `before_the_first_sync_*`.
fn is_name(span: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    span.trim_end_matches('*').chars().all(is_plain)
        && (span.matches('_').count() > 1)
        && !span.starts_with("lockstep_")
}

/// Checks the tests that a cell names behind the file that each is in; how many there are.
fn assert_named_tests_are_there(document: &str, cell: &str) -> usize {
    let (mut file, mut seen) = (None, 0);
    for span in cell.split('`').skip(1).step_by(2) {
        // It checks what it has built.
        if span == "image/build.sh" {
            seen += 1;
        }
        if span.ends_with(".rs") {
            assert!(root().join(span).exists(), "`{document}` names `{span}`");
            file = Some(span);
        } else if is_name(span) {
            let file = file.unwrap_or_else(|| panic!("`{document}`: `{span}` stands behind no file"));
            let (name, is_start) = (span.trim_end_matches('*'), span.ends_with('*'));
            let is_it = |test: &String| if is_start { test.starts_with(name) } else { test == name };
            let is_there = sources(file).iter().any(|path| tests(path).iter().any(is_it));
            assert!(is_there, "`{document}`: `{file}` has no test `{span}`");
            seen += 1;
        }
    }
    seen
}

#[test]
fn every_test_that_the_architecture_names_is_there() {
    let cells = page("ARCHITECTURE.md").rows().into_iter().flatten();
    let seen: usize = cells.map(|cell| assert_named_tests_are_there("ARCHITECTURE.md", &cell)).sum();
    assert!(seen > 12, "{seen} tests");
}

/// Each promise is a sentence of the README as it stands there, with one test at the least.
#[test]
fn every_promise_is_the_readmes_and_has_a_test() {
    let readme = page("README.md").paragraphs().join("\n");
    for row in page("docs/promises.md").table(&["promise", "held by"]) {
        assert!(readme.contains(&row[0]), "README.md does not say: {}", row[0]);
        assert!(assert_named_tests_are_there("docs/promises.md", &row[1]) > 0, "no test: {}", row[0]);
    }
}
