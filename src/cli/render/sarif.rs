//! SARIF 2.1.0 (OASIS), which code scanners display at the lines of a pull request.

use serde_json::{Value, json};

use super::{Options, docs_url, edit_sentence, with_help};
use crate::cli::check::remark::{Remark, RemarkCode};
use crate::cli::check_report::{CheckReport, JudgedObject, Placed};
use crate::cli::output::json_document;
use crate::field::FieldPath;
use crate::manifests::{Place, Problem, STDIN, Source, Span};
use crate::reasons::{ReasonText, reason_text};
use crate::verdict::{Reason, Rule, Severity};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Renders the report.
pub(in crate::cli) fn sarif(report: &CheckReport, options: Options) -> serde_json::Result<String> {
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
                    .map(notification)
                    .chain(report.remarks.iter().filter_map(remark_without_place))
                    .collect::<Vec<_>>(),
            }],
            "results": report
                .judged
                .iter()
                .flat_map(|judged| results(judged, options))
                .chain(report.remarks.iter().filter_map(remark))
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
fn remark(remark: &Remark) -> Option<Value> {
    let code = remark.code.code();
    Some(json!({
        "ruleId": code,
        "ruleIndex": rule_index(code),
        "level": remark.level.word(),
        "message": {"text": with_help(&remark.message, &remark.help)},
        "locations": [{"physicalLocation": remark_place(remark)?}],
    }))
}

fn remark_place(remark: &Remark) -> Option<Value> {
    match (&remark.at, &remark.file) {
        (Some((source, span)), _) => Some(physical(source, *span)),
        (None, Some(file)) => Some(json!({"artifactLocation": {"uri": uri(file)}})),
        (None, None) => None,
    }
}

/// Returns the notification of a remark without a place.
fn remark_without_place(remark: &Remark) -> Option<Value> {
    remark_place(remark).is_none().then(|| {
        json!({
            "level": remark.level.word(),
            "descriptor": {"id": remark.code.code()},
            "message": {"text": with_help(&remark.message, &remark.help)},
        })
    })
}

/// Returns the results of an object: its findings, then the edits that no finding reports.
fn results(judged: &JudgedObject, options: Options) -> Vec<Value> {
    let findings = judged.findings.iter().map(|Placed { what, place, .. }| {
        let level = match what.severity {
            Severity::Deny => "error",
            _ if options.is_strict && judged.edit_of(what).is_some() => "error",
            Severity::Warn => "warning",
            Severity::Audit => "note",
        };
        let about = (what.rule, what.reason, &*what.topology, &what.field);
        result(judged, level, &with_help(&what.message, &what.help), about, place)
    });
    let edits = judged.unreported_edits().map(|Placed { what, place, .. }| {
        let level = if options.is_strict { "error" } else { "note" };
        result(
            judged,
            level,
            &edit_sentence(what),
            (what.rule, what.reason, &*what.topology, &what.field),
            place,
        )
    });
    findings.chain(edits).collect()
}

fn result(
    judged: &JudgedObject,
    level: &str,
    text: &str,
    (rule, reason, topology, field): (Rule, Reason, &str, &FieldPath),
    place: &Place,
) -> Value {
    json!({
        "ruleId": reason.code(),
        "ruleIndex": rule_index(reason.code()),
        "level": level,
        "message": {"text": text},
        "locations": [{
            "physicalLocation": physical(&judged.source, place.mark),
            "logicalLocations": [{"fullyQualifiedName": judged.title()}],
        }],
        "properties": {"rule": rule.id(), "topology": topology, "field": field.to_string()},
    })
}

fn notification(problem: &Problem) -> Value {
    let place = match &problem.at {
        Some((source, span)) => physical(source, *span),
        None => json!({"artifactLocation": {"uri": uri(&problem.file)}}),
    };
    json!({
        "level": "error",
        "message": {"text": problem.error.to_string()},
        "locations": [{"physicalLocation": place}],
    })
}

fn physical(source: &Source, span: Span) -> Value {
    let start = source.line_column(span.start);
    let end = source.line_column(span.end.max(span.start));
    json!({
        "artifactLocation": {"uri": uri(source.name())},
        "region": {
            "startLine": start.line,
            "startColumn": start.column,
            "endLine": end.line,
            "endColumn": end.column,
        },
    })
}

/// Returns a path as a relative reference (RFC 3986), which scanners match with the files of a repository.
fn uri(path: &str) -> String {
    if path == STDIN {
        return "stdin".to_owned();
    }
    let mut uri = String::with_capacity(path.len());
    let path = path.strip_prefix("./").unwrap_or(path);
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
        assert_eq!(uri("./a b/ü:1.yaml"), "a%20b/%C3%BC%3A1.yaml");
        assert_eq!(uri(STDIN), "stdin");
    }
}
