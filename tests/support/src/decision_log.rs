//! A decision log on disk, and what `lockstep audit` makes of it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Every line, which must be one JSON object without anything that moves a cursor.
pub fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| {
            assert!(!line.contains(char::is_control), "{line:?}");
            let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(value.is_object(), "{line}");
            value
        })
        .collect()
}

/// The lines that record reviews.
pub fn reviews(text: &str) -> Vec<Value> {
    lines(text).into_iter().filter(|line| line["event"] == "review").collect()
}

/// Runs `lockstep audit`.
pub fn audit(arguments: &[&str], files: &[&Path]) -> Output {
    let mut command = Command::new(crate::program());
    command.arg("audit").args(arguments).args(files).output().unwrap()
}

/// What `lockstep audit verify` says, and its exit code.
pub fn verify(arguments: &[&str], files: &[&Path]) -> (i32, Value) {
    let output = audit(&[&["verify", "--format", "json"], arguments].concat(), files);
    let text = String::from_utf8(output.stdout).unwrap();
    let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    (output.status.code().unwrap(), report)
}

/// The log must be intact from its beginning to its end; returns what was said of it.
pub fn assert_whole(files: &[&Path]) -> Value {
    let (code, report) = verify(&["--whole"], files);
    assert_eq!((code, &report["intact"]), (0, &Value::Bool(true)), "{report:#}");
    report
}
