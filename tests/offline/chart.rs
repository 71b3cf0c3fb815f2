//! The chart's files against the program: the CRD, the schema of the values, and the tables in the documents.

use std::path::Path;

use kube::CustomResourceExt;
use lockstep::topology::GatewayTopology;
use serde_json::Value;

use lockstep_test_support::golden_file::assert_part_holds;
use lockstep_test_support::helm::{chart, text};

const BEGIN: &str = "<!-- values: made from values.yaml by `just chart-docs` -->\n";
const END: &str = "<!-- end of values -->\n";

/// The maximum length of a default in the table. A longer one is in values.yaml only.
const LONGEST_DEFAULT: usize = 60;

#[test]
fn the_readmes_table_of_values_equals_values_yaml() {
    assert_part_holds(Path::new(&chart("README.md")), BEGIN, END, &table(&text("values.yaml")));
}

/// Returns the table, with one row for every value that has a comment. Every value must have a comment, or be inside
/// one that has.
fn table(yaml: &str) -> String {
    let values: Value = serde_saphyr::from_str(yaml).unwrap();
    let mut rows = "| value | default | meaning |\n|---|---|---|\n".to_owned();
    let mut path: Vec<(usize, &str)> = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    let mut documented = None;
    for line in yaml.lines().filter(|line| !line.trim().is_empty()) {
        let (indent, content) = (line.len() - line.trim_start().len(), line.trim());
        if documented.is_some_and(|outer| indent > outer) {
            continue;
        }
        if let Some(text) = content.strip_prefix("# ") {
            comment.push(text);
            continue;
        }
        let (key, rest) = content.split_once(':').unwrap_or_else(|| panic!("`{line}` is not a value"));
        path.retain(|(outer, _)| *outer < indent);
        path.push((indent, key));
        documented = (!comment.is_empty()).then_some(indent);
        if comment.is_empty() {
            assert!(rest.is_empty(), "`{line}` has no comment");
            continue;
        }
        let keys: Vec<&str> = path.iter().map(|(_, key)| *key).collect();
        let default = default(&values, &keys);
        rows += &format!("| `{}` | {default} | {} |\n", keys.join("."), comment.join(" "));
        comment.clear();
    }
    rows
}

fn default(values: &Value, keys: &[&str]) -> String {
    let default = keys.iter().fold(values, |value, key| &value[key]).to_string();
    if default.len() > LONGEST_DEFAULT { "see `values.yaml`".to_owned() } else { format!("`{default}`") }
}

#[test]
fn the_charts_crd_equals_the_programs() {
    let printed = std::process::Command::new(env!("CARGO_BIN_EXE_lockstep")).arg("crd").output().unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(text("crds/gatewaytopologies.yaml") == printed, "the CRD has changed: run `just crd`");
}

/// Collects the paths of all properties below a schema.
fn properties(schema: &Value, root: &Value, path: &str, found: &mut Vec<String>) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        properties(schema, root, &path, found);
        found.push(path);
    }
}

#[test]
fn the_values_schema_knows_exactly_the_fields_of_a_topology() {
    let schema: Value = serde_json::from_str(&text("values.schema.json")).unwrap();
    let mut in_values = Vec::new();
    properties(&schema["$defs"]["topology"], &schema, "spec", &mut in_values);
    let crd = serde_json::to_value(GatewayTopology::crd()).unwrap();
    let crd = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut in_crd = Vec::new();
    properties(crd, crd, "spec", &mut in_crd);
    in_values.sort();
    in_crd.sort();
    assert_eq!(in_values, in_crd);
}

/// Collects the objects of a schema that accept any property.
fn open_objects(schema: &Value, path: &str, found: &mut Vec<String>) {
    if let Some(inner) = schema["properties"].as_object() {
        if schema["additionalProperties"] != false {
            found.push(path.to_owned());
        }
        for (name, schema) in inner {
            open_objects(schema, &format!("{path}.{name}"), found);
        }
    }
    open_items(schema, path, found);
}

fn open_items(schema: &Value, path: &str, found: &mut Vec<String>) {
    if schema["items"].is_object() {
        open_objects(&schema["items"], &format!("{path}[]"), found);
    }
}

#[test]
fn the_values_schema_is_strict_everywhere() {
    let schema: Value = serde_json::from_str(&text("values.schema.json")).unwrap();
    let mut open = Vec::new();
    open_objects(&schema, "", &mut open);
    open_objects(&schema["$defs"]["topology"], "topology", &mut open);
    assert!(open.is_empty(), "these accept any property: {open:?}");
}
