//! SARIF 2.1.0 (OASIS), which code scanners display at the lines of a pull request.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::repository::Repository;
use super::{Options, docs_url, edit_sentence, with_help};
use crate::cli::check::remark::{Remark, RemarkCode};
use crate::cli::check_report::{CheckReport, JudgedObject, Placed};
use crate::cli::output::json_document;
use crate::field::FieldPath;
use crate::manifests::{Problem, STDIN, Source, Span};
use crate::reasons::{ReasonText, reason_text};
use crate::verdict::{Reason, Rule, Severity};

/// The largest number of results that GitHub code scanning accepts in a run (docs.github.com, "SARIF support for code scanning").
const MAX_RESULTS: usize = 25_000;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Renders the report.
pub(in crate::cli) fn sarif(report: &CheckReport, options: Options) -> serde_json::Result<String> {
    let repository = &Repository::current();
    let mut results: Vec<Value> = report
        .judged
        .iter()
        .flat_map(|judged| results(judged, options, repository))
        .chain(report.remarks.iter().filter_map(|found| remark(found, repository)))
        .collect();
    let left_out = leave_out(&mut results, MAX_RESULTS);
    let rules = add_indexes(&mut results);
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": env!("CARGO_PKG_NAME"),
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules.into_iter().map(rule).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": report.problems.is_empty(),
                "toolExecutionNotifications": report
                    .problems
                    .iter()
                    .map(|problem| notification(problem, repository))
                    .chain(report.remarks.iter().filter_map(|remark| remark_without_place(remark, repository)))
                    .chain(left_out)
                    .collect::<Vec<_>>(),
            }],
            "results": results,
        }],
    });
    json_document(&log)
}

/// Every code that a result may have, in the order of the rules.
fn codes() -> impl Iterator<Item = &'static str> {
    Reason::ALL.map(Reason::code).into_iter().chain(RemarkCode::ALL.map(RemarkCode::code))
}

/// Keeps this many results, the gravest ones, and returns a notification about the others.
fn leave_out(results: &mut Vec<Value>, limit: usize) -> Option<Value> {
    let more = results.len().checked_sub(limit).filter(|more| *more > 0)?;
    let level = |result: &Value| match result.get("level").and_then(Value::as_str) {
        Some("error") => 0,
        Some("warning") => 1,
        _ => 2,
    };
    results.sort_by_key(level);
    results.truncate(limit);
    let text = format!(
        "{more} more results were left out, because code scanners accept {limit}: `lockstep check -o json` writes all of them"
    );
    Some(json!({"level": "warning", "message": {"text": text}}))
}

/// Sets the index of each result's rule, and returns the codes of the rules that results refer to, in their order.
fn add_indexes(results: &mut [Value]) -> Vec<&'static str> {
    let used: BTreeSet<String> =
        results.iter().filter_map(|result| Some(result.get("ruleId")?.as_str()?.to_owned())).collect();
    let rules: Vec<&str> = codes().filter(|code| used.contains(*code)).collect();
    for result in results {
        let index = result.get("ruleId").and_then(|id| rules.iter().position(|code| id == code));
        if let Value::Object(result) = result {
            result.insert("ruleIndex".to_owned(), json!(index));
        }
    }
    rules
}

/// Returns the rule of a code: SARIF calls that a rule which this program calls a reason.
fn rule(code: &'static str) -> Value {
    let Some(ReasonText { meaning, why, mend, .. }) = reason_text(code) else { return json!({"id": code}) };
    json!({
        "id": code,
        "shortDescription": {"text": meaning},
        "fullDescription": {"text": format!("{meaning} {why}")},
        "help": {
            "text": format!("{why} {mend}"),
            "markdown": format!("**Why it matters:** {why}\n\n**What to do:** {mend}"),
        },
        "helpUri": docs_url(code),
        "defaultConfiguration": {"level": if Reason::ALL.iter().any(|reason| reason.code() == code) { "error" } else { "warning" }},
    })
}

/// Returns the result of a remark; `None` if it has no place, which code scanners require.
fn remark(remark: &Remark, repository: &Repository) -> Option<Value> {
    let code = remark.code.code();
    Some(json!({
        "ruleId": code,
        "level": remark.level.word(),
        "message": {"text": with_help(&remark.message, &remark.help)},
        "locations": [{"physicalLocation": remark_place(remark, repository)?}],
    }))
}

fn remark_place(remark: &Remark, repository: &Repository) -> Option<Value> {
    match (&remark.at, &remark.file) {
        (Some((source, span)), _) => Some(physical(source, *span, repository)),
        (None, Some(file)) => {
            Some(json!({"artifactLocation": {"uri": uri(file, repository)}, "region": first_line()}))
        }
        (None, None) => None,
    }
}

/// Returns the notification of a remark without a place.
fn remark_without_place(remark: &Remark, repository: &Repository) -> Option<Value> {
    remark_place(remark, repository).is_none().then(|| {
        json!({
            "level": remark.level.word(),
            "descriptor": {"id": remark.code.code()},
            "message": {"text": with_help(&remark.message, &remark.help)},
        })
    })
}

