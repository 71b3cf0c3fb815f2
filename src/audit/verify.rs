//! Verification of a decision log: no line was changed, removed or moved.
//!
//! Two changes cannot be found: removal of lines from the end of a chain without an end, and a log that was rewritten
//! from one line to its end. Against both, keep the hash of a last line in another place, or ship lines as they are
//! written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, BufRead};

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::chain::{LineHash, split};
use super::line::{LineReader, RawLine, SCHEMA};

/// The required completeness of a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// Chains may begin after their first line, as in an excerpt, or in the tail of a log of several replicas.
    Excerpt,
    /// The first line may be within a chain, because older files may have been removed.
    #[default]
    Tail,
    /// Every chain begins with its first line and ends with its last.
    Whole,
}

/// The fields of a line that determine its place.
#[derive(Deserialize)]
struct LineHead {
    schema: u32,
    event: String,
    chain: String,
    replica: String,
    sequence: u64,
    time: String,
    previous: String,
    /// The fields of `dropped` lines.
    #[serde(default)]
    first: Option<u64>,
}

/// Verifies lines in the order in which they are read.
#[derive(Debug, Default)]
pub struct Verifier {
    scope: Scope,
    result: Verification,
    chains: BTreeMap<String, ChainSummary>,
    /// The hashes of changed lines, so that the line after a changed one is not reported, too.
    changed: BTreeSet<LineHash>,
    /// Whether the last line was unreadable, so that it may be the one that seems to be missing.
    is_lost: bool,
}

impl Verifier {
    /// A verifier that has read no file yet.
    #[must_use]
    pub fn new(scope: Scope) -> Self {
        Self { scope, ..Self::default() }
    }

    /// Reads the next file.
    ///
    /// # Errors
    /// If the file cannot be read to its end.
    pub fn read(&mut self, file: &str, reader: impl BufRead) -> io::Result<()> {
        let file = SmolStr::new(file);
        let mut lines = LineReader::new(reader);
        while let Some(line) = lines.next_line()? {
            self.result.lines = self.result.lines.saturating_add(1);
            let place = LinePosition { file: file.clone(), line: line.number };
            self.line(&place, &line);
        }
        Ok(())
    }

    /// The result, after the last file.
    #[must_use]
    pub fn finish(mut self) -> Verification {
        if self.chains.is_empty() && self.result.is_intact() {
            let text = "no line of a decision log found: even a new log has one".to_owned();
            self.result.problem(None, ProblemKind::Empty, text);
        }
        for (name, chain) in self.chains {
            self.result.records = self.result.records.saturating_add(chain.records);
            self.result.dropped = self.result.dropped.saturating_add(chain.dropped);
            if !chain.is_ended {
                let last = Some(chain.last.clone());
                let text = format!(
                    "chain {name} has an open end: its process is running, was killed, or the last lines were removed"
                );
                match self.scope {
                    Scope::Whole if !chain.is_continued => {
                        self.result.problem(last, ProblemKind::OpenEnd, text);
                    }
                    _ => self.result.note(last, text),
                }
            }
            self.result.chains.push(chain);
        }
        self.result
    }

    fn line(&mut self, place: &LinePosition, line: &RawLine<'_>) {
        let Some((content, claimed)) = split(line.bytes) else {
            if is_foreign(line.bytes) {
                self.result.foreign = self.result.foreign.saturating_add(1);
                return;
            }
            self.is_lost = true;
            let text = match line.is_terminated {
                true => "not a line of a decision log",
                false => "line is cut off: its process was killed while writing, or the rest was removed",
            };
            return self.result.problem(Some(place.clone()), ProblemKind::Unreadable, text.into());
        };
        let hash = LineHash::of(content);
        if hash != claimed {
            // The next line was chained either to the written hash or to the stated one.
            self.changed.extend([hash, claimed]);
            let text = "line was changed: its hash does not match its content".to_owned();
            return self.result.problem(Some(place.clone()), ProblemKind::Changed, text);
        }
        match serde_json::from_slice::<LineHead>(line.bytes) {
            Ok(head) if head.schema == SCHEMA => self.link(place, head, hash),
            Ok(LineHead { schema, .. }) => {
                self.changed.insert(hash);
                let text = format!(
                    "line has schema version `{schema}`, but this lockstep reads version `{SCHEMA}`: use a newer lockstep"
                );
                self.result.problem(Some(place.clone()), ProblemKind::Unreadable, text);
            }
            Err(error) => {
                self.changed.insert(hash);
                self.result.problem(
                    Some(place.clone()),
                    ProblemKind::Unreadable,
                    format!("line cannot be decoded: {error}"),
                );
            }
        }
    }

