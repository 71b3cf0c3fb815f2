//! What a verification tells.

use std::fmt;

use serde::Serialize;
use smol_str::SmolStr;

use crate::audit::Hash;

/// More problems than this are counted, and not told one by one.
const TOLD: usize = 100;

/// What came of a verification.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How many lines were read.
    pub lines: u64,
    /// How many reviews they record.
    pub records: u64,
    /// How many records the log itself says were dropped.
    pub dropped: u64,
    /// How many lines are another log's.
    pub foreign: u64,
    /// Every chain.
    pub chains: Vec<ChainReport>,
    /// What is wrong, in the order in which it was found.
    pub problems: Vec<Problem>,
    /// How many more problems there are.
    pub more_problems: u64,
    /// What is worth knowing, and not wrong.
    pub notes: Vec<Note>,
}

/// One process's lines, as far as they were seen.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainReport {
    /// Its name.
    pub chain: String,
    /// Who wrote it.
    pub replica: String,
    /// The time of its first line.
    pub from: String,
    /// The time of its last line.
    pub to: String,
    /// Its first line.
    pub first: Place,
    /// Its last line.
    pub last: Place,
    /// The sequence number of its last line.
    pub sequence: u64,
    /// The hash of its last line: kept elsewhere, it proves what was there.
    pub hash: Hash,
    /// How many reviews it records.
    pub records: u64,
    /// How many records were dropped.
    pub dropped: u64,
    /// Whether its first line is there.
    pub is_begun: bool,
    /// Whether its last line is there.
    pub is_ended: bool,
    /// Whether another chain goes on from it, so that nothing can be missing at its end.
    pub is_continued: bool,
}

impl ChainReport {
    pub(super) fn at(place: Place) -> Self {
        Self {
            chain: String::new(),
            replica: String::new(),
            from: String::new(),
            to: String::new(),
            first: place.clone(),
            last: place,
            sequence: 0,
            hash: Hash::NONE,
            records: 0,
            dropped: 0,
            is_begun: false,
            is_ended: false,
            is_continued: false,
        }
    }
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file, as it was named.
    pub file: SmolStr,
    /// From 1.
    pub line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It is no line of a decision log, or only a part of one.
    Unreadable,
    /// It is not as it was written.
    Changed,
    /// Lines before it are missing.
    Missing,
    /// It does not belong where it is.
    Misplaced,
    /// The end is not there, and was asked for.
    OpenEnd,
    /// There is nothing at all.
    Empty,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Unreadable, Self::Changed, Self::Missing, Self::Misplaced, Self::OpenEnd, Self::Empty];
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The line at which it shows.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// What kind of thing.
    pub kind: Kind,
    /// The same for people.
    pub message: String,
}

/// One thing that is worth knowing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The line that it is about.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// What.
    pub message: String,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.problems.is_empty()
    }

    pub(super) fn problem(&mut self, place: Option<Place>, kind: Kind, message: String) {
        if self.problems.len() < TOLD {
            self.problems.push(Problem { place, kind, message });
        } else {
            self.more_problems = self.more_problems.saturating_add(1);
        }
    }

    pub(super) fn note(&mut self, place: Option<Place>, message: String) {
        if self.notes.len() < TOLD {
            self.notes.push(Note { place, message });
        }
    }
}
