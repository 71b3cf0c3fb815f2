//! `lockstep check` as a process: its output and its exit code.

mod cases;
mod examples;
mod formats;
mod html;
mod input;
mod mutations;
mod process;

pub use mutations::{Numbers, shrunk};

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// The exit code and the output of a run.
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("NO_COLOR");
    command
}

/// Runs the program in the repository with this text as its standard input.
pub fn run_with(arguments: &[&str], stdin: &str) -> Run {
    let mut child = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

pub fn run(arguments: &[&str]) -> Run {
    run_with(arguments, "")
}

fn as_json(arguments: &[&str], stdin: &str) -> (i32, Value) {
    let mut all = vec!["check", "--format", "json"];
    all.extend(arguments);
    let run = run_with(&all, stdin);
    let report = serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {}", run.err));
    (run.code, report)
}

/// An advertisement with this name wherever one may stand.
fn named(name: &str) -> Value {
    json!({
        "apiVersion": "metallb.io/v1beta1",
        "kind": "L2Advertisement",
        "metadata": {"name": name, "namespace": "metallb-system"},
        "spec": {"ipAddressPools": ["default-pool", name], "nodeSelectors": [{"matchLabels": {name: name}}]},
    })
}

/// Returns the object of a report by kind and name.
#[track_caller]
fn object<'r>(report: &'r Value, kind: &str, name: &str) -> &'r Value {
    let objects = report["objects"].as_array().unwrap();
    objects.iter().find(|object| object["kind"] == kind && object["name"] == name).unwrap()
}

fn reasons(object: &Value) -> Vec<&str> {
    object["findings"].as_array().unwrap().iter().map(|finding| finding["reason"].as_str().unwrap()).collect()
}

/// Returns the line of the file that a finding, an edit or an object points at.
fn line_at(file: &str, place: &Value) -> String {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let line = usize::try_from(place["line"].as_u64().unwrap()).unwrap();
    let column = usize::try_from(place["column"].as_u64().unwrap()).unwrap();
    text.lines().nth(line - 1).unwrap().chars().skip(column - 1).collect()
}

const ADVERTISEMENT: &str = "
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: ad, namespace: metallb-system}
spec:
  ipAddressPools: [default-pool]
";
