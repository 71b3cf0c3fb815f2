//! The checks of a topology. The CRD's schema makes the API server check the same; these hold for manifests on disk, and for a
//! cluster whose CRD is older than the binary.

use std::ops::RangeInclusive;

use super::GatewayTopologySpec;
use crate::escape::excerpt;
use crate::field::FieldPath;
use crate::labels::{Labels, check_key, check_value, first_duplicate, is_dns_label};
use crate::objects::Kind;
use crate::verdict::Rule;

/// The maximum number of entries of a list or map in a topology. It bounds the cost of the CRD's CEL rules.
pub(super) const MAX_ENTRIES: usize = 64;

/// The maximum length of a custom resource's name: a DNS subdomain (RFC 1123).
pub(super) const MAX_POOL: usize = 253;

/// The maximum length of a load balancer class. It has the form of a label key: a prefix of 253 characters, a slash,
/// and 63 characters.
pub(super) const MAX_CLASS: usize = 317;

/// The maximum length of the name of an object in an exception: a DNS subdomain and `*`.
pub(super) const MAX_OBJECT_NAME: usize = 254;

/// The maximum length of the reason of an exception.
pub(super) const MAX_REASON: usize = 256;

/// An invalid topology: the field and the problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct TopologyError {
    /// The path of the field, from the root of the object.
    pub field: FieldPath,
    /// The mistake and the remedy.
    pub problem: String,
}

impl GatewayTopologySpec {
    /// Checks the constraints that the types do not express.
    ///
    /// # Errors
    /// [`TopologyError`] for the first invalid field.
    pub fn check(&self) -> Result<(), TopologyError> {
        let spec = || FieldPath::fields(["spec"]);
        check_namespace(&self.gateway.namespace, || spec().field("gateway").field("namespace"))?;
        check_labels(&self.gateway.pod_labels, || spec().field("gateway").field("podLabels"))?;
        let node_selector = &self.placement.node_selector;
        if !node_selector.is_empty() {
            check_labels(node_selector, || spec().field("placement").field("nodeSelector"))?;
        }
        check_namespace(&self.metallb_namespace, || spec().field("metallbNamespace"))?;
        check_list(&self.address_pools, || spec().field("addressPools"))?;
        check_items(&self.address_pools, 1..=MAX_POOL, || spec().field("addressPools"))?;
        let service = || spec().field("service");
        check_list(&self.service.types, || service().field("types"))?;
        let classes = || service().field("loadBalancerClasses");
        check_list(&self.service.load_balancer_classes, classes)?;
        check_items(&self.service.load_balancer_classes, 0..=MAX_CLASS, classes)?;
        self.check_rule_ids(|| spec().field("enforcementByRule"))?;
        self.check_exceptions(|| spec().field("exceptions"))
    }

    fn check_exceptions(&self, field: impl Fn() -> FieldPath) -> Result<(), TopologyError> {
        if self.exceptions.len() > MAX_ENTRIES {
            return Err(wrong(field(), &format!("give at most {MAX_ENTRIES} entries")));
        }
        for (index, exception) in self.exceptions.iter().enumerate() {
            let at = |name| field().index(index).field(name);
            if !Rule::ALL.iter().any(|rule| rule.id() == exception.rule) {
                let ids = Rule::ALL.map(Rule::id).join(", ");
                let problem = format!("rule `{}` does not exist: use {ids}", excerpt(&exception.rule));
                return Err(wrong(at("rule"), &problem));
            }
            if !Kind::ALL.iter().any(|kind| kind.name() == exception.kind) {
                let kinds = Kind::ALL.map(Kind::name).join(", ");
                let problem = format!("no rule judges the kind `{}`: use {kinds}", excerpt(&exception.kind));
                return Err(wrong(at("kind"), &problem));
            }
            check_namespace(&exception.namespace, || at("namespace"))?;
            for (name, text, most) in
                [("name", &exception.name, MAX_OBJECT_NAME), ("reason", &exception.reason, MAX_REASON)]
            {
                if !(1..=most).contains(&text.chars().count()) {
                    return Err(wrong(at(name), &format!("give 1 to {most} characters")));
                }
            }
        }
        Ok(())
    }

