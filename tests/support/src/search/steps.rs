//! The steps of the search: what three users and the controllers of Kubernetes and MetalLB do, at random.

use std::collections::BTreeSet;
use std::fmt;

use fastrand::Rng;
use serde_json::{Value, json};

use super::cluster::{GATEWAY_NAMESPACE, METALLB_NAMESPACE, Objects, list, map, text};
use crate::objects::{LABEL, gateway_labels};

/// The one who takes a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The administrator.
    Admin,
    /// Alice, who edits the gateway's namespace.
    Alice,
    /// A GitOps manager, which applies whole objects.
    GitOps,
    /// The controllers of the cluster and MetalLB's: of endpoints, of addresses, the scheduler and the kubelets.
    Controller,
}

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// An object is created.
    Create(Value),
    /// An object gets a merge patch (RFC 7396); with a subresource, at that.
    Patch {
        /// The kind of the object.
        kind: &'static str,
        /// The name of the object.
        name: String,
        /// `status`, or nothing.
        subresource: Option<&'static str>,
        /// The patch.
        patch: Value,
    },
    /// A pod is bound to a node.
    Bind {
        /// The name of the pod.
        pod: String,
        /// The name of the node.
        node: String,
    },
    /// An object is deleted.
    Delete {
        /// The kind of the object.
        kind: &'static str,
        /// The name of the object.
        name: String,
    },
}

/// A request and who makes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The one who makes the request.
    pub by: By,
    /// The request.
    pub request: Request,
}

impl Step {
    /// The kind of the object.
    #[must_use]
    pub fn kind(&self) -> &str {
        match &self.request {
            Request::Create(object) => text(object, "/kind"),
            Request::Patch { kind, .. } | Request::Delete { kind, .. } => kind,
            Request::Bind { .. } => "Pod",
        }
    }

    /// The name of the object.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.request {
            Request::Create(object) => text(object, "/metadata/name"),
            Request::Patch { name, .. } | Request::Delete { name, .. } => name,
            Request::Bind { pod, .. } => pod,
        }
    }

    /// Whether a change that costs an address must be refused, not only reported: one of a Service, or of MetalLB's configuration. What
    /// only waits for its finalizers always ends.
    #[must_use]
    pub fn must_be_refused(&self, before: &Objects) -> bool {
        let stored = before.get(self.kind(), self.name());
        let ends = stored.is_some_and(|stored| !text(stored, "/metadata/deletionTimestamp").is_empty())
            && matches!(&self.request, Request::Patch { patch, .. } if patch.pointer("/metadata/finalizers").is_some());
        self.is_reviewed() && self.kind() != "Pod" && !ends
    }

    /// Whether the API server asks the webhooks: not for subresources, not for nodes and endpoints, and for deletions of
    /// MetalLB's kinds only.
    #[must_use]
    pub fn is_reviewed(&self) -> bool {
        let is_metallb = ["L2Advertisement", "BGPAdvertisement", "IPAddressPool"].contains(&self.kind());
        match &self.request {
            Request::Create(object) => {
                is_metallb
                    || text(object, "/metadata/namespace") == GATEWAY_NAMESPACE
                        && is_gateway_kind(self.kind())
            }
            Request::Patch { subresource, .. } => {
                subresource.is_none() && (is_metallb || is_gateway_kind(self.kind()))
            }
            Request::Bind { .. } => false,
            Request::Delete { .. } => is_metallb,
        }
    }
}

fn is_gateway_kind(kind: &str) -> bool {
    ["Service", "Pod"].contains(&kind)
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: ", self.by)?;
        match &self.request {
            Request::Create(object) => write!(f, "create {object}"),
            Request::Patch { kind, name, subresource, patch } => {
                let subresource =
                    subresource.map(|subresource| format!("/{subresource}")).unwrap_or_default();
                write!(f, "patch {kind} {name}{subresource} {patch}")
            }
            Request::Bind { pod, node } => write!(f, "bind Pod {pod} to {node}"),
            Request::Delete { kind, name } => write!(f, "delete {kind} {name}"),
        }
    }
}

