//! One HTML file for a browser or a printer: the verdict, what must be mended at its line, what was not looked at, the state of each
//! topology, and every object. It has the look of the page of `explain`.
//!
//! A page is bounded, however large the input is: it says what it left out and how to see it.

use std::cmp::Reverse;

use maud::{Markup, html};

use super::{Options, covered, docs_url, edit_sentence};
use crate::cli::check::remark::{Remark, RemarkLevel};
use crate::cli::check_report::{CheckReport, JudgedObject, Placed, ReportedTopology};
use crate::cli::explain::html::condition_card;
use crate::cli::output::count;
use crate::cli::page::{Page, Tone, lines_to_copy, sentence};
use crate::manifests::{LineColumn, Place, Problem, Source};
use crate::verdict::{Edit, Finding, Severity};

/// The most problems, objects with findings, remarks and topologies that are shown, of each.
const MAX_SHOWN: usize = 200;
/// The most rows of the table of objects.
const MAX_ROWS: usize = 1000;
/// The longest excerpt of a line, in characters.
const MAX_EXCERPT: usize = 160;

/// Renders the report.
pub(in crate::cli) fn html(report: &CheckReport, options: Options) -> String {
    let headline = headline(report, options);
    let main = html! {
        main id="main" {
            (verdict(&headline, report, options))
            (problems(report))
            (judged(report, options))
            (remarks(report, options))
            @if !options.is_quiet {
                @for (index, topology) in report.topologies_in_use().take(MAX_SHOWN).enumerate() {
                    (topology_section(topology, index))
                }
                (left_out(report.topologies.len(), MAX_SHOWN, "topologies"))
                (objects(report))
            }
        }
    };
    let footer = html! { p { "Written by Lockstep " (env!("CARGO_PKG_VERSION")) "." } };
    let title = format!("{} - Lockstep", headline.words);
    Page {
        title: &title,
        origin: html! { "check of manifests" },
        notice: html! {},
        main,
        footer,
        script: None,
    }
    .document()
}

/// The verdict on the whole input.
struct Headline {
    tone: Tone,
    words: String,
}

/// The worst first. A page is green only if everything was read, something was judged, and nothing is to be said about it.
fn headline(report: &CheckReport, options: Options) -> Headline {
    let counts = report.counts();
    let objects = |some: usize, verb: [&str; 2]| {
        let verb = if some == 1 { verb[0] } else { verb[1] };
        format!("{some} of {} {verb}", count(counts.judged, "object"))
    };
    let errors = report.remarks.iter().filter(|remark| remark.level == RemarkLevel::Error).count();
    let mut unmet = report
        .topologies_in_use()
        .flat_map(|topology| topology.state.conditions())
        .filter(|held| held.status != Some(true));
    let (tone, words) = if report.problems.iter().any(Problem::hides_a_topology) {
        (Tone::Bad, "Nothing was judged: a topology cannot be used".to_owned())
    } else if counts.problems > 0 && counts.denied > 0 {
        let problems = count(counts.problems, "problem");
        (
            Tone::Bad,
            format!(
                "{}, and {problems} of the input must be mended",
                objects(counts.denied, ["is denied", "are denied"])
            ),
        )
    } else if counts.problems > 0 {
        (Tone::Bad, format!("The input has {}: no verdict is certain", count(counts.problems, "problem")))
    } else if counts.denied > 0 {
        (Tone::Bad, objects(counts.denied, ["is denied", "are denied"]))
    } else if options.is_strict && counts.edited > 0 {
        let words = objects(counts.edited, ["would be changed", "would be changed"]);
        (Tone::Bad, format!("{words}, which --strict rejects"))
    } else if errors > 0 {
        (Tone::Bad, "A topology covers no object of the input".to_owned())
    } else if counts.judged == 0 {
        (Tone::Unknown, "No object of the input is of a kind that Lockstep judges".to_owned())
    } else if counts.edited > 0 {
        (Tone::Fragile, objects(counts.edited, ["would be changed", "would be changed"]))
    } else if counts.warnings > 0 {
        (Tone::Fragile, "Nothing is denied, and there are warnings".to_owned())
    } else if let Some(condition) = unmet.next() {
        (Tone::Fragile, format!("Nothing is denied, and {} is {}", condition.kind, condition.word()))
    } else {
        (Tone::Good, "Every judged object is allowed as it is".to_owned())
    };
    Headline { tone, words }
}

fn verdict(headline: &Headline, report: &CheckReport, options: Options) -> Markup {
    let counts = report.counts();
    let allowed = counts.judged.saturating_sub(counts.denied).saturating_sub(counts.edited);
    let edited = if options.is_strict { Tone::Bad } else { Tone::Fragile };
    let numbers = [
        (counts.problems, "not usable", Tone::Bad),
        (counts.denied, "denied", Tone::Bad),
        (counts.edited, "would be changed", edited),
        (counts.warnings, "warnings", Tone::Fragile),
        (allowed, "allowed as they are", Tone::Good),
    ];
    html! {
        div class={ "verdict " (headline.tone.class()) } {
            h1 { (headline.tone.icon()) span { (headline.words) } }
            @if numbers.iter().any(|(number, ..)| *number > 0) {
                ul class="tally" aria-label="Objects by verdict" {
                    @for (number, word, tone) in numbers.iter().filter(|(number, ..)| *number > 0) {
                        li class=(tone.class()) { (tone.icon()) " " (number) " " (word) }
                    }
                }
            }
        }
    }
}