    fn check_rule_ids(&self, field: impl Fn() -> FieldPath) -> Result<(), TopologyError> {
        let is_known = |id: &str| Rule::ALL.iter().any(|rule| rule.id() == id);
        match self.enforcement_by_rule.keys().find(|id| !is_known(id)) {
            Some(unknown) => {
                let ids = Rule::ALL.map(Rule::id).join(", ");
                let problem = format!("rule `{}` does not exist: use {ids}", excerpt(unknown));
                Err(wrong(field().key(unknown), &problem))
            }
            None => Ok(()),
        }
    }
}

fn wrong(field: FieldPath, problem: &str) -> TopologyError {
    TopologyError { field, problem: problem.to_owned() }
}

fn check_labels(labels: &Labels, field: impl Fn() -> FieldPath) -> Result<(), TopologyError> {
    if labels.is_empty() || labels.len() > MAX_ENTRIES {
        return Err(wrong(field(), &format!("give at least one label and at most {MAX_ENTRIES}")));
    }
    for (key, value) in labels {
        check_key(key)
            .and_then(|()| check_value(value))
            .map_err(|error| wrong(field().key(key), &error.to_string()))?;
    }
    Ok(())
}

fn check_namespace(name: &str, field: impl Fn() -> FieldPath) -> Result<(), TopologyError> {
    if is_dns_label(name) {
        Ok(())
    } else {
        Err(wrong(field(), &format!("`{}` is not the name of a namespace", excerpt(name))))
    }
}

fn check_list<T: Ord>(list: &[T], field: impl Fn() -> FieldPath) -> Result<(), TopologyError> {
    if list.is_empty() || list.len() > MAX_ENTRIES {
        return Err(wrong(field(), &format!("give at least one entry and at most {MAX_ENTRIES}")));
    }
    match first_duplicate(list) {
        Some(duplicate) => Err(wrong(field().index(duplicate), "duplicate entry: remove one")),
        None => Ok(()),
    }
}