/// Makes a step at random in a cluster with these objects.
pub fn next(objects: &Objects, random: &mut Rng) -> Step {
    loop {
        let by = pick(random, &[By::Admin, By::Admin, By::Alice, By::GitOps]);
        let made = match random.u8(..100) {
            0..30 => service(objects, random).map(|request| (by, request)),
            30..42 => pod(objects, random).map(|request| (by, request)),
            42..60 => advertisement(objects, random).map(|request| (by, request)),
            60..72 => pool(objects, random).map(|request| (by, request)),
            72..78 => node(objects, random).map(|request| (by, request)),
            _ => controller(objects, random).map(|request| (By::Controller, request)),
        };
        if let Some((by, request)) = made {
            return Step { by, request };
        }
    }
}

fn pick<T: Clone>(random: &mut Rng, of: &[T]) -> T {
    of[random.usize(..of.len())].clone()
}

fn some(objects: &Objects, kind: &str, random: &mut Rng) -> Option<Value> {
    let all: Vec<&Value> = objects.of(kind).collect();
    (!all.is_empty()).then(|| pick(random, &all).clone())
}

fn patch(kind: &'static str, object: &Value, patch: Value) -> Request {
    let name = text(object, "/metadata/name").to_owned();
    Request::Patch { kind, name, subresource: None, patch }
}

fn delete(kind: &'static str, object: &Value) -> Request {
    Request::Delete { kind, name: text(object, "/metadata/name").to_owned() }
}

fn finalizers(random: &mut Rng) -> Value {
    let some = json!({"metadata": {"finalizers": ["example.org/wait"]}});
    let none = json!({"metadata": {"finalizers": null}});
    pick(random, &[some, none])
}

fn selector(random: &mut Rng) -> Value {
    let all = [
        gateway_labels(),
        json!({"istio": "ingressgateway", "app": null}),
        json!({"app": "istio-ingressgateway", "istio": null}),
        json!({"app": "istiod", "istio": null}),
        json!({"app": "nothing", "istio": null}),
        json!({"version": "v2"}),
        json!({"app": null, "istio": null, "version": "v2"}),
        Value::Null,
    ];
    pick(random, &all)
}

fn service(objects: &Objects, random: &mut Rng) -> Option<Request> {
    let policy = pick(random, &[json!("Cluster"), json!("Cluster"), json!("Local"), Value::Null]);
    if random.u8(..10) == 0 {
        let name = pick(random, &["second", "third", "istio-ingressgateway"]);
        if objects.get("Service", name).is_some() {
            return None;
        }
        let mut selector = selector(random);
        if let Some(labels) = selector.as_object_mut() {
            labels.retain(|_, value| !value.is_null());
        }
        let mut service = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": GATEWAY_NAMESPACE, "labels": {"app": name}},
            "spec": {"type": "LoadBalancer", "selector": selector, "ports": [{"port": random.u16(80..90)}]},
        });
        if !policy.is_null() {
            service["spec"]["externalTrafficPolicy"] = policy;
        }
        if random.bool() {
            service["metadata"]["annotations"] = json!({"metallb.io/allow-shared-ip": "a"});
        }
        return Some(Request::Create(service));
    }
    let object = some(objects, "Service", random)?;
    let change = match random.u8(..16) {
        0..4 => json!({"spec": {"externalTrafficPolicy": policy}}),
        4 | 5 => json!({"spec": {"selector": selector(random)}}),
        6 => json!({"spec": {"selector": selector(random), "externalTrafficPolicy": policy}}),
        7 => json!({"spec": {"type": "ClusterIP", "externalTrafficPolicy": null}}),
        8 => json!({"spec": {"type": "LoadBalancer", "externalTrafficPolicy": policy}}),
        9 => json!({"metadata": {"labels": {"team": pick(random, &[json!("x"), json!("y"), Value::Null])}}}),
        10 => {
            let key = pick(random, &["metallb.io/address-pool", "metallb.universe.tf/address-pool"]);
            let pool =
                pick(random, &[json!("default-pool"), json!("other-pool"), json!("extra-pool"), Value::Null]);
            json!({"metadata": {"annotations": {key: pool}}})
        }
        11 => {
            let all = [json!("10.6.229.180"), json!("10.6.229.182"), json!("10.6.230.5"), Value::Null];
            json!({"metadata": {"annotations": {"metallb.io/loadBalancerIPs": pick(random, &all)}}})
        }
        12 => {
            json!({"metadata": {"annotations": {"metallb.io/allow-shared-ip": pick(random, &[json!("a"), json!("b"), Value::Null])}}})
        }
        13 => {
            json!({"spec": {"loadBalancerIP": pick(random, &[json!("10.6.229.180"), json!("10.6.230.5"), Value::Null])}})
        }
        14 => finalizers(random),
        _ => return Some(delete("Service", &object)),
    };
    Some(patch("Service", &object, change))
}

