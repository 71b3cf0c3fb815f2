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
        ("crds.keep=\"yes\"", "at '/crds/keep'", "got string, want boolean"),
        ("hostNetwork=\"yes\"", "at '/hostNetwork'", "got string, want boolean"),
        ("dnsPolicy=\"Cluster\"", "at '/dnsPolicy'", "'ClusterFirstWithHostNet'"),
        ("ports.https=70000", "at '/ports/https'", "maximum"),
        ("ports.webhook=8443", "at '/ports'", "additional properties 'webhook' not allowed"),
        ("namespaceOverride=\"Edge\"", "at '/namespaceOverride'", "does not match pattern"),
        ("commonLabels.team=1", "at '/commonLabels/team'", "got number, want string"),
        ("commonAnnotations=[]", "at '/commonAnnotations'", "got array, want object"),
        ("extraEnv=[{\"value\":\"x\"}]", "at '/extraEnv/0'", "missing property 'name'"),
        ("extraVolumes=[{\"emptyDir\":{}}]", "at '/extraVolumes/0'", "missing property 'name'"),
        ("extraVolumeMounts=[{\"name\":\"x\"}]", "at '/extraVolumeMounts/0'", "missing property 'mountPath'"),
        ("extraObjects={\"kind\":\"ConfigMap\"}", "at '/extraObjects'", "got object, want array"),
        ("podSecurityContext=[]", "at '/podSecurityContext'", "got array, want object"),
        ("securityContext=\"restricted\"", "at '/securityContext'", "got string, want object"),
        ("revisionHistoryLimit=-1", "at '/revisionHistoryLimit'", "minimum"),
        ("resourcesPreset=\"huge\"", "at '/resourcesPreset'", "'standard', 'large', 'none'"),
        (
            "webhooks.failurePolicy=\"Ignore\"",
            "at '/webhooks'",
            "additional properties 'failurePolicy' not allowed",
        ),
        (
            "webhooks.matchConditions=[{\"name\":\"x\"}]",
            "at '/webhooks/matchConditions/0'",
            "missing property 'expression'",
        ),
        ("webhooks.labels.x=true", "at '/webhooks/labels/x'", "got boolean, want string"),
        ("webhooks.warnOfWorkloads=1", "at '/webhooks/warnOfWorkloads'", "got number, want boolean"),
        (
            "serviceMonitor.scrapeTimeout=\"fast\"",
            "at '/serviceMonitor/scrapeTimeout'",
            "does not match pattern",
        ),
        (
            "serviceMonitor.relabelings=[\"x\"]",
            "at '/serviceMonitor/relabelings/0'",
            "got string, want object",
        ),
        ("podMonitor.relabeling=[]", "at '/podMonitor'", "additional properties 'relabeling' not allowed"),
        ("image.tag=1.5", "at '/image/tag'", "got number, want null or string"),
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

#[test]
fn a_label_of_the_chart_cannot_be_set_again() {
    for (value, key) in [
        ("podLabels", "app.kubernetes.io/name"),
        ("podLabels", "app.kubernetes.io/component"),
        ("commonLabels", "app.kubernetes.io/instance"),
        ("webhooks.labels", "helm.sh/chart"),
        ("serviceMonitor.labels", "app.kubernetes.io/managed-by"),
    ] {
        let set = format!("{value}={{\"{key}\":\"x\"}}");
        let said = refused(NAMESPACE, &[&set, "serviceMonitor.enabled=true"]);
        let expected = format!("`{value}` cannot set the label `{key}`, which the chart sets itself");
        assert!(said.contains(&expected), "{said}");
    }
}
