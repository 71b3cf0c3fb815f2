//! `lockstep audit query`: filters and counts the records of a decision log.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use k8s_openapi::jiff::civil::Date;
use k8s_openapi::jiff::tz::TimeZone;
use k8s_openapi::jiff::{Span, SpanRelativeTo, Timestamp};
use lockstep_core::escape::{escape, excerpt};
use serde::Serialize;

use super::{Exit, Stopped, Streams, each_file};
use crate::audit::query::{Dimension, QueryTotals, RecordCount, RecordCounts, RecordFilter, read};
use crate::audit::{Line, Record};
use crate::cli::output::{json_document, print};

/// Filter and count the records of a decision log
///
/// A record matches if it meets all filters. A filter that is given several times is met by any of its values. With `--by`,
/// the records are counted instead of shown.
///
/// The exit code is 0 whether or not a record was found, and 2 if a file cannot be read.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct QueryArgs {
    /// Files of the log, in order; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// User who made the request
    #[arg(long, value_name = "NAME")]
    user: Vec<String>,
    /// Group of the user
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,
    /// Namespace of the object
    #[arg(short, long, value_name = "NAME")]
    namespace: Vec<String>,
    /// Rule with a finding
    #[arg(long, value_name = "RULE")]
    rule: Vec<String>,
    /// Reason code of a finding, such as `WIDER`
    #[arg(long, value_name = "CODE")]
    reason: Vec<String>,
    /// Verdict
    #[arg(long, value_name = "VERDICT", value_parser = ["allow", "edit", "deny"])]
    verdict: Vec<String>,
    /// Kind of the object
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// Topology with a finding
    #[arg(long, value_name = "NAME")]
    topology: Vec<String>,
    /// Trace of the API server's call, as 32 hexadecimal digits
    #[arg(long, value_name = "ID")]
    trace_id: Vec<String>,
    /// Earliest time: a time, a day (UTC), or how long ago, such as `90m` or `7d`
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<Timestamp>,
    /// End of the time range, exclusive, in the same forms
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<Timestamp>,
    /// Only dry runs, or with `=false` none; by default both
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    dry_run: Option<bool>,
    /// Count by these properties, most frequent first
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    by: Vec<Dimension>,
    /// Output format
    #[arg(short = 'o', long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Table, for people
    Table,
    /// One JSON document, for programs
    Json,
    /// Lines of the log, unchanged; with `--by`, one JSON object per count
    Lines,
}

/// The version of the JSON document.
const VERSION: u32 = 1;

/// The JSON document with counts. The document with records has `records` instead of `by` and `counts`.
#[derive(Serialize)]
struct Document<'r> {
    version: u32,
    found: u64,
    dropped: u64,
    by: Vec<&'static str>,
    counts: &'r [RecordCount],
}