    /// Checks the place of an unchanged line, and adds it to its chain.
    fn link(&mut self, place: &LinePosition, head: LineHead, hash: LineHash) {
        let previous = LineHash::parse(&head.previous).unwrap_or_default();
        let before = self.chains.get(&head.chain).map(|chain| (chain.sequence, chain.hash, chain.is_ended));
        match before {
            None => self.begins(place, &head, previous),
            Some((last, hash, true)) if previous == hash => {
                let text = format!("line comes after the end of its chain at sequence {last}");
                self.result.problem(Some(place.clone()), ProblemKind::Misplaced, text);
            }
            Some((last, hash, _)) => {
                let is_linked = previous == hash || self.changed.contains(&previous);
                self.continues(place, &head, last, is_linked);
            }
        }
        self.is_lost = false;
        let begins = head.event == "started";
        let chain = self.chains.entry(head.chain).or_insert_with_key(|name| ChainSummary {
            chain: name.clone(),
            replica: head.replica,
            from: head.time.clone(),
            first: place.clone(),
            is_begun: begins,
            ..ChainSummary::at(place.clone())
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

    /// Checks the first line that was read of a chain.
    fn begins(&mut self, place: &LinePosition, head: &LineHead, previous: LineHash) {
        let is_first = self.result.lines.saturating_sub(self.result.foreign) == 1;
        let is_excused = self.is_lost || self.changed.contains(&previous);
        let before = self.chains.values_mut().find(|chain| chain.hash == previous);
        let name = &head.chain;
        let (kind, text) = match (head.event == "started", before) {
            (true, Some(before)) => {
                before.is_continued = true;
                return;
            }
            (true, None) if previous == LineHash::NONE => return,
            (true, None) => {
                (ProblemKind::Missing, format!("chain {name} continues from a line that is missing"))
            }
            (false, _) => {
                let sequence = head.sequence;
                (
                    ProblemKind::Missing,
                    format!("chain {name} begins at sequence {sequence}: earlier lines are missing"),
                )
            }
        };
        let is_allowed = match self.scope {
            Scope::Excerpt => true,
            Scope::Tail => is_first,
            Scope::Whole => false,
        };
        if is_allowed {
            self.result.note(Some(place.clone()), text);
        } else if !is_excused {
            self.result.problem(Some(place.clone()), kind, text);
        }
    }

    /// Checks a further line of a chain whose last line has the sequence number `last`.
    fn continues(&mut self, place: &LinePosition, head: &LineHead, last: u64, is_linked: bool) {
        let sequence = head.sequence;
        let first = head.first.unwrap_or(sequence);
        let gap = missing(Some(last.saturating_add(1)), first.saturating_sub(1));
        let (kind, text) = match (is_linked, gap) {
            (true, 0) => return,
            _ if sequence <= last => (
                ProblemKind::Misplaced,
                format!("line is out of place: sequence {sequence} comes after {last}"),
            ),
            (false, 0) => (ProblemKind::Missing, "hash does not match the previous line".to_owned()),
            (_, gap) => (
                ProblemKind::Missing,
                format!("{gap} lines before this one are missing: sequence {first} comes after {last}"),
            ),
        };
        // The unreadable line may be the one that is missing here.
        let is_excused = self.is_lost && kind == ProblemKind::Missing;
        if !is_excused {
            self.result.problem(Some(place.clone()), kind, text);
        }
    }
}

/// Whether a line belongs to another log, such as the operators' log in the same stream. Ignoring it is safe: a line
/// of the decision log that was changed to look like one leaves a gap, which is reported.
fn is_foreign(line: &[u8]) -> bool {
    let value: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_slice(line);
    value.is_ok_and(|fields| !["chain", "hash"].iter().any(|field| fields.contains_key(*field)))
}

/// Returns the number of sequence numbers from `first` to `last`.
fn missing(first: Option<u64>, last: u64) -> u64 {
    first.map_or(0, |first| last.saturating_add(1).saturating_sub(first))
}

/// The maximum number of listed problems, and of listed notes. Further problems are counted.
const LISTED: usize = 100;

/// The result of a verification.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// The number of lines that were read.
    pub lines: u64,
    /// The number of reviews in them.
    pub records: u64,
    /// The number of records that the log reports as dropped.
    pub dropped: u64,
    /// The number of lines of other logs, which were ignored.
    pub foreign: u64,
    /// The chains, by name.
    pub chains: Vec<ChainSummary>,
    /// The problems, in the order in which they were found.
    pub problems: Vec<ChainProblem>,
    /// The number of further problems, which are not listed.
    pub more_problems: u64,
    /// Observations that are not problems.
    pub notes: Vec<ChainNote>,
}

/// The chain of one process, as far as it was read.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainSummary {
    /// The name of the chain.
    pub chain: String,
    /// The replica that wrote the chain.
    pub replica: String,
    /// The time of the first line.
    pub from: String,
    /// The time of the last line.
    pub to: String,
    /// The position of the first line.
    pub first: LinePosition,
    /// The position of the last line.
    pub last: LinePosition,
    /// The sequence number of the last line.
    pub sequence: u64,
    /// The hash of the last line. Kept in another place, it proves the content of the log.
    pub hash: LineHash,
    /// The number of reviews in the chain.
    pub records: u64,
    /// The number of records that were dropped.
    pub dropped: u64,
    /// Whether the log has the line that begins the chain.
    pub is_begun: bool,
    /// Whether the log has the line that ends the chain.
    pub is_ended: bool,
    /// Whether another chain continues from the last line, so that no line is missing at the end.
    pub is_continued: bool,
}

impl ChainSummary {
    fn at(place: LinePosition) -> Self {
        Self {
            chain: String::new(),
            replica: String::new(),
            from: String::new(),
            to: String::new(),
            first: place.clone(),
            last: place,
            sequence: 0,
            hash: LineHash::NONE,
            records: 0,
            dropped: 0,
            is_begun: false,
            is_ended: false,
            is_continued: false,
        }
    }
}

/// The position of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinePosition {
    /// The file, as given.
    pub file: SmolStr,
    /// The number of the line, from 1.
    pub line: u64,
}

