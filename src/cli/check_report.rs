//! The report of `check`: the data of every output format.

use std::collections::HashSet;
use std::sync::Arc;

use super::Exit;
use super::check::remark::{Remark, RemarkLevel};
use crate::assessment::TopologyAssessment;
use crate::field::FieldPath;
use crate::manifests::{Document, LineColumn, Place, Problem, Source};
use crate::reach::Reach;
use crate::verdict::{Edit, Finding, Severity, Verdict};

/// Every verdict and every problem.
#[derive(Debug, Default)]
pub(super) struct CheckReport {
    /// The topologies that the verdicts follow, in the order of clusters and names.
    pub(super) topologies: Vec<ReportedTopology>,
    /// The judged objects, in the order of the input.
    pub(super) judged: Vec<JudgedObject>,
    /// The parts of the input that cannot be used.
    pub(super) problems: Vec<Problem>,
    /// What was not looked at, and what looks as if it should be guarded and is not.
    pub(super) remarks: Vec<Remark>,
}

/// A topology that verdicts follow.
#[derive(Debug)]
pub(super) struct ReportedTopology {
    /// The folder of its cluster; `None` where the whole input is one cluster.
    pub(super) cluster: Option<String>,
    /// Whether the input contains no topology, so that this is the built-in one.
    pub(super) is_built_in: bool,
    /// The objects that it applies to.
    pub(super) reach: Reach,
    /// Its state as the input describes it.
    pub(super) state: TopologyAssessment,
}

/// An object and its verdict.
#[derive(Debug)]
pub(super) struct JudgedObject {
    pub(super) source: Arc<Source>,
    /// Where the object begins.
    pub(super) start: LineColumn,
    pub(super) kind: String,
    /// Empty for cluster-scoped kinds.
    pub(super) namespace: String,
    pub(super) name: String,
    /// `allow`, `edit` or `deny`.
    pub(super) word: &'static str,
    pub(super) findings: Vec<Placed<Finding>>,
    pub(super) edits: Vec<Placed<Edit>>,
}

/// A finding or an edit, with the place of its field.
#[derive(Debug)]
pub(super) struct Placed<T> {
    pub(super) what: T,
    pub(super) place: Place,
    pub(super) at: LineColumn,
}

/// The numbers of the summary.
#[derive(Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(super) struct CheckCounts {
    pub(super) judged: usize,
    pub(super) denied: usize,
    pub(super) edited: usize,
    /// Warnings of both: findings and remarks.
    pub(super) warnings: usize,
    pub(super) problems: usize,
    pub(super) remarks: usize,
}

impl CheckReport {
    pub(super) fn counts(&self) -> CheckCounts {
        let with = |word| self.judged.iter().filter(|judged| judged.word == word).count();
        let findings = self.judged.iter().flat_map(|judged| &judged.findings);
        let warnings = findings.filter(|finding| finding.what.severity == Severity::Warn).count();
        let remarks = self.remarks.iter().filter(|remark| remark.level == RemarkLevel::Warning).count();
        CheckCounts {
            judged: self.judged.len(),
            denied: with("deny"),
            edited: with("edit"),
            warnings: warnings.saturating_add(remarks),
            problems: self.problems.len(),
            remarks: self.remarks.len(),
        }
    }

    /// The topologies of which there is something to say: not one that nobody wrote, in an input without an object for it.
    pub(super) fn topologies_in_use(&self) -> impl Iterator<Item = &ReportedTopology> {
        self.topologies.iter().filter(|topology| !topology.is_built_in || !self.judged.is_empty())
    }

    /// Adds the report of another cluster.
    pub(super) fn absorb(&mut self, other: Self) {
        let Self { topologies, judged, problems, remarks } = other;
        self.topologies.extend(topologies);
        self.judged.extend(judged);
        // Facts are read once for each cluster.
        let known: HashSet<String> = self.problems.iter().map(Problem::to_string).collect();
        self.problems.extend(problems.into_iter().filter(|problem| !known.contains(&problem.to_string())));
        self.remarks
            .extend(remarks.into_iter().filter(|remark| !self.remarks.contains(remark)).collect::<Vec<_>>());
    }

    /// The exit code. A problem outranks a denial: while a part of the input is unread, no verdict is certain.
    pub(super) fn exit(&self, is_strict: bool) -> Exit {
        let CheckCounts { denied, edited, problems, .. } = self.counts();
        let has_error = self.remarks.iter().any(|remark| remark.level == RemarkLevel::Error);
        match (problems > 0, denied > 0 || has_error || is_strict && edited > 0) {
            (true, _) => Exit::Unusable,
            (false, true) => Exit::Denied,
            (false, false) => Exit::Fine,
        }
    }
}

impl JudgedObject {
    /// Locates a finding or an edit. `path` is the judged object's path in its document, `shown` the root of the field
    /// paths in messages.
    pub(super) fn new(
        document: &Document,
        [kind, namespace, name]: [String; 3],
        verdict: Verdict,
        (path, shown): (&FieldPath, &FieldPath),
    ) -> Self {
        let locate = |field: &mut FieldPath| {
            let place = document.place(&path.clone().join(field));
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

    /// The title of the object: `Kind namespace/name`.
    pub(super) fn title(&self) -> String {
        let slash = if self.namespace.is_empty() { "" } else { "/" };
        format!("{} {}{slash}{}", self.kind, self.namespace, self.name)
    }

    /// The edit that a finding reports: the webhook warns about some of its edits.
    pub(super) fn edit_of(&self, finding: &Finding) -> Option<&Placed<Edit>> {
        self.edits.iter().find(|edit| is_reported_by(&edit.what, finding))
    }

    /// The edits that no finding reports.
    pub(super) fn unreported_edits(&self) -> impl Iterator<Item = &Placed<Edit>> {
        self.edits
            .iter()
            .filter(|edit| !self.findings.iter().any(|finding| is_reported_by(&edit.what, &finding.what)))
    }

    /// Whether the object fails the check: it is denied or, in strict mode, edited.
    pub(super) fn fails(&self, is_strict: bool) -> bool {
        self.word == "deny" || is_strict && self.word == "edit"
    }
}

fn is_reported_by(edit: &Edit, finding: &Finding) -> bool {
    edit.rule == finding.rule && edit.field == finding.field
}
