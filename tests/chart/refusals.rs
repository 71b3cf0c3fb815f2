//! Helm rejects invalid values before it changes the cluster, with a message that says what to do.

use lockstep_test_support::helm::{Helm, NAMESPACE, chart, text};
use serde_json::Value;

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

/// Values that may be null: their absence is the same as their default, or means less.
const NULLABLE: [&str; 10] = [
    "image",
    "topologies",
    "resources",
    "podSecurityContext",
    "securityContext",
    "nodeSelector",
    "webhooks.labels",
    "dashboard.labels",
    "prometheusRule.runbookUrl",
    "commonLabels",
];

/// Everything that the chart renders on request.
const ON_REQUEST: [&str; 5] = [
    "serviceMonitor.enabled=true",
    "podMonitor.enabled=true",
    "prometheusRule.enabled=true",
    "dashboard.enabled=true",
    "dashboard.grafanaOperator.enabled=true",
];

/// The paths of values with their defaults, sections included.
fn paths(values: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    for (key, value) in values.as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        found.push((path.clone(), value.clone()));
        if !NULLABLE.contains(&path.as_str()) {
            paths(value, &path, found);
        }
    }
}

#[test]
fn a_value_that_is_missing_is_named_where_the_templates_need_it() {
    let mut all = Vec::new();
    paths(&serde_saphyr::from_str(&text("values.yaml")).unwrap(), "", &mut all);
    assert!(all.len() > 90, "{}", all.len());
    let chart = chart("");
    for (path, default) in all {
        let value = format!("{path}=null");
        let mut arguments = vec!["template", "lockstep", &chart, "-n", NAMESPACE];
        for value in ON_REQUEST.iter().copied().chain([value.as_str()]) {
            arguments.extend(["--set-json", value]);
        }
        let rendered = Helm::offline().run(&arguments);
        let is_empty = matches!(default.to_string().as_str(), "\"\"" | "[]" | "{}" | "false");
        match rendered {
            Ok(_) => assert!(
                is_empty || NULLABLE.contains(&path.as_str()),
                "nothing says that `{path}` is missing"
            ),
            // As with an empty list.
            Err(said) if path == "topologies" => assert!(said.contains("no namespace is covered"), "{said}"),
            Err(said) => assert!(said.contains(&format!("the value `{path}` is missing")), "{path}: {said}"),
        }
    }
}

#[test]
fn every_template_looks_for_missing_values_first() {
    let first = "{{- include \"lockstep.valuesAreComplete\" . ";
    for folder in ["templates", "templates/tests"] {
        for path in std::fs::read_dir(chart(folder)).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_file() && !path.ends_with("_helpers.tpl") {
                let template = std::fs::read_to_string(&path).unwrap();
                assert!(template.starts_with(first), "{}", path.display());
            }
        }
    }
}
