//! YAML, JSON and lists as kubectl reads them, and the places of their values.

use super::*;

#[test]
fn scalars_are_read_as_kubectl_reads_them() {
    // The right-hand sides are the output of sigs.k8s.io/yaml 1.6.0, kubectl's reader, for the same text.
    let cases = [
        ("yes", json!(true)),
        ("off", json!(false)),
        ("y", json!(true)),
        ("\"yes\"", json!("yes")),
        ("017", json!(15)),
        ("0o17", json!(15)),
        ("0x1F", json!(31)),
        ("0b101", json!(5)),
        ("1_000", json!(1000)),
        ("1.15", json!(1.15)),
        ("1.15.0", json!("1.15.0")),
        ("1:30", json!("1:30")),
        ("2022-11-14", json!("2022-11-14")),
        ("~", json!(null)),
        ("", json!(null)),
        ("!!str 5", json!("5")),
        ("!!int \"5\"", json!(5)),
        ("!!binary aGk=", json!("hi")),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
        ("|-\n  x\n  y", json!("x\ny")),
    ];
    for (text, expected) in cases {
        assert_eq!(values(&format!("a: {text}\n")), [json!({"a": expected})], "{text}");
    }
}

#[test]
fn keys_become_strings() {
    assert_eq!(values("on: a\n1: b\n2.5: c\n"), [json!({"true": "a", "1": "b", "2.5": "c"})]);
    assert_eq!(rejected("? [a]\n: b\n"), "a.yaml:1:3: a key must be a string: put it in quotes");
    assert_eq!(rejected("~: b\n"), "a.yaml:1:1: a key must be a string: put it in quotes");
}

#[test]
fn comments_and_empty_documents_of_helm_are_skipped() {
    let text = "---\n# Source: gateway/templates/a.yaml\na: 1\n---\n# Source: gateway/templates/b.yaml\n---\n\n---\nb: 2\n...\n";
    assert_eq!(values(text), [json!({"a": 1}), json!({"b": 2})]);
    assert!(values("").is_empty());
    assert!(values("# nothing\n").is_empty());
}

#[test]
fn carriage_returns_and_a_byte_order_mark_do_not_matter() {
    let documents = parsed("\u{feff}a: 1\r\nb:\r\n- c\r\n");
    assert_eq!(documents[0].value, json!({"a": 1, "b": ["c"]}));
    let place = documents[0].positions.find(["b", "0"]);
    assert_eq!(documents[0].source.line_column(place.value.start), LineColumn { line: 3, column: 3 });
    assert_eq!(marked(&documents[0], &["b", "0"]), ("c", true));
}

#[test]
fn anchors_aliases_and_merge_keys_point_at_the_text_they_stand_for() {
    let document = &parsed("x: &a {k: v}\nm:\n  <<: *a\n  z: *a\nw: [*a]\n")[0];
    assert_eq!(document.value, json!({"x": {"k": "v"}, "m": {"k": "v", "z": {"k": "v"}}, "w": [{"k": "v"}]}));
    for path in [["m", "k"].as_slice(), &["m", "z", "k"], &["w", "0", "k"]] {
        let place = document.positions.find(path);
        assert_eq!(place.value.start, 10, "{path:?}");
        assert_eq!(marked(document, path), ("v", true));
    }
}

#[test]
fn syntax_errors_have_a_place_and_a_remedy() {
    let cases = [
        ("a: 1\na: 2\n", "a.yaml:2:1: the key `a` stands twice in the same map: remove one of them"),
        ("a: [\n", "a.yaml:1:4: this is not valid YAML: unclosed bracket '['"),
        (
            "é: b\n  c: d\n",
            "a.yaml:2:4: this is not valid YAML: mapping values are not allowed in this context",
        ),
        ("a: *x\n", "a.yaml:1:4: the anchor of this alias is not defined before it: define it with `&`"),
        ("a: .inf\n", "a.yaml:1:4: `.inf` is not a number in JSON: put it in quotes"),
    ];
    for (text, expected) in cases {
        assert_eq!(rejected(text), expected);
    }
}

#[test]
fn a_wide_character_is_marked_as_a_whole() {
    let Loaded { problems, .. } = parse("a: \"b\"（c）\n");
    let (source, span) = problems[0].at.clone().unwrap();
    assert_eq!(source.slice(span), "（");
}

#[test]
fn documents_around_a_broken_one_are_read() {
    let text = "%YAML 1.2\n---\na: 1\n--- # next\nb: c: d\n---\r\ne: f: g\n---\n\n# end\n---\nh: [i, \"j\n ---\"]\n--- {k: l}\n";
    let Loaded { documents, problems } = parse(text);
    let values: Vec<_> = documents.iter().map(|document| document.value.clone()).collect();
    assert_eq!(values, [json!({"a": 1}), json!({"h": ["i", "j ---"]}), json!({"k": "l"})]);
    let lines: Vec<_> = problems.iter().map(|problem| problem.line_column().unwrap().line).collect();
    assert_eq!(lines, [5, 7]);
    assert_eq!(documents[1].start(), LineColumn { line: 12, column: 1 });
}

