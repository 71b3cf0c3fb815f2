//! Markdown, for comments on pull requests and job summaries.

use std::fmt::Write;

use super::{Options, conditions, counts, covered, docs_url, edit_sentence, with_help};
use crate::cli::check_report::CheckReport;
use crate::manifests::LineColumn;
use crate::verdict::Severity;

/// The largest number of entries of a list: comments are limited to 65,536 characters on GitHub.
const MAX_ENTRIES: usize = 100;

/// Renders the report.
pub(in crate::cli) fn markdown(report: &CheckReport, options: Options) -> String {
    let mut text = format!("### Lockstep: {}\n", plain(&counts(report, options.is_strict)));
    let entries = entries(report, options);
    if !entries.is_empty() {
        text.push('\n');
    }
    entries.iter().take(MAX_ENTRIES).for_each(|entry| text.push_str(entry));
    if entries.len() > MAX_ENTRIES {
        // Writing to a string never fails.
        let _ = writeln!(text, "* and {} more", entries.len().saturating_sub(MAX_ENTRIES));
    }
    if !options.is_quiet {
        for topology in report.topologies_in_use() {
            let (conditions, _) = conditions(topology);
            let _ = writeln!(text, "\nTopology {}. It {}.", plain(&conditions), covered(&topology.reach));
        }
    }
    text
}

fn entries(report: &CheckReport, options: Options) -> Vec<String> {
    let mut entries = Vec::new();
    let mut add = |level: &str, place: String, reason: &str, about: &str, text: &str, proposal: &str| {
        if options.is_quiet && level != "error" {
            return;
        }
        let reason = if reason.is_empty() {
            String::new()
        } else {
            let anchor = reason.rsplit('/').next().unwrap_or(reason);
            format!(" [{reason}]({})", docs_url(anchor))
        };
        let about = if about.is_empty() { String::new() } else { format!(", {}", code(about)) };
        let manifest = if proposal.is_empty() { String::new() } else { manifest(proposal) };
        entries.push(format!(
            "* **{level}**{reason} at {}{about}: {}\n{manifest}",
            code(&place),
            plain(text)
        ));
    };
    let place = |file: &str, at: Option<LineColumn>| match at {
        Some(LineColumn { line, .. }) => format!("{file}:{line}"),
        None => file.to_owned(),
    };
    for problem in &report.problems {
        add("error", place(&problem.file, problem.line_column()), "", "", &problem.error.to_string(), "");
    }
    for judged in &report.judged {
        let file = judged.source.name();
        for finding in &judged.findings {
            let what = &finding.what;
            let level = match what.severity {
                Severity::Deny => "error",
                _ if options.is_strict && judged.edit_of(what).is_some() => "error",
                Severity::Warn => "warning",
                Severity::Audit => "note",
            };
            let reason = format!("{}/{}", what.rule, what.reason);
            let text = with_help(&what.message, &what.help);
            add(level, place(file, Some(finding.at)), &reason, &judged.title(), &text, "");
        }
        for edit in judged.unreported_edits() {
            let level = if options.is_strict { "error" } else { "note" };
            let reason = format!("{}/{}", edit.what.rule, edit.what.reason);
            add(level, place(file, Some(edit.at)), &reason, &judged.title(), &edit_sentence(&edit.what), "");
        }
    }
    for remark in &report.remarks {
        let level = remark.level.word();
        let file = remark.file.as_deref().unwrap_or("the input");
        let text = with_help(&remark.message, &remark.help);
        add(level, place(file, remark.line_column()), remark.code.code(), "", &text, &remark.proposal);
    }
    entries
}

/// A manifest as a block of code that belongs to the entry before it.
fn manifest(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("  {}\n", super::printable(line))).collect();
    format!("\n  ```yaml\n{}  ```\n", lines.concat())
}

/// A name as code: in more backticks than are in it.
fn code(text: &str) -> String {
    let text = super::printable(text);
    let fence = "`"
        .repeat(text.split(|character| character != '`').map(str::len).max().unwrap_or(0).saturating_add(1));
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

/// A sentence in which names are in backticks already. What is between two of them is code. Markup in the rest is escaped: a name with a
/// backtick in it could bring a link or an image along.
fn plain(text: &str) -> String {
    let text = super::printable(text);
    let mut parts = text.split('`').peekable();
    let mut plain = String::new();
    while let Some(outside) = parts.next() {
        for character in outside.chars() {
            if "\\*_[]<>&#|~!".contains(character) {
                plain.push('\\');
            }
            plain.push(character);
        }
        match (parts.next(), parts.peek()) {
            (Some(inside), Some(_)) => plain.push_str(&code(inside)),
            // This backtick has no partner.
            (Some(rest), None) => {
                plain.push_str("\\`");
                plain.push_str(&self::plain(rest));
            }
            (None, _) => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_bring_markup_along() {
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(plain("<img src=x>|\n"), "\\<img src=x\\>\\|\\\\n");
        assert_eq!(plain("`a`[b](c)`d` e"), "`a`\\[b\\](c)`d` e");
        assert_eq!(plain("`a` `[b](c)"), "`a` \\`\\[b\\](c)");
    }

    #[test]
    fn commands_can_be_copied() {
        let text = "render it: `helm template a <b> | lockstep check -`";
        assert_eq!(plain(text), text);
    }
}