/// Returns the results of an object: its findings, then the edits that no finding reports.
fn results(judged: &JudgedObject, options: Options, repository: &Repository) -> Vec<Value> {
    let findings = judged.findings.iter().map(|Placed { what, place, .. }| {
        let level = match what.severity {
            Severity::Deny => "error",
            _ if options.is_strict && judged.edit_of(what).is_some() => "error",
            Severity::Warn => "warning",
            Severity::Audit => "note",
        };
        let about = (what.rule, what.reason, &*what.topology, &what.field);
        result(
            judged,
            level,
            &with_help(&what.message, &what.help),
            about,
            &physical(&judged.source, place.mark, repository),
        )
    });
    let edits = judged.unreported_edits().map(|Placed { what, place, .. }| {
        let level = if options.is_strict { "error" } else { "note" };
        result(
            judged,
            level,
            &edit_sentence(what),
            (what.rule, what.reason, &*what.topology, &what.field),
            &physical(&judged.source, place.mark, repository),
        )
    });
    findings.chain(edits).collect()
}

fn result(
    judged: &JudgedObject,
    level: &str,
    text: &str,
    (rule, reason, topology, field): (Rule, Reason, &str, &FieldPath),
    place: &Value,
) -> Value {
    json!({
        "ruleId": reason.code(),
        "level": level,
        "message": {"text": text},
        "locations": [{
            "physicalLocation": place,
            "logicalLocations": [{"fullyQualifiedName": judged.title()}],
        }],
        "properties": {"rule": rule.id(), "topology": topology, "field": field.to_string()},
    })
}

fn notification(problem: &Problem, repository: &Repository) -> Value {
    let place = match &problem.at {
        Some((source, span)) => physical(source, *span, repository),
        None => json!({"artifactLocation": {"uri": uri(&problem.file, repository)}, "region": first_line()}),
    };
    json!({
        "level": "error",
        "message": {"text": problem.error.to_string()},
        "locations": [{"physicalLocation": place}],
    })
}

fn physical(source: &Source, span: Span, repository: &Repository) -> Value {
    if let Some(template) = template(source, span).and_then(|named| repository.template(named)) {
        // The lines of the template are others than those of the rendered text.
        let uri = uri(&template, &Repository::default());
        return json!({"artifactLocation": {"uri": uri}, "region": first_line()});
    }
    let start = source.line_column(span.start);
    let end = source.line_column(span.end.max(span.start));
    json!({
        "artifactLocation": {"uri": uri(source.name(), repository)},
        "region": {
            "startLine": start.line,
            "startColumn": start.column,
            "endLine": end.line,
            "endColumn": end.column,
        },
    })
}

/// The region of what is about a file or folder as a whole: code scanners require one.
fn first_line() -> Value {
    json!({"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1})
}

/// The template that `helm template` names above an object of standard input: `# Source: CHART/templates/FILE`.
fn template(source: &Source, span: Span) -> Option<&str> {
    const COMMENT: &str = "\n# Source: ";
    let before = source.text().get(..span.start).filter(|_| source.name() == STDIN)?;
    let (_, from) = before.rsplit_once(COMMENT)?;
    let (named, rest) = from.split_once('\n')?;
    // A comment of another document says nothing about this one.
    (!rest.split('\n').any(|line| line.starts_with("---"))).then_some(named.trim())
}

/// Returns the URI of a path: from the root of the repository, as scanners match it with files (RFC 3986), or an absolute one for a
/// file elsewhere.
fn uri(path: &str, repository: &Repository) -> String {
    if path == STDIN {
        return "stdin".to_owned();
    }
    let path = repository.path(path);
    let mut uri = String::with_capacity(path.len());
    if path.starts_with('/') {
        uri.push_str("file://");
    }
    // A colon in the first segment would be read as the end of a scheme.
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_percent_encoded() {
        let none = Repository::default();
        assert_eq!(uri("./a b/ü:1.yaml", &none), "a%20b/%C3%BC%3A1.yaml");
        assert_eq!(uri("/tmp/a.yaml", &none), "file:///tmp/a.yaml");
        assert_eq!(uri(STDIN, &none), "stdin");
    }

    #[test]
    fn rules_are_those_of_the_results() {
        let mut results = [json!({"ruleId": "NOT_JUDGED"}), json!({"ruleId": "WIDER"})];
        assert_eq!(add_indexes(&mut results), ["WIDER", "NOT_JUDGED"]);
        assert_eq!(results.map(|result| result["ruleIndex"].as_u64()), [Some(1), Some(0)]);
    }

    #[test]
    fn more_results_than_scanners_accept_are_left_out_with_a_notification() {
        let result = |level: &str| json!({"level": level});
        let mut results = vec![result("note"), result("error"), result("warning"), result("error")];
        assert_eq!(leave_out(&mut results, 4), None);
        let notification = leave_out(&mut results, 3).unwrap();
        assert_eq!(results, [result("error"), result("error"), result("warning")]);
        let text = notification["message"]["text"].as_str().unwrap();
        assert!(text.starts_with("1 more results were left out"), "{text}");
    }

    #[test]
    fn the_template_of_an_object_is_named_above_it() {
        let text = "---\n# Source: edge/templates/a.yaml\nkind: A\n---\nkind: B\n";
        let span = |word: &str| Span { start: text.find(word).unwrap(), end: text.len() };
        let stdin = Source::new(STDIN, text);
        assert_eq!(template(&stdin, span("kind: A")), Some("edge/templates/a.yaml"));
        assert_eq!(template(&stdin, span("kind: B")), None);
        assert_eq!(template(&Source::new("a.yaml", text), span("kind: A")), None);
    }
}
