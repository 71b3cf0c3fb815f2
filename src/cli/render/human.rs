//! Text for people: every problem and finding at its line, then the objects, then the summary.

use std::fmt::Write;

use annotate_snippets::renderer::{AnsiColor, Style};
use annotate_snippets::{Group, Level, Message, Origin, Renderer};

use super::excerpt::{excerpt, field_excerpt};
use super::wrap::wrap;
use super::{Options, conditions, counts, covered, edit_sentence, printable};
use crate::assessment::CauseCode;
use crate::cli::check::remark::{Remark, RemarkLevel};
use crate::cli::check_report::{CheckReport, JudgedObject, Placed, ReportedTopology};
use crate::labels::Witness;
use crate::manifests::Problem;
use crate::verdict::{Edit, Finding, Severity};

/// Up to this number of objects, the list includes those that are allowed unchanged: a user who checks one file wants
/// to see that it was checked.
const MAX_LISTED: usize = 20;

/// Renders the report.
pub(in crate::cli) fn human(report: &CheckReport, options: Options) -> String {
    let style = if options.has_color { Renderer::styled().hyperlink(false) } else { Renderer::plain() };
    let mut page = Page { text: String::new(), renderer: style, options };
    for problem in &report.problems {
        page.problem(problem);
    }
    for judged in &report.judged {
        page.object(judged);
    }
    for remark in &report.remarks {
        page.remark(remark);
    }
    if !options.is_quiet {
        page.list(report);
        page.summary(report);
    }
    page.text
}

/// The output so far.
struct Page {
    text: String,
    renderer: Renderer,
    options: Options,
}

impl Page {
    fn problem(&mut self, problem: &Problem) {
        let text = problem.error.to_string();
        let title = Level::ERROR.primary_title(printable(&text));
        let group = match &problem.at {
            Some((source, span)) => title.element(excerpt(source, *span)),
            None => title.element(Origin::path(printable(&problem.file))),
        };
        self.render(group);
    }

    fn object(&mut self, judged: &JudgedObject) {
        for finding in &judged.findings {
            self.finding(judged, finding);
        }
        for edit in judged.unreported_edits() {
            if !self.options.is_quiet || self.options.is_strict {
                self.edit(judged, edit);
            }
        }
    }

    fn finding(&mut self, judged: &JudgedObject, placed: &Placed<Finding>) {
        let finding = &placed.what;
        let edit = judged.edit_of(finding);
        let level = match finding.severity {
            Severity::Deny => Level::ERROR,
            _ if self.options.is_strict && edit.is_some() => Level::ERROR,
            Severity::Warn => Level::WARNING,
            Severity::Audit => Level::NOTE,
        };
        if self.options.is_quiet && level != Level::ERROR {
            return;
        }
        let message = printable(&finding.message);
        let absent = (!placed.place.is_exact).then(|| format!("`{}` is not set", finding.field));
        let group = level
            .primary_title(message.as_ref())
            .id(format!("{}/{}", finding.rule, finding.reason))
            .element(field_excerpt(&judged.source, &placed.place, absent))
            .element(note("object", &judged.title()))
            .elements(notes(finding, edit.map(|edit| &edit.what)));
        self.render(group);
    }

    fn edit(&mut self, judged: &JudgedObject, placed: &Placed<Edit>) {
        let edit = &placed.what;
        let level = if self.options.is_strict { Level::ERROR } else { Level::HELP };
        let text = edit_sentence(edit);
        let group = level
            .primary_title(printable(&text))
            .id(format!("{}/{}", edit.rule, edit.reason))
            .element(field_excerpt(&judged.source, &placed.place, None))
            .element(note("object", &judged.title()))
            .element(note("topology", &edit.topology));
        self.render(group);
    }

    fn remark(&mut self, remark: &Remark) {
        let Remark { code, level, message, help, proposal, file, at } = remark;
        if self.options.is_quiet && *level != RemarkLevel::Error {
            return;
        }
        let level = match level {
            RemarkLevel::Note => Level::NOTE,
            RemarkLevel::Warning => Level::WARNING,
            RemarkLevel::Error => Level::ERROR,
        };
        let mut group = Group::with_title(level.primary_title(printable(message)).id(code.code()));
        group = match (at, file) {
            (Some((source, span)), _) => group.element(excerpt(source, *span)),
            (None, Some(file)) => group.element(Origin::path(printable(file))),
            (None, None) => group,
        };
        if !help.is_empty() {
            group = group.element(note("help", help));
        }
        self.render(group);
        if !proposal.is_empty() {
            // The manifest is to be copied, so no frame is around it.
            while self.text.ends_with('\n') {
                self.text.pop();
            }
            self.text.push_str("\n\n");
            for line in proposal.lines() {
                self.line(format_args!("    {}", printable(line)));
            }
            self.text.push('\n');
        }
    }

