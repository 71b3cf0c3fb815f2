//! The inputs of `tests/cases/check`, each checked in a folder of its own.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use lockstep_test_support::root;
use serde::Deserialize;
use serde_json::Value;

/// One input.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What users rely on.
    title: String,
    /// The files by path.
    files: BTreeMap<String, String>,
    /// The arguments after `check`.
    #[serde(default = "here")]
    arguments: Vec<String>,
    exit: i32,
    /// Each object as `verdict Kind name: REASON, REASON`, in the order of the input; not checked if it is missing.
    objects: Option<Vec<String>>,
    /// The codes of the remarks, in the order of the output.
    #[serde(default)]
    remarks: Vec<String>,
    /// Texts that the output for people has.
    #[serde(default)]
    says: Vec<String>,
    /// Texts that it does not have.
    #[serde(default)]
    never: Vec<String>,
}

fn here() -> Vec<String> {
    vec![".".to_owned()]
}

fn check(folder: &std::path::Path, case: &Case, format: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
    command.arg("check").args(format).args(&case.arguments).current_dir(folder).env("NO_COLOR", "1");
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn object(object: &Value) -> String {
    let text = |field: &str| object[field].as_str().unwrap().to_owned();
    let of = |list: &str| -> Vec<String> {
        object[list]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["reason"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut reasons = of("findings");
    reasons.extend(of("edits"));
    reasons.sort_unstable();
    reasons.dedup();
    let after = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join(", ")) };
    format!("{} {} {}{after}", text("verdict"), text("kind"), text("name"))
}

fn differences(case: &Case) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in &case.files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let (exit, text) = check(folder.path(), case, &[]);
    let (exit_of_json, json) = check(folder.path(), case, &["-o", "json"]);
    let report: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    let list = |field: &str| report[field].as_array().unwrap().iter();
    let mut wrong = Vec::new();
    if exit != Some(case.exit) || exit_of_json != exit {
        wrong.push(format!("exit {exit:?} and {exit_of_json:?}, not {}", case.exit));
    }
    let objects: Vec<String> = list("objects").map(object).collect();
    if case.objects.as_ref().is_some_and(|expected| *expected != objects) {
        wrong.push(format!("objects {objects:#?}"));
    }
    let remarks: Vec<&str> = list("remarks").map(|remark| remark["code"].as_str().unwrap()).collect();
    if remarks != case.remarks {
        wrong.push(format!("remarks {remarks:?}"));
    }
    wrong.extend(
        case.says.iter().filter(|said| !text.contains(*said)).map(|said| format!("not said: {said}")),
    );
    wrong.extend(case.never.iter().filter(|said| text.contains(*said)).map(|said| format!("said: {said}")));
    if !wrong.is_empty() {
        wrong.push(text);
    }
    wrong
}

#[test]
fn every_input_gets_its_verdicts_and_remarks() {
    let mut entries: Vec<_> =
        fs::read_dir(root().join("tests/cases/check")).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort_unstable();
    let (mut count, mut wrong) = (0, Vec::new());
    for path in entries {
        let text = fs::read_to_string(&path).unwrap();
        let cases: Vec<Case> =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for case in cases {
            count += 1;
            let differences = differences(&case);
            if !differences.is_empty() {
                wrong.push(format!("{}: {}\n  {}", path.display(), case.title, differences.join("\n  ")));
            }
        }
    }
    assert!(count > 60, "only {count} inputs were found");
    assert!(wrong.is_empty(), "{} of {count} inputs differ:\n{}", wrong.len(), wrong.join("\n"));
}
