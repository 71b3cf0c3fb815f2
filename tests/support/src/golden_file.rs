//! Files of the repository that are generated.

use std::path::Path;

/// Asserts that a file has the expected text, or writes it with `LOCKSTEP_BLESS=1`.
pub fn assert_file_holds(path: &Path, expected: &str) {
    if std::env::var_os("LOCKSTEP_BLESS").is_some() {
        std::fs::write(path, expected).unwrap();
        return;
    }
    let held = std::fs::read_to_string(path).unwrap_or_default();
    let different = held.lines().zip(expected.lines()).position(|(held, expected)| held != expected);
    let line = different.unwrap_or_else(|| held.lines().count().min(expected.lines().count()));
    assert!(
        held == expected,
        "`{}` differs in line {}; run the test with LOCKSTEP_BLESS=1 and read what git shows:\n-{}\n+{}",
        path.display(),
        line + 1,
        held.lines().nth(line).unwrap_or_default(),
        expected.lines().nth(line).unwrap_or_default(),
    );
}

/// Asserts that the part of a file between two of its lines has the expected text, or writes it.
pub fn assert_part_holds(path: &Path, begin: &str, end: &str, expected: &str) {
    let held = std::fs::read_to_string(path).unwrap();
    let parts = held.split_once(begin).and_then(|(before, rest)| Some((before, rest.split_once(end)?.1)));
    let (before, after) = parts.unwrap_or_else(|| panic!("`{}` has no `{begin}`", path.display()));
    assert_file_holds(path, &format!("{before}{begin}{expected}{end}{after}"));
}
