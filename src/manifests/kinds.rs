//! Kinds that are not read: which of them are most likely misspelt, and which of MetalLB's are not judged.

use serde_json::Value;

use super::{ManifestError, ObjectError};

/// The kinds of MetalLB's API group (0.13.5 to 0.16.2, and the operator's own), with their versions.
const METALLB: [(&str, &[&str]); 10] = [
    ("AddressPool", &["v1alpha1", "v1beta1"]),
    ("BFDProfile", &["v1beta1"]),
    ("BGPAdvertisement", &["v1beta1"]),
    ("BGPPeer", &["v1beta1", "v1beta2"]),
    ("Community", &["v1beta1"]),
    ("IPAddressPool", &["v1beta1"]),
    ("L2Advertisement", &["v1beta1"]),
    ("MetalLB", &["v1beta1"]),
    ("ServiceBGPStatus", &["v1beta1"]),
    ("ServiceL2Status", &["v1beta1"]),
];

/// The kinds of Kubernetes' own groups that are read, or that are near to them in spelling.
const KUBERNETES: [(&str, &[&str]); 3] = [
    (
        "",
        &[
            "Binding",
            "ConfigMap",
            "Endpoints",
            "Event",
            "LimitRange",
            "List",
            "Namespace",
            "Node",
            "NodeList",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "Pod",
            "PodList",
            "PodTemplate",
            "ReplicationController",
            "ResourceQuota",
            "Secret",
            "Service",
            "ServiceAccount",
            "ServiceList",
        ],
    ),
    ("apps", &["ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"]),
    ("batch", &["CronJob", "Job"]),
];

/// The kinds of [`KUBERNETES`] that are read.
const READ: [&str; 11] = [
    "CronJob",
    "DaemonSet",
    "Deployment",
    "Job",
    "Namespace",
    "Node",
    "Pod",
    "ReplicaSet",
    "ReplicationController",
    "Service",
    "StatefulSet",
];

