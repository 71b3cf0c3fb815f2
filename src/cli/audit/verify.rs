//! `lockstep audit verify`: whether a decision log is intact.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use clap::ValueEnum;
use lockstep_core::escape::escape;
use serde::Serialize;

use super::{Exit, Streams, each_file};
use crate::audit::verify::{Scope, Verification, Verifier};
use crate::cli::output::{json_document, print};

/// Verify that no line of a decision log was changed, removed or moved
///
/// All files are one log: name rotated files first, the oldest before all, as in `audit.log.2 audit.log.1 audit.log`. Every
/// problem is shown with its file and line. Nothing protects the last lines of a chain that has not ended: such an open end is
/// a note, and with `--whole` a problem.
///
/// The exit code is 0 if the log is intact, 1 if it is not, and 2 if a file cannot be read.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct VerifyArgs {
    /// Files of the log, oldest first; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Output format
    #[arg(short = 'o', long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,
    /// Require that every chain has its first line and its end
    #[arg(long)]
    whole: bool,
    /// Let chains begin anywhere after their first line, as in an excerpt of a log that several replicas share
    #[arg(long, conflicts_with = "whole")]
    excerpt: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// Text, for people
    Text,
    /// One JSON document, for programs
    Json,
}

/// The version of the JSON document.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'r> {
    version: u32,
    intact: bool,
    #[serde(flatten)]
    result: &'r Verification,
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
    let result = verifier.finish();
    let text = match args.format {
        Format::Text => text(&result),
        Format::Json => {
            json_document(&Document { version: VERSION, intact: result.is_intact(), result: &result })?
        }
    };
    print(streams.stdout, text.as_bytes())?;
    Ok(if result.is_intact() { Exit::Fine } else { Exit::Denied })
}

fn text(result: &Verification) -> String {
    let mut text = String::new();
    let mut line = |place: Option<String>, message: &str| {
        let place = place.map(|place| format!("{}: ", escape(&place))).unwrap_or_default();
        // Writing to a string never fails.
        let _ = writeln!(text, "{place}{}", escape(message));
    };
    for problem in &result.problems {
        line(problem.place.as_ref().map(ToString::to_string), &problem.message);
    }
    if result.more_problems > 0 {
        line(None, &format!("and {} more problems", result.more_problems));
    }
    for note in &result.notes {
        line(note.place.as_ref().map(ToString::to_string), &format!("note: {}", note.message));
    }
    for chain in &result.chains {
        let (name, replica, hash) = (&chain.chain, &chain.replica, chain.hash);
        line(None, &format!("chain {name} of {replica}: {} to {}, last hash {hash}", chain.from, chain.to));
    }
    if result.foreign > 0 {
        line(None, &format!("note: ignored {} lines that are not of a decision log", result.foreign));
    }
    let word = if result.is_intact() { "intact" } else { "NOT intact" };
    let Verification { lines, records, dropped, .. } = result;
    line(None, &format!("{word}: {records} records in {lines} lines, {dropped} dropped"));
    text
}
