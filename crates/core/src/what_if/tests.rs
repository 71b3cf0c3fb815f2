//! Changes that nobody has made yet, and what follows from them.

use serde_json::{Value, json};

use super::{LabelEdit, NodeLabel, ObjectReference, WhatIf, WhatIfError};
use crate::assessment::{AddressAssessment, Assessment, NodeScope};
use crate::election::MetalLbVersion;
use crate::snapshot::Inventory;
use crate::snapshot::from_objects::inventory_of;

const LABEL: &str = "loadbalancerIPs.metallb.io";

/// A gateway with a pod on each of two gateway nodes, and a third node without.
fn edge() -> Vec<Value> {
    let mut objects = vec![
        json!({"apiVersion": "lockstep.dev/v1alpha1", "kind": "GatewayTopology", "metadata": {"name": "edge"}, "spec": {}}),
        json!({"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": {"name": "default-pool"},
            "spec": {"addresses": ["10.6.229.180-10.6.229.190"]}}),
        json!({"apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement", "metadata": {"name": "arp"},
            "spec": {"ipAddressPools": ["default-pool"], "nodeSelectors": [{"matchLabels": {LABEL: "arp"}}]}}),
        service(&json!({})),
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "gateway", "labels": {"kubernetes.io/service-name": "istio-ingressgateway"}},
        "endpoints": [
            {"addresses": ["10.0.0.1"], "nodeName": "n1", "targetRef": {"kind": "Pod", "name": "gateway-1"}},
            {"addresses": ["10.0.0.2"], "nodeName": "n2"},
        ]}),
    ];
    for (name, labels) in [("n1", json!({LABEL: "arp"})), ("n2", json!({LABEL: "arp"})), ("n3", json!({}))] {
        objects
            .push(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}));
        objects.push(json!({"apiVersion": "v1", "kind": "Pod", "spec": {"nodeName": name},
            "metadata": {"name": format!("speaker-{name}"), "namespace": "metallb-system", "labels": {"app": "metallb"}}}));
    }
    for (pod, node) in [("gateway-1", "n1"), ("gateway-2", "n2")] {
        objects.push(json!({"apiVersion": "v1", "kind": "Pod", "spec": {"nodeName": node},
            "metadata": {"name": pod, "labels": {"app": "istio-ingressgateway", "istio": "ingressgateway"}}}));
    }
    objects
}

fn service(more: &Value) -> Value {
    let mut service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "istio-ingressgateway"},
        "spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local",
            "selector": {"app": "istio-ingressgateway", "istio": "ingressgateway"}},
        "status": {"loadBalancer": {"ingress": [{"ip": "10.6.229.180"}]}}});
    let fields = more.as_object().unwrap().clone();
    service.as_object_mut().unwrap().extend(fields);
    service
}

fn applied(objects: &[Value]) -> WhatIf {
    let mut inventory = inventory_of(objects);
    inventory.read.clear();
    WhatIf::Apply(Box::new(inventory))
}

fn deleted(reference: &str) -> WhatIf {
    WhatIf::Delete(reference.parse().unwrap())
}

fn labelled(label: &str) -> WhatIf {
    WhatIf::Label(label.parse().unwrap())
}

fn after(changes: &[WhatIf]) -> Result<Inventory, WhatIfError> {
    changes.iter().try_fold(inventory_of(&edge()), Inventory::what_if)
}

/// The first address after the changes: who announces it, who is next, the outcome and its code.
fn outcome(changes: &[WhatIf]) -> (Option<String>, Option<String>, &'static str, &'static str) {
    let assessment =
        Assessment::foresee(&after(changes).unwrap(), MetalLbVersion::V0_16_2, NodeScope::Relevant);
    let AddressAssessment { announcer, next, outcome, .. } =
        assessment.topologies[0].services[0].addresses[0].clone();
    (announcer, next, outcome.word(), outcome.cause().map_or("", |cause| cause.code.code()))
}

fn node(name: &str) -> Option<String> {
    Some(name.to_owned())
}

#[test]
fn without_a_change_both_gateway_nodes_can_announce() {
    assert_eq!(outcome(&[]), (node("n2"), node("n1"), "Preserved", ""));
}

