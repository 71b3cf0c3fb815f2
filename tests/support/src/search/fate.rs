//! The fate of a client's packet to an address of a Service, by MetalLB's own conditions (speaker/layer2_controller.go and
//! speaker/bgp_controller.go, `ShouldAnnounce`, version 0.16.2), as simply as they can be written.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde_json::Value;

use super::cluster::{GATEWAY_NAMESPACE, METALLB_NAMESPACE, Objects, list, map, text};

/// The end of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It reaches a pod of the gateway with the client's address.
    Preserved,
    /// It reaches a pod of the gateway with the address of a node.
    Lost,
    /// No node answers for the address.
    Silent,
    /// The Service leads to other pods, and selects others.
    Elsewhere,
}

/// A Service and one of its addresses.
pub type Place = (String, String);

/// The fate of every address of the Services of type `LoadBalancer` in the gateway's namespace.
#[must_use]
pub fn fates(objects: &Objects) -> BTreeMap<Place, Fate> {
    fates_of(objects, Gateway::All)
}

fn fates_of(objects: &Objects, gateway: Gateway) -> BTreeMap<Place, Fate> {
    let mut fates = BTreeMap::new();
    for service in objects.of("Service").filter(|service| text(service, "/spec/type") == "LoadBalancer") {
        for ingress in list(service, "/status/loadBalancer/ingress") {
            let address = text(ingress, "/ip");
            let place = (text(service, "/metadata/name").to_owned(), address.to_owned());
            fates.insert(place, fate(objects, service, address, gateway));
        }
    }
    fates
}

/// A moment of the search: the objects, and the fate of every address.
#[derive(Debug, Clone)]
pub struct Moment {
    /// The objects.
    pub objects: Objects,
    /// The fates.
    pub fates: BTreeMap<Place, Fate>,
}

impl Moment {
    /// The moment in which these are the objects.
    #[must_use]
    pub fn of(objects: &Objects) -> Self {
        Self { objects: objects.clone(), fates: fates(objects) }
    }

    /// Whether an address is preserved.
    #[must_use]
    pub fn has_preserved(&self) -> bool {
        self.fates.values().any(|fate| *fate == Fate::Preserved)
    }
}

/// The addresses that were preserved before and are lost or silent now, with their fate.
///
/// A Service that is deleted, or changed to another type, gives its addresses up: these are left out.
#[must_use]
pub fn losses(before: &Moment, objects: &Objects) -> Vec<(Place, Fate)> {
    // Whichever pods are the gateway's, the client's address must be gone.
    let [after, by_some] = [Gateway::All, Gateway::Some].map(|gateway| fates_of(objects, gateway));
    let is_gone = |fate: Fate| matches!(fate, Fate::Lost | Fate::Silent);
    let preserved = before.fates.iter().filter(|(_, fate)| **fate == Fate::Preserved);
    let now = preserved.filter_map(|(place, _)| {
        let service = objects.get("Service", &place.0)?;
        let is_balancer = text(service, "/spec/type") == "LoadBalancer";
        let of =
            |fates: &BTreeMap<Place, Fate>| fates.get(place).copied().or(is_balancer.then_some(Fate::Silent));
        let (fate, other) = (of(&after)?, of(&by_some)?);
        (is_gone(fate) && is_gone(other)).then(|| (place.clone(), fate))
    });
    now.collect()
}

fn fate(objects: &Objects, service: &Value, address: &str, gateway: Gateway) -> Fate {
    let selector = map(service, "/spec/selector");
    let endpoints = ready_endpoints(objects, text(service, "/metadata/name"), gateway);
    let leads = endpoints.iter().any(|endpoint| endpoint.is_gateway);
    let selects = !selector.is_empty()
        && objects.of("Pod").any(|pod| {
            let labels = map(pod, "/metadata/labels");
            gateway.has(pod) && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
        });
    if !leads && !selects {
        return Fate::Elsewhere;
    }
    let is_local = text(service, "/spec/externalTrafficPolicy") == "Local";
    let with_endpoints: BTreeSet<&str> = endpoints
        .iter()
        .filter(|endpoint| endpoint.is_gateway)
        .map(|endpoint| endpoint.node.as_str())
        .collect();
    let announces = |node: &Value| {
        let name = text(node, "/metadata/name");
        let has_endpoint = if is_local { with_endpoints.contains(name) } else { leads };
        has_endpoint
            && has_speaker(objects, name)
            && is_healthy(node)
            && is_selected(objects, service, address, node)
    };
    match objects.of("Node").any(announces) {
        false => Fate::Silent,
        true if is_local => Fate::Preserved,
        true => Fate::Lost,
    }
}

struct Endpoint {
    node: String,
    is_gateway: bool,
}

