//! Tests of parsing, its errors, and the display of selectors.

use super::*;

fn selector(yaml: &str) -> LabelSelector {
    serde_saphyr::from_str(yaml).unwrap()
}

#[track_caller]
fn rejected(yaml: &str, field: &str, problem: &str) {
    let error = selector(yaml).parse().unwrap_err();
    assert_eq!((error.field.to_string().as_str(), error.to_string().as_str()), (field, problem));
}

#[test]
fn selectors_that_kubernetes_rejects_are_rejected() {
    rejected(
        "{matchExpressions: [{key: a, operator: Gt, values: ['1']}]}",
        "matchExpressions[0].operator",
        "`Gt` is not a label selector operator: use In, NotIn, Exists or DoesNotExist",
    );
    rejected(
        "{matchExpressions: [{key: a, operator: in, values: [x]}]}",
        "matchExpressions[0].operator",
        "`in` is not a label selector operator: use In, NotIn, Exists or DoesNotExist",
    );
    rejected(
        "{matchExpressions: [{key: a, operator: Exists}, {key: a, operator: NotIn}]}",
        "matchExpressions[1].values",
        "operator `NotIn` has no values: add at least one value",
    );
    rejected(
        "{matchExpressions: [{key: a, operator: DoesNotExist, values: [x]}]}",
        "matchExpressions[0].values",
        "operator `DoesNotExist` takes no values: remove the values, or use In",
    );
    rejected(
        "{matchExpressions: [{key: a, operator: In, values: [x, -y]}]}",
        "matchExpressions[0].values[1]",
        "`-y` is not a label value: use at most 63 letters, digits, `-`, `_` or `.`, with a letter or digit at both ends",
    );
    rejected(
        "{matchLabels: {a/b/c: x}}",
        "matchLabels[a/b/c]",
        "`a/b/c` is not a label key: write `name` or `dns.prefix/name`, at most 63 characters after the slash",
    );
}

#[test]
fn duplicates_that_metallb_rejects_are_rejected() {
    let rejected = |list: &[&str], field: &str, what: &str| {
        let list: Vec<LabelSelector> = list.iter().map(|yaml| selector(yaml)).collect();
        let error = parse_list(&list).unwrap_err();
        assert_eq!(error.field.to_string(), field);
        assert_eq!(error.problem, Problem::Duplicate(what.to_owned().leak()));
    };
    rejected(&["{}", "{}"], "[1]", "selector");
    rejected(&["{matchLabels: {a: x}}", "{}", "{matchLabels: {a: x}}"], "[2]", "selector");
    // MetalLB ignores the order of values.
    rejected(
        &[
            "{matchExpressions: [{key: a, operator: In, values: [x, y]}]}",
            "{matchExpressions: [{key: a, operator: In, values: [y, x]}]}",
        ],
        "[1]",
        "selector",
    );
    rejected(
        &["{matchExpressions: [{key: a, operator: In, values: [x, y, x]}]}"],
        "[0].matchExpressions[0].values[2]",
        "value",
    );
    rejected(
        &["{matchExpressions: [{key: a, operator: Exists}, {key: a, operator: Exists}]}"],
        "[0].matchExpressions[1]",
        "match expression",
    );
}

#[test]
fn equal_selectors_in_different_forms_are_accepted() {
    let list = [
        selector("{matchLabels: {a: x}}"),
        selector("{matchExpressions: [{key: a, operator: In, values: [x]}]}"),
    ];
    let parsed = parse_list(&list).unwrap();
    assert_eq!(parsed.first(), parsed.last());
}

#[test]
fn keys_and_values_follow_the_syntax_of_the_api_server() {
    let long = "x".repeat(63);
    let prefix = format!("{}.example.com", "y".repeat(60));
    let dashed = "node-role.kubernetes.io/control-plane";
    let fine = [
        "a",
        "loadbalancerIPs.metallb.io",
        "example.com/A_b.c-1",
        dashed,
        &long,
        &format!("{prefix}/{long}"),
    ];
    for key in fine {
        assert_eq!(check_key(key), Ok(()), "{key}");
    }
    for key in [
        "",
        "-a",
        "a-",
        "a b",
        "/a",
        "a/",
        "A.com/a",
        "aB.com/a",
        "a_b.com/a",
        "-a.com/a",
        "a..b/c",
        "a/b/c",
        &format!("{long}x"),
        "ä",
    ] {
        assert!(check_key(key).is_err(), "{key}");
    }
    for value in ["", "arp", "1.15.0", "A_b", &long] {
        assert_eq!(check_value(value), Ok(()), "{value}");
    }
    for value in ["-a", "a/b", " ", &format!("{long}x")] {
        assert!(check_value(value).is_err(), "{value}");
    }
}