#[test]
fn a_label_change_leaves_pods_where_they_run() {
    let one = labelled("n2:loadbalancerIPs.metallb.io-");
    assert_eq!(outcome(std::slice::from_ref(&one)), (node("n1"), None, "Fragile", "ONE_NODE"));
    let both = [one, labelled("n1:loadbalancerIPs.metallb.io=ndp")];
    assert_eq!(outcome(&both), (None, None, "Silent", "NODE_NOT_SELECTED"));
    let after = after(&both).unwrap();
    let before = inventory_of(&edge());
    assert_eq!((&after.endpoint_slices, &after.pods), (&before.endpoint_slices, &before.pods));
    // A node without a pod announces nothing, whatever its labels.
    let third = labelled("n3:loadbalancerIPs.metallb.io=arp");
    assert_eq!(outcome(&[third]), (node("n2"), node("n1"), "Preserved", ""));
    let excluded = labelled("n2:node.kubernetes.io/exclude-from-external-load-balancers=");
    assert_eq!(outcome(&[excluded]).0, node("n1"));
}

#[test]
fn a_failed_node_loses_its_pods_and_its_speaker() {
    assert_eq!(outcome(&[WhatIf::Fail("n2".to_owned())]), (node("n1"), None, "Fragile", "ONE_NODE"));
    let both = [WhatIf::Fail("n2".to_owned()), WhatIf::Fail("n1".to_owned())];
    assert_eq!(outcome(&both), (None, None, "Silent", "NO_ENDPOINT"));
    // With `Cluster` endpoints elsewhere do, and the speaker decides, also where speakers were not read.
    let mut inventory = inventory_of(&edge());
    inventory.read.remove(&crate::snapshot::Source::Speakers);
    inventory.speakers.clear();
    let cluster = applied(&[service(
        &json!({"spec": {"type": "LoadBalancer", "selector": {"istio": "ingressgateway"}}}),
    )]);
    let inventory = inventory.what_if(&cluster).unwrap();
    let announcer = |inventory: &Inventory| {
        let assessment = Assessment::foresee(inventory, MetalLbVersion::V0_16_2, NodeScope::Relevant);
        assessment.topologies[0].services[0].addresses[0].announcer.clone()
    };
    assert_eq!(announcer(&inventory), node("n2"));
    let failed = inventory.what_if(&WhatIf::Fail("n2".to_owned())).unwrap();
    assert_eq!(announcer(&failed), node("n1"));
}

#[test]
fn deleting_a_node_deletes_its_pods() {
    assert_eq!(outcome(&[deleted("node/n2")]), (node("n1"), None, "Fragile", "ONE_NODE"));
    let after = after(&[deleted("no/n2")]).unwrap();
    assert_eq!((after.nodes.len(), after.pods.len(), after.speakers.len()), (2, 1, 2));
}

#[test]
fn deleting_a_pod_deletes_its_endpoint() {
    // One endpoint names its pod; the other one is the only one on its node.
    for (pod, announcer) in [("Pod/gateway-1", "n2"), ("pods/istio-system/gateway-2", "n1")] {
        assert_eq!(outcome(&[deleted(pod)]), (node(announcer), None, "Fragile", "ONE_NODE"), "{pod}");
    }
    assert_eq!(outcome(&[deleted("po/speaker-n2")]).0, node("n1"));
}

#[test]
fn a_pod_whose_endpoint_is_not_known_is_an_error() {
    let mut objects = edge();
    objects.push(json!({"apiVersion": "v1", "kind": "Pod", "spec": {"nodeName": "n2"},
        "metadata": {"name": "gateway-3", "labels": {"app": "istio-ingressgateway", "istio": "ingressgateway"}}}));
    let error = inventory_of(&objects).what_if(&deleted("Pod/gateway-2")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the endpoints of Service `istio-ingressgateway` on node `n2` name no pods, so it is not known which of them \
         leads to pod `gateway-2`: change the EndpointSlice itself"
    );
}

#[test]
fn deleting_a_service_deletes_its_endpoints() {
    let after = after(&[deleted("Service/istio-ingressgateway")]).unwrap();
    assert!(after.services.is_empty() && after.load_balancers.is_empty() && after.endpoint_slices.is_empty());
}

#[test]
fn deleting_the_last_advertisement_or_pool_silences_the_address() {
    for (reference, code) in [
        ("L2Advertisement/arp", "NOT_ADVERTISED"),
        ("l2advertisements/metallb-system/arp", "NOT_ADVERTISED"),
        ("IPAddressPool/default-pool", "ADDRESS_IN_NO_POOL"),
        ("EndpointSlice/gateway", "NO_ENDPOINT"),
    ] {
        assert_eq!(outcome(&[deleted(reference)]), (None, None, "Silent", code), "{reference}");
    }
}