fn pod(objects: &Objects, random: &mut Rng) -> Option<Request> {
    if random.u8(..4) == 0 {
        let name = format!("gateway-{}", random.u8(1..5));
        if objects.get("Pod", &name).is_some() {
            return None;
        }
        let labels = pick(
            random,
            &[
                gateway_labels(),
                json!({"app": "istio-ingressgateway"}),
                json!({"app": "other", "version": "v2"}),
            ],
        );
        let mut pod = crate::objects::pod(GATEWAY_NAMESPACE, &name, &labels);
        if random.bool() {
            pod["spec"]["nodeSelector"] = json!({LABEL: "arp"});
        }
        return Some(Request::Create(pod));
    }
    let object = some(objects, "Pod", random)?;
    if text(&object, "/metadata/namespace") == METALLB_NAMESPACE {
        // A speaker ends; its DaemonSet makes another one in `controller`.
        return (random.u8(..4) == 0).then(|| delete("Pod", &object));
    }
    let change = match random.u8(..6) {
        0 => json!({"metadata": {"labels": gateway_labels()}}),
        1 => {
            json!({"metadata": {"labels": {"app": pick(random, &["istio-ingressgateway", "istiod", "other"])}}})
        }
        2 => {
            json!({"metadata": {"labels": {"istio": pick(random, &[json!("ingressgateway"), json!("pilot"), Value::Null])}}})
        }
        3 => {
            json!({"metadata": {"labels": {"version": pick(random, &[json!("v2"), json!("v1"), Value::Null])}}})
        }
        4 => finalizers(random),
        _ => return Some(delete("Pod", &object)),
    };
    Some(patch("Pod", &object, change))
}

fn node_selectors(random: &mut Rng) -> Value {
    let right = json!([{"matchLabels": {LABEL: "arp"}}]);
    let all = [
        right.clone(),
        right,
        json!([{"matchExpressions": [{"key": LABEL, "operator": "In", "values": ["arp"]}]}]),
        json!([{"matchLabels": {"kubernetes.io/hostname": "n1"}}]),
        json!([{"matchLabels": {"zone": "a"}}]),
        json!([{"matchLabels": {LABEL: "arp"}}, {"matchLabels": {"zone": "a"}}]),
        json!([{"matchLabels": {LABEL: "arp", "zone": "a"}}]),
        Value::Null,
    ];
    pick(random, &all)
}

fn pools(random: &mut Rng) -> (Value, Value) {
    let by_label = json!([{"matchLabels": {"tier": "internal"}}]);
    let all = [
        (json!(["default-pool"]), Value::Null),
        (json!(["default-pool"]), Value::Null),
        (json!(["other-pool"]), Value::Null),
        (json!(["default-pool", "other-pool"]), Value::Null),
        (Value::Null, by_label.clone()),
        (json!(["other-pool"]), by_label),
        (Value::Null, Value::Null),
    ];
    pick(random, &all)
}

