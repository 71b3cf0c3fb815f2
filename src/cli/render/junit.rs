//! `JUnit` XML for CI systems: a test suite for each file, a test case for each object.
//!
//! No library is used: `quick-junit` removes text that looks like an escape sequence from names, `junit-report` has no
//! line numbers, and both have many dependencies.

use std::fmt::Write;

use lockstep_core::escape::is_unsafe;

use super::{Options, edit_sentence, with_help};
use crate::cli::check::remark::{Remark, RemarkLevel};
use crate::cli::check_report::{CheckReport, JudgedObject};
use crate::verdict::Severity;

/// Renders the report.
pub(in crate::cli) fn junit(report: &CheckReport, options: Options) -> String {
    let mut page = Page(String::new());
    let suites = suites(report);
    let failures = report.judged.iter().filter(|judged| judged.fails(options.is_strict)).count();
    let failures = failures.saturating_add(report.remarks.iter().filter(|remark| is_failure(remark)).count());
    let tests =
        report.judged.len().saturating_add(report.problems.len()).saturating_add(report.remarks.len());
    page.line(format_args!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"));
    page.line(format_args!(
        "<testsuites name=\"lockstep\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{}\">",
        report.problems.len()
    ));
    for suite in &suites {
        page.suite(suite, options);
    }
    page.remarks(&report.remarks);
    page.line(format_args!("</testsuites>"));
    page.0
}

/// The objects and problems of one file.
struct Suite<'r> {
    file: &'r str,
    judged: Vec<&'r JudgedObject>,
    problems: Vec<String>,
}

/// The suites in the order in which the files are read; files with problems only come last.
fn suites(report: &CheckReport) -> Vec<Suite<'_>> {
    let mut suites: Vec<Suite<'_>> = Vec::new();
    for judged in &report.judged {
        if let Some(suite) = suite_of(&mut suites, judged.source.name()) {
            suite.judged.push(judged);
        }
    }
    for problem in &report.problems {
        if let Some(suite) = suite_of(&mut suites, &problem.file) {
            suite.problems.push(problem.to_string());
        }
    }
    suites
}

fn suite_of<'s, 'r>(suites: &'s mut Vec<Suite<'r>>, file: &'r str) -> Option<&'s mut Suite<'r>> {
    let position = suites.iter().position(|suite| suite.file == file).unwrap_or_else(|| {
        suites.push(Suite { file, judged: Vec::new(), problems: Vec::new() });
        suites.len().saturating_sub(1)
    });
    suites.get_mut(position)
}

/// The document so far.
struct Page(String);

impl Page {
    fn suite(&mut self, suite: &Suite<'_>, options: Options) {
        let failures = suite.judged.iter().filter(|judged| judged.fails(options.is_strict)).count();
        let tests = suite.judged.len().saturating_add(suite.problems.len());
        let (file, errors) = (xml(suite.file), suite.problems.len());
        self.line(format_args!(
            "  <testsuite name=\"{file}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\">"
        ));
        for judged in &suite.judged {
            self.case(&file, judged, options);
        }
        for problem in &suite.problems {
            self.line(format_args!("    <testcase name=\"can be used\" classname=\"{file}\">"));
            self.line(format_args!("      <error message=\"{}\"/>", xml(problem)));
            self.line(format_args!("    </testcase>"));
        }
        self.line(format_args!("  </testsuite>"));
    }

    /// A suite of the remarks, which are not about one object.
    fn remarks(&mut self, remarks: &[Remark]) {
        if remarks.is_empty() {
            return;
        }
        let failures = remarks.iter().filter(|remark| is_failure(remark)).count();
        self.line(format_args!(
            "  <testsuite name=\"remarks\" tests=\"{}\" failures=\"{failures}\" errors=\"0\">",
            remarks.len()
        ));
        for remark in remarks {
            let file = xml(remark.file.as_deref().unwrap_or_default());
            let line = remark.line_column().map(|at| format!(":{}", at.line)).unwrap_or_default();
            let text = xml(&with_help(&remark.message, &remark.help));
            let code = remark.code.code();
            self.line(format_args!("    <testcase name=\"{code} {file}{line}\" classname=\"remarks\">"));
            if is_failure(remark) {
                self.line(format_args!("      <failure type=\"{code}\" message=\"{text}\"/>"));
            } else {
                self.line(format_args!("      <system-out>{text}</system-out>"));
            }
            self.line(format_args!("    </testcase>"));
        }
        self.line(format_args!("  </testsuite>"));
    }

    fn case(&mut self, file: &str, judged: &JudgedObject, options: Options) {
        let (name, line) = (xml(&judged.title()), judged.start.line);
        let head =
            format!("    <testcase name=\"{name}\" classname=\"{file}\" file=\"{file}\" line=\"{line}\"");
        let (failures, remarks) = remarks(judged, options);
        if failures.is_empty() && remarks.is_empty() {
            return self.line(format_args!("{head}/>"));
        }
        self.line(format_args!("{head}>"));
        if let Some(Failure { kind, message, .. }) = failures.first() {
            let all: Vec<&str> = failures.iter().map(|failure| failure.text.as_str()).collect();
            self.line(format_args!(
                "      <failure type=\"{kind}\" message=\"{}\">{}</failure>",
                xml(message),
                xml(&all.join("\n"))
            ));
        }
        if !remarks.is_empty() {
            self.line(format_args!("      <system-out>{}</system-out>", xml(&remarks.join("\n"))));
        }
        self.line(format_args!("    </testcase>"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string never fails.
        let _ = writeln!(self.0, "{line}");
    }
}

fn is_failure(remark: &Remark) -> bool {
    remark.level == RemarkLevel::Error
}

struct Failure {
    kind: String,
    message: String,
    text: String,
}

/// Returns the failures of an object, and its remarks, which fail nothing. A case has one failure element, named by
/// the first failure.
fn remarks(judged: &JudgedObject, options: Options) -> (Vec<Failure>, Vec<String>) {
    let (mut failures, mut remarks) = (Vec::new(), Vec::new());
    let mut add = |fails, kind: String, message: String, line: usize| {
        let text = format!("{}:{line}: {kind}: {message}", judged.source.name());
        if fails {
            failures.push(Failure { kind, message, text });
        } else {
            remarks.push(text);
        }
    };
    for finding in &judged.findings {
        let what = &finding.what;
        let message = with_help(&what.message, &what.help);
        add(
            what.severity == Severity::Deny,
            format!("{}/{}", what.rule, what.reason),
            message,
            finding.at.line,
        );
    }
    let edits: Vec<_> =
        if options.is_strict { judged.edits.iter().collect() } else { judged.unreported_edits().collect() };
    for edit in edits {
        let what = &edit.what;
        add(options.is_strict, format!("{}/{}", what.rule, what.reason), edit_sentence(what), edit.at.line);
    }
    (failures, remarks)
}

/// Escapes text for XML 1.0. Characters that XML forbids even as references, and those that nobody sees, are shown as in messages.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            // In an attribute, a parser would replace these by spaces.
            '\n' | '\t' => escaped.push_str(&format!("&#{};", u32::from(character))),
            character if is_unsafe(character) || matches!(character, '\u{fffe}' | '\u{ffff}') => {
                escaped.extend(character.escape_default());
            }
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_for_xml() {
        assert_eq!(xml("<a b=\"c\">&'\n"), "&lt;a b=&quot;c&quot;&gt;&amp;&apos;&#10;");
        assert_eq!(xml("a\u{1b}\u{0}\u{202e}b\u{ffff}é😀"), "a\\u{1b}\\u{0}\\u{202e}b\\u{ffff}é😀");
    }
}
