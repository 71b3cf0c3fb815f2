//! SARIF 2.1.0 (OASIS), which code scanners display at the lines of a pull request.

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

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Renders the report.
pub(in crate::cli) fn sarif(report: &CheckReport, options: Options) -> serde_json::Result<String> {
    let repository = &Repository::current();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": env!("CARGO_PKG_NAME"),
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": codes().map(rule).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": report.problems.is_empty(),
                "toolExecutionNotifications": report
                    .problems
                    .iter()
                    .map(|problem| notification(problem, repository))
                    .chain(report.remarks.iter().filter_map(|remark| remark_without_place(remark, repository)))
                    .collect::<Vec<_>>(),
            }],
            "results": report
                .judged
                .iter()
                .flat_map(|judged| results(judged, options, repository))
                .chain(report.remarks.iter().filter_map(|found| remark(found, repository)))
                .collect::<Vec<_>>(),
        }],
    });
    json_document(&log)
}

/// Every code that a result may have, in the order of the rules.
fn codes() -> impl Iterator<Item = &'static str> {
    Reason::ALL.map(Reason::code).into_iter().chain(RemarkCode::ALL.map(RemarkCode::code))
}

fn rule_index(code: &str) -> Option<usize> {
    codes().position(|known| known == code)
}

/// Returns the rule of a code: SARIF calls that a rule which this program calls a reason.
fn rule(code: &'static str) -> Value {
    let Some(ReasonText { meaning, why, mend, .. }) = reason_text(code) else { return json!({"id": code}) };
    json!({
        "id": code,
        "name": code,
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
        "ruleIndex": rule_index(code),
        "level": remark.level.word(),
        "message": {"text": with_help(&remark.message, &remark.help)},
        "locations": [{"physicalLocation": remark_place(remark, repository)?}],
    }))
}

fn remark_place(remark: &Remark, repository: &Repository) -> Option<Value> {
    match (&remark.at, &remark.file) {
        (Some((source, span)), _) => Some(physical(source, *span, repository)),
        (None, Some(file)) => Some(json!({"artifactLocation": {"uri": uri(file, repository)}})),
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
        "ruleIndex": rule_index(reason.code()),
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
        None => json!({"artifactLocation": {"uri": uri(&problem.file, repository)}}),
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
        return json!({"artifactLocation": {"uri": uri(&template, &Repository::default())}, "region": {"startLine": 1}});
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
    fn the_template_of_an_object_is_named_above_it() {
        let text = "---\n# Source: edge/templates/a.yaml\nkind: A\n---\nkind: B\n";
        let span = |word: &str| Span { start: text.find(word).unwrap(), end: text.len() };
        let stdin = Source::new(STDIN, text);
        assert_eq!(template(&stdin, span("kind: A")), Some("edge/templates/a.yaml"));
        assert_eq!(template(&stdin, span("kind: B")), None);
        assert_eq!(template(&Source::new("a.yaml", text), span("kind: A")), None);
    }
}