/// The number of items above a limit, if there are any, and how to see them.
fn left_out(items: usize, limit: usize, what: &str) -> Markup {
    let more = items.saturating_sub(limit);
    html! {
        @if more > 0 {
            p class="soft" { "and " (more) " more " (what) ": " code { "lockstep check -o json" } " has all of them" }
        }
    }
}

/// A place in a file.
fn place(file: &str, at: Option<LineColumn>) -> Markup {
    html! { span class="code" { (file) @if let Some(at) = at { ":" (at.line) ":" (at.column) } } }
}

/// The line at a place. It is cut, because minified JSON is one line.
fn excerpt(source: &Source, at: usize) -> Markup {
    let line = source.slice(source.line_of(at));
    let end = line.char_indices().nth(MAX_EXCERPT).map_or(line.len(), |(end, _)| end);
    let shown = line.get(..end).unwrap_or_default();
    html! {
        @if !shown.trim().is_empty() {
            p class="excerpt" { code { (shown) @if end < line.len() { "..." } } }
        }
    }
}

fn problems(report: &CheckReport) -> Markup {
    html! {
        @if !report.problems.is_empty() {
            section class="card" aria-labelledby="problems" {
                h2 id="problems" { "What cannot be used" }
                @for problem in report.problems.iter().take(MAX_SHOWN) {
                    div class="finding" {
                        h3 { (Tone::Bad.badge("error")) (place(&problem.file, problem.line_column())) }
                        p { (sentence(&problem.error.to_string())) }
                        @if let Some((source, span)) = &problem.at { (excerpt(source, span.start)) }
                    }
                }
                (left_out(report.problems.len(), MAX_SHOWN, "problems"))
            }
        }
    }
}

/// The tone and the word of a finding.
fn level_of(judged: &JudgedObject, finding: &Finding, options: Options) -> (Tone, &'static str) {
    match finding.severity {
        Severity::Deny => (Tone::Bad, "error"),
        _ if options.is_strict && judged.edit_of(finding).is_some() => (Tone::Bad, "error"),
        Severity::Warn => (Tone::Fragile, "warning"),
        Severity::Audit => (Tone::Unknown, "note"),
    }
}

/// The objects with findings or edits, the gravest first.
fn judged(report: &CheckReport, options: Options) -> Markup {
    let is_grave = |judged: &JudgedObject| judged.fails(options.is_strict);
    let mut shown: Vec<&JudgedObject> = report
        .judged
        .iter()
        .filter(|judged| !(judged.findings.is_empty() && judged.edits.is_empty()))
        .filter(|judged| is_grave(judged) || !options.is_quiet)
        .collect();
    shown.sort_by_key(|judged| Reverse(is_grave(judged)));
    html! {
        @for (index, judged) in shown.iter().take(MAX_SHOWN).enumerate() {
            (object(judged, index, options))
        }
        (left_out(shown.len(), MAX_SHOWN, "objects"))
    }
}

fn object(judged: &JudgedObject, index: usize, options: Options) -> Markup {
    let id = format!("object-{index}");
    html! {
        section class="card" aria-labelledby=(id) {
            div {
                h2 id=(id) { (judged.title()) }
                p class="facts" { (place(judged.source.name(), Some(judged.start))) }
            }
            @for placed in &judged.findings { (finding(judged, placed, options)) }
            @for placed in judged.unreported_edits() { (edit(judged, placed, options)) }
        }
    }
}

fn finding(judged: &JudgedObject, placed: &Placed<Finding>, options: Options) -> Markup {
    let what = &placed.what;
    let (tone, word) = level_of(judged, what, options);
    let change = judged.edit_of(what).map(|edit| edit_sentence(&edit.what));
    html! {
        div class={ "finding " (tone.class()) } {
            h3 { (tone.badge(word)) (code_link(what.reason.code())) span class="kind" { (what.rule.id()) } }
            p { (sentence(&what.message)) }
            (at(judged, &placed.place, placed.at, &what.field.to_string()))
            @if let Some(change) = change { p { (sentence(&change)) } }
            @if !what.nodes.is_empty() {
                p class="facts" { "Nodes today: " @for node in what.nodes.iter().take(8) { code { (node) } " " } }
            }
            @if !what.help.is_empty() { div class="mend" { p { b { "Mend: " } (sentence(&what.help)) } } }
        }
    }
}