/// Rejects an object whose kind or version is most likely misspelt: nobody would judge it.
///
/// # Errors
/// [`ObjectError`] that names what is most likely meant.
pub(super) fn check(object: &Value) -> Result<(), ObjectError> {
    let field = |name| object.get(name).and_then(Value::as_str);
    let (Some(api_version), Some(kind)) = (field("apiVersion"), field("kind")) else { return Ok(()) };
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let wrong = |field: &str, text: String| {
        Err(ObjectError { path: vec![field.to_owned()], error: ManifestError::UnknownKind(text) })
    };
    let known = KUBERNETES.iter().find(|(known, _)| *known == group).map(|(_, kinds)| *kinds);
    if known.is_some_and(|kinds| kinds.contains(&kind)) {
        return match group {
            "" if version != "v1" => wrong("apiVersion", unknown_version(api_version, kind, "v1")),
            _ => Ok(()),
        };
    }
    // A kind of another of these groups: no API server serves it here, and nobody would judge it. Other groups have kinds of the same
    // names, such as Knative's Service.
    if known.is_some() {
        let home = KUBERNETES.iter().find(|(_, kinds)| READ.contains(&kind) && kinds.contains(&kind));
        if let Some((home, _)) = home {
            let right = if home.is_empty() { "v1".to_owned() } else { format!("{home}/v1") };
            return wrong("apiVersion", unknown_version(api_version, kind, &right));
        }
    }
    let is_metallb = group == "metallb.io" || nearest(group, &["metallb.io"]).is_some();
    let own_kind = METALLB.iter().find(|(known, _)| *known == kind);
    if kind == "GatewayTopology" && group != "lockstep.dev" {
        let text = format!(
            "unknown `apiVersion` `{}` of kind GatewayTopology: use `lockstep.dev/v1alpha1`",
            shown(api_version)
        );
        return Err(ObjectError {
            path: vec!["apiVersion".to_owned()],
            error: ManifestError::Topology(text),
        });
    }
    if is_metallb {
        let Some((_, versions)) = own_kind else {
            let names: Vec<&str> = METALLB.iter().map(|(name, _)| *name).collect();
            let text = match nearest(kind, &names) {
                Some(name) => format!("unknown kind `{}` of MetalLB: write `{name}`", shown(kind)),
                // A kind of a newer version; it is named as not judged.
                None if group == "metallb.io" => return Ok(()),
                None => format!("unknown API group `{}`: write `metallb.io`", shown(group)),
            };
            return wrong("kind", text);
        };
        if group == "metallb.io" && versions.contains(&version) {
            return Ok(());
        }
        let known: Vec<String> = versions.iter().map(|version| format!("`metallb.io/{version}`")).collect();
        let text = format!(
            "unknown `apiVersion` `{}` of kind {kind}, so the object is not judged: write {}",
            shown(api_version),
            known.join(" or ")
        );
        return wrong("apiVersion", text);
    }
    // The names of MetalLB's own kinds are in no other group.
    if matches!(kind, "L2Advertisement" | "BGPAdvertisement" | "IPAddressPool") {
        let text = format!(
            "unknown `apiVersion` `{}` of kind {kind}, so the object is not judged: write `metallb.io/v1beta1`",
            shown(api_version)
        );
        return wrong("apiVersion", text);
    }
    match known {
        Some(kinds) if !kind.ends_with("List") => match nearest(kind, kinds) {
            Some(name) => wrong("kind", format!("unknown kind `{}`: write `{name}`", shown(kind))),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

fn unknown_version(api_version: &str, kind: &str, right: &str) -> String {
    format!(
        "unknown `apiVersion` `{}` of kind {kind}, so the object is not judged: write `{right}`",
        shown(api_version)
    )
}

/// Why an object that creates pods is not judged; `None` for any other object. It must be one of which no content is read.
#[must_use]
pub fn unread_template(object: &Value) -> Option<&'static str> {
    let kind = object.get("kind").and_then(Value::as_str)?;
    let is_definition = kind == "CustomResourceDefinition";
    (!is_definition && object.get("spec").is_some_and(has_pod_template)).then_some(
        "it creates pods from a template in a field that is not read: check the pods that it creates, as in \
         `kubectl get pods -A -o yaml | lockstep check -`",
    )
}

/// The reason why an object that holds others is not judged, as an OpenShift Template or a Crossplane Object does; `None` for any other object.
/// It must be one of which no content is read.
#[must_use]
pub fn holds_objects(object: &Value) -> Option<&'static str> {
    object.as_object()?.values().any(has_object).then_some(
        "it holds objects of kinds that Lockstep judges: check what is made of them, as in \
         `kubectl get svc,deploy,ipaddresspools,l2advertisements -A -o yaml | lockstep check -`",
    )
}

/// Whether an object of a kind that is judged is in the value. A reference to one has no spec.
fn has_object(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            let field = |name| fields.get(name).and_then(Value::as_str).unwrap_or_default();
            let group = field("apiVersion").split_once('/').map_or("", |(group, _)| group);
            let is_judged = match group {
                "" => field("apiVersion") == "v1" && READ.contains(&field("kind")),
                "apps" | "metallb.io" | "lockstep.dev" => true,
                _ => false,
            };
            is_judged && fields.contains_key("spec") && fields.contains_key("kind")
                || fields.values().any(has_object)
        }
        Value::Array(items) => items.iter().any(has_object),
        _ => false,
    }
}

/// Whether a value has the template of a pod in it: a map whose spec has containers.
fn has_pod_template(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields.get("spec").and_then(|spec| spec.get("containers")).is_some_and(Value::is_array)
                || fields.values().any(has_pod_template)
        }
        Value::Array(items) => items.iter().any(has_pod_template),
        _ => false,
    }
}

/// Why no rule judges an object of MetalLB's, or one that a controller makes a gateway of; `None` for an object that is judged, and for
/// any other.
#[must_use]
pub fn not_judged(object: &Value) -> Option<&'static str> {
    let field = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (field("/apiVersion"), field("/kind"));
    match (api_version.split_once('/').map_or("", |(group, _)| group), kind) {
        (
            "metallb.io",
            "L2Advertisement" | "BGPAdvertisement" | "IPAddressPool" | "AddressPool" | "ServiceL2Status",
        ) => None,
        ("metallb.io", _) => Some("no rule judges it"),
        ("gateway.networking.k8s.io", "Gateway") => Some(
            "its controller creates the gateway's workload and Service, which are not in the object: check those, as in \
             `kubectl get deploy,svc -A -o yaml | lockstep check -`",
        ),
        ("", "ConfigMap")
            if api_version == "v1"
                && field("/metadata/name") == "config"
                && field("/data/config").contains("address-pools:") =>
        {
            Some("MetalLB reads it before 0.13 only: convert it to IPAddressPools and advertisements")
        }
        _ => None,
    }
}

