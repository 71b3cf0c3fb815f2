//! Whether a decision log is whole: every line as it was written, none missing, none out of place.
//!
//! What cannot be found: lines taken from the very end of a chain that has not ended, and a log that somebody wrote
//! anew from some line to its end. Against both, keep the hash of a last line elsewhere, or ship lines as they come.

mod report;
#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests count lines")]
mod tests;

pub use report::{ChainReport, Kind, Note, Place, Problem, Report};

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead};

use serde::Deserialize;
use smol_str::SmolStr;

use super::chain::{Hash, split};
use super::line::SCHEMA;
use super::lines::{Lines, RawLine};

/// What must be there besides the lines that are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// Chains may begin after their first line anywhere: an excerpt, or the end of several replicas' common log.
    Excerpt,
    /// The first line may be within a chain: older files may be gone.
    #[default]
    Tail,
    /// Every chain begins with its first line and ends with its last.
    Whole,
}

/// What is read of a line to judge its place.
#[derive(Deserialize)]
struct Head {
    schema: u32,
    event: String,
    chain: String,
    replica: String,
    sequence: u64,
    time: String,
    previous: String,
    /// Of `dropped` lines.
    #[serde(default)]
    first: Option<u64>,
}

/// Reads lines and remembers what they should be followed by.
#[derive(Debug, Default)]
pub struct Verifier {
    scope: Scope,
    report: Report,
    chains: BTreeMap<String, ChainReport>,
    /// The hashes of changed lines: what comes after one is not to blame.
    changed: BTreeSet<Hash>,
    /// Whether a line was met that could be any.
    is_lost: bool,
}

impl Verifier {
    /// A verifier that has seen nothing yet.
    #[must_use]
    pub fn new(scope: Scope) -> Self {
        Self { scope, ..Self::default() }
    }

    /// Reads the next file.
    ///
    /// # Errors
    /// If it cannot be read to its end.
    pub fn read(&mut self, file: &str, reader: impl BufRead) -> io::Result<()> {
        let file = SmolStr::new(file);
        let mut lines = Lines::new(reader);
        while let Some(line) = lines.next_line()? {
            self.report.lines = self.report.lines.saturating_add(1);
            let place = Place { file: file.clone(), line: line.number };
            self.line(&place, &line);
        }
        Ok(())
    }

    /// What came of it.
    #[must_use]
    pub fn finish(mut self) -> Report {
        if self.chains.is_empty() && self.report.is_intact() {
            let text = "there is no line of a decision log: one that was begun has at least one".to_owned();
            self.report.problem(None, Kind::Empty, text);
        }
        for (name, chain) in self.chains {
            self.report.records = self.report.records.saturating_add(chain.records);
            self.report.dropped = self.report.dropped.saturating_add(chain.dropped);
            if !chain.is_ended {
                let last = Some(chain.last.clone());
                let text = format!(
                    "chain {name} has an open end: its process still runs, was killed, or the end was taken away"
                );
                match self.scope {
                    Scope::Whole if !chain.is_continued => self.report.problem(last, Kind::OpenEnd, text),
                    _ => self.report.note(last, text),
                }
            }
            self.report.chains.push(chain);
        }
        self.report
    }

    fn line(&mut self, place: &Place, line: &RawLine<'_>) {
        let Some((content, claimed)) = split(line.bytes) else {
            if is_foreign(line.bytes) {
                self.report.foreign = self.report.foreign.saturating_add(1);
                return;
            }
            self.is_lost = true;
            let text = match line.is_terminated {
                true => "it is no line of a decision log",
                false => "it is cut off: its process was killed while it wrote, or the rest was taken away",
            };
            return self.report.problem(Some(place.clone()), Kind::Unreadable, text.into());
        };
        let hash = Hash::of(content);
        if hash != claimed {
            // What follows was chained to the one or to the other.
            self.changed.extend([hash, claimed]);
            let text = "it was changed: its hash is not the one of what it says".to_owned();
            return self.report.problem(Some(place.clone()), Kind::Changed, text);
        }
        match serde_json::from_slice::<Head>(line.bytes) {
            Ok(head) if head.schema == SCHEMA => self.link(place, head, hash),
            Ok(Head { schema, .. }) => {
                self.changed.insert(hash);
                let text = format!(
                    "its form is `{schema}`, and this version of lockstep knows `{SCHEMA}`: use a newer one"
                );
                self.report.problem(Some(place.clone()), Kind::Unreadable, text);
            }
            Err(error) => {
                self.changed.insert(hash);
                self.report.problem(
                    Some(place.clone()),
                    Kind::Unreadable,
                    format!("it cannot be read: {error}"),
                );
            }
        }
    }

