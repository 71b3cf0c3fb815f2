//! What `check` found: what all output formats are made from.

use std::sync::Arc;

use crate::cli::Exit;
use crate::field::FieldPath;
use crate::manifests::{Document, LineColumn, Place, Problem, Source};
use crate::verdict::{Edit, Finding, Severity, Verdict};

/// Everything that was found.
#[derive(Debug, Default)]
pub(in crate::cli) struct Report {
    /// The names of the topologies that verdicts were made by.
    pub(in crate::cli) topologies: Vec<Arc<str>>,
    /// Whether the input held no topology, so that the built-in one was used.
    pub(in crate::cli) is_built_in: bool,
    /// What was judged, in the order of the input.
    pub(in crate::cli) judged: Vec<Judged>,
    /// What could not be used.
    pub(in crate::cli) problems: Vec<Problem>,
}

/// An object that was judged.
#[derive(Debug)]
pub(in crate::cli) struct Judged {
    pub(in crate::cli) source: Arc<Source>,
    /// Where the object begins.
    pub(in crate::cli) start: LineColumn,
    pub(in crate::cli) kind: String,
    /// Empty for cluster-scoped kinds.
    pub(in crate::cli) namespace: String,
    pub(in crate::cli) name: String,
    /// `allow`, `edit` or `deny`.
    pub(in crate::cli) word: &'static str,
    pub(in crate::cli) findings: Vec<Placed<Finding>>,
    pub(in crate::cli) edits: Vec<Placed<Edit>>,
}

/// Something about a field, and where that field stands.
#[derive(Debug)]
pub(in crate::cli) struct Placed<T> {
    pub(in crate::cli) what: T,
    pub(in crate::cli) place: Place,
    pub(in crate::cli) at: LineColumn,
}

/// How many there are of each.
#[derive(Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(in crate::cli) struct Counts {
    pub(in crate::cli) judged: usize,
    pub(in crate::cli) denied: usize,
    pub(in crate::cli) edited: usize,
    pub(in crate::cli) warnings: usize,
    pub(in crate::cli) problems: usize,
}

impl Report {
    pub(in crate::cli) fn counts(&self) -> Counts {
        let with = |word| self.judged.iter().filter(|judged| judged.word == word).count();
        let warnings = self.judged.iter().flat_map(|judged| &judged.findings);
        Counts {
            judged: self.judged.len(),
            denied: with("deny"),
            edited: with("edit"),
            warnings: warnings.filter(|finding| finding.what.severity == Severity::Warn).count(),
            problems: self.problems.len(),
        }
    }

    /// The exit code. A problem weighs more than a denial: without what could not be read, no verdict is sure.
    pub(in crate::cli) fn exit(&self, is_strict: bool) -> Exit {
        let Counts { denied, edited, problems, .. } = self.counts();
        match (problems > 0, denied > 0 || is_strict && edited > 0) {
            (true, _) => Exit::Unusable,
            (false, true) => Exit::Denied,
            (false, false) => Exit::Fine,
        }
    }
}

impl Judged {
    /// `stands` leads to the object in its document, `shown` to where the paths that people see begin.
    pub(super) fn new(
        document: &Document,
        [kind, namespace, name]: [String; 3],
        verdict: Verdict,
        (stands, shown): (&FieldPath, &FieldPath),
    ) -> Self {
        let locate = |field: &mut FieldPath| {
            let place = document.place(&stands.clone().join(field));
            *field = shown.clone().join(field);
            (place, document.source.line_column(place.mark.start))
        };
        let word = verdict.word();
        let findings = verdict.findings.into_iter().map(|mut what| {
            let (place, at) = locate(&mut what.field);
            Placed { what, place, at }
        });
        let edits = verdict.edits.into_iter().map(|mut what| {
            let (place, at) = locate(&mut what.field);
            Placed { what, place, at }
        });
        Self {
            source: Arc::clone(&document.source),
            start: document.start(),
            kind,
            namespace,
            name,
            word,
            findings: findings.collect(),
            edits: edits.collect(),
        }
    }

    /// `Kind namespace/name`.
    pub(in crate::cli) fn title(&self) -> String {
        let slash = if self.namespace.is_empty() { "" } else { "/" };
        format!("{} {}{slash}{}", self.kind, self.namespace, self.name)
    }

    /// The edit that a finding speaks of: the webhook warns of some of its edits.
    pub(in crate::cli) fn edit_of(&self, finding: &Finding) -> Option<&Placed<Edit>> {
        self.edits.iter().find(|edit| is_told_by(&edit.what, finding))
    }

    /// The edits that no finding speaks of.
    pub(in crate::cli) fn untold_edits(&self) -> impl Iterator<Item = &Placed<Edit>> {
        self.edits
            .iter()
            .filter(|edit| !self.findings.iter().any(|finding| is_told_by(&edit.what, &finding.what)))
    }

    /// Whether it is refused; strictly, also if it would be changed.
    pub(in crate::cli) fn is_refused(&self, is_strict: bool) -> bool {
        self.word == "deny" || is_strict && self.word == "edit"
    }
}

fn is_told_by(edit: &Edit, finding: &Finding) -> bool {
    edit.rule == finding.rule && edit.field == finding.field
}
