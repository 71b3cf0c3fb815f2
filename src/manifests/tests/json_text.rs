//! JSON, alone and in a row.

use super::*;

#[test]
fn values_may_follow_each_other() {
    let documents = parsed(" {\"a\": 1}\n\n{\n\t\"b\": [\"é\", {\"c\\u0064\": null}]\n}{\"d\": \"yes\"}\n");
    let found: Vec<_> = documents.iter().map(|document| document.value.clone()).collect();
    assert_eq!(found, [json!({"a": 1}), json!({"b": ["é", {"cd": null}]}), json!({"d": "yes"})]);
    assert_eq!(marked(&documents[1], &["b", "0"]), ("\"é\"", true));
    assert_eq!(marked(&documents[1], &["b", "1", "cd"]), ("null", true));
    assert_eq!(marked(&documents[2], &["d"]), ("\"yes\"", true));
    assert_eq!(documents[2].start(), LineColumn { line: 5, column: 2 });
}

#[test]
fn long_texts_and_keys_are_fine() {
    let long = "x".repeat(100_000);
    let text = format!("{{\"a\": \"{long}\", \"b\": [\"{long}\"], \"{}\": 1}}", "k".repeat(3000));
    assert_eq!(parsed(&text)[0].value["b"][0].as_str().unwrap().len(), 100_000);
}

#[test]
fn flow_style_yaml_looks_like_it_and_is_read_too() {
    assert_eq!(values("{a: 1}\n---\n{b: yes}\n"), [json!({"a": 1}), json!({"b": true})]);
}

#[test]
fn what_yaml_cannot_hold_is_read_without_places() {
    let documents = parsed("{\"a\": \"\u{fffe}\"}");
    assert_eq!(documents[0].value, json!({"a": "\u{fffe}"}));
}
