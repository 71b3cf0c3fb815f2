//! Files, metrics, alerts, values of the chart and environment variables that documents name exist.

use std::collections::BTreeSet;

use serde_json::Value;

use super::reference::command;
use lockstep_test_support::documents::{Document, document, documents, text};
use lockstep_test_support::root;

/// Variables of the tests, which the program does not read.
const TESTING: [&str; 1] = ["LOCKSTEP_BLESS"];

/// Returns every word in the text, including code, that begins with `start` and continues with these letters.
fn words<'t>(text: &'t str, start: &'t str, letter: fn(char) -> bool) -> impl Iterator<Item = &'t str> {
    text.match_indices(start).filter(move |(at, _)| !text[..*at].ends_with(letter)).map(move |(at, _)| {
        let rest = &text[at..];
        &rest[..rest.find(|next| !letter(next)).unwrap_or(rest.len())]
    })
}

fn is_snake(letter: char) -> bool {
    letter.is_ascii_lowercase() || letter == '_'
}

fn is_capital(letter: char) -> bool {
    letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_'
}

#[test]
fn every_metric_named_in_documents_is_exported() {
    let table = text("docs/metrics.md");
    let mut seen = 0;
    for page in documents().into_iter().chain([document("charts/lockstep/templates/prometheusrule.yaml")]) {
        for name in words(&page.text, "lockstep_", is_snake) {
            let metric =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            assert!(table.contains(&format!("\n| `{metric}` |")), "`{}` names `{name}`", page.path.display());
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen} metrics");
}

#[test]
fn every_alert_named_in_documents_is_in_the_chart() {
    let rules = text("charts/lockstep/templates/prometheusrule.yaml");
    for page in documents() {
        for span in page.spans() {
            if span.strip_prefix("Lockstep").is_some_and(|rest| {
                rest.chars().all(|letter| letter.is_ascii_alphabetic()) && !rest.is_empty()
            }) {
                assert!(
                    rules.contains(&format!("- alert: {span}\n")),
                    "`{}` names `{span}`",
                    page.path.display()
                );
            }
        }
    }
}

#[test]
fn every_variable_named_in_documents_is_read() {
    let serve = command();
    let serve = serve.find_subcommand("serve").unwrap();
    let known: BTreeSet<&str> =
        serve.get_arguments().filter_map(|arg| arg.get_env()?.to_str()).chain(TESTING).collect();
    for page in documents() {
        for name in words(&page.text, "LOCKSTEP_", is_capital) {
            // `LOCKSTEP_` alone is the common prefix.
            assert!(name == "LOCKSTEP_" || known.contains(name), "`{}` names `{name}`", page.path.display());
        }
    }
}

/// A name such as `certificates.mode`, with or without a value, as in `certificates.mode: self`.
#[test]
fn every_chart_value_named_in_documents_exists() {
    let values: Value = serde_saphyr::from_str(&text("charts/lockstep/values.yaml")).unwrap();
    let mut seen = 0;
    for page in documents() {
        for span in page.spans() {
            let path: Vec<&str> = span.split(':').next().unwrap().split('.').collect();
            let is_name = path
                .iter()
                .all(|key| !key.is_empty() && key.chars().all(|letter| letter.is_ascii_alphanumeric()));
            if path.len() < 2 || !is_name || values.get(path[0]).is_none_or(|value| !value.is_object()) {
                continue;
            }
            let value = path.iter().try_fold(&values, |value, key| value.get(key));
            assert!(value.is_some(), "`{}` names `{span}`", page.path.display());
            seen += 1;
        }
    }
    assert!(seen > 60, "{seen} values");
}

/// Whether the span looks like a file or folder of this repository, and not of another one.
fn is_path(span: &str) -> bool {
    let rooms = ["src", "tests", "docs", "charts", "certs", "examples", "benches", "image", ".ci", "crates"];
    let is_plain = span.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-./".contains(letter));
    let room = span.split('/').next().unwrap();
    is_plain && (span.ends_with(".rs") || span.contains('/') && rooms.contains(&room))
}

fn assert_paths_are_there(page: &Document) -> usize {
    let folder = page.path.parent().unwrap();
    let paths: Vec<String> = page.spans().into_iter().filter(|span| is_path(span)).collect();
    for path in &paths {
        let is_there = [folder, "src".as_ref(), "crates/core/src".as_ref(), "".as_ref()]
            .iter()
            .any(|from| root().join(from).join(path).exists());
        assert!(is_there, "`{}` names `{path}`", page.path.display());
    }
    paths.len()
}

#[test]
fn every_file_named_in_documents_exists() {
    let seen: usize = documents().iter().map(assert_paths_are_there).sum();
    assert!(seen > 80, "{seen} files");
}

/// `just` and `.ci/run` agree with CONTRIBUTING.md.
#[test]
fn the_ci_runs_the_commands_that_contributors_are_told_to_run() {
    let [ci, just] = [".ci/run", "justfile"].map(|path| text(path).replace(" --locked", ""));
    let page = text("CONTRIBUTING.md");
    let (_, section) = page.split_once("## Every check\n\n```console\n").unwrap();
    let (commands, _) = section.split_once("```").unwrap();
    for line in commands.lines() {
        let command = line.split("  #").next().unwrap().trim();
        let program = command.trim_start_matches("RUSTDOCFLAGS=\"-D warnings\" ");
        assert!(ci.contains(program), ".ci/run has no `{program}`");
        assert!(just.contains(program), "justfile has no `{program}`");
    }
}
