//! Decision logs: any file is verified and queried, and both count alike. Without one of its lines, an intact log is not intact.

use lockstep::audit::query::{Dimension, QueryTotals, RecordCounts, RecordFilter, read};
use lockstep::audit::verify::{Scope, Verification, Verifier};

pub(super) fn body(bytes: &[u8]) {
    for scope in [Scope::Excerpt, Scope::Tail, Scope::Whole] {
        let verified = verified(scope, &[bytes]);
        serde_json::to_string(&verified).expect("a result is written as JSON");
        assert!(verified.records + verified.foreign <= verified.lines);
        if let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (first, rest) = bytes.split_at(end + 1);
            assert_eq!(
                self::verified(scope, &[first, rest]).is_intact(),
                verified.is_intact(),
                "in two files"
            );
        }
        if scope == Scope::Whole && verified.is_intact() && verified.foreign == 0 {
            without_a_line(bytes);
            assert_eq!(queried(bytes).found, verified.records);
        }
    }
    queried(bytes);
}

fn verified(scope: Scope, files: &[&[u8]]) -> Verification {
    let mut verifier = Verifier::new(scope);
    for file in files {
        verifier.read("audit.log", *file).expect("memory is readable");
    }
    verifier.finish()
}

fn queried(bytes: &[u8]) -> QueryTotals {
    let mut counts = RecordCounts::new(vec![Dimension::User, Dimension::Day]);
    let totals = read(bytes, &RecordFilter::default(), |line, record, _| {
        counts.add(line, record);
        Ok::<_, std::io::Error>(())
    });
    let totals = totals.expect("memory is readable");
    assert_eq!(counts.rows().iter().map(|row| row.count).sum::<u64>(), totals.found);
    totals
}

fn without_a_line(bytes: &[u8]) {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    if lines.len() < 2 {
        return;
    }
    let removed = bytes.len() % lines.len();
    let left = [&lines[..removed], &lines[removed + 1..]].concat().concat();
    assert!(!verified(Scope::Whole, &[&left]).is_intact(), "without line {}", removed + 1);
}
