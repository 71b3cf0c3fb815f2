//! SARIF 2.1.0 (OASIS), which code scanners display at the lines of a pull request.

use serde_json::{Value, json};

use super::{Options, edit_sentence, with_help};
use crate::cli::check::remark::{Remark, RemarkCode};
use crate::cli::check_report::{CheckReport, JudgedObject, Placed};
use crate::cli::output::json_document;
use crate::field::FieldPath;
use crate::manifests::{Place, Problem, STDIN, Source, Span};
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
                "rules": Rule::ALL.map(rule).into_iter().chain(RemarkCode::ALL.map(remark_rule)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": report.problems.is_empty(),
                "toolExecutionNotifications": report.problems.iter().map(notification).collect::<Vec<_>>(),
            }],
            "results": report
                .judged
                .iter()
                .flat_map(|judged| results(judged, options))
                .chain(report.remarks.iter().map(remark))
                .collect::<Vec<_>>(),
        }],
    });
    json_document(&log)
}

fn rule(rule: Rule) -> Value {
    json!({
        "id": rule.id(),
        "shortDescription": {"text": rule.summary()},
        "defaultConfiguration": {"level": "error"},
    })
}

fn remark_rule(code: RemarkCode) -> Value {
    json!({
        "id": code.code(),
        "shortDescription": {"text": code.summary()},
        "defaultConfiguration": {"level": "warning"},
    })
}

fn remark(remark: &Remark) -> Value {
    let place = match (&remark.at, &remark.file) {
        (Some((source, span)), _) => Some(physical(source, *span)),
        (None, Some(file)) => Some(json!({"artifactLocation": {"uri": uri(file)}})),
        (None, None) => None,
    };
    let index = RemarkCode::ALL.iter().position(|known| *known == remark.code);
    json!({
        "ruleId": remark.code.code(),
        "ruleIndex": index.map(|index| index.saturating_add(Rule::ALL.len())),
        "level": remark.level.word(),
        "message": {"text": with_help(&remark.message, &remark.help)},
        "locations": place.iter().map(|place| json!({"physicalLocation": place})).collect::<Vec<_>>(),
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
        "ruleId": rule.id(),
        "ruleIndex": Rule::ALL.iter().position(|known| *known == rule),
        "level": level,
        "message": {"text": text},
        "locations": [{
            "physicalLocation": physical(&judged.source, place.mark),
            "logicalLocations": [{"fullyQualifiedName": judged.title()}],
        }],
        "properties": {"reason": reason.code(), "topology": topology, "field": field.to_string()},
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
