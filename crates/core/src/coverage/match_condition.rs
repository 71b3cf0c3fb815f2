//! The match condition that the chart gives to the webhooks of the gateways' namespaces.
//!
//! With it the API server calls the webhook only for objects that can belong to a gateway that the chart knows, so that
//! an outage of Lockstep blocks nothing else. A condition in CEL cannot be decided in general, so only this form covers:
//! namespaces and gateways as JSON, and a text between them that never changes.

use std::collections::BTreeMap;

use super::configuration::MatchCondition;
use crate::topology::GatewayTopologySpec;

/// Before the namespaces that the condition does not limit.
const NAMESPACES: &str = "request.namespace in ";

/// Before the pod labels of the gateways.
const GATEWAYS: &str = " || ";

/// After them. A Service without a selector is sent, because its endpoints may be gateway pods; and so is one that is no longer
/// `Local`, because the endpoints of a selector that was replaced stay for a moment.
const OBJECTS: &str = r#".exists(gateway, [object, oldObject].exists(it, it != null && ( request.resource.resource == "pods" ? has(it.metadata.labels) && gateway.all(key, key in it.metadata.labels && it.metadata.labels[key] == gateway[key]) : request.resource.resource == "daemonsets" ? has(it.spec.template.metadata) && has(it.spec.template.metadata.labels) && gateway.all(key, key in it.spec.template.metadata.labels && it.spec.template.metadata.labels[key] == gateway[key]) : request.resource.resource == "services" ? !has(it.spec.selector) || it.spec.selector.all(key, !(key in gateway) || it.spec.selector[key] == gateway[key]) || has(it.spec.externalTrafficPolicy) && it.spec.externalTrafficPolicy == "Local" && object != null && (!has(object.spec.externalTrafficPolicy) || object.spec.externalTrafficPolicy != "Local") : true)))"#;

/// The requests that the condition lets through to the webhook.
#[derive(Debug, PartialEq, Eq)]
struct Scope {
    /// The namespaces that it does not limit.
    namespaces: Vec<String>,
    /// The pod labels of the gateways whose objects it sends.
    gateways: Vec<BTreeMap<String, String>>,
}

/// The treatment of a topology's objects by a webhook's conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Treatment {
    /// Every object that may be of its gateway is sent.
    Sent,
    /// The chart made the condition, and for other gateways only.
    OfOthers,
    /// The chart did not make the condition, so nothing is known of it.
    Foreign,
}

/// The treatment of the objects of `topology` by conditions, all of which must hold for a call.
pub(super) fn treatment(conditions: &[MatchCondition], topology: &GatewayTopologySpec) -> Treatment {
    let mut treatment = Treatment::Sent;
    for condition in conditions {
        match Scope::parse(&condition.expression) {
            None => return Treatment::Foreign,
            Some(scope) if !scope.has(topology) => treatment = Treatment::OfOthers,
            Some(_) => {}
        }
    }
    treatment
}

impl Scope {
    fn parse(expression: &str) -> Option<Self> {
        // Tools that write YAML break lines where they like. No label, name or value has a space.
        let words: Vec<&str> = expression.split_whitespace().collect();
        let expression = words.join(" ");
        let lists = expression.strip_prefix(NAMESPACES)?.strip_suffix(OBJECTS)?;
        let (namespaces, gateways) = lists.split_once(GATEWAYS)?;
        Some(Self {
            namespaces: serde_json::from_str(namespaces).ok()?,
            gateways: serde_json::from_str(gateways).ok()?,
        })
    }

    /// Whether every object that may be of the topology's gateway is sent. Fewer labels select more pods, and contradict
    /// fewer selectors of Services.
    fn has(&self, topology: &GatewayTopologySpec) -> bool {
        let gateway = &topology.gateway;
        let is_within = |labels: &BTreeMap<String, String>| {
            labels.iter().all(|(key, value)| {
                gateway.pod_labels.get(key.as_str()).is_some_and(|found| found.as_str() == value)
            })
        };
        self.namespaces.contains(&gateway.namespace) || self.gateways.iter().any(is_within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(namespaces: &str, gateways: &str) -> Option<Scope> {
        Scope::parse(&format!("{NAMESPACES}{namespaces}{GATEWAYS}{gateways}{OBJECTS}"))
    }

    fn treats(condition: &str) -> Treatment {
        let conditions = [MatchCondition { expression: condition.to_owned() }];
        treatment(&conditions, &GatewayTopologySpec::default())
    }

    #[test]
    fn a_topology_is_covered_by_its_labels_by_fewer_and_by_its_namespace() {
        for (namespaces, gateways, has) in [
            ("[]", r#"[{"app":"istio-ingressgateway","istio":"ingressgateway"}]"#, true),
            ("[]", r#"[{"app":"other"},{"istio":"ingressgateway"}]"#, true),
            (r#"["istio-system"]"#, r#"[{"app":"other"}]"#, true),
            (r#"["edge"]"#, r#"[{"app":"istio-ingressgateway","istio":"ingressgateway","a":"b"}]"#, false),
            ("[]", r#"[{"app":"other"}]"#, false),
            ("[]", "[]", false),
        ] {
            let scope = scope(namespaces, gateways).unwrap();
            assert_eq!(scope.has(&GatewayTopologySpec::default()), has, "{scope:?}");
        }
    }

    #[test]
    fn only_the_charts_text_counts() {
        let chart = format!(r#"{NAMESPACES}[]{GATEWAYS}[{{"istio":"ingressgateway"}}]{OBJECTS}"#);
        assert_eq!(treats(&chart), Treatment::Sent);
        assert_eq!(treats(&chart.replace(" || [", "\n  || [").replace(" : ", "\n    : ")), Treatment::Sent);
        assert_eq!(treats(&chart.replace("ingressgateway", "other")), Treatment::OfOthers);
        for foreign in [
            "true".to_owned(),
            String::new(),
            format!("false && {chart}"),
            format!("{chart} && false"),
            chart.replace("oldObject", "object"),
            chart.replace("[]", "[] && false"),
            chart.replace("[]", "[1]"),
            chart.replace(r#""ingressgateway""#, "1"),
        ] {
            assert_eq!(treats(&foreign), Treatment::Foreign, "{foreign}");
        }
    }
}