fn service_selectors(random: &mut Rng) -> Value {
    let all = [
        Value::Null,
        Value::Null,
        json!([{"matchLabels": {"team": "x"}}]),
        json!([{"matchLabels": {"app": "istio-ingressgateway"}}]),
    ];
    pick(random, &all)
}

fn advertisement(objects: &Objects, random: &mut Rng) -> Option<Request> {
    let kind = pick(random, &["L2Advertisement", "L2Advertisement", "BGPAdvertisement"]);
    if random.u8(..4) == 0 {
        let name = pick(random, &["arp", "second", "third"]);
        // Names are told apart by their kind, too.
        if objects.get(kind, name).is_some() {
            return None;
        }
        let (names, selectors) = pools(random);
        let spec = json!({"ipAddressPools": names, "ipAddressPoolSelectors": selectors, "nodeSelectors": node_selectors(random),
            "serviceSelectors": service_selectors(random)});
        let is_used = |key: &str, value: &Value| match key {
            "serviceSelectors" if kind == "BGPAdvertisement" => false,
            _ => !value.is_null(),
        };
        let spec = spec.as_object().into_iter().flatten().filter(|(key, value)| is_used(key, value));
        let spec: serde_json::Map<_, _> = spec.map(|(key, value)| (key.clone(), value.clone())).collect();
        return Some(Request::Create(json!({
            "apiVersion": "metallb.io/v1beta1", "kind": kind,
            "metadata": {"name": name, "namespace": METALLB_NAMESPACE}, "spec": spec,
        })));
    }
    let object = some(objects, kind, random)?;
    let change = match random.u8(..6) {
        0 | 1 => json!({"spec": {"nodeSelectors": node_selectors(random)}}),
        2 => {
            let (names, selectors) = pools(random);
            json!({"spec": {"ipAddressPools": names, "ipAddressPoolSelectors": selectors}})
        }
        3 if kind == "L2Advertisement" => json!({"spec": {"serviceSelectors": service_selectors(random)}}),
        4 => finalizers(random),
        5 => return Some(delete(kind, &object)),
        _ => return None,
    };
    Some(patch(kind, &object, change))
}

fn pool(objects: &Objects, random: &mut Rng) -> Option<Request> {
    let kind = "IPAddressPool";
    if random.u8(..5) == 0 {
        let (name, range) = pick(
            random,
            &[
                ("default-pool", "10.6.229.180-10.6.229.190"),
                ("other-pool", "10.6.230.0/24"),
                ("extra-pool", "10.6.231.0/24"),
            ],
        );
        if objects.get(kind, name).is_some() {
            return None;
        }
        return Some(Request::Create(json!({
            "apiVersion": "metallb.io/v1beta1", "kind": kind,
            "metadata": {"name": name, "namespace": METALLB_NAMESPACE, "labels": {"tier": pick(random, &["internal", "public"])}},
            "spec": {"addresses": [range], "autoAssign": random.bool()},
        })));
    }
    let object = some(objects, kind, random)?;
    let name = text(&object, "/metadata/name");
    let change = match random.u8(..6) {
        0 => {
            json!({"metadata": {"labels": {"tier": pick(random, &[json!("internal"), json!("public"), Value::Null])}}})
        }
        1 | 2 => {
            let ranges: &[&str] = match name {
                "default-pool" => &[
                    "10.6.229.180-10.6.229.190",
                    "10.6.229.180/32",
                    "10.6.229.185-10.6.229.190",
                    "10.6.229.170-10.6.229.190",
                ],
                "other-pool" => &["10.6.230.0/24", "10.6.230.0/28"],
                _ => &["10.6.231.0/24", "10.6.231.128/25"],
            };
            json!({"spec": {"addresses": [pick(random, ranges)]}})
        }
        3 => json!({"spec": {"autoAssign": random.bool()}}),
        4 => finalizers(random),
        _ => return Some(delete(kind, &object)),
    };
    Some(patch(kind, &object, change))
}