impl fmt::Display for LinePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// The kind of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// The line does not belong to a decision log, or is incomplete.
    Unreadable,
    /// The line was changed.
    Changed,
    /// Lines before this one are missing.
    Missing,
    /// The line was moved or repeated.
    Misplaced,
    /// The chain has no end, which [`Scope::Whole`] requires.
    OpenEnd,
    /// The log has no line.
    Empty,
}

impl ProblemKind {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Unreadable, Self::Changed, Self::Missing, Self::Misplaced, Self::OpenEnd, Self::Empty];
}

/// One problem of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChainProblem {
    /// The line at which the problem shows.
    #[serde(flatten)]
    pub place: Option<LinePosition>,
    /// The kind of the problem.
    pub kind: ProblemKind,
    /// The problem as a sentence.
    pub message: String,
}

/// An observation about a chain that is not a problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChainNote {
    /// The line that the note is about.
    #[serde(flatten)]
    pub place: Option<LinePosition>,
    /// The note as a sentence.
    pub message: String,
}

impl Verification {
    /// Whether there is no problem.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.problems.is_empty()
    }

    fn problem(&mut self, place: Option<LinePosition>, kind: ProblemKind, message: String) {
        if self.problems.len() < LISTED {
            self.problems.push(ChainProblem { place, kind, message });
        } else {
            self.more_problems = self.more_problems.saturating_add(1);
        }
    }

    fn note(&mut self, place: Option<LinePosition>, message: String) {
        if self.notes.len() < LISTED {
            self.notes.push(ChainNote { place, message });
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests count lines")]
mod tests;