fn ready_endpoints(objects: &Objects, service: &str, gateway: Gateway) -> Vec<Endpoint> {
    let of_service = |slice: &&Value| {
        map(slice, "/metadata/labels").get("kubernetes.io/service-name").map(String::as_str) == Some(service)
    };
    let slices = objects.of("EndpointSlice").filter(of_service);
    let endpoints = slices.flat_map(|slice| list(slice, "/endpoints"));
    let is_ready = |endpoint: &&Value| endpoint.pointer("/conditions/ready") != Some(&Value::Bool(false));
    let endpoints = endpoints.filter(is_ready).map(|endpoint| Endpoint {
        node: text(endpoint, "/nodeName").to_owned(),
        is_gateway: objects.get("Pod", text(endpoint, "/targetRef/name")).is_some_and(|pod| gateway.has(pod)),
    });
    endpoints.collect()
}

/// The reading of which pods are the gateway's. A label that changes does not change what runs in a pod, so one with a part of the labels may be either.
#[derive(Debug, Clone, Copy)]
enum Gateway {
    /// Those with every label of the default topology.
    All,
    /// Those with one of its labels.
    Some,
}

impl Gateway {
    fn has(self, pod: &Value) -> bool {
        let labels = map(pod, "/metadata/labels");
        let has = |key, value: &str| labels.get(key).map(String::as_str) == Some(value);
        let both = [has("app", "istio-ingressgateway"), has("istio", "ingressgateway")];
        let is_one = match self {
            Self::All => both == [true, true],
            Self::Some => both != [false, false],
        };
        is_one && text(pod, "/metadata/namespace") == GATEWAY_NAMESPACE
    }
}

fn has_speaker(objects: &Objects, node: &str) -> bool {
    objects.of("Pod").any(|pod| {
        text(pod, "/metadata/namespace") == METALLB_NAMESPACE
            && map(pod, "/metadata/labels").get("component").map(String::as_str) == Some("speaker")
            && text(pod, "/spec/nodeName") == node
    })
}

fn is_healthy(node: &Value) -> bool {
    let labels = map(node, "/metadata/labels");
    let is_unavailable = list(node, "/status/conditions").iter().any(|condition| {
        text(condition, "/type") == "NetworkUnavailable" && text(condition, "/status") == "True"
    });
    !labels.contains_key("node.kubernetes.io/exclude-from-external-load-balancers") && !is_unavailable
}

/// Whether an advertisement of either kind announces the address of the Service from the node.
fn is_selected(objects: &Objects, service: &Value, address: &str, node: &Value) -> bool {
    let Some(pool) = objects.of("IPAddressPool").find(|pool| contains(pool, address)) else { return false };
    let of_pool = |spec: &Value| {
        let (names, selectors) = (list(spec, "/ipAddressPools"), list(spec, "/ipAddressPoolSelectors"));
        names.is_empty() && selectors.is_empty()
            || names.contains(&pool["metadata"]["name"])
            || any(selectors, &map(pool, "/metadata/labels"))
    };
    let of = |kind| objects.of(kind).map(|advertisement| &advertisement["spec"]).filter(|spec| of_pool(spec));
    let selects_service =
        |spec: &Value| any(list(spec, "/serviceSelectors"), &map(service, "/metadata/labels"));
    let announces = |spec: &Value| {
        let of_node = list(spec, "/nodeSelectors").is_empty()
            || any(list(spec, "/nodeSelectors"), &map(node, "/metadata/labels"));
        of_node && (list(spec, "/serviceSelectors").is_empty() || selects_service(spec))
    };
    let may_share = !text(service, "/metadata/annotations/metallb.io~1allow-shared-ip").is_empty();
    // speaker/layer2_controller.go, `sharedIPWithServiceSelector`; BGP announces such a Service.
    let by_layer2 = !(may_share && of("L2Advertisement").any(selects_service));
    of("BGPAdvertisement").any(announces) || by_layer2 && of("L2Advertisement").any(announces)
}

/// Whether one of the selectors matches. The search uses `matchLabels` and the operator `In` alone.
fn any(selectors: &[Value], labels: &BTreeMap<String, String>) -> bool {
    selectors.iter().any(|selector| {
        let wanted = map(selector, "/matchLabels");
        wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
            && list(selector, "/matchExpressions").iter().all(|expression| {
                let value = labels.get(text(expression, "/key"));
                list(expression, "/values").iter().any(|wanted| wanted.as_str() == value.map(String::as_str))
            })
    })
}

fn contains(pool: &Value, address: &str) -> bool {
    let Ok(address) = address.parse::<Ipv4Addr>() else { return false };
    list(pool, "/spec/addresses").iter().filter_map(Value::as_str).any(|range| {
        let (first, last) = bounds(range);
        (first..=last).contains(&u32::from(address))
    })
}

/// The first and the last address of a range, `FIRST-LAST` or a network.
fn bounds(range: &str) -> (u32, u32) {
    let number =
        |text: &str| u32::from(text.trim().parse::<Ipv4Addr>().expect("the search uses valid ranges"));
    if let Some((first, last)) = range.split_once('-') {
        return (number(first), number(last));
    }
    let (first, length) = range.split_once('/').expect("the search uses valid ranges");
    let host_bits = 32 - length.parse::<u32>().expect("the search uses valid ranges");
    let first = number(first);
    (first, first + ((1_u64 << host_bits) - 1) as u32)
}