fn node(objects: &Objects, random: &mut Rng) -> Option<Request> {
    let kind = "Node";
    let exclude = "node.kubernetes.io/exclude-from-external-load-balancers";
    let object = some(objects, kind, random)?;
    let change = match random.u8(..6) {
        0 | 1 => {
            json!({"metadata": {"labels": {LABEL: pick(random, &[json!("arp"), Value::Null, json!("bgp")])}}})
        }
        2 => json!({"metadata": {"labels": {exclude: pick(random, &[json!(""), Value::Null])}}}),
        3 => json!({"metadata": {"labels": {"zone": pick(random, &[json!("a"), json!("b"), Value::Null])}}}),
        4 => json!({"spec": {"unschedulable": random.bool()}}),
        _ => return (random.u8(..4) == 0).then(|| delete(kind, &object)),
    };
    Some(patch(kind, &object, change))
}

fn controller(objects: &Objects, random: &mut Rng) -> Option<Request> {
    match random.u8(..10) {
        0..5 => sync_endpoints(objects, random),
        5 | 6 => bind(objects, random),
        7 | 8 => sync_addresses(objects, random),
        _ => replace_node_or_speaker(objects, random),
    }
}

/// The work of the controller of EndpointSlices for one Service: those of its pods that are on a node. Once in a while a pod is
/// not ready.
fn sync_endpoints(objects: &Objects, random: &mut Rng) -> Option<Request> {
    let kind = "EndpointSlice";
    let orphan = objects.of(kind).find(|slice| {
        objects.get("Service", text(slice, "/metadata/labels/kubernetes.io~1service-name")).is_none()
    });
    if let Some(orphan) = orphan {
        return Some(delete(kind, orphan));
    }
    let service = some(objects, "Service", random)?;
    let selector = map(&service, "/spec/selector");
    let name = text(&service, "/metadata/name");
    if selector.is_empty() {
        return None;
    }
    let pods = objects.of("Pod").filter(|pod| {
        let labels = map(pod, "/metadata/labels");
        text(pod, "/metadata/namespace") == GATEWAY_NAMESPACE
            && !text(pod, "/spec/nodeName").is_empty()
            && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    });
    let endpoints: Vec<Value> = pods
        .map(|pod| {
            let (pod, node) = (text(pod, "/metadata/name"), text(pod, "/spec/nodeName"));
            let number = pod.bytes().last().unwrap_or_default();
            json!({"addresses": [format!("10.0.0.{number}")], "nodeName": node, "conditions": {"ready": random.u8(..12) > 0},
                "targetRef": {"kind": "Pod", "name": pod, "namespace": GATEWAY_NAMESPACE}})
        })
        .collect();
    let of_service = |slice: &&Value| text(slice, "/metadata/labels/kubernetes.io~1service-name") == name;
    let request = match objects.of(kind).find(of_service) {
        Some(slice) => patch(kind, slice, json!({"endpoints": endpoints})),
        None => Request::Create(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": kind, "addressType": "IPv4",
            "metadata": {"name": format!("{name}-slice"), "namespace": GATEWAY_NAMESPACE, "labels": {"kubernetes.io/service-name": name}},
            "endpoints": endpoints, "ports": [{"port": 8443}],
        })),
    };
    Some(request)
}

/// The work of the controller of EndpointSlices that is done at once: endpoints go with their pods, and with the labels by which a Service selects them.
#[must_use]
pub fn endpoints_follow(objects: &Objects) -> Vec<Step> {
    let stays = |slice: &Value, endpoint: &&Value| {
        let service = text(slice, "/metadata/labels/kubernetes.io~1service-name");
        let selector =
            objects.get("Service", service).map(|service| map(service, "/spec/selector")).unwrap_or_default();
        objects.get("Pod", text(endpoint, "/targetRef/name")).is_some_and(|pod| {
            let labels = map(pod, "/metadata/labels");
            // Endpoints of a Service without a selector are written by hand.
            selector.iter().all(|(key, value)| labels.get(key) == Some(value))
        })
    };
    let follow = objects.of("EndpointSlice").filter_map(|slice| {
        let endpoints = list(slice, "/endpoints");
        let kept: Vec<&Value> = endpoints.iter().filter(|endpoint| stays(slice, endpoint)).collect();
        (kept.len() < endpoints.len()).then(|| Step {
            by: By::Controller,
            request: patch("EndpointSlice", slice, json!({"endpoints": kept})),
        })
    });
    follow.collect()
}

