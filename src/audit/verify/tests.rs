use k8s_openapi::jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::audit::chain::Chain;

const TIME: Timestamp = Timestamp::UNIX_EPOCH;

/// Returns a complete chain: `started`, reviews with a `dropped` line among them, and `ended`.
fn chain(name: &str, reviews: u64, previous: LineHash) -> (Vec<u8>, LineHash) {
    let mut chain = Chain::new(name, "pod", previous);
    let mut log = Vec::new();
    chain.seal("started", 0, TIME, b"{\"version\":\"1\"}", &mut log);
    let mut sequence = 0;
    for number in 0..reviews {
        sequence += 1;
        if number == reviews / 2 {
            chain.seal(
                "dropped",
                sequence + 4,
                TIME,
                format!("{{\"first\":{sequence},\"count\":5}}").as_bytes(),
                &mut log,
            );
            sequence += 5;
        }
        let content = format!("{{\"user\":\"user {number}\"}}");
        chain.seal("review", sequence, TIME, content.as_bytes(), &mut log);
    }
    chain.seal("ended", sequence + 1, TIME, b"{}", &mut log);
    (log, chain.hash())
}

fn log(reviews: u64) -> Vec<Vec<u8>> {
    chain("a", reviews, LineHash::NONE).0.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

fn verify_as(scope: Scope, log: &[u8]) -> Verification {
    let mut verifier = Verifier::new(scope);
    verifier.read("log", log).unwrap();
    verifier.finish()
}

fn verify(log: &[u8]) -> Verification {
    verify_as(Scope::default(), log)
}

/// Returns the line of the first problem.
fn first(report: &Verification) -> Option<u64> {
    report.problems.first().map(|problem| problem.place.as_ref().map_or(0, |place| place.line))
}

#[test]
fn a_log_as_written_is_intact() {
    let report = verify_as(Scope::Whole, &log(9).concat());
    assert!(report.is_intact() && report.notes.is_empty(), "{report:?}");
    assert_eq!((report.lines, report.records, report.dropped), (12, 9, 5));
    let [chain] = &report.chains[..] else { panic!("{report:?}") };
    assert!(chain.is_begun && chain.is_ended && !chain.is_continued);
    assert_eq!((&*chain.chain, &*chain.replica, chain.sequence), ("a", "pod", 15));
}

#[test]
fn an_open_end_is_a_note_and_with_whole_a_problem() {
    let lines = log(9);
    for kept in 1..lines.len() {
        let cut = lines[..kept].concat();
        let report = verify(&cut);
        assert!(report.is_intact(), "{report:?}");
        assert!(report.notes[0].message.contains("open end"), "{report:?}");
        assert_eq!(report.notes[0].place.as_ref().unwrap().line, kept as u64);
        let whole = verify_as(Scope::Whole, &cut);
        assert_eq!((first(&whole), whole.problems[0].kind), (Some(kept as u64), ProblemKind::OpenEnd));
        // A cut within a line is reported.
        let report = verify(&cut[..cut.len() - 2]);
        assert_eq!((first(&report), report.problems[0].kind), (Some(kept as u64), ProblemKind::Unreadable));
        assert!(report.problems[0].message.contains("cut off"), "{report:?}");
    }
    assert_eq!(verify(b"").problems[0].kind, ProblemKind::Empty);
}

#[test]
fn a_missing_beginning_is_a_note_and_with_whole_a_problem() {
    let lines = log(9);
    for cut in 1..lines.len() {
        let rest = lines[cut..].concat();
        let report = verify(&rest);
        assert!(report.is_intact(), "{report:?}");
        assert!(report.notes[0].message.contains("earlier lines are missing"), "{report:?}");
        assert_eq!(first(&verify_as(Scope::Whole, &rest)), Some(1));
    }
}

#[test]
fn a_chain_that_continues_from_another_proves_its_end() {
    let (one, hash) = chain("a", 5, LineHash::NONE);
    let (two, _) = chain("b", 3, hash);
    let both = [one.clone(), two.clone()].concat();
    let report = verify_as(Scope::Whole, &both);
    assert!(report.is_intact() && report.chains[0].is_continued, "{report:?}");
    // One log lacks the last line of the first process, the other one the first line of the second process.
    let lines: Vec<&[u8]> = both.split_inclusive(|byte| *byte == b'\n').collect();
    let end = one.iter().filter(|byte| **byte == b'\n').count();
    for missing in [end - 1, end] {
        let mut lines = lines.clone();
        lines.remove(missing);
        let report = verify(&lines.concat());
        assert_eq!(
            (first(&report), report.problems[0].kind),
            (Some(missing as u64 + 1), ProblemKind::Missing),
            "{report:?}"
        );
    }
    // Rotated files are read in order, and in the wrong order.
    let mut verifier = Verifier::new(Scope::Whole);
    verifier.read("log.1", &one[..]).unwrap();
    verifier.read("log", &two[..]).unwrap();
    assert!(verifier.finish().is_intact());
    let mut verifier = Verifier::new(Scope::Tail);
    verifier.read("log", &both[one.len()..]).unwrap();
    verifier.read("log.1", &one[one.len() / 2..]).unwrap();
    let report = verifier.finish();
    assert_eq!(&*report.problems[0].place.as_ref().unwrap().file, "log.1");
}

#[test]
fn lines_of_several_replicas_may_be_mixed() {
    let split = |log: Vec<u8>| -> Vec<Vec<u8>> {
        log.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    };
    let (one, two) = (split(chain("a", 7, LineHash::NONE).0), split(chain("b", 7, LineHash::NONE).0));
    let mixed: Vec<Vec<u8>> = one.into_iter().zip(two).flat_map(|(one, two)| [one, two]).collect();
    assert!(verify_as(Scope::Whole, &mixed.concat()).is_intact());
    assert!(!verify(&mixed[3..].concat()).is_intact());
    assert!(verify_as(Scope::Excerpt, &mixed[3..].concat()).is_intact());
}

#[test]
fn lines_of_another_log_are_ignored() {
    let mut lines = log(5);
    lines.insert(0, b"{\"level\":\"INFO\",\"message\":\"serving\"}\n".to_vec());
    lines.insert(4, b"{\"level\":\"WARN\"}\n".to_vec());
    let report = verify_as(Scope::Whole, &lines.concat());
    assert!(report.is_intact() && report.foreign == 2, "{report:?}");
    // A line of the decision log that was changed to look like one of them leaves a gap.
    lines[5] = b"{\"level\":\"INFO\"}\n".to_vec();
    assert_eq!(first(&verify(&lines.concat())), Some(7));
    assert_eq!(verify(b"{}\n").problems[0].kind, ProblemKind::Empty);
}

#[test]
fn a_gap_without_a_dropped_line_is_found() {
    let mut chain = Chain::new("a", "pod", LineHash::NONE);
    let mut log = Vec::new();
    chain.seal("started", 0, TIME, b"{}", &mut log);
    chain.seal("review", 2, TIME, b"{}", &mut log);
    assert_eq!(first(&verify(&log)), Some(2));
}

#[test]
fn a_line_of_another_schema_version_is_unreadable() {
    let log = String::from_utf8(log(1).concat()).unwrap();
    for (from, to) in [("\"schema\":1", "\"schema\":2"), ("\"sequence\":0", "\"sequence\":-1")] {
        let line = log.lines().next().unwrap().replace(from, to);
        let content = line.split(",\"hash\"").next().unwrap();
        let line = format!("{content},\"hash\":\"{}\"}}\n", LineHash::of(content.as_bytes()));
        assert_eq!(verify(line.as_bytes()).problems[0].kind, ProblemKind::Unreadable, "{line}");
    }
}

proptest! {
    #[test]
    fn any_changed_byte_is_reported_in_its_line(reviews in 1_u64..12, at: prop::sample::Index, to: u8) {
        let mut log = log(reviews).concat();
        let at = at.index(log.len());
        prop_assume!(log[at] != to);
        let line = 1 + log[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
        log[at] = to;
        let report = verify(&log);
        prop_assert_eq!(first(&report), Some(line), "{:?}", report);
        // Other lines have no problem. A line that is split by a line break is two lines.
        prop_assert!(report.problems.len() <= 2, "{:?}", report);
    }

    #[test]
    fn any_missing_line_is_reported_at_its_place(reviews in 1_u64..12, at: prop::sample::Index) {
        let mut lines = log(reviews);
        // A missing first or last line is tested above.
        let at = 1 + at.index(lines.len() - 2);
        lines.remove(at);
        let report = verify(&lines.concat());
        prop_assert_eq!(first(&report), Some(at as u64 + 1), "{:?}", report);
        prop_assert_eq!(report.problems.len(), 1, "{:?}", report);
        prop_assert_eq!(report.problems[0].kind, ProblemKind::Missing);
    }

    #[test]
    fn any_two_swapped_lines_are_reported_at_the_place_of_the_first(
        reviews in 1_u64..12, one: prop::sample::Index, other: prop::sample::Index,
    ) {
        let mut lines = log(reviews);
        let (one, other) = (one.index(lines.len()), other.index(lines.len()));
        prop_assume!(one != other);
        lines.swap(one, other);
        let report = verify(&lines.concat());
        // If the first line was moved, the line in its place looks like the beginning of an excerpt.
        let from = one.min(other) as u64 + 1;
        let found = first(&report).unwrap();
        prop_assert!(found == from || from == 1 && found == 2, "{found}: {report:?}");
        prop_assert_eq!(first(&verify_as(Scope::Whole, &lines.concat())), Some(from));
    }

    #[test]
    fn a_repeated_line_is_found(reviews in 1_u64..12, at: prop::sample::Index, to: prop::sample::Index) {
        let mut lines = log(reviews);
        let copy = lines[at.index(lines.len())].clone();
        lines.insert(1 + to.index(lines.len()), copy);
        prop_assert!(!verify(&lines.concat()).is_intact());
    }

    #[test]
    fn random_bytes_are_not_an_intact_log(bytes: Vec<u8>) {
        let report = verify(&bytes);
        prop_assert!(!report.is_intact());
    }
}
