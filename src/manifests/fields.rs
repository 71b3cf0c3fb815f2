//! Fields that do nothing: the API server drops a field that its schema does not have, and applies the rest.
//!
//! The fields are those of MetalLB 0.16.2 (`api/v1beta1`) and Kubernetes 1.36 (`core/v1`), with the fields that older versions
//! had.

use std::fmt::Write;

use serde_json::Value;

use crate::field::FieldPath;
use lockstep_core::escape::is_unsafe;

/// A field that does nothing, or a text with a character that nobody can see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusedField {
    /// The field.
    pub path: FieldPath,
    /// The problem: one lowercase sentence without a full stop.
    pub message: String,
    /// The change to make, in the same form.
    pub help: String,
}

/// The schema of a value, as far as names of fields need it.
enum Shape {
    /// Anything.
    Any,
    /// A map with these fields.
    Map(&'static [(&'static str, Self)]),
    /// A list of such items.
    List(&'static Self),
    /// A map whose keys the user chooses.
    Labels,
    /// A name, or a list of names.
    Names,
}

const REQUIREMENT: Shape =
    Shape::Map(&[("key", Shape::Names), ("operator", Shape::Any), ("values", Shape::Names)]);
const SELECTOR: Shape =
    Shape::Map(&[("matchLabels", Shape::Labels), ("matchExpressions", Shape::List(&REQUIREMENT))]);
const SELECTORS: Shape = Shape::List(&SELECTOR);
const PREFERRED: Shape = Shape::Map(&[("weight", Shape::Any), ("preference", SELECTOR)]);

const L2_ADVERTISEMENT: Shape = Shape::Map(&[
    ("ipAddressPools", Shape::Names),
    ("ipAddressPoolSelectors", SELECTORS),
    ("nodeSelectors", SELECTORS),
    ("serviceSelectors", SELECTORS),
    ("preferredNodeSelectors", Shape::List(&PREFERRED)),
    ("interfaces", Shape::Names),
]);

const BGP_ADVERTISEMENT: Shape = Shape::Map(&[
    ("ipAddressPools", Shape::Names),
    ("ipAddressPoolSelectors", SELECTORS),
    ("nodeSelectors", SELECTORS),
    ("serviceSelectors", SELECTORS),
    ("aggregationLength", Shape::Any),
    ("aggregationLengthV6", Shape::Any),
    ("localPref", Shape::Any),
    ("communities", Shape::Any),
    ("peers", Shape::Names),
]);

const ALLOCATION: Shape = Shape::Map(&[
    ("priority", Shape::Any),
    ("namespaces", Shape::Names),
    ("namespaceSelectors", SELECTORS),
    ("serviceSelectors", SELECTORS),
]);

const ADDRESS_POOL: Shape = Shape::Map(&[
    ("addresses", Shape::Names),
    ("autoAssign", Shape::Any),
    ("avoidBuggyIPs", Shape::Any),
    ("serviceAllocation", ALLOCATION),
]);

const SERVICE: Shape = Shape::Map(&[
    ("allocateLoadBalancerNodePorts", Shape::Any),
    ("clusterIP", Shape::Any),
    ("clusterIPs", Shape::Any),
    ("externalIPs", Shape::Any),
    ("externalName", Shape::Any),
    ("externalTrafficPolicy", Shape::Any),
    ("healthCheckNodePort", Shape::Any),
    ("internalTrafficPolicy", Shape::Any),
    ("ipFamilies", Shape::Any),
    ("ipFamily", Shape::Any),
    ("ipFamilyPolicy", Shape::Any),
    ("loadBalancerClass", Shape::Names),
    ("loadBalancerIP", Shape::Any),
    ("loadBalancerSourceRanges", Shape::Any),
    ("ports", Shape::Any),
    ("publishNotReadyAddresses", Shape::Any),
    ("selector", Shape::Labels),
    ("sessionAffinity", Shape::Any),
    ("sessionAffinityConfig", Shape::Any),
    ("topologyKeys", Shape::Any),
    ("trafficDistribution", Shape::Any),
    ("type", Shape::Any),
]);

const NODE_TERM: Shape = Shape::Map(&[
    ("matchExpressions", Shape::List(&REQUIREMENT)),
    ("matchFields", Shape::List(&REQUIREMENT)),
]);
const NODE_AFFINITY: Shape = Shape::Map(&[
    (
        "requiredDuringSchedulingIgnoredDuringExecution",
        Shape::Map(&[("nodeSelectorTerms", Shape::List(&NODE_TERM))]),
    ),
    ("preferredDuringSchedulingIgnoredDuringExecution", Shape::Any),
]);
const AFFINITY: Shape = Shape::Map(&[
    ("nodeAffinity", NODE_AFFINITY),
    ("podAffinity", Shape::Any),
    ("podAntiAffinity", Shape::Any),
]);