/// The name that a misspelt one most likely means: at most two letters are added, missing, other or swapped.
fn nearest<'n>(misspelt: &str, names: &[&'n str]) -> Option<&'n str> {
    let lower = misspelt.to_lowercase();
    let distance = |name: &&&str| strsim::damerau_levenshtein(&name.to_lowercase(), &lower);
    let near = names.iter().min_by_key(distance)?;
    let limit = if near.len() < 6 { 1 } else { 2 };
    (distance(&near) <= limit).then_some(*near)
}

fn shown(text: &str) -> String {
    lockstep_core::escape::excerpt(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn misspelt_kinds_and_unknown_versions_are_rejected_with_the_right_one() {
        let cases = [
            (
                "metallb.io/v1beta1",
                "L2Advertisment",
                "unknown kind `L2Advertisment` of MetalLB: write `L2Advertisement`",
            ),
            (
                "metallb.io/v1beta1",
                "IpAddressPool",
                "unknown kind `IpAddressPool` of MetalLB: write `IPAddressPool`",
            ),
            (
                "metallb.io/v1beta2",
                "L2Advertisement",
                "unknown `apiVersion` `metallb.io/v1beta2` of kind L2Advertisement, so the object is not judged: write \
                 `metallb.io/v1beta1`",
            ),
            (
                "metalb.io/v1beta1",
                "IPAddressPool",
                "unknown `apiVersion` `metalb.io/v1beta1` of kind IPAddressPool, so the object is not judged: write \
                 `metallb.io/v1beta1`",
            ),
            (
                "v1beta1",
                "L2Advertisement",
                "unknown `apiVersion` `v1beta1` of kind L2Advertisement, so the object is not judged: write \
                 `metallb.io/v1beta1`",
            ),
            (
                "apps/v1",
                "Service",
                "unknown `apiVersion` `apps/v1` of kind Service, so the object is not judged: write `v1`",
            ),
            (
                "v1",
                "Deployment",
                "unknown `apiVersion` `v1` of kind Deployment, so the object is not judged: write `apps/v1`",
            ),
            (
                "v2",
                "Service",
                "unknown `apiVersion` `v2` of kind Service, so the object is not judged: write `v1`",
            ),
            ("apps/v1", "Deployement", "unknown kind `Deployement`: write `Deployment`"),
            ("apps/v1", "Daemonset", "unknown kind `Daemonset`: write `DaemonSet`"),
            ("v1", "service", "unknown kind `service`: write `Service`"),
            (
                "lockstep.io/v1alpha1",
                "GatewayTopology",
                "unknown `apiVersion` `lockstep.io/v1alpha1` of kind GatewayTopology: use `lockstep.dev/v1alpha1`",
            ),
        ];
        for (api_version, kind, text) in cases {
            let error = check(&json!({"apiVersion": api_version, "kind": kind})).unwrap_err();
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn other_kinds_are_no_misspellings() {
        for (api_version, kind) in [
            ("metallb.io/v1beta2", "BGPPeer"),
            ("metallb.io/v1beta1", "ConfigurationState"),
            ("v1", "Secret"),
            ("v1", "PodTemplate"),
            ("apps/v1", "ControllerRevision"),
            ("serving.knative.dev/v1", "Service"),
            ("networking.istio.io/v1", "Gateway"),
            ("v1", "Nodes"),
        ] {
            let object = json!({"apiVersion": api_version, "kind": kind});
            assert_eq!(check(&object).is_err(), kind == "Nodes", "{kind}");
        }
    }

    #[test]
    fn metallbs_kinds_without_a_rule_are_named() {
        for (kind, is_named) in [("L2Advertisement", false), ("BGPAdvertisement", false), ("BGPPeer", true)] {
            let object = json!({"apiVersion": "metallb.io/v1beta1", "kind": kind});
            assert_eq!(not_judged(&object).is_some(), is_named, "{kind}");
        }
        let legacy = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config"},
            "data": {"config": "address-pools:\n- name: default\n"}});
        assert!(not_judged(&legacy).is_some());
    }
}
