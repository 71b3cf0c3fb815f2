//! Places of values and of what is missing.

use super::*;

const TEXT: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\nspec:\n  nodeSelector:\n    a.b/c: d\n  empty:\n  list:\n  - x: 1\n  flow: {y: 2}\n";

#[test]
fn a_value_is_marked_itself_and_a_collection_by_its_key() {
    let document = &parsed(TEXT)[0];
    assert_eq!(marked(document, &["spec", "nodeSelector", "a.b/c"]), ("d", true));
    assert_eq!(marked(document, &["spec", "nodeSelector"]), ("nodeSelector", true));
    assert_eq!(marked(document, &["spec", "flow"]), ("flow", true));
    assert_eq!(marked(document, &["spec", "list", "0"]), ("x", true));
    assert_eq!(marked(document, &["spec", "empty"]), ("empty", true));
}

#[test]
fn what_is_missing_falls_back_to_the_nearest_parent() {
    let document = &parsed(TEXT)[0];
    assert_eq!(marked(document, &["spec", "nodeSelectors", "0"]), ("spec", false));
    assert_eq!(marked(document, &["spec", "list", "7"]), ("list", false));
    assert_eq!(marked(document, &["status", "x"]), ("a", false), "the name of the object");
    assert_eq!(marked(&parsed("kind: Pod\na: b\n")[0], &["spec"]), ("kind", false));
    let field = FieldPath::fields(["spec", "nodeSelector"]).key("a.b/c");
    assert!(document.place(&field).is_exact);
}