#[test]
fn no_document_of_a_template_is_read() {
    let text = "a: 1\n---\n{{- if .x }}\nb: 2\n---\nc: {{ .y }}\n";
    let Loaded { documents, problems } = load(&["-".into()], &mut text.as_bytes());
    assert!(documents.is_empty());
    assert_eq!(problems.len(), 1);
}

#[test]
fn a_template_of_a_chart_is_recognised() {
    for text in
        ["{{- if .Values.x }}\na: b\n{{- end }}\n", "a: {{ .Values.x }}\n", "a: {{ .x }}\na: {{ .y }}\n"]
    {
        assert!(rejected(text).contains("render it first"), "{text}: {}", rejected(text));
    }
}

#[test]
fn alias_bombs_and_deep_nesting_are_rejected_and_large_texts_are_not() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let alias = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{alias}]\n"));
    }
    assert!(rejected(&bomb).ends_with("simplify it"), "{}", rejected(&bomb));
    let many = format!("{}---\n", bomb.lines().take(4).collect::<Vec<_>>().join("\n") + "\n").repeat(100);
    assert!(parse(&many).problems.len() > 80, "aliases are counted over all documents of a text");
    let deep = format!("a: {}{}\n", "[".repeat(500_000), "]".repeat(500_000));
    assert!(rejected(&deep).ends_with("simplify it"), "{}", rejected(&deep));
    assert_eq!(values(&format!("a: {}1{}\n", "[".repeat(126), "]".repeat(126))).len(), 1);
    let block: String = (0..5000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(rejected(&block).ends_with("simplify it"), "{}", rejected(&block));
    assert_eq!(values(&"---\na: [1, 2, 3]\n".repeat(20_000)).len(), 20_000);
}

#[test]
fn json_values_may_follow_each_other_without_a_separator() {
    let documents = parsed(" {\"a\": 1}\n\n{\n\t\"b\": [\"é\", {\"c\\u0064\": null}]\n}{\"d\": \"yes\"}\n");
    let found: Vec<_> = documents.iter().map(|document| document.value.clone()).collect();
    assert_eq!(found, [json!({"a": 1}), json!({"b": ["é", {"cd": null}]}), json!({"d": "yes"})]);
    assert_eq!(marked(&documents[1], &["b", "0"]), ("\"é\"", true));
    assert_eq!(marked(&documents[1], &["b", "1", "cd"]), ("null", true));
    assert_eq!(marked(&documents[2], &["d"]), ("\"yes\"", true));
    assert_eq!(documents[2].start(), LineColumn { line: 5, column: 2 });
}

#[test]
fn long_strings_and_keys_are_read() {
    let long = "x".repeat(100_000);
    let text = format!("{{\"a\": \"{long}\", \"b\": [\"{long}\"], \"{}\": 1}}", "k".repeat(3000));
    assert_eq!(parsed(&text)[0].value["b"][0].as_str().unwrap().len(), 100_000);
}

#[test]
fn flow_style_yaml_is_read_although_it_looks_like_json() {
    assert_eq!(values("{a: 1}\n---\n{b: yes}\n"), [json!({"a": 1}), json!({"b": true})]);
}

#[test]
fn json_with_characters_that_yaml_rejects_is_read_without_places() {
    let documents = parsed("{\"a\": \"\u{fffe}\"}");
    assert_eq!(documents[0].value, json!({"a": "\u{fffe}"}));
}

#[test]
fn lists_are_unfolded_with_their_places() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- kind: A\n  b: 1\n- kind: List\n  items:\n  - kind: C\n    d: x\n";
    let documents = parsed(text);
    assert_eq!(documents.len(), 2);
    assert_eq!(documents[1].value, json!({"kind": "C", "d": "x"}));
    assert_eq!(documents[1].start(), LineColumn { line: 8, column: 5 });
    assert_eq!(marked(&documents[1], &["d"]), ("x", true));
}

#[test]
fn items_of_a_typed_list_get_its_kind() {
    let text = "apiVersion: v1\nkind: PodList\nitems: [{metadata: {name: a}}]\n";
    assert_eq!(values(text), [json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}})]);
}

#[test]
fn a_list_kind_without_a_list_of_items_is_an_object() {
    assert_eq!(values("kind: AllowList\nspec: {items: [a]}\n").len(), 1);
    assert_eq!(values("kind: AllowList\nitems: x\n"), [json!({"kind": "AllowList", "items": "x"})]);
    assert!(values("kind: List\nitems: []\n").is_empty());
}

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
fn a_missing_field_falls_back_to_its_nearest_parent() {
    let document = &parsed(TEXT)[0];
    assert_eq!(marked(document, &["spec", "nodeSelectors", "0"]), ("spec", false));
    assert_eq!(marked(document, &["spec", "list", "7"]), ("list", false));
    assert_eq!(marked(document, &["status", "x"]), ("a", false), "the name of the object");
    assert_eq!(marked(&parsed("kind: Pod\na: b\n")[0], &["spec"]), ("kind", false));
    let field = FieldPath::fields(["spec", "nodeSelector"]).key("a.b/c");
    assert!(document.place(&field).is_exact);
}