fn edit(judged: &JudgedObject, placed: &Placed<Edit>, options: Options) -> Markup {
    let what = &placed.what;
    let (tone, word) = if options.is_strict { (Tone::Bad, "error") } else { (Tone::Fragile, "change") };
    html! {
        div class={ "finding " (tone.class()) } {
            h3 { (tone.badge(word)) (code_link(what.reason.code())) span class="kind" { (what.rule.id()) } }
            p { (sentence(&edit_sentence(what))) }
            (at(judged, &placed.place, placed.at, &what.field.to_string()))
        }
    }
}

/// The line that a finding or an edit is about, and its field where it is not set.
fn at(judged: &JudgedObject, place: &Place, at: LineColumn, field: &str) -> Markup {
    html! {
        p class="facts" {
            "Line " (at.line)
            @if !place.is_exact { ": " code { (field) } " is not set" }
        }
        (excerpt(&judged.source, place.mark.start))
    }
}

/// A code, with the page that explains it.
fn code_link(code: &str) -> Markup {
    html! { a class="code" href=(docs_url(code)) rel="noreferrer" { (code) } }
}

fn remarks(report: &CheckReport, options: Options) -> Markup {
    let mut shown: Vec<&Remark> = report
        .remarks
        .iter()
        .filter(|remark| !options.is_quiet || remark.level == RemarkLevel::Error)
        .collect();
    shown.sort_by_key(|remark| Reverse(remark.level));
    html! {
        @if !shown.is_empty() {
            section class="card" aria-labelledby="remarks" {
                h2 id="remarks" { "What was not looked at, and what looks wrong" }
                @for found in shown.iter().take(MAX_SHOWN) { (remark(found)) }
                (left_out(shown.len(), MAX_SHOWN, "remarks"))
            }
        }
    }
}

fn remark(remark: &Remark) -> Markup {
    let tone = match remark.level {
        RemarkLevel::Note => Tone::Unknown,
        RemarkLevel::Warning => Tone::Fragile,
        RemarkLevel::Error => Tone::Bad,
    };
    html! {
        div class={ "finding " (tone.class()) } {
            h3 { (tone.badge(remark.level.word())) (code_link(remark.code.code())) }
            p { (sentence(&remark.message)) }
            @if let Some(file) = &remark.file { p class="facts" { (place(file, remark.line_column())) } }
            @if let Some((source, span)) = &remark.at { (excerpt(source, span.start)) }
            @if !remark.help.is_empty() { div class="mend" { p { b { "Mend: " } (sentence(&remark.help)) } } }
            @if !remark.proposal.is_empty() { (lines_to_copy("Manifest to copy", &remark.proposal)) }
        }
    }
}

fn topology_section(topology: &ReportedTopology, index: usize) -> Markup {
    let ReportedTopology { cluster, is_built_in, reach, state } = topology;
    let id = format!("topology-{index}");
    html! {
        section class="topology" aria-labelledby=(id) {
            h2 id=(id) {
                span class="kind" { "Topology " } (state.name)
                @if let Some(cluster) = cluster { span class="kind" { " of " (cluster) } }
                @if *is_built_in { span class="kind" { " (built in: the input has no topology)" } }
            }
            p class="facts" {
                "It " (covered(reach)) "."
            }
            ul class="conditions" { @for condition in &state.conditions() { (condition_card(condition)) } }
            @if !state.findings.is_empty() {
                section class="card" aria-labelledby={ (id) "-findings" } {
                    h3 id={ (id) "-findings" } { "Findings" }
                    @for cause in state.findings.iter().take(MAX_SHOWN) {
                        div class="finding" {
                            h4 { (code_link(cause.code.code())) }
                            p { (sentence(&cause.message)) }
                            div class="mend" { p { b { "Mend: " } (sentence(&cause.mend)) } }
                        }
                    }
                    (left_out(state.findings.len(), MAX_SHOWN, "findings"))
                }
            }
        }
    }
}

/// Every object with its verdict.
fn objects(report: &CheckReport) -> Markup {
    let row = |judged: &JudgedObject| {
        let (tone, word) = match judged.word {
            "deny" => (Tone::Bad, "denied"),
            "edit" => (Tone::Fragile, "would be changed"),
            _ => (Tone::Good, "allowed"),
        };
        html! {
            tr {
                th scope="row" { (judged.title()) }
                td class=(tone.class()) { (tone.icon()) " " (word) }
                td { (place(judged.source.name(), Some(judged.start))) }
            }
        }
    };
    html! {
        @if !report.judged.is_empty() {
            section class="topology" aria-labelledby="objects" {
                h2 id="objects" { "Every judged object" }
                table class="objects" {
                    caption class="hidden" { "Judged objects in the order of the input" }
                    thead { tr { th scope="col" { "Object" } th scope="col" { "Verdict" } th scope="col" { "Place" } } }
                    tbody { @for judged in report.judged.iter().take(MAX_ROWS) { (row(judged)) } }
                }
                (left_out(report.judged.len(), MAX_ROWS, "objects"))
            }
        }
    }
}
