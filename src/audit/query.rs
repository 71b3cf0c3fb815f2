//! Questions to a decision log: who tried what, and how often.

mod counts;
mod filter;

pub use counts::{Counts, Dimension, Row};
pub use filter::Filter;

use std::io::{self, BufRead};

use super::{Content, Line, Lines, Record};

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Read {
    /// Records that were asked for.
    pub found: u64,
    /// Records that the log says were dropped.
    pub dropped: u64,
    /// Lines that are none of a decision log.
    pub foreign: u64,
}

/// Reads a log and hands on every record that is asked for, with its line and the line's text.
///
/// # Errors
/// What the reader says, or `each`, which ends it.
pub fn read<E: From<io::Error>>(
    reader: impl BufRead,
    filter: &Filter,
    mut each: impl FnMut(&Line<'_>, &Record<'_>, &[u8]) -> Result<(), E>,
) -> Result<Read, E> {
    let (mut lines, mut read) = (Lines::new(reader), Read::default());
    while let Some(raw) = lines.next_line()? {
        match serde_json::from_slice::<Line<'_>>(raw.bytes) {
            Ok(line) => match &line.content {
                Content::Review(record) if filter.wants(&line, record) => {
                    read.found = read.found.saturating_add(1);
                    each(&line, record, raw.bytes)?;
                }
                Content::Dropped(dropped) => read.dropped = read.dropped.saturating_add(dropped.count),
                _ => {}
            },
            Err(_) => read.foreign = read.foreign.saturating_add(1),
        }
    }
    Ok(read)
}
