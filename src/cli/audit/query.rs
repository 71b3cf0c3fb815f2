//! `lockstep audit query`: what a decision log says.

mod table;

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::{Exit, Stopped, Streams, each_file, moment};
use crate::audit::query::{Counts, Dimension, Filter, Read, Row, read};
use crate::audit::{Line, Record};
use crate::cli::output::{json_document, print};

/// Filter and count the records of a decision log
///
/// Flags of different kinds must all be met, and of several values of one kind, one is enough. With `--by` the
/// records are counted instead of shown.
///
/// The exit code is 0, whether or not a record was found, and 2 if a file cannot be read.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct QueryArgs {
    /// The files, in order; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Who asked
    #[arg(long, value_name = "NAME")]
    user: Vec<String>,
    /// A group that the user was in
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,
    /// The object's namespace
    #[arg(short, long, value_name = "NAME")]
    namespace: Vec<String>,
    /// A rule that spoke
    #[arg(long, value_name = "RULE")]
    rule: Vec<String>,
    /// The reason code
    #[arg(long, value_name = "CODE")]
    reason: Vec<String>,
    /// The verdict
    #[arg(long, value_name = "VERDICT", value_parser = ["allow", "edit", "deny"])]
    verdict: Vec<String>,
    /// The object's kind
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// The topology on whose behalf a rule spoke
    #[arg(long, value_name = "NAME")]
    topology: Vec<String>,
    /// From this time on: a time, a day, or how long ago, such as `90m`
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    since: Option<Timestamp>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    until: Option<Timestamp>,
    /// Whether it was a dry run; without it, both
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    dry_run: Option<bool>,
    /// Count by these, most frequent first
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    by: Vec<Dimension>,
    /// How to write it
    #[arg(short = 'o', long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// One JSON document, for programs
    Json,
    /// The lines of the log as they are; with `--by`, one JSON object for each count
    Lines,
}

/// The version of the JSON document's form.
const VERSION: u32 = 1;

/// The document of counts; that of records has `records` in the place of `by` and `counts`.
#[derive(Serialize)]
struct Document<'r> {
    version: u32,
    found: u64,
    dropped: u64,
    by: Vec<&'static str>,
    counts: &'r [Row],
}

pub(super) fn run(args: &QueryArgs, streams: &mut Streams<'_>) -> io::Result<Exit> {
    let filter = filter(args);
    let counts = RefCell::new(Counts::new(args.by.clone()));
    let mut total = Read::default();
    let mut begun = false;
    let is_counted = !args.by.is_empty();
    let is_read = each_file(&args.files, streams, |_, reader, out| {
        let found = read(reader, &filter, |line, record, raw| {
            if is_counted {
                counts.borrow_mut().add(line, record);
                return Ok(());
            }
            let begins = !std::mem::replace(&mut begun, true);
            show(args.format, begins, line, record, raw, out).map_err(Stopped::Unprintable)
        })?;
        total.found = total.found.saturating_add(found.found);
        total.dropped = total.dropped.saturating_add(found.dropped);
        total.foreign = total.foreign.saturating_add(found.foreign);
        Ok(())
    })?;
    let counts = counts.into_inner();
    let end = match args.format {
        _ if is_counted => counted(&counts, args.format, total)?,
        Format::Json if begun => format!("\n],\"found\":{},\"dropped\":{}}}\n", total.found, total.dropped),
        Format::Json => {
            format!("{{\"version\":{VERSION},\"records\":[],\"found\":0,\"dropped\":{}}}\n", total.dropped)
        }
        Format::Table | Format::Lines => String::new(),
    };
    print(streams.stdout, end.as_bytes())?;
    if !is_read {
        return Ok(Exit::Unusable);
    }
    tell_gaps(total, streams.stderr)?;
    Ok(Exit::Fine)
}

/// One record; the first one begins the table or the document.
fn show(
    format: Format,
    begins: bool,
    line: &Line<'_>,
    record: &Record<'_>,
    raw: &[u8],
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        Format::Table if begins => out.write_all(table::head().as_bytes())?,
        Format::Json if begins => writeln!(out, "{{\"version\":{VERSION},\"records\":[")?,
        Format::Json => out.write_all(b",\n")?,
        Format::Table | Format::Lines => {}
    }
    match format {
        Format::Table => out.write_all(table::row(line, record).as_bytes()),
        Format::Json => out.write_all(raw),
        Format::Lines => out.write_all(raw).and_then(|()| out.write_all(b"\n")),
    }
}

fn filter(args: &QueryArgs) -> Filter {
    let set = |values: &[String]| values.iter().cloned().collect();
    Filter {
        users: set(&args.user),
        groups: set(&args.group),
        namespaces: set(&args.namespace),
        rules: set(&args.rule),
        reasons: set(&args.reason),
        verdicts: set(&args.verdict),
        kinds: set(&args.kind),
        topologies: set(&args.topology),
        since: args.since,
        until: args.until,
        dry_run: args.dry_run,
    }
}

fn counted(counts: &Counts, format: Format, total: Read) -> io::Result<String> {
    let rows = counts.rows();
    let by: Vec<&'static str> = counts.by().iter().map(|dimension| dimension.word()).collect();
    Ok(match format {
        Format::Table => table::counts(&by, &rows),
        Format::Json => {
            let Read { found, dropped, .. } = total;
            let document = Document { version: VERSION, found, dropped, by, counts: &rows };
            json_document(&document)?
        }
        Format::Lines => {
            let lines: Result<Vec<String>, _> = rows
                .iter()
                .map(|row| {
                    let mut fields: serde_json::Map<_, _> = by
                        .iter()
                        .zip(&row.by)
                        .map(|(word, value)| ((*word).to_owned(), value.as_str().into()))
                        .collect();
                    fields.insert("count".to_owned(), row.count.into());
                    serde_json::to_string(&fields).map(|line| line + "\n")
                })
                .collect();
            lines?.concat()
        }
    })
}

/// An answer from a log with holes must say so.
fn tell_gaps(total: Read, stderr: &mut dyn Write) -> io::Result<()> {
    if total.dropped > 0 {
        let sentence = format!(
            "lockstep: {} records were dropped when the log was written, and are not here\n",
            total.dropped
        );
        print(stderr, sentence.as_bytes())?;
    }
    if total.foreign > 0 {
        let sentence =
            format!("lockstep: {} lines are none of a decision log and were left out\n", total.foreign);
        print(stderr, sentence.as_bytes())?;
    }
    Ok(())
}