fn check_items(
    list: &[String],
    length: RangeInclusive<usize>,
    field: impl Fn() -> FieldPath,
) -> Result<(), TopologyError> {
    match list.iter().position(|item| !length.contains(&item.len())) {
        Some(index) => {
            let problem = format!("give {} to {} characters", length.start(), length.end());
            Err(wrong(field().index(index), &problem))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{GatewayTopologySpec, MAX_CLASS, MAX_ENTRIES, MAX_OBJECT_NAME, MAX_POOL, MAX_REASON};

    fn check(spec: Value) -> Result<(), String> {
        let spec: GatewayTopologySpec = serde_json::from_value(spec).unwrap();
        spec.check().map_err(|error| error.to_string())
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("name-{index}")).collect()
    }

    fn labels(count: usize) -> Value {
        names(count).into_iter().map(|key| (key, Value::from("x"))).collect()
    }

    #[test]
    fn errors_name_the_field_and_what_to_do() {
        for (spec, text) in [
            (
                json!({"gateway": {"namespace": ""}}),
                "spec.gateway.namespace: `` is not the name of a namespace",
            ),
            (
                json!({"gateway": {"namespace": "-a"}}),
                "spec.gateway.namespace: `-a` is not the name of a namespace",
            ),
            (
                json!({"metallbNamespace": "a.b"}),
                "spec.metallbNamespace: `a.b` is not the name of a namespace",
            ),
            (
                json!({"gateway": {"podLabels": {}}}),
                "spec.gateway.podLabels: give at least one label and at most 64",
            ),
            (
                json!({"placement": {"nodeSelector": labels(MAX_ENTRIES + 1)}}),
                "spec.placement.nodeSelector: give at least one label and at most 64",
            ),
            (
                json!({"placement": {"nodeSelector": {"a b": "x"}}}),
                "spec.placement.nodeSelector[a b]: `a b` is not a label key: write `name` or `dns.prefix/name`, \
                 at most 63 characters after the slash",
            ),
            (
                json!({"metallbNamespace": "a\nb\u{202e}"}),
                "spec.metallbNamespace: `a\\nb\\u{202e}` is not the name of a namespace",
            ),
            (
                json!({"enforcementByRule": {"a\n": "Warn"}}),
                "spec.enforcementByRule[a\\n]: rule `a\\n` does not exist: use gateway-placement, \
                 external-traffic-policy, announcement-placement, address-preservation",
            ),
            (json!({"addressPools": []}), "spec.addressPools: give at least one entry and at most 64"),
            (
                json!({"addressPools": names(MAX_ENTRIES + 1)}),
                "spec.addressPools: give at least one entry and at most 64",
            ),
            (json!({"addressPools": ["a", "b", "a"]}), "spec.addressPools[2]: duplicate entry: remove one"),
            (json!({"addressPools": ["a", ""]}), "spec.addressPools[1]: give 1 to 253 characters"),
            (
                json!({"service": {"types": ["NodePort", "NodePort"]}}),
                "spec.service.types[1]: duplicate entry: remove one",
            ),
            (
                json!({"service": {"loadBalancerClasses": ["x".repeat(MAX_CLASS + 1)]}}),
                "spec.service.loadBalancerClasses[0]: give 0 to 317 characters",
            ),
            (
                json!({"enforcementByRule": {"placement": "Warn"}}),
                "spec.enforcementByRule[placement]: rule `placement` does not exist: use gateway-placement, \
                 external-traffic-policy, announcement-placement, address-preservation",
            ),
        ] {
            assert_eq!(check(spec), Err(text.to_owned()));
        }
    }

    #[test]
    fn errors_of_exceptions_name_the_entry() {
        let with = |field: &str, value: Value| {
            let mut exception = json!({"rule": "gateway-placement", "kind": "Pod", "namespace": "a", "name": "x", "reason": "y"});
            exception[field] = value;
            check(json!({"exceptions": [exception]}))
        };
        for (field, value, text) in [
            (
                "rule",
                json!("placement"),
                "rule `placement` does not exist: use gateway-placement, external-traffic-policy, announcement-placement, address-preservation",
            ),
            (
                "kind",
                json!("Deployment"),
                "no rule judges the kind `Deployment`: use Pod, Service, DaemonSet, L2Advertisement, BGPAdvertisement, IPAddressPool, AddressPool",
            ),
            ("namespace", json!(""), "`` is not the name of a namespace"),
            (
                "kind",
                json!("Pod\n"),
                "no rule judges the kind `Pod\\n`: use Pod, Service, DaemonSet, L2Advertisement, BGPAdvertisement, IPAddressPool, AddressPool",
            ),
            ("name", json!(""), "give 1 to 254 characters"),
            ("reason", json!(""), "give 1 to 256 characters"),
            ("reason", json!("x".repeat(257)), "give 1 to 256 characters"),
        ] {
            assert_eq!(with(field, value), Err(format!("spec.exceptions[0].{field}: {text}")));
        }
        let many = vec![
            json!({"rule": "gateway-placement", "kind": "Pod", "namespace": "a", "name": "x", "reason": "y"});
            MAX_ENTRIES + 1
        ];
        assert_eq!(
            check(json!({"exceptions": many})),
            Err("spec.exceptions: give at most 64 entries".to_owned())
        );
    }

    #[test]
    fn the_largest_allowed_sizes_are_accepted() {
        for spec in [
            json!({"gateway": {"namespace": "a-1", "podLabels": labels(MAX_ENTRIES)}}),
            json!({"addressPools": names(MAX_ENTRIES)}),
            json!({"addressPools": ["x".repeat(MAX_POOL)]}),
            json!({"service": {"loadBalancerClasses": ["", "x".repeat(MAX_CLASS)]}}),
            json!({"enforcementByRule": {"gateway-placement": "Warn"}}),
            json!({"placement": {"nodeSelector": {}}}),
            json!({"exceptions": [{"rule": "gateway-placement", "kind": "Pod", "namespace": "a", "name": "x".repeat(MAX_OBJECT_NAME),
                "reason": "x".repeat(MAX_REASON), "until": "2026-12-01T00:00:00Z"}]}),
        ] {
            assert_eq!(check(spec), Ok(()));
        }
    }
}
