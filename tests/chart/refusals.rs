//! Helm rejects invalid values before it changes the cluster, with a message that says what to do.

use lockstep_test_support::helm::{Helm, NAMESPACE, chart};

/// Returns Helm's error for values that it must reject.
fn refused(namespace: &str, values: &[&str]) -> String {
    let chart = chart("");
    let mut arguments = vec!["template", "lockstep", &chart, "-n", namespace];
    for value in values {
        arguments.extend(["--set-json", value]);
    }
    Helm::offline().run(&arguments).expect_err(&values.join(" "))
}

#[test]
fn an_unknown_or_impossible_value_is_named() {
    for (value, field, complaint) in [
        ("replica=3", "at ''", "additional properties 'replica' not allowed"),
        ("certificates.mod=\"self\"", "at '/certificates'", "additional properties 'mod' not allowed"),
        ("certificates.mode=\"auto\"", "at '/certificates/mode'", "'self', 'files', 'cert-manager'"),
        ("image.digest=\"latest\"", "at '/image/digest'", "does not match pattern"),
        ("replicas=\"two\"", "at '/replicas'", "got string, want integer"),
        ("webhooks.timeoutSeconds=31", "at '/webhooks/timeoutSeconds'", "maximum"),
        (
            "topologies=[{\"name\":\"a\",\"spec\":{\"gateway\":{\"labels\":{}}}}]",
            "at '/topologies/0/spec/gateway'",
            "additional properties 'labels' not allowed",
        ),
        ("topologies=[{\"spec\":{}}]", "at '/topologies/0'", "missing property 'name'"),
    ] {
        let said = refused(NAMESPACE, &[value]);
        assert!(said.contains(field) && said.contains(complaint), "{value}: {said}");
    }
}

#[test]
fn the_releases_own_namespace_cannot_be_covered() {
    for (namespace, values) in [
        ("istio-system", vec![]),
        ("metallb-system", vec![]),
        ("edge", vec!["webhooks.gatewayNamespaces=[\"edge\"]"]),
        ("edge", vec!["topologies=[{\"name\":\"a\",\"spec\":{\"metallbNamespace\":\"edge\"}}]"]),
        // A topology without a namespace gets the default of the CRD.
        ("istio-system", vec!["topologies=[{\"name\":\"a\"}]"]),
    ] {
        let said = refused(namespace, &values);
        let expected =
            format!("namespace `{namespace}` is the release's own, and Lockstep's webhooks must not");
        assert!(said.contains(&expected) && said.contains("into a namespace of its own"), "{said}");
    }
}

#[test]
fn values_that_cover_no_namespace_or_serve_no_webhook_are_rejected() {
    let said = refused(NAMESPACE, &["topologies=[]"]);
    assert!(said.contains("no namespace is covered: write a topology into `topologies`"), "{said}");
    let said = refused(NAMESPACE, &["certificates.mode=\"files\""]);
    assert!(said.contains("`certificates.files.secretName` is not set"), "{said}");
}
