use k8s_openapi::jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::audit::chain::Chain;

const TIME: Timestamp = Timestamp::UNIX_EPOCH;

/// A closed chain of one `started`, `reviews` and one `dropped` in their midst, and one `ended`.
fn chain(name: &str, reviews: u64, previous: Hash) -> (Vec<u8>, Hash) {
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
    chain("a", reviews, Hash::NONE).0.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

fn verify_as(scope: Scope, log: &[u8]) -> Report {
    let mut verifier = Verifier::new(scope);
    verifier.read("log", log).unwrap();
    verifier.finish()
}

fn verify(log: &[u8]) -> Report {
    verify_as(Scope::default(), log)
}

/// The line at which the first problem shows.
fn first(report: &Report) -> Option<u64> {
    report.problems.first().map(|problem| problem.place.as_ref().map_or(0, |place| place.line))
}

#[test]
fn what_was_written_is_intact() {
    let report = verify_as(Scope::Whole, &log(9).concat());
    assert!(report.is_intact() && report.notes.is_empty(), "{report:?}");
    assert_eq!((report.lines, report.records, report.dropped), (12, 9, 5));
    let [chain] = &report.chains[..] else { panic!("{report:?}") };
    assert!(chain.is_begun && chain.is_ended && !chain.is_continued);
    assert_eq!((&*chain.chain, &*chain.replica, chain.sequence), ("a", "pod", 15));
}

#[test]
fn a_cut_end_is_told_and_refused_on_request() {
    let lines = log(9);
    for kept in 1..lines.len() {
        let cut = lines[..kept].concat();
        let report = verify(&cut);
        assert!(report.is_intact(), "{report:?}");
        assert!(report.notes[0].message.contains("open end"), "{report:?}");
        assert_eq!(report.notes[0].place.as_ref().unwrap().line, kept as u64);
        let whole = verify_as(Scope::Whole, &cut);
        assert_eq!((first(&whole), whole.problems[0].kind), (Some(kept as u64), Kind::OpenEnd));
        // In the middle of a line it is found at once.
        let report = verify(&cut[..cut.len() - 2]);
        assert_eq!((first(&report), report.problems[0].kind), (Some(kept as u64), Kind::Unreadable));
        assert!(report.problems[0].message.contains("cut off"), "{report:?}");
    }
    assert_eq!(verify(b"").problems[0].kind, Kind::Empty);
}

#[test]
fn a_cut_beginning_is_told_and_refused_on_request() {
    let lines = log(9);
    for cut in 1..lines.len() {
        let rest = lines[cut..].concat();
        let report = verify(&rest);
        assert!(report.is_intact(), "{report:?}");
        assert!(report.notes[0].message.contains("what was before is not here"), "{report:?}");
        assert_eq!(first(&verify_as(Scope::Whole, &rest)), Some(1));
    }
}

#[test]
fn a_process_that_goes_on_in_the_same_file_vouches_for_the_end_of_the_one_before() {
    let (one, hash) = chain("a", 5, Hash::NONE);
    let (two, _) = chain("b", 3, hash);
    let both = [one.clone(), two.clone()].concat();
    let report = verify_as(Scope::Whole, &both);
    assert!(report.is_intact() && report.chains[0].is_continued, "{report:?}");
    // Without the last line of the first process, or without the first line of the second one.
    let lines: Vec<&[u8]> = both.split_inclusive(|byte| *byte == b'\n').collect();
    let end = one.iter().filter(|byte| **byte == b'\n').count();
    for missing in [end - 1, end] {
        let mut lines = lines.clone();
        lines.remove(missing);
        let report = verify(&lines.concat());
        assert_eq!(
            (first(&report), report.problems[0].kind),
            (Some(missing as u64 + 1), Kind::Missing),
            "{report:?}"
        );
    }
    // Rotated files, in order, and in the wrong one.
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
fn the_lines_of_several_replicas_may_be_mixed() {
    let split = |log: Vec<u8>| -> Vec<Vec<u8>> {
        log.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    };
    let (one, two) = (split(chain("a", 7, Hash::NONE).0), split(chain("b", 7, Hash::NONE).0));
    let mixed: Vec<Vec<u8>> = one.into_iter().zip(two).flat_map(|(one, two)| [one, two]).collect();
    assert!(verify_as(Scope::Whole, &mixed.concat()).is_intact());
    assert!(!verify(&mixed[3..].concat()).is_intact());
    assert!(verify_as(Scope::Excerpt, &mixed[3..].concat()).is_intact());
}

#[test]
fn the_lines_of_the_operators_log_may_be_among_them() {
    let mut lines = log(5);
    lines.insert(0, b"{\"level\":\"INFO\",\"message\":\"serving\"}\n".to_vec());
    lines.insert(4, b"{\"level\":\"WARN\"}\n".to_vec());
    let report = verify_as(Scope::Whole, &lines.concat());
    assert!(report.is_intact() && report.foreign == 2, "{report:?}");
    // A line that was made to look like one of them is missed.
    lines[5] = b"{\"level\":\"INFO\"}\n".to_vec();
    assert_eq!(first(&verify(&lines.concat())), Some(7));
    assert_eq!(verify(b"{}\n").problems[0].kind, Kind::Empty);
}

#[test]
fn a_record_that_nobody_says_was_dropped_is_missed() {
    let mut chain = Chain::new("a", "pod", Hash::NONE);
    let mut log = Vec::new();
    chain.seal("started", 0, TIME, b"{}", &mut log);
    chain.seal("review", 2, TIME, b"{}", &mut log);
    assert_eq!(first(&verify(&log)), Some(2));
}

#[test]
fn a_line_of_another_form_is_not_called_intact() {
    let log = String::from_utf8(log(1).concat()).unwrap();
    for (from, to) in [("\"schema\":1", "\"schema\":2"), ("\"sequence\":0", "\"sequence\":-1")] {
        let line = log.lines().next().unwrap().replace(from, to);
        let content = line.split(",\"hash\"").next().unwrap();
        let line = format!("{content},\"hash\":\"{}\"}}\n", Hash::of(content.as_bytes()));
        assert_eq!(verify(line.as_bytes()).problems[0].kind, Kind::Unreadable, "{line}");
    }
}

proptest! {
    #[test]
    fn any_changed_byte_is_found_in_its_line(reviews in 1_u64..12, at: prop::sample::Index, to: u8) {
        let mut log = log(reviews).concat();
        let at = at.index(log.len());
        prop_assume!(log[at] != to);
        let line = 1 + log[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
        log[at] = to;
        let report = verify(&log);
        prop_assert_eq!(first(&report), Some(line), "{:?}", report);
        // Whatever was not touched is not blamed; a line that falls apart is two.
        prop_assert!(report.problems.len() <= 2, "{:?}", report);
    }

    #[test]
    fn any_missing_line_is_found_where_it_was(reviews in 1_u64..12, at: prop::sample::Index) {
        let mut lines = log(reviews);
        // The last one is the open end's, and the first one's absence is told: both are tested above.
        let at = 1 + at.index(lines.len() - 2);
        lines.remove(at);
        let report = verify(&lines.concat());
        prop_assert_eq!(first(&report), Some(at as u64 + 1), "{:?}", report);
        prop_assert_eq!(report.problems.len(), 1, "{:?}", report);
        prop_assert_eq!(report.problems[0].kind, Kind::Missing);
    }

    #[test]
    fn any_two_swapped_lines_are_found_where_the_first_was(
        reviews in 1_u64..12, one: prop::sample::Index, other: prop::sample::Index,
    ) {
        let mut lines = log(reviews);
        let (one, other) = (one.index(lines.len()), other.index(lines.len()));
        prop_assume!(one != other);
        lines.swap(one, other);
        let report = verify(&lines.concat());
        // Where the first line of all was moved, the one in its place looks like the beginning of an excerpt.
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
    fn nothing_that_is_called_a_log_is_too_much(bytes: Vec<u8>) {
        let report = verify(&bytes);
        prop_assert!(!report.is_intact());
    }
}
