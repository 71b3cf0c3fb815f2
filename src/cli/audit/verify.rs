//! `lockstep audit verify`: whether a decision log is whole.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

use super::{Exit, Streams, each_file};
use crate::audit::verify::{Report, Scope, Verifier};
use crate::cli::output::{json_document, print};
use crate::cli::render::printable;

/// Verify that no line of a decision log was changed, removed or moved
///
/// Files are one log: name those that were put aside first, the oldest before all, `audit.log.2 audit.log.1
/// audit.log`. Every problem is told with its file and line. What a process wrote last is not protected by what comes
/// next: an open end is told, and with `--whole` it is a problem.
///
/// The exit code is 0 if the log is intact, 1 if it is not, and 2 if a file cannot be read.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct VerifyArgs {
    /// The files, in order; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// How to write it
    #[arg(short = 'o', long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,
    /// Every chain must begin with its first line, and have its end
    #[arg(long)]
    whole: bool,
    /// Chains may begin anywhere after their first line, as in an excerpt of the log of several replicas
    #[arg(long, conflicts_with = "whole")]
    excerpt: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON document, for programs
    Json,
}

/// The version of the JSON document's form.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'r> {
    version: u32,
    intact: bool,
    #[serde(flatten)]
    report: &'r Report,
}

pub(super) fn run(args: &VerifyArgs, streams: &mut Streams<'_>) -> io::Result<Exit> {
    let mut verifier = Verifier::new(match (args.whole, args.excerpt) {
        (true, _) => Scope::Whole,
        (false, true) => Scope::Excerpt,
        (false, false) => Scope::Tail,
    });
    if !each_file(&args.files, streams, |name, reader, _| Ok(verifier.read(name, reader)?))? {
        return Ok(Exit::Unusable);
    }
    let report = verifier.finish();
    let text = match args.format {
        Format::Text => text(&report),
        Format::Json => {
            let document = Document { version: VERSION, intact: report.is_intact(), report: &report };
            json_document(&document)?
        }
    };
    print(streams.stdout, text.as_bytes())?;
    Ok(if report.is_intact() { Exit::Fine } else { Exit::Denied })
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |place: Option<String>, message: &str| {
        let place = place.map(|place| format!("{}: ", printable(&place))).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{place}{}", printable(message));
    };
    for problem in &report.problems {
        line(problem.place.as_ref().map(ToString::to_string), &problem.message);
    }
    if report.more_problems > 0 {
        line(None, &format!("and {} more problems", report.more_problems));
    }
    for note in &report.notes {
        line(note.place.as_ref().map(ToString::to_string), &format!("note: {}", note.message));
    }
    for chain in &report.chains {
        let (name, replica, hash) = (&chain.chain, &chain.replica, chain.hash);
        line(None, &format!("chain {name} of {replica}: {} to {}, last hash {hash}", chain.from, chain.to));
    }
    if report.foreign > 0 {
        line(None, &format!("note: {} lines are none of a decision log and were left out", report.foreign));
    }
    let word = if report.is_intact() { "intact" } else { "NOT intact" };
    let Report { lines, records, dropped, .. } = report;
    line(None, &format!("{word}: {records} records in {lines} lines, {dropped} dropped"));
    text
}