const POD: Shape = Shape::Map(&[
    ("activeDeadlineSeconds", Shape::Any),
    ("affinity", AFFINITY),
    ("automountServiceAccountToken", Shape::Any),
    ("containers", Shape::Any),
    ("dnsConfig", Shape::Any),
    ("dnsPolicy", Shape::Any),
    ("enableServiceLinks", Shape::Any),
    ("ephemeralContainers", Shape::Any),
    ("hostAliases", Shape::Any),
    ("hostIPC", Shape::Any),
    ("hostNetwork", Shape::Any),
    ("hostPID", Shape::Any),
    ("hostUsers", Shape::Any),
    ("hostname", Shape::Any),
    ("hostnameOverride", Shape::Any),
    ("imagePullSecrets", Shape::Any),
    ("initContainers", Shape::Any),
    ("nodeName", Shape::Names),
    ("nodeSelector", Shape::Labels),
    ("os", Shape::Any),
    ("overhead", Shape::Any),
    ("preemptionPolicy", Shape::Any),
    ("priority", Shape::Any),
    ("priorityClassName", Shape::Any),
    ("readinessGates", Shape::Any),
    ("resourceClaims", Shape::Any),
    ("resources", Shape::Any),
    ("restartPolicy", Shape::Any),
    ("runtimeClassName", Shape::Any),
    ("schedulerName", Shape::Any),
    ("schedulingGates", Shape::Any),
    ("schedulingGroup", Shape::Any),
    ("securityContext", Shape::Any),
    ("serviceAccount", Shape::Any),
    ("serviceAccountName", Shape::Any),
    ("setHostnameAsFQDN", Shape::Any),
    ("shareProcessNamespace", Shape::Any),
    ("subdomain", Shape::Any),
    ("terminationGracePeriodSeconds", Shape::Any),
    ("tolerations", Shape::Any),
    ("topologySpreadConstraints", Shape::Any),
    ("volumes", Shape::Any),
    ("workloadRef", Shape::Any),
]);

/// Metadata is checked for invisible characters only: its other fields are the API server's own.
const NAMES: [&str; 2] = ["name", "namespace"];

/// Finds the fields of an object, or of the template of its pods at `template`, that do nothing.
#[must_use]
pub fn unused_fields(object: &Value, template: Option<&FieldPath>) -> Vec<UnusedField> {
    let mut found = Vec::new();
    check_metadata(object, &FieldPath::default(), &mut found);
    if let Some(path) = template {
        let at = path.tokens().try_fold(object, |value, token| value.get(token.as_ref()));
        if let Some(pod) = at {
            check_metadata(pod, path, &mut found);
            check_field(pod, "spec", &POD, path.clone(), &mut found);
        }
        if has_no_other_placement(object) {
            misplaced(object, path, path, &mut found);
            misplaced(object, &path.parent(), path, &mut found);
        }
        return found;
    }
    let field = |name| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let shape = match (field("apiVersion"), field("kind")) {
        ("v1", "Pod") => &POD,
        ("v1", "Service") => &SERVICE,
        ("metallb.io/v1beta1", "L2Advertisement") => &L2_ADVERTISEMENT,
        ("metallb.io/v1beta1", "BGPAdvertisement") => &BGP_ADVERTISEMENT,
        ("metallb.io/v1beta1", "IPAddressPool") => &ADDRESS_POOL,
        _ => return found,
    };
    const TOP: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
    for key in object.as_object().into_iter().flat_map(serde_json::Map::keys) {
        if !TOP.contains(&key.as_str()) {
            found.push(unknown(FieldPath::default().key(key), key, TOP.into_iter().chain(fields_of(shape))));
        }
    }
    check_field(object, "spec", shape, FieldPath::default(), &mut found);
    found
}

/// Whether the kind of an object with a pod template has no field of its own that places pods. Other kinds may have one.
fn has_no_other_placement(object: &Value) -> bool {
    let group = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default().split('/').next();
    group.is_some_and(|group| ["apps", "apps.kruise.io", "argoproj.io", "batch", "v1"].contains(&group))
}

/// The fields of the map at `path` that are meant for the spec of the pod template at `template`.
fn misplaced(object: &Value, path: &FieldPath, template: &FieldPath, found: &mut Vec<UnusedField>) {
    let at = path.tokens().try_fold(object, |value, token| value.get(token.as_ref()));
    for name in ["nodeSelector", "nodeName", "affinity"] {
        if at.is_some_and(|holder| holder.get(name).is_some()) {
            let path = path.clone().field(name);
            found.push(UnusedField {
                message: does_nothing(&path),
                help: format!("move it to `{template}.spec.{name}`"),
                path,
            });
        }
    }
}

