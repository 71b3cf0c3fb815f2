//! A decision log on disk, and `lockstep audit` on it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Parses the lines of a log. Each must be one JSON object without control characters.
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

/// The records of reviews in a log.
pub fn reviews(text: &str) -> Vec<Value> {
    lines(text).into_iter().filter(|line| line["event"] == "review").collect()
}

/// Runs `lockstep audit`.
pub fn audit(arguments: &[&str], files: &[&Path]) -> Output {
    let mut command = Command::new(crate::program());
    command.arg("audit").args(arguments).args(files).output().unwrap()
}

/// Runs `lockstep audit verify`. Returns its exit code and its JSON document.
pub fn verify(arguments: &[&str], files: &[&Path]) -> (i32, Value) {
    let output = audit(&[&["verify", "--format", "json"], arguments].concat(), files);
    let text = String::from_utf8(output.stdout).unwrap();
    let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    (output.status.code().unwrap(), report)
}

/// Asserts that the log is intact from its beginning to its end. Returns the JSON document of `lockstep audit verify`.
pub fn assert_whole(files: &[&Path]) -> Value {
    let (code, report) = verify(&["--whole"], files);
    assert_eq!((code, &report["intact"]), (0, &Value::Bool(true)), "{report:#}");
    report
}
