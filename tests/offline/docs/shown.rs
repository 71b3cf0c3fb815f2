//! Shown output is the real output, and YAML in documents can be read.

use std::process::Command;

use lockstep::coverage::{Calls, Configuration, Configurations, judge};
use lockstep::topology::{BUILT_IN, GatewayTopology, GatewayTopologySpec};
use lockstep::verdict::Rule;
use serde_json::Value;

use lockstep_test_support::documents::{document, documents, text};
use lockstep_test_support::golden_file::assert_part_holds;
use lockstep_test_support::root;

fn check(arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
    let output = command.arg("check").args(arguments).current_dir(root()).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_readme_shows_the_output_of_check_for_the_examples() {
    let readme = document("README.md");
    let blocks = readme.blocks(&["text"]);
    assert_eq!(blocks.len(), 2);
    for (block, (folder, code)) in blocks.iter().zip([("examples/seed", 0), ("examples/broken", 1)]) {
        let (exit, out) = check(&[folder]);
        assert_eq!(exit, code, "{folder}");
        assert!(out.contains(&block.text), "README.md shows:\n{}\nand this is printed:\n{out}", block.text);
    }
}

#[test]
fn the_explanation_in_the_readme_is_what_is_printed() {
    let state = "tests/cases/state/the-gateway-node-is-excluded";
    let readme = text("README.md");
    let (_, shown) = readme.split_once(&format!("$ lockstep explain -f {state}.yaml\n")).unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    assert!(shown.lines().count() > 5, "README.md shows: {shown}");
    let printed = text(&format!("{state}.txt"));
    assert!(printed.starts_with(shown), "README.md shows:\n{shown}\nand this is printed:\n{printed}");
}

/// `explain::formats` checks that the file holds what the program prints.
#[test]
fn the_flowchart_in_the_page_on_state_is_what_is_printed() {
    let begin = "<!-- What `lockstep explain -o mermaid -f tests/cases/state/the-policy-is-cluster.yaml` prints: tests/offline/docs/shown.rs writes it with LOCKSTEP_BLESS=1. -->\n```mermaid\n";
    let flowchart = text("tests/cases/state/the-policy-is-cluster.mmd");
    assert_part_holds(&root().join("docs/state.md"), begin, "```\n<!-- end -->\n", &flowchart);
}

/// The chart's webhook configurations, after the replicas have written `caBundle`, and with one field changed by hand.
#[test]
fn the_status_in_the_page_on_operation_is_the_status_with_the_chart_installed() {
    let rendered = text("tests/chart/snapshots/default.yaml");
    let objects: Vec<Value> = serde_saphyr::from_multiple(&rendered).unwrap();
    let configuration = |kind: &str, policy: &str| -> Configuration {
        let mut object = objects.iter().find(|object| object["kind"] == kind).unwrap().clone();
        for webhook in object["webhooks"].as_array_mut().unwrap() {
            webhook["clientConfig"]["caBundle"] = "QQ==".into();
        }
        object["webhooks"][0]["failurePolicy"] = policy.into();
        serde_json::from_value(object).unwrap()
    };
    let mutating = configuration("MutatingWebhookConfiguration", "Fail");
    let validating = configuration("ValidatingWebhookConfiguration", "Ignore");
    let calls = Calls::new();
    let live = Configurations {
        name: "lockstep",
        mutating: Some(&mutating),
        validating: Some(&validating),
        trust_anchors: None,
        calls: &calls,
    };
    let guarded = judge(&GatewayTopologySpec::default(), live);
    let line = format!("{BUILT_IN}: Guarded is False: {}: {}\n", guarded.reason.as_str(), guarded.message);
    assert!(text("docs/operation.md").contains(&line), "docs/operation.md does not show: {line}");
}

#[test]
fn check_exits_with_the_documented_codes() {
    let codes: Vec<String> = document("docs/check.md")
        .table(&["exit code", "meaning"])
        .into_iter()
        .map(|row| row[0].clone())
        .collect();
    assert_eq!(codes, ["0", "1", "2"]);
    for (arguments, code) in [
        (&["examples/seed"][..], 0),
        (&["examples/broken"], 1),
        (&["--strict", "examples/seed"], 1),
        (&["no-such-file"], 2),
        (&["--no-such-flag"], 2),
    ] {
        assert_eq!(check(arguments).0, code, "{arguments:?}");
    }
}

#[test]
fn the_topology_in_documents_is_the_built_in_one() {
    let page = document("docs/topologies.md");
    let blocks = page.blocks(&["yaml"]);
    let [block] = &blocks[..] else { panic!("{blocks:?}") };
    let shown: GatewayTopology = serde_saphyr::from_str(&block.text).unwrap();
    assert_eq!(shown.metadata.name.as_deref(), Some(BUILT_IN));
    assert_eq!(shown.spec, GatewayTopologySpec::default());
    let fields = serde_json::to_value(GatewayTopologySpec::default()).unwrap();
    let written: Value = serde_saphyr::from_str(&block.text).unwrap();
    let names = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    for name in names(&fields) {
        assert!(names(&written["spec"]).contains(&name), "docs/topologies.md shows no `{name}`");
    }
}

#[test]
fn the_page_on_topologies_lists_all_rules() {
    let rows = document("docs/topologies.md").table(&["rule", "what it does"]);
    let listed: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(listed, Rule::ALL.map(Rule::id));
}

#[test]
fn every_manifest_in_documents_is_valid() {
    let mut seen = 0;
    for page in documents() {
        for block in page.blocks(&["yaml"]) {
            let read = serde_saphyr::from_multiple::<Value>(&block.text);
            let objects =
                read.unwrap_or_else(|error| panic!("`{}`: {error}\n{}", page.path.display(), block.text));
            assert!(objects.iter().all(Value::is_object), "`{}`", page.path.display());
            seen += objects.len();
        }
    }
    assert!(seen > 4, "{seen} manifests");
}