fn check_metadata(object: &Value, path: &FieldPath, found: &mut Vec<UnusedField>) {
    let Some(metadata) = object.get("metadata") else { return };
    let path = path.clone().field("metadata");
    for name in NAMES {
        check_field(metadata, name, &Shape::Names, path.clone(), found);
    }
    check_field(metadata, "labels", &Shape::Labels, path, found);
}

fn check_field(
    parent: &Value,
    name: &'static str,
    shape: &Shape,
    path: FieldPath,
    found: &mut Vec<UnusedField>,
) {
    if let Some(value) = parent.get(name) {
        check(value, shape, &path.field(name), found);
    }
}

fn check(value: &Value, shape: &Shape, path: &FieldPath, found: &mut Vec<UnusedField>) {
    match (shape, value) {
        (Shape::Map(known), Value::Object(fields)) => {
            for (key, value) in fields {
                match known.iter().find(|(name, _)| name == key) {
                    Some((name, shape)) => check(value, shape, &path.clone().field(name), found),
                    None => found.push(unknown(unknown_path(path, key), key, fields_of(shape))),
                }
            }
        }
        (Shape::List(item), Value::Array(items)) => {
            for (index, value) in items.iter().enumerate() {
                check(value, item, &path.clone().index(index), found);
            }
        }
        (Shape::Labels, Value::Object(labels)) => {
            for (key, value) in labels {
                let path = path.clone().key(key);
                found.extend(invisible(key, &path));
                check(value, &Shape::Names, &path, found);
            }
        }
        (Shape::Names, Value::String(text)) => found.extend(invisible(text, path)),
        (Shape::Names, Value::Array(items)) => {
            for (index, value) in items.iter().enumerate() {
                check(value, &Shape::Names, &path.clone().index(index), found);
            }
        }
        _ => {}
    }
}

/// The path of a field that the schema does not have. A label in its place is shown as a key.
fn unknown_path(path: &FieldPath, key: &str) -> FieldPath {
    let is_name = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_name { path.clone().field_named(key) } else { path.clone().key(key) }
}

fn fields_of(shape: &Shape) -> impl Iterator<Item = &'static str> + use<> {
    let known: &[(&str, Shape)] = if let Shape::Map(known) = shape { known } else { &[] };
    known.iter().map(|(name, _)| *name)
}

/// A field that the schema does not have, with the nearest one that it has.
fn unknown(path: FieldPath, key: &str, known: impl Iterator<Item = &'static str>) -> UnusedField {
    let known: Vec<&str> = known.collect();
    let plain: String = key.chars().filter(|character| !is_hidden(*character)).collect();
    let help = if known.contains(&"matchLabels")
        && (plain.contains(['/', '.']) || nearest(&plain, &known).is_none())
    {
        format!("write the label below `matchLabels`: `matchLabels: {{{}: ...}}`", shown(&plain))
    } else {
        match nearest(&plain, &known) {
            Some(name) if name == plain => format!("write `{name}` without the invisible character"),
            Some(name) => format!("write `{name}`"),
            None => format!("remove it, or write one of {}", listed(&known)),
        }
    };
    UnusedField { message: does_nothing(&path), path, help }
}

fn does_nothing(path: &FieldPath) -> String {
    let path = shown(&path.to_string());
    format!("`{path}` does nothing: the API has no such field, and the API server drops it")
}

/// A text with a character that nobody sees, or one that looks like a letter of a name and is another: it is another text than the
/// one that is meant.
fn invisible(text: &str, path: &FieldPath) -> Option<UnusedField> {
    if text.contains(is_hidden) {
        return Some(UnusedField {
            path: path.clone(),
            message: format!("`{}` has an invisible character", shown(text)),
            help: "type it again without the character".to_owned(),
        });
    }
    let other = text.chars().find(|character| !character.is_ascii())?;
    Some(UnusedField {
        path: path.clone(),
        message: format!(
            "`{}` has the character `{other}` (U+{:04X}), which no name and no label may have",
            lockstep_core::escape::excerpt(text),
            u32::from(other)
        ),
        help: "type it again: the character may look like a letter, and is another one".to_owned(),
    })
}

/// Whether the character is not visible, or looks like the space that it is not.
fn is_hidden(character: char) -> bool {
    is_unsafe(character) || character.is_whitespace() && character != ' '
}

/// The text with its invisible characters escaped.
fn shown(text: &str) -> String {
    text.chars().fold(String::new(), |mut shown, character| {
        if is_hidden(character) {
            // Writing to a string never fails.
            let _ = write!(shown, "{}", character.escape_default());
        } else {
            shown.push(character);
        }
        shown
    })
}