#[test]
fn an_applied_service_keeps_what_the_server_owns() {
    let mut cluster = service(&json!({"spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Cluster",
        "selector": {"app": "istio-ingressgateway", "istio": "ingressgateway"}}}));
    cluster.as_object_mut().unwrap().remove("status");
    assert_eq!(outcome(&[applied(&[cluster.clone()])]).2, "Lost");
    // A Service that asks for another address gets it.
    cluster["metadata"]["annotations"] = json!({"metallb.io/loadBalancerIPs": "10.6.229.185"});
    let asked = after(&[applied(&[cluster])]).unwrap();
    let held: Vec<&str> =
        asked.load_balancers.values().flat_map(|held| &held.ingress).map(|entry| entry.ip.as_str()).collect();
    assert_eq!(held, ["10.6.229.185"]);
}

#[test]
fn a_service_that_no_longer_agrees_with_its_sharers_loses_its_address() {
    let selector = json!({"app": "istio-ingressgateway", "istio": "ingressgateway"});
    let sharer = |name: &str, policy: &str, ingress: Value| {
        service(&json!({
            "metadata": {"name": name, "annotations": {"metallb.io/allow-shared-ip": "k"}},
            "spec": {"type": "LoadBalancer", "externalTrafficPolicy": policy, "selector": selector},
            "status": {"loadBalancer": {"ingress": ingress}},
        }))
    };
    let held = json!([{"ip": "10.6.229.180"}]);
    let mut objects = edge();
    objects.retain(|object| object["kind"] != "Service");
    objects.push(sharer("istio-ingressgateway", "Cluster", held.clone()));
    objects.push(sharer("status", "Cluster", held));
    let addresses = |changes: &[Value]| {
        let after = inventory_of(&objects).what_if(&applied(changes)).unwrap();
        let addresses = after.load_balancers.values().map(|balancer| balancer.ingress.len());
        addresses.collect::<Vec<_>>()
    };
    let local = sharer("istio-ingressgateway", "Local", json!([]));
    assert_eq!(addresses(std::slice::from_ref(&local)), [0, 1], "the other Service keeps it");
    assert_eq!(addresses(&[local, sharer("status", "Local", json!([]))]), [1, 1], "both agree");
    let mut alone = sharer("istio-ingressgateway", "Cluster", json!([]));
    alone["metadata"].as_object_mut().unwrap().remove("annotations");
    assert_eq!(addresses(&[alone]), [0, 1], "it no longer shares");
    let mut taken = service(&json!({"metadata": {"name": "third",
        "annotations": {"metallb.io/loadBalancerIPs": "10.6.229.180"}}}));
    taken.as_object_mut().unwrap().remove("status");
    assert_eq!(addresses(&[taken]), [1, 1, 0], "the address is taken");
}

#[test]
fn an_applied_node_keeps_the_labels_that_the_object_does_not_give() {
    let zone =
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": {"zone": "a"}}});
    let after = after(&[applied(&[zone])]).unwrap();
    let labels: Vec<&str> = after.nodes["n1"].keys().map(smol_str::SmolStr::as_str).collect();
    assert_eq!(labels, [LABEL, "zone"]);
}

#[test]
fn narrowing_a_selector_removes_the_endpoints_of_other_pods() {
    let narrower = service(&json!({"spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local",
        "selector": {"app": "istio-ingressgateway", "istio": "ingressgateway", "track": "canary"}}}));
    let canary = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"nodeName": "n1"}, "metadata": {"name": "gateway-1",
        "labels": {"app": "istio-ingressgateway", "istio": "ingressgateway", "track": "canary"}}});
    assert_eq!(outcome(&[applied(std::slice::from_ref(&narrower))]).3, "NO_ENDPOINT");
    assert_eq!(outcome(&[applied(&[narrower.clone(), canary])]), (node("n1"), None, "Fragile", "ONE_NODE"));
    let mut unread = inventory_of(&edge());
    unread.read.remove(&crate::snapshot::Source::Pods);
    assert!(matches!(unread.what_if(&applied(&[narrower])), Err(WhatIfError::PodsUnread { .. })));
}

#[test]
fn a_kind_that_was_not_read_stays_unread() {
    let mut inventory = inventory_of(&edge());
    inventory.read.remove(&crate::snapshot::Source::BgpAdvertisements);
    let advertisement =
        json!({"apiVersion": "metallb.io/v1beta1", "kind": "BGPAdvertisement", "metadata": {"name": "bgp"}});
    let after = inventory.what_if(&applied(&[advertisement])).unwrap();
    let assessment = Assessment::foresee(&after, MetalLbVersion::V0_16_2, NodeScope::Relevant);
    assert_eq!(assessment.topologies[0].services[0].addresses[0].outcome.word(), "Unknown");
}

