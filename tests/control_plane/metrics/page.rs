//! `/metrics` as Prometheus reads it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

use lockstep_test_support::https::get;
use lockstep_test_support::{control_plane, wait};

/// The content type of the admin port, which `tests/loopback/serve/life.rs` asserts.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The series of one page as Prometheus' parser reads them. Prometheus' linter must report nothing.
#[derive(Debug, Clone, Deserialize)]
pub struct Page {
    pub families: Vec<Family>,
    pub series: Vec<Series>,
    problems: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Family {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub help: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Series {
    pub family: String,
    pub labels: BTreeMap<String, String>,
    value: String,
}

impl Series {
    /// Returns the name of the metric in queries.
    pub fn name(&self) -> &str {
        &self.labels["__name__"]
    }

    pub fn value(&self) -> f64 {
        self.value.parse().unwrap()
    }

    pub fn set(&mut self, value: f64) {
        self.value = value.to_string();
    }

    /// Whether the series has this name and these labels.
    pub fn is(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        let has = |(label, value): &(&str, &str)| self.labels.get(*label).is_some_and(|held| held == value);
        self.name() == name && labels.iter().all(has)
    }
}

impl Page {
    /// Parses a page, which must be valid and follow the naming conventions.
    pub fn parse(text: &str) -> Self {
        let mut command = Command::new(control_plane::openmetrics().unwrap());
        let found = run(command.arg(CONTENT_TYPE), text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let page: Self = serde_json::from_str(&found).unwrap();
        assert!(page.problems.is_empty(), "{:#?}", page.problems);
        page
    }

    pub async fn of(admin: &str) -> Self {
        let (status, text) = get(admin, "/metrics").await;
        assert_eq!(status, 200, "{text}");
        Self::parse(&text)
    }

    /// Returns the first page on which the series add up to at least this value.
    pub async fn with(admin: &str, name: &str, labels: &[(&str, &str)], least: f64) -> Self {
        let quoted: Vec<_> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let is_it = |line: &&str| {
            line.split([' ', '{']).next() == Some(name) && quoted.iter().all(|label| line.contains(label))
        };
        let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        let found = wait::until(admin, "/metrics", |_, text| {
            text.lines().filter(is_it).map(value).sum::<f64>() >= least
        });
        Self::parse(&found.await)
    }

    /// Merges two pages; a series on both is taken from this one.
    pub fn and(mut self, other: &Self) -> Self {
        let is_new = |name: &str| !self.families.iter().any(|family| family.name == name);
        let new: Vec<Family> = other.families.iter().filter(|family| is_new(&family.name)).cloned().collect();
        let named = |series: &&Series| new.iter().any(|family| family.name == series.family);
        self.series.extend(other.series.iter().filter(named).cloned());
        self.families.extend(new);
        self
    }

    /// Returns the value of the only series with this name and these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let found: Vec<_> = self.series.iter().filter(|series| series.is(name, labels)).collect();
        assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
        found[0].value()
    }
}

/// Runs Prometheus' promtool.
pub fn promtool(arguments: &[&str], folder: &Path) -> Result<String, String> {
    let mut command = Command::new(control_plane::promtool().unwrap());
    run(command.args(arguments).current_dir(folder), "")
}

/// Runs `promtool check metrics` on a text, which is all that it says about it.
pub fn check_metrics(text: &str) -> Result<String, String> {
    run(Command::new(control_plane::promtool().unwrap()).args(["check", "metrics"]), text)
}

/// Reads a dashboard with the types that Grafana publishes. Returns what they do not allow.
pub fn against_grafanas_types(dashboard: &str) -> Vec<String> {
    let found = run(&mut Command::new(control_plane::grafana_types().unwrap()), dashboard).unwrap();
    serde_json::from_str(&found).unwrap()
}

/// Runs a program. Returns its standard output, or both streams if it fails.
fn run(command: &mut Command, input: &str) -> Result<String, String> {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&[output.stdout, output.stderr].concat()))
    }
}
