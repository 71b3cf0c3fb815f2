//! Records and counts, for people.

use std::fmt::Write as _;

use crate::audit::query::Row;
use crate::audit::{Line, Record};
use crate::cli::render::printable;
use lockstep_core::escape::excerpt;

pub(super) fn head() -> String {
    row_of(["TIME", "VERDICT", "USER", "OPERATION", "OBJECT", "RULE", "MESSAGE"])
}

pub(super) fn row(line: &Line<'_>, record: &Record<'_>) -> String {
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

/// Rows are written as they are read, so widths are what is usual.
fn row_of([time, verdict, user, operation, object, rule, message]: [&str; 7]) -> String {
    let row = format!("{time:24}  {verdict:10}  {user:24}  {operation:9}  {object:48}  {rule:32}  {message}");
    format!("{}\n", printable(row.trim_end()))
}

pub(super) fn counts(by: &[&str], rows: &[Row]) -> String {
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
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", printable(row.trim_end()));
    };
    line("COUNT", &heads);
    for (row, cells) in rows.iter().zip(&cells) {
        line(&row.count.to_string(), cells);
    }
    text
}
