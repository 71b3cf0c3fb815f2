//! Workflow commands of GitHub Actions, which annotate the lines of a pull request.

use std::fmt::Write;

use super::{Options, edit_sentence, printable, with_help};
use crate::cli::check::remark::RemarkLevel;
use crate::cli::check_report::CheckReport;
use crate::manifests::{LineColumn, STDIN};
use crate::verdict::Severity;

/// Renders the report.
pub(in crate::cli) fn github(report: &CheckReport, options: Options) -> String {
    let mut page = Page { text: String::new(), options };
    for problem in &report.problems {
        page.annotate(
            "error",
            &problem.file,
            problem.line_column(),
            "invalid input",
            &problem.error.to_string(),
        );
    }
    for judged in &report.judged {
        let file = judged.source.name();
        for finding in &judged.findings {
            let what = &finding.what;
            let command = match what.severity {
                Severity::Deny => "error",
                _ if options.is_strict && judged.edit_of(what).is_some() => "error",
                Severity::Warn => "warning",
                Severity::Audit => "notice",
            };
            let title = format!("{}/{}", what.rule, what.reason);
            page.annotate(command, file, Some(finding.at), &title, &with_help(&what.message, &what.help));
        }
        for edit in judged.unreported_edits() {
            let command = if options.is_strict { "error" } else { "notice" };
            let title = format!("{}/{}", edit.what.rule, edit.what.reason);
            page.annotate(command, file, Some(edit.at), &title, &edit_sentence(&edit.what));
        }
    }
    for remark in &report.remarks {
        let command = match remark.level {
            RemarkLevel::Note => "notice",
            RemarkLevel::Warning => "warning",
            RemarkLevel::Error => "error",
        };
        let text = with_help(&remark.message, &remark.help);
        let file = remark.file.as_deref().unwrap_or_default();
        page.annotate(command, file, remark.line_column(), remark.code.code(), &text);
    }
    page.text
}

/// The output so far.
struct Page {
    text: String,
    options: Options,
}

impl Page {
    fn annotate(&mut self, command: &str, file: &str, at: Option<LineColumn>, title: &str, text: &str) {
        if self.options.is_quiet && command != "error" {
            return;
        }
        let mut properties = Vec::new();
        // An annotation of standard input would be shown at a file that does not exist.
        if !file.is_empty() && file != STDIN {
            properties.push(format!("file={}", property(file.strip_prefix("./").unwrap_or(file))));
            properties.extend(at.map(|at| format!("line={},col={}", at.line, at.column)));
        }
        properties.push(format!("title={}", property(title)));
        // Writing to a string never fails.
        let _ = writeln!(self.text, "::{command} {}::{}", properties.join(","), data(&printable(text)));
    }
}

/// Escapes a message (`escapeData`, actions/toolkit, packages/core/src/command.ts).
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property (`escapeProperty`, there).
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_start_another_command() {
        assert_eq!(data("a\n::error::b 100%"), "a%0A::error::b 100%25");
        assert_eq!(property("a:b,c\r"), "a%3Ab%2Cc%0D");
    }
}
