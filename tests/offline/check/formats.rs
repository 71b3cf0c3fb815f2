//! The output formats.

use super::*;

/// The examples are of the same cluster in two states.
const CLUSTERS: [&str; 4] = ["--cluster-root", "examples/broken", "--cluster-root", "examples/seed"];

#[test]
fn sarif_has_the_rule_and_the_place_of_every_result() {
    let run = run(&[&["check", "--format", "sarif"][..], &CLUSTERS].concat());
    assert_eq!(run.code, 1);
    let log: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let driver = &log["runs"][0]["tool"]["driver"];
    assert_eq!(driver["name"], "lockstep");
    let results = log["runs"][0]["results"].as_array().unwrap();
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(driver["rules"][index]["id"], result["ruleId"]);
        let place = &result["locations"][0]["physicalLocation"];
        assert!(place["artifactLocation"]["uri"].as_str().unwrap().starts_with("examples/"));
        assert!(place["region"]["startLine"].as_u64().unwrap() > 0);
    }
    let levels: Vec<_> = results.iter().map(|result| result["level"].as_str().unwrap()).collect();
    assert_eq!(levels.iter().filter(|level| **level == "error").count(), 3);
    assert!(levels.contains(&"note"), "the edits: {levels:?}");
    assert_eq!(log["runs"][0]["invocations"][0]["executionSuccessful"], true);
}

#[test]
fn junit_has_a_case_for_each_object() {
    let run = run(&[&["check", "--format", "junit", "no-such-file"][..], &CLUSTERS].concat());
    assert_eq!(run.code, 2);
    assert!(run.out.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"));
    assert!(
        run.out.contains("<testsuites name=\"lockstep\" tests=\"7\" failures=\"3\" errors=\"1\">"),
        "{}",
        run.out
    );
    assert!(run.out.contains("<failure type=\"announcement-placement/WIDER\""));
    assert_eq!(run.out.matches("<testsuite ").count(), run.out.matches("</testsuite>").count());
    assert_eq!(run.err, "lockstep: no-such-file: cannot read the file: no such file or directory\n");
}

#[test]
fn names_with_control_characters_and_markup_are_escaped_in_every_format() {
    let name = "\u{1b}]0;title\u{7}<&\"'\u{202e}";
    let object = json!({
        "apiVersion": "metallb.io/v1beta1",
        "kind": "L2Advertisement",
        "metadata": {"name": name, "namespace": "metallb-system"},
        "spec": {"ipAddressPools": ["default-pool", name], "nodeSelectors": [{"matchLabels": {name: name}}]},
    });
    let human = run_with(&["check", "-"], &object.to_string());
    assert_eq!(human.code, 1);
    let is_safe = |text: &str| !text.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}');
    assert!(is_safe(&human.out), "{:?}", human.out);
    let (_, report) = as_json(&["-"], &object.to_string());
    assert_eq!(report["objects"][0]["name"], name);
    let junit = run_with(&["check", "--format", "junit", "-"], &object.to_string());
    assert!(junit.out.contains("]0;title&lt;&amp;&quot;&apos;"), "{}", junit.out);
    assert!(!junit.out.contains('\u{1b}') && !junit.out.contains('\u{7}'));
}

#[test]
fn minified_json_is_located_and_not_repeated() {
    let object = json!({
        "apiVersion": "metallb.io/v1beta1",
        "kind": "L2Advertisement",
        "metadata": {"name": "ad", "namespace": "metallb-system", "annotations": {"a": "x".repeat(10_000)}},
        "spec": {"ipAddressPools": ["default-pool"]},
    });
    let run = run_with(&["check", "-"], &object.to_string());
    assert_eq!(run.code, 1);
    assert!(run.out.contains("--> <stdin>:1:1") && !run.out.contains("xxxx"), "{}", run.out);
}

#[test]
fn colours_are_printed_on_request_only() {
    let colored = |arguments: &[&str]| run(arguments).out.contains("\u{1b}[");
    assert!(!colored(&["check", "examples/seed"]));
    assert!(colored(&["check", "--color", "always", "examples/seed"]));
    assert!(!colored(&["check", "--color", "never", "examples/seed"]));
    assert!(!colored(&["check", "--color", "always", "--format", "json", "examples/seed"]));
}
