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
        run.out.contains("<testsuites name=\"lockstep\" tests=\"9\" failures=\"3\" errors=\"1\">"),
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
    let object = named(name);
    let human = run_with(&["check", "-"], &object.to_string());
    assert_eq!(human.code, 1);
    let is_safe = |text: &str| !text.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}');
    assert!(is_safe(&human.out), "{:?}", human.out);
    let (_, report) = as_json(&["-"], &object.to_string());
    assert_eq!(report["objects"][0]["name"], name);
    let junit = run_with(&["check", "--format", "junit", "-"], &object.to_string());
    assert!(junit.out.contains("\\u{1b}]0;title\\u{7}&lt;&amp;&quot;&apos;\\u{202e}"), "{}", junit.out);
    assert!(is_safe(&junit.out), "{:?}", junit.out);
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

#[test]
fn github_annotates_the_lines_of_findings_and_remarks() {
    let run = run(&["check", "-o", "github", "examples/broken"]);
    assert_eq!(run.code, 1);
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(
        lines.iter().filter(|line| line.starts_with("::error file=examples/broken/")).count(),
        3,
        "{}",
        run.out
    );
    let wider =
        "::error file=examples/broken/advertisements.yaml,line=11,col=1,title=announcement-placement/WIDER::";
    assert!(lines.iter().any(|line| line.starts_with(wider)), "{}", run.out);
    assert!(lines.iter().all(|line| line.starts_with("::")), "{}", run.out);
}

#[test]
fn markdown_lists_each_denial_with_its_place_and_the_page_of_its_code() {
    let run = run(&["check", "-o", "markdown", "examples/broken"]);
    assert_eq!(run.code, 1);
    assert!(
        run.out.starts_with("### Lockstep: 4 objects judged: 3 denied, 0 would be changed, 0 warnings\n"),
        "{}",
        run.out
    );
    let wider = "* **error** [announcement-placement/WIDER](https://github.com/lockstep-dev/lockstep/blob/main/docs/reasons.md#WIDER) at \
        `examples/broken/advertisements.yaml:11`, `L2Advertisement metallb-system/default-l2advertisement`: ";
    assert!(run.out.contains(wider), "{}", run.out);
}

#[test]
fn the_rules_of_sarif_say_what_a_code_means_and_how_to_mend_it() {
    let (_, log) = {
        let run = run(&["check", "--format", "sarif", "examples/broken"]);
        (run.code, serde_json::from_str::<Value>(&run.out).unwrap())
    };
    let rules = log["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    let wider = rules.iter().find(|rule| rule["id"] == "WIDER").unwrap();
    assert!(wider["helpUri"].as_str().unwrap().ends_with("docs/reasons.md#WIDER"));
    for rule in rules {
        for field in
            ["/shortDescription/text", "/fullDescription/text", "/help/text", "/help/markdown", "/helpUri"]
        {
            assert!(
                rule.pointer(field).is_some_and(|text| !text.as_str().unwrap().is_empty()),
                "{rule} {field}"
            );
        }
    }
    // Code scanners require a place.
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert!(results.iter().all(|result| !result["locations"].as_array().unwrap().is_empty()));
}