/// The field that a misspelt name most likely means.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let lower = key.to_lowercase();
    let distance = |name: &&&str| strsim::damerau_levenshtein(&name.to_lowercase(), &lower);
    let near = known.iter().min_by_key(distance)?;
    let is_near = distance(&near) <= key.chars().count().div_ceil(4).max(1);
    is_near.then_some(*near)
}

fn listed(known: &[&str]) -> String {
    const SHOWN: usize = 6;
    let names: Vec<String> = known.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let more = if known.len() > SHOWN { ", ..." } else { "" };
    format!("{}{more}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn advertisement(spec: &Value) -> Value {
        json!({"apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement", "metadata": {"name": "a"}, "spec": spec})
    }

    #[test]
    fn a_field_that_does_nothing_is_named_with_the_right_one() {
        let cases = [
            (json!({"nodeSelector": []}), "spec.nodeSelector", "write `nodeSelectors`"),
            (json!({"ipAddresspools": []}), "spec.ipAddresspools", "write `ipAddressPools`"),
            (
                json!({"nodeSelectors\u{200b}": []}),
                r"spec[nodeSelectors\u{200b}]",
                "write `nodeSelectors` without the invisible character",
            ),
            (
                json!({"nodeSelectors": [{"kubernetes.io/hostname": "a"}]}),
                "spec.nodeSelectors[0][kubernetes.io/hostname]",
                "write the label below `matchLabels`: `matchLabels: {kubernetes.io/hostname: ...}`",
            ),
            (
                json!({"nodeSelectors": [{"matchlabels": {}}]}),
                "spec.nodeSelectors[0].matchlabels",
                "write `matchLabels`",
            ),
            (
                json!({"nodeSelectors": [{"matchExpressions": [{"key": "a", "operator": "In", "value": ["b"]}]}]}),
                "spec.nodeSelectors[0].matchExpressions[0].value",
                "write `values`",
            ),
            (
                json!({"weight": 1}),
                "spec.weight",
                "remove it, or write one of `ipAddressPools`, `ipAddressPoolSelectors`, `nodeSelectors`, \
                 `serviceSelectors`, `preferredNodeSelectors`, `interfaces`",
            ),
        ];
        for (spec, path, help) in cases {
            let found = unused_fields(&advertisement(&spec), None);
            let [field] = found.as_slice() else { panic!("{spec}: {found:?}") };
            assert_eq!((field.path.to_string().as_str(), field.help.as_str()), (path, help));
        }
    }

    #[test]
    fn invisible_characters_in_labels_and_names_are_shown() {
        let object = advertisement(&json!({
            "ipAddressPools": ["pool\u{a0}"],
            "nodeSelectors": [{"matchLabels": {"edge": "tr\u{ad}ue", "a\u{feff}": "b", "c": "\u{430}rp"}}],
        }));
        let messages: Vec<String> =
            unused_fields(&object, None).into_iter().map(|field| field.message).collect();
        let mut expected = ["`a\\u{feff}`", "`tr\\u{ad}ue`", "`pool\\u{a0}`"]
            .map(|text| format!("{text} has an invisible character"));
        let (other, mut found): (Vec<_>, Vec<_>) =
            messages.into_iter().partition(|message| message.contains("U+"));
        assert_eq!(
            other,
            ["`\u{430}rp` has the character `\u{430}` (U+0430), which no name and no label may have"]
        );
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_fields_of_the_api_are_known() {
        let object = advertisement(&json!({
            "ipAddressPools": ["a"], "ipAddressPoolSelectors": [{"matchLabels": {"a": "b"}}], "interfaces": ["eth0"],
            "preferredNodeSelectors": [{"weight": 1, "preference": {"matchExpressions": []}}],
        }));
        assert_eq!(unused_fields(&object, None), []);
        let template = FieldPath::fields(["spec", "template"]);
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {
            "metadata": {"labels": {"a": "b"}}, "spec": {"nodeSelectors": {}, "containers": []},
        }}});
        let found = unused_fields(&deployment, Some(&template));
        assert_eq!(found[0].path.to_string(), "spec.template.spec.nodeSelectors");
        assert_eq!((found.len(), found[0].help.as_str()), (1, "write `nodeSelector`"));
        let beside = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {
            "nodeSelector": {"a": "b"}, "template": {"spec": {"containers": []}, "affinity": {}},
        }});
        let found = unused_fields(&beside, Some(&template));
        assert_eq!(
            found.iter().map(|field| (field.path.to_string(), field.help.as_str())).collect::<Vec<_>>(),
            [
                ("spec.template.affinity".to_owned(), "move it to `spec.template.spec.affinity`"),
                ("spec.nodeSelector".to_owned(), "move it to `spec.template.spec.nodeSelector`"),
            ]
        );
    }
}
