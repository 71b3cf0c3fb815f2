//! docs/promises.md lists the promises to users and their tests. Each test program checks that its own tests exist
//! (`documents::assert_named_tests_exist`).

use lockstep_test_support::documents::document;

const PROGRAMS: [&str; 9] =
    ["offline", "loopback", "oracle", "control_plane", "chart", "browser", "shells", "packets", "upgrade"];

#[test]
fn every_promise_has_an_id_and_a_test() {
    let promises = document("docs/promises.md").table(&["id", "promise", "held by"]);
    for (index, promise) in promises.iter().enumerate() {
        let [id, statement, tests] = &promise[..] else { panic!("{promise:?}") };
        assert_eq!(*id, format!("P{}", index + 1), "the ids are numbered in order");
        assert!(!statement.is_empty(), "{id} states nothing");
        let is_test = |span: &str| {
            span.split_once("::")
                .is_some_and(|(program, name)| PROGRAMS.contains(&program) && !name.is_empty())
        };
        let mut spans = tests.split('`').skip(1).step_by(2).peekable();
        assert!(spans.peek().is_some(), "{id} names no test");
        // This script checks the image that it builds.
        let other = spans.find(|span| !is_test(span) && *span != "image/build.sh");
        assert_eq!(other, None, "{id} names something that is not a test");
    }
}
