//! YAML as kubectl reads it.

use super::*;

#[test]
fn is_read_as_kubectl_reads_it() {
    // The right-hand sides are what sigs.k8s.io/yaml 1.6.0, kubectl's reader, makes of the same text.
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
fn keys_become_text() {
    assert_eq!(values("on: a\n1: b\n2.5: c\n"), [json!({"true": "a", "1": "b", "2.5": "c"})]);
    assert_eq!(refused("? [a]\n: b\n"), "a.yaml:1:3: a key must be text: put it in quotes");
    assert_eq!(refused("~: b\n"), "a.yaml:1:1: a key must be text: put it in quotes");
}

#[test]
fn output_of_helm_holds_comments_and_empty_documents() {
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
fn errors_tell_where_and_what_to_do() {
    let cases = [
        ("a: 1\na: 2\n", "a.yaml:2:1: the key `a` stands twice in the same map: remove one of them"),
        ("a: [\n", "a.yaml:1:4: this is not valid YAML: unclosed bracket '['"),
        (
            "é: b\n  c: d\n",
            "a.yaml:2:4: this is not valid YAML: mapping values are not allowed in this context",
        ),
        ("a: *x\n", "a.yaml:1:4: there is no anchor of this name before the alias: define it with `&` first"),
        ("a: .inf\n", "a.yaml:1:4: `.inf` is no number that JSON can hold: put it in quotes"),
    ];
    for (text, expected) in cases {
        assert_eq!(refused(text), expected);
    }
}

#[test]
fn a_wide_character_is_marked_as_a_whole() {
    let Loaded { problems, .. } = parse_text("a: \"b\"（c）\n");
    let (source, span) = problems[0].at.clone().unwrap();
    assert_eq!(source.slice(span), "（");
}

#[test]
fn documents_around_a_broken_one_are_read() {
    let text = "%YAML 1.2\n---\na: 1\n--- # next\nb: c: d\n---\r\ne: f: g\n---\n\n# end\n---\nh: [i, \"j\n ---\"]\n--- {k: l}\n";
    let Loaded { documents, problems } = parse_text(text);
    let values: Vec<_> = documents.iter().map(|document| document.value.clone()).collect();
    assert_eq!(values, [json!({"a": 1}), json!({"h": ["i", "j ---"]}), json!({"k": "l"})]);
    let lines: Vec<_> = problems.iter().map(|problem| problem.line_column().unwrap().line).collect();
    assert_eq!(lines, [5, 7]);
    assert_eq!(documents[1].start(), LineColumn { line: 12, column: 1 });
}

#[test]
fn nothing_of_a_template_is_read() {
    let Loaded { documents, problems } = parse_text("a: 1\n---\n{{- if .x }}\nb: 2\n---\nc: {{ .y }}\n");
    assert!(documents.is_empty());
    assert_eq!(problems.len(), 1);
}

#[test]
fn a_template_of_a_chart_is_recognised() {
    for text in
        ["{{- if .Values.x }}\na: b\n{{- end }}\n", "a: {{ .Values.x }}\n", "a: {{ .x }}\na: {{ .y }}\n"]
    {
        assert!(refused(text).contains("render it first"), "{text}: {}", refused(text));
    }
}

#[test]
fn bombs_are_refused_and_large_texts_are_not() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let alias = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{alias}]\n"));
    }
    assert!(refused(&bomb).ends_with("simplify it"), "{}", refused(&bomb));
    let many = format!("{}---\n", bomb.lines().take(4).collect::<Vec<_>>().join("\n") + "\n").repeat(100);
    assert!(parse_text(&many).problems.len() > 80, "aliases are counted over all documents of a text");
    let deep = format!("a: {}{}\n", "[".repeat(500_000), "]".repeat(500_000));
    assert!(refused(&deep).ends_with("simplify it"), "{}", refused(&deep));
    assert_eq!(values(&format!("a: {}1{}\n", "[".repeat(126), "]".repeat(126))).len(), 1);
    let block: String = (0..5000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(refused(&block).ends_with("simplify it"), "{}", refused(&block));
    assert_eq!(values(&"---\na: [1, 2, 3]\n".repeat(20_000)).len(), 20_000);
}