    fn render(&mut self, group: Group<'_>) {
        let text = self.renderer.render(&[group]);
        match self.options.width {
            Some(width) => self.text.push_str(&wrap(&text, width)),
            None => self.text.push_str(&text),
        }
        self.text.push_str("\n\n");
    }

    /// One line for each object: its verdict, name and place.
    fn list(&mut self, report: &CheckReport) {
        let is_listed = |judged: &&JudgedObject| judged.word != "allow" || report.judged.len() <= MAX_LISTED;
        let titles: Vec<_> = report
            .judged
            .iter()
            .filter(is_listed)
            .map(|judged| (judged, printable(&judged.title()).into_owned()))
            .collect();
        let width = titles.iter().map(|(_, title)| title.chars().count()).max().unwrap_or_default();
        for (judged, title) in &titles {
            let word = self.word(judged);
            let file = printable(judged.source.name());
            self.line(format_args!("{word}  {title:width$}  {file}:{}", judged.start.line));
        }
        if !titles.is_empty() {
            self.text.push('\n');
        }
    }

    fn word(&self, judged: &JudgedObject) -> String {
        let color = match judged.word {
            "deny" => AnsiColor::BrightRed,
            "edit" => AnsiColor::BrightCyan,
            _ => AnsiColor::BrightGreen,
        };
        let style = if self.options.has_color { color.on_default().bold() } else { Style::new() };
        format!("{style}{:5}{style:#}", judged.word)
    }

    fn summary(&mut self, report: &CheckReport) {
        let built_in = report.topologies.iter().find(|topology| topology.is_built_in);
        if let Some(built_in) = built_in.filter(|_| !report.judged.is_empty()) {
            let name = &built_in.state.name;
            self.line(format_args!("no topology in the input: using the built-in `{name}`"));
        }
        if report.problems.iter().any(Problem::hides_a_topology) {
            self.line(format_args!(
                "nothing was judged: every verdict depends on the topology that cannot be used"
            ));
        }
        if report.judged.is_empty() && report.problems.is_empty() {
            self.line(format_args!("no object in the input is of a kind that Lockstep judges"));
        }
        for topology in report.topologies_in_use() {
            self.state(topology);
        }
        self.line(format_args!("{}", counts(report, self.options.is_strict)));
    }

    /// The conditions of a topology, with the message of the first that does not hold; what it covers; and what else is wrong.
    fn state(&mut self, topology: &ReportedTopology) {
        let (conditions, reported) = conditions(topology);
        self.line(format_args!("topology {}", printable(&conditions)));
        self.line(format_args!("  {}", covered(&topology.reach)));
        for finding in &topology.state.findings {
            // The remarks say the same with a place, and the condition has its own.
            let is_said = matches!(finding.code, CauseCode::NoPod | CauseCode::NoService | CauseCode::NoPool)
                || reported.as_deref() == Some(&*finding.message);
            if !is_said {
                let text = format!("  {}: {}; {}", finding.code, finding.message, finding.mend);
                self.line(format_args!("{}", printable(&text)));
            }
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string never fails.
        let _ = writeln!(self.text, "{line}");
    }
}

/// Returns the notes below a message, without repeating the message.
fn notes(finding: &Finding, edit: Option<&Edit>) -> Vec<Message<'static>> {
    let is_new = |text: &str| !finding.message.contains(text);
    let topology = Some(&*finding.topology).filter(|name| is_new(&format!("`{name}`")));
    let witness = finding.witness.as_ref().map(Witness::to_string).filter(|witness| is_new(witness));
    let nodes = finding.nodes.iter().any(|node| is_new(node)).then(|| finding.nodes.join(", "));
    let help = Some(finding.help.as_str()).filter(|help| !help.is_empty());
    let all = [
        topology.map(|name| note("topology", name)),
        witness.map(|witness| note("proof", &format!("a node {witness}"))),
        nodes.map(|nodes| note("nodes today", &nodes)),
        edit.map(|edit| note("change", &edit_sentence(edit))),
        help.map(|help| note("help", help)),
    ];
    all.into_iter().flatten().collect()
}

/// Returns a note in the form `= name: text`.
fn note(name: &'static str, text: &str) -> Message<'static> {
    let level = if name == "help" { Level::HELP } else { Level::NOTE };
    level.with_name(name).message(printable(text).into_owned())
}