#[test]
fn not_in_and_does_not_exist_match_objects_without_the_label() {
    let unlabelled = Labels::new();
    for yaml in [
        "{}",
        "{matchExpressions: [{key: a, operator: NotIn, values: [x]}]}",
        "{matchExpressions: [{key: a, operator: DoesNotExist}]}",
    ] {
        assert!(selector(yaml).parse().unwrap().matches(&unlabelled), "{yaml}");
    }
    for yaml in ["{matchLabels: {a: ''}}", "{matchExpressions: [{key: a, operator: Exists}]}"] {
        assert!(!selector(yaml).parse().unwrap().matches(&unlabelled), "{yaml}");
    }
}

#[test]
fn nulls_in_selectors_are_pruned() {
    assert_eq!(selector("{matchLabels: {a: null}}"), LabelSelector::default());
    assert_eq!(selector("{matchLabels: null, matchExpressions: null}"), LabelSelector::default());
}

#[test]
fn selectors_display_in_kubernetes_syntax() {
    for (yaml, text) in [
        ("{}", "(everything)"),
        ("{matchLabels: {a: x}}", "a=x"),
        (
            "{matchExpressions: [{key: a, operator: In, values: [x, y]}, {key: b, operator: DoesNotExist}]}",
            "a in (x,y),!b",
        ),
        ("{matchExpressions: [{key: a, operator: NotIn, values: [x]}]}", "a!=x"),
        ("{matchExpressions: [{key: a, operator: NotIn, values: [x, y]}]}", "a notin (x,y)"),
        (
            "{matchExpressions: [{key: a, operator: Exists}, {key: a, operator: NotIn, values: [x]}]}",
            "a,a notin (x)",
        ),
        ("{matchLabels: {a: x}, matchExpressions: [{key: a, operator: NotIn, values: [x]}]}", "a in ()"),
    ] {
        assert_eq!(selector(yaml).parse().unwrap().to_string(), text);
    }
}

#[test]
fn sets_without_kubernetes_syntax_display_too() {
    let written = |values: Values| {
        let mut selector = Selector::default();
        selector.require("a", values);
        selector.to_string()
    };
    assert_eq!(written(Values::anything()), "a is anything");
    assert_eq!(written(Values::present()), "a");
    let absent_or_x = Values::present().intersect(&Values::none_of(["x"])).complement();
    assert_eq!(written(absent_or_x), "a absent or in (x)");
}

#[test]
fn witnesses_display_as_parts_of_sentences() {
    let witness = |yaml: &str| selector(yaml).parse().unwrap().witness().unwrap().to_string();
    assert_eq!(witness("{}"), "without labels");
    assert_eq!(witness("{matchLabels: {a: x, b: y}}"), "labelled `a=x`, `b=y`");
    assert_eq!(
        witness("{matchExpressions: [{key: a, operator: NotIn, values: [x]}]}"),
        "without the label `a`"
    );
    assert_eq!(
        witness(
            "{matchLabels: {a: x}, matchExpressions: [{key: b, operator: DoesNotExist}, {key: c, operator: DoesNotExist}]}"
        ),
        "labelled `a=x` and without the label `b` or `c`"
    );
    assert_eq!(witness("{matchExpressions: [{key: a, operator: Exists}]}"), "labelled `a=other`");
    assert_eq!(
        witness("{matchLabels: {a: x, b: x, c: x, d: x, e: x, f: x, g: x, h: x}}"),
        "labelled `a=x`, `b=x`, `c=x`, `d=x`, `e=x`, `f=x` and 2 more"
    );
}

#[test]
fn long_selectors_count_towards_the_work_limit() {
    let values = (0..1_000).map(|n| format!("n{n}"));
    let mut long = Selector::default();
    long.require("kubernetes.io/hostname", Values::one_of(values));
    assert_eq!(uncovered(&Selector::default(), std::iter::repeat_n(&long, 1_000)), Err(TooComplex));
    assert!(uncovered(&Selector::default(), std::iter::repeat_n(&long, 100)).is_ok());
}