    /// Puts a line that is as it was written in its place.
    fn link(&mut self, place: &Place, head: Head, hash: Hash) {
        let previous = Hash::parse(&head.previous).unwrap_or_default();
        let before = self.chains.get(&head.chain).map(|chain| (chain.sequence, chain.hash, chain.is_ended));
        match before {
            None => self.begins(place, &head, previous),
            Some((last, hash, true)) if previous == hash => {
                let text = format!("it comes after the end of its chain at sequence {last}");
                self.report.problem(Some(place.clone()), Kind::Misplaced, text);
            }
            Some((last, hash, _)) => {
                let holds_on = previous == hash || self.changed.contains(&previous);
                self.continues(place, &head, last, holds_on);
            }
        }
        self.is_lost = false;
        let begins = head.event == "started";
        let chain = self.chains.entry(head.chain).or_insert_with_key(|name| ChainReport {
            chain: name.clone(),
            replica: head.replica,
            from: head.time.clone(),
            first: place.clone(),
            is_begun: begins,
            ..ChainReport::at(place.clone())
        });
        match head.event.as_str() {
            "review" => chain.records = chain.records.saturating_add(1),
            "dropped" => chain.dropped = chain.dropped.saturating_add(missing(head.first, head.sequence)),
            _ => {}
        }
        chain.is_ended = head.event == "ended";
        (chain.last, chain.to) = (place.clone(), head.time);
        (chain.sequence, chain.hash) = (head.sequence, hash);
    }

    /// The first line that is seen of a chain.
    fn begins(&mut self, place: &Place, head: &Head, previous: Hash) {
        let is_first = self.report.lines.saturating_sub(self.report.foreign) == 1;
        let is_excused = self.is_lost || self.changed.contains(&previous);
        let before = self.chains.values_mut().find(|chain| chain.hash == previous);
        let name = &head.chain;
        let (kind, text) = match (head.event == "started", before) {
            (true, Some(before)) => {
                before.is_continued = true;
                return;
            }
            (true, None) if previous == Hash::NONE => return,
            (true, None) => (Kind::Missing, format!("chain {name} goes on from a line that is not here")),
            (false, _) => {
                let sequence = head.sequence;
                (
                    Kind::Missing,
                    format!("chain {name} begins at sequence {sequence}: what was before is not here"),
                )
            }
        };
        let is_allowed = match self.scope {
            Scope::Excerpt => true,
            Scope::Tail => is_first,
            Scope::Whole => false,
        };
        if is_allowed {
            self.report.note(Some(place.clone()), text);
        } else if !is_excused {
            self.report.problem(Some(place.clone()), kind, text);
        }
    }

    /// A further line of a chain whose last one has the number `last`, and may hold on to it.
    fn continues(&mut self, place: &Place, head: &Head, last: u64, holds_on: bool) {
        let sequence = head.sequence;
        let first = head.first.unwrap_or(sequence);
        let gap = missing(Some(last.saturating_add(1)), first.saturating_sub(1));
        let (kind, text) = match (holds_on, gap) {
            (true, 0) => return,
            _ if sequence <= last => {
                (Kind::Misplaced, format!("it is out of place: sequence {sequence} comes after {last}"))
            }
            (false, 0) => (Kind::Missing, "it does not hold on to the line before it".to_owned()),
            (_, gap) => {
                (Kind::Missing, format!("{gap} before it are missing: sequence {first} comes after {last}"))
            }
        };
        // A line that could not be read may have been what is missing here.
        let is_excused = self.is_lost && kind == Kind::Missing;
        if !is_excused {
            self.report.problem(Some(place.clone()), kind, text);
        }
    }
}

/// Whether a line is another log's, such as the operators' where both are in one stream. It is no harm: a line that was
/// made to look like this is missed where it was.
fn is_foreign(line: &[u8]) -> bool {
    let value: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_slice(line);
    value.is_ok_and(|fields| !["chain", "hash"].iter().any(|field| fields.contains_key(*field)))
}

/// How many numbers there are from `first` to `last`.
fn missing(first: Option<u64>, last: u64) -> u64 {
    first.map_or(0, |first| last.saturating_add(1).saturating_sub(first))
}
