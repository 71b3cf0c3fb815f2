//! Lists of objects.

use super::*;

#[test]
fn are_unfolded_with_their_places() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- kind: A\n  b: 1\n- kind: List\n  items:\n  - kind: C\n    d: x\n";
    let documents = parsed(text);
    assert_eq!(documents.len(), 2);
    assert_eq!(documents[1].value, json!({"kind": "C", "d": "x"}));
    assert_eq!(documents[1].start(), LineColumn { line: 8, column: 5 });
    assert_eq!(marked(&documents[1], &["d"]), ("x", true));
}

#[test]
fn of_one_kind_say_it_once() {
    let text = "apiVersion: v1\nkind: PodList\nitems: [{metadata: {name: a}}]\n";
    assert_eq!(values(text), [json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}})]);
}

#[test]
fn without_items_are_objects() {
    assert_eq!(values("kind: AllowList\nspec: {items: [a]}\n").len(), 1);
    assert_eq!(values("kind: AllowList\nitems: x\n"), [json!({"kind": "AllowList", "items": "x"})]);
    assert!(values("kind: List\nitems: []\n").is_empty());
}