#[test]
fn an_advertisement_that_metallb_rejects_is_reported() {
    let twice = json!({"apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement", "metadata": {"name": "twice"},
        "spec": {"ipAddressPools": ["default-pool", "default-pool"]}});
    assert_eq!(outcome(&[applied(&[twice])]), (None, None, "Silent", "CONFIGURATION_REJECTED"));
}

#[test]
fn metallbs_reports_of_the_state_before_are_not_compared_with_the_state_after() {
    let mut objects = edge();
    objects.push(
        json!({"apiVersion": "metallb.io/v1beta1", "kind": "ServiceL2Status", "metadata": {"name": "l2-x"},
        "status": {"node": "n2", "serviceName": "istio-ingressgateway", "serviceNamespace": "istio-system"}}),
    );
    let after = inventory_of(&objects).what_if(&labelled("n2:loadbalancerIPs.metallb.io-")).unwrap();
    let assessment = Assessment::foresee(&after, MetalLbVersion::V0_16_2, NodeScope::Relevant);
    let codes: Vec<&str> =
        assessment.topologies[0].findings.iter().map(|finding| finding.code.code()).collect();
    assert!(!codes.contains(&"REPORTED_ELSEWHERE"), "{codes:?}");
}

#[test]
fn an_unknown_name_is_an_error_with_names_like_it() {
    for (change, expected) in [
        (labelled("m1:a=b"), "there is no node `m1`; there is `n1`, `n2` and `n3`"),
        (WhatIf::Fail("worker".to_owned()), "there is no node `worker`; there is `n1`, `n2` and `n3`"),
        (
            deleted("svc/istio-ingresgateway"),
            "there is no Service `istio-ingresgateway`; there is `istio-ingressgateway`",
        ),
        (
            deleted("svc/default/istio-ingressgateway"),
            "there is no Service `default/istio-ingressgateway`; there is `istio-system/istio-ingressgateway`",
        ),
        (deleted("gwt/other"), "there is no GatewayTopology `other`; there is `edge`"),
        (deleted("BGPAdvertisement/arp"), "there is no BGPAdvertisement `arp`, nor any other"),
    ] {
        assert_eq!(after(&[change]).unwrap_err().to_string(), expected);
    }
    let mut objects = edge();
    let mut other = service(&json!({}));
    other["metadata"]["namespace"] = json!("edge");
    objects.push(other);
    assert_eq!(
        inventory_of(&objects).what_if(&deleted("svc/istio-ingressgateway")).unwrap_err().to_string(),
        "Service `istio-ingressgateway` is in several namespaces; write `Service/edge/istio-ingressgateway` or \
         `Service/istio-system/istio-ingressgateway`"
    );
}

#[test]
fn a_node_label_or_an_object_parses_or_the_error_names_the_form() {
    let label: NodeLabel = "worker-03:loadbalancerIPs.metallb.io=arp".parse().unwrap();
    let set = LabelEdit::Set("arp".to_owned());
    assert_eq!(label, NodeLabel { node: "worker-03".to_owned(), key: LABEL.to_owned(), edit: set });
    let removed: NodeLabel = "worker-03:loadbalancerIPs.metallb.io-".parse().unwrap();
    assert_eq!((removed.key.as_str(), removed.edit), (LABEL, LabelEdit::Remove));
    let empty: NodeLabel = "a:b=".parse().unwrap();
    assert_eq!(empty.edit, LabelEdit::Set(String::new()));
    let form = |text: &str| format!("`{text}` is not `NODE:KEY=VALUE` or `NODE:KEY-`");
    for text in ["worker-03", "worker-03=a", ":a=b", "a:b"] {
        assert_eq!(text.parse::<NodeLabel>().unwrap_err(), form(text));
    }
    assert!("a:b c=d".parse::<NodeLabel>().unwrap_err().starts_with("`b c` is not a label key: "));
    assert!("a:b=c d".parse::<NodeLabel>().unwrap_err().starts_with("`c d` is not a label value: "));
    for text in ["", "Service", "Service/", "/a", "Service//a", "Service/a/b/c"] {
        let error = text.parse::<ObjectReference>().unwrap_err();
        assert_eq!(error, format!("`{text}` is not `KIND/NAME` or `KIND/NAMESPACE/NAME`"));
    }
    assert_eq!(
        "Servce/a".parse::<ObjectReference>().unwrap_err(),
        "`Servce` is no kind that can be left out; try `Service`"
    );
    assert_eq!("node/a/b".parse::<ObjectReference>().unwrap_err(), "a Node has no namespace: write `Node/b`");
}