pub(super) fn run(args: &QueryArgs, streams: &mut Streams<'_>) -> io::Result<Exit> {
    let filter = filter(args);
    let counts = RefCell::new(RecordCounts::new(args.by.clone()));
    let mut total = QueryTotals::default();
    let mut begun = false;
    let is_counted = !args.by.is_empty();
    let is_read = each_file(&args.files, streams, |_, reader, out| {
        let found = read(reader, &filter, |line, record, raw| {
            if is_counted {
                counts.borrow_mut().add(line, record);
                return Ok(());
            }
            let begins = !std::mem::replace(&mut begun, true);
            show(args.format, begins, line, record, raw, out).map_err(Stopped::Print)
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
    report_gaps(total, streams.stderr)?;
    Ok(Exit::Fine)
}

/// Writes one record, and the head of the table or document before the first one.
fn show(
    format: Format,
    begins: bool,
    line: &Line<'_>,
    record: &Record<'_>,
    raw: &[u8],
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        Format::Table if begins => out.write_all(table_head().as_bytes())?,
        Format::Json if begins => writeln!(out, "{{\"version\":{VERSION},\"records\":[")?,
        Format::Json => out.write_all(b",\n")?,
        Format::Table | Format::Lines => {}
    }
    match format {
        Format::Table => out.write_all(table_row(line, record).as_bytes()),
        Format::Json => out.write_all(raw),
        Format::Lines => out.write_all(raw).and_then(|()| out.write_all(b"\n")),
    }
}

fn filter(args: &QueryArgs) -> RecordFilter {
    let set = |values: &[String]| values.iter().cloned().collect();
    RecordFilter {
        users: set(&args.user),
        groups: set(&args.group),
        namespaces: set(&args.namespace),
        rules: set(&args.rule),
        reasons: set(&args.reason),
        verdicts: set(&args.verdict),
        kinds: set(&args.kind),
        topologies: set(&args.topology),
        traces: set(&args.trace_id),
        since: args.since,
        until: args.until,
        dry_run: args.dry_run,
    }
}

fn counted(counts: &RecordCounts, format: Format, total: QueryTotals) -> io::Result<String> {
    let rows = counts.rows();
    let by: Vec<&'static str> = counts.by().iter().map(|dimension| dimension.word()).collect();
    Ok(match format {
        Format::Table => table_of_counts(&by, &rows),
        Format::Json => {
            let QueryTotals { found, dropped, .. } = total;
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

/// Reports what the result does not cover: dropped records, and lines of other logs.
fn report_gaps(total: QueryTotals, stderr: &mut dyn Write) -> io::Result<()> {
    if total.dropped > 0 {
        let sentence = format!(
            "lockstep: {} records are missing: they were dropped when the log was written\n",
            total.dropped
        );
        print(stderr, sentence.as_bytes())?;
    }
    if total.foreign > 0 {
        let sentence = format!("lockstep: ignored {} lines that are not of a decision log\n", total.foreign);
        print(stderr, sentence.as_bytes())?;
    }
    Ok(())
}

fn table_head() -> String {
    row_of(["TIME", "VERDICT", "USER", "OPERATION", "OBJECT", "RULE", "MESSAGE"])
}

fn table_row(line: &Line<'_>, record: &Record<'_>) -> String {
    let generated = if record.generate_name.is_empty() { "" } else { "*" };
    let name = if record.name.is_empty() {
        format!("{}{generated}", record.generate_name)
    } else {
        record.name.to_string()
    };
    let slash = if record.namespace.is_empty() { "" } else { "/" };
    let object = format!("{} {}{slash}{name}", record.kind, record.namespace);
    let rule = match (&record.rule, &record.reason) {
        (Some(rule), Some(reason)) => format!("{rule}/{reason}"),
        _ => "-".to_owned(),
    };
    let verdict =
        if record.dry_run { format!("{} (dry)", record.verdict) } else { record.verdict.to_string() };
    let message = record.findings.first().map(|finding| &*finding.message).or(record.error.as_deref());
    row_of([
        &format!("{:.3}", line.time),
        &verdict,
        &excerpt(&record.user),
        &record.operation,
        &object,
        &rule,
        message.unwrap_or_default(),
    ])
}

/// Formats a row. The widths are fixed, because rows are written while records are read.
fn row_of([time, verdict, user, operation, object, rule, message]: [&str; 7]) -> String {
    let row = format!("{time:24}  {verdict:10}  {user:24}  {operation:9}  {object:48}  {rule:32}  {message}");
    format!("{}\n", escape(row.trim_end()))
}

fn table_of_counts(by: &[&str], rows: &[RecordCount]) -> String {
    let heads: Vec<String> = by.iter().map(|word| word.to_uppercase()).collect();
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            row.by
                .iter()
                .map(|value| if value.is_empty() { "-".to_owned() } else { excerpt(value) })
                .collect()
        })
        .collect();
    let widths: Vec<usize> = heads
        .iter()
        .enumerate()
        .map(|(column, head)| {
            let cells = cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain([head.len()]).max().unwrap_or_default()
        })
        .collect();
    let mut text = String::new();
    let mut line = |count: &str, cells: &[String]| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        let row = [format!("{count:>9}")].into_iter().chain(cells).collect::<Vec<_>>().join("  ");
        // Writing to a string never fails.
        let _ = writeln!(text, "{}", escape(row.trim_end()));
    };
    line("COUNT", &heads);
    for (row, cells) in rows.iter().zip(&cells) {
        line(&row.count.to_string(), cells);
    }
    text
}

/// Parses a time, a day (UTC), or how long ago.
fn parse_time(text: &str) -> Result<Timestamp, String> {
    parse_time_at(text, Timestamp::now()).ok_or_else(|| {
        "write a time such as `2026-11-22T20:00:00Z`, a day such as `2026-11-22` (UTC), or how long ago, such as `90m` or `7d`"
            .to_owned()
    })
}

fn parse_time_at(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    if let Ok(date) = text.parse::<Date>() {
        return date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    }
    let ago: Span = text.parse().ok()?;
    now.checked_sub(ago.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_days_and_durations_are_parsed() {
        let now: Timestamp = "2026-11-22T20:00:00Z".parse().unwrap();
        for (text, moment) in [
            ("2026-11-22T20:00:00.5+01:00", "2026-11-22T19:00:00.5Z"),
            ("2026-11-22", "2026-11-22T00:00:00Z"),
            ("90m", "2026-11-22T18:30:00Z"),
            ("24h", "2026-11-21T20:00:00Z"),
            ("7d", "2026-11-15T20:00:00Z"),
            ("1h30m", "2026-11-22T18:30:00Z"),
            ("2 weeks", "2026-11-08T20:00:00Z"),
            ("PT90M", "2026-11-22T18:30:00Z"),
        ] {
            assert_eq!(parse_time_at(text, now), Some(moment.parse().unwrap()), "{text}");
        }
        for wrong in ["", "yesterday", "2026-13-01", "20:00", "90", "1 month", "99999999999h"] {
            assert_eq!(parse_time_at(wrong, now), None, "{wrong}");
        }
    }
}
