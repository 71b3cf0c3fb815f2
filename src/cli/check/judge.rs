//! From manifests to verdicts, by way of both of the webhook's phases.

use std::io::Read;
use std::sync::Arc;

use super::report::{Judged, Report};
use super::{Args, replay};
use crate::admission;
use crate::field::FieldPath;
use crate::manifests::{Candidate, Document, ManifestError, Problem, Subject, inventory, load, subjects};
use crate::rules;
use crate::snapshot::Snapshot;
use crate::verdict::Verdict;

/// Reads everything that the arguments name, and judges what is to be judged.
pub(super) fn judge(args: &Args, stdin: &mut dyn Read) -> Report {
    let facts = load(&args.facts, stdin);
    let input = load(&args.files, stdin);
    let mut report = Report { problems: facts.problems, ..Report::default() };
    report.problems.extend(input.problems);
    // What is judged counts over what is given as facts: it is the newer state of the same object.
    let mut documents = facts.documents;
    let first_judged = documents.len();
    documents.extend(input.documents);
    let (inventory, problems) = inventory(&documents, &args.namespace);
    let hides_a_topology = problems.iter().any(Problem::hides_a_topology);
    report.problems.extend(problems);
    if hides_a_topology {
        return report;
    }
    report.is_built_in = inventory.topologies.is_empty();
    let inventory = inventory.or_built_in();
    report.topologies = inventory.topologies.keys().map(|name| Arc::from(name.as_str())).collect();
    let facts = Snapshot::new(&inventory);
    for document in documents.iter().skip(first_judged) {
        judge_document(document, &args.namespace, &facts, &mut report);
    }
    report
}

fn judge_document(document: &Document, namespace: &str, facts: &Snapshot, report: &mut Report) {
    match subjects(document, namespace) {
        Ok(subjects) => {
            for subject in subjects {
                match judge_subject(document, subject, facts) {
                    Ok(judged) => report.judged.push(judged),
                    Err(problem) => report.problems.push(problem),
                }
            }
        }
        // The same object was refused as a fact already.
        Err(problem) if report.problems.contains(&problem) => {}
        Err(problem) => report.problems.push(problem),
    }
}

fn judge_subject(document: &Document, subject: Subject, facts: &Snapshot) -> Result<Judged, Problem> {
    match subject {
        Subject::Object(candidate) => judge_candidate(document, &candidate, &candidate.path, facts),
        Subject::Review(review) => match replay::request(document, &review)? {
            // What people asked for is the object; that it stands in a review is how it was recorded.
            replay::Request::Judged(candidate) => {
                judge_candidate(document, &candidate, &FieldPath::default(), facts)
            }
            replay::Request::Untouched(title) => {
                let root = FieldPath::default();
                Ok(Judged::new(document, title, Verdict::default(), (&root, &root)))
            }
        },
    }
}

/// `shown` is where the paths that people see begin.
fn judge_candidate(
    document: &Document,
    candidate: &Candidate,
    shown: &FieldPath,
    facts: &Snapshot,
) -> Result<Judged, Problem> {
    let verdict = both_phases(candidate, facts).map_err(|error| {
        let at = document.place(&candidate.path);
        Problem::at(&document.source, at.mark, error)
    })?;
    let title = [&candidate.kind, &candidate.namespace, &candidate.name].map(Clone::clone);
    Ok(Judged::new(document, title, verdict, (&candidate.path, shown)))
}

/// What the user of a cluster would see: the object is changed first, and what comes out of that is validated.
fn both_phases(candidate: &Candidate, facts: &Snapshot) -> Result<Verdict, ManifestError> {
    let mut verdict = rules::mutate(&candidate.change, facts);
    if verdict.is_denied() {
        return Ok(verdict);
    }
    let edited = admission::edited(&candidate.value, &verdict.edits)
        .map_err(|error| ManifestError::Edit(error.to_string()))?;
    let validated = rules::validate(&candidate.edited(edited)?.change, facts);
    for finding in validated.findings {
        if !verdict.findings.contains(&finding) {
            verdict.findings.push(finding);
        }
    }
    if verdict.is_denied() {
        verdict.edits.clear();
    }
    Ok(verdict)
}