/// The work of the scheduler: a pod without a node gets one that its node selector admits.
fn bind(objects: &Objects, random: &mut Rng) -> Option<Request> {
    let pod = objects.of("Pod").find(|pod| text(pod, "/spec/nodeName").is_empty())?;
    let selector = map(pod, "/spec/nodeSelector");
    let nodes: Vec<&Value> = objects
        .of("Node")
        .filter(|node| {
            let labels = map(node, "/metadata/labels");
            node.pointer("/spec/unschedulable") != Some(&Value::Bool(true))
                && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
        })
        .collect();
    let pod = text(pod, "/metadata/name").to_owned();
    (!nodes.is_empty())
        .then(|| Request::Bind { pod, node: text(pick(random, &nodes), "/metadata/name").to_owned() })
}

/// The work of MetalLB's controller for one Service: an address of no pool goes, and a Service without one gets one.
fn sync_addresses(objects: &Objects, random: &mut Rng) -> Option<Request> {
    let service = some(objects, "Service", random)?;
    if text(&service, "/spec/type") != "LoadBalancer" {
        return None;
    }
    let pool = match text(&service, "/metadata/annotations/metallb.io~1address-pool") {
        "" => "default-pool",
        name => name,
    };
    let prefix = match pool {
        "default-pool" => "10.6.229.18",
        "other-pool" => "10.6.230.1",
        _ => "10.6.231.20",
    };
    let address = text(&service, "/status/loadBalancer/ingress/0/ip");
    let is_of_pool = objects.get("IPAddressPool", pool).is_some() && address.starts_with(prefix);
    let addresses = if is_of_pool {
        return None;
    } else if address.is_empty() && objects.get("IPAddressPool", pool).is_some() {
        let taken: BTreeSet<&str> =
            objects.of("Service").map(|service| text(service, "/status/loadBalancer/ingress/0/ip")).collect();
        let free =
            (0..10).map(|number| format!("{prefix}{number}")).find(|free| !taken.contains(free.as_str()))?;
        json!([{"ip": free}])
    } else if address.is_empty() {
        return None;
    } else {
        Value::Null
    };
    Some(Request::Patch {
        kind: "Service",
        name: text(&service, "/metadata/name").to_owned(),
        subresource: Some("status"),
        patch: json!({"status": {"loadBalancer": {"ingress": addresses}}}),
    })
}

/// A node joins again with its label, or its speaker starts again.
fn replace_node_or_speaker(objects: &Objects, random: &mut Rng) -> Option<Request> {
    let name = pick(random, &["n1", "n2", "n3"]);
    if objects.get("Node", name).is_none() {
        let labels = if name == "n3" { json!({"zone": "a"}) } else { json!({LABEL: "arp"}) };
        return Some(Request::Create(crate::objects::node(name, &labels)));
    }
    let speaker = format!("speaker-{name}");
    if objects.get("Pod", &speaker).is_some() {
        return None;
    }
    let mut pod =
        crate::objects::pod(METALLB_NAMESPACE, &speaker, &json!({"app": "metallb", "component": "speaker"}));
    pod["spec"]["nodeName"] = json!(name);
    pod["status"] = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    Some(Request::Create(pod))
}

/// Whether an object waits for its finalizers.
#[must_use]
pub fn has_finalizers(object: &Value) -> bool {
    !list(object, "/metadata/finalizers").is_empty()
}
