//! Objects that are applied, as `kubectl apply` does it.

use std::collections::BTreeSet;
use std::sync::Arc;

use smol_str::SmolStr;

use super::WhatIfError;
use crate::election::{disagreeing_sharer, parse_address};
use crate::labels::{Labels, carries};
use crate::objects::{Ingress, LoadBalancer, Service};
use crate::snapshot::{Inventory, ObjectKey, Source};

impl Inventory {
    pub(super) fn apply(&mut self, objects: &Self) -> Result<(), WhatIfError> {
        let reselected = self.reselected(objects);
        if let Some(service) = reselected.first().filter(|_| !self.read.contains(&Source::Pods)) {
            return Err(WhatIfError::PodsUnread { service: service.name.clone() });
        }
        let conflicts = self.conflicts(objects);
        let mut applied = objects.clone();
        applied.read.clear();
        for (name, labels) in &mut applied.nodes {
            // kubelets and cloud controllers own most labels of a node.
            let mut held = self.nodes.get(name).map(|held| Labels::clone(held)).unwrap_or_default();
            held.extend(labels.iter().map(|(key, value)| (key.clone(), value.clone())));
            *labels = Arc::new(held);
        }
        for (key, balancer) in &mut applied.load_balancers {
            if let Some(before) = self.load_balancers.get(key) {
                *balancer = updated(before, balancer);
            }
        }
        for (kind, workloads) in &mut applied.workloads {
            // An autoscaler owns the number of replicas that a manifest leaves out.
            let held = self.workloads.get(kind);
            for (key, workload) in workloads {
                let held = held.and_then(|held| held.get(key));
                workload.replicas = workload.replicas.or_else(|| held?.replicas);
                workload.scheduled_nodes = workload.scheduled_nodes.or_else(|| held?.scheduled_nodes);
            }
        }
        applied.pod_nodes.retain(|_, node| !node.is_empty());
        self.absorb(applied);
        if !objects.speakers.is_empty() {
            self.infer_settings();
        }
        self.take_addresses_away(objects, &conflicts);
        self.drop_unselected_endpoints(&reselected, objects);
        Ok(())
    }

    /// The applied Services with an address that another Service has and does not share with them.
    fn conflicts<'o>(&self, objects: &'o Self) -> BTreeSet<&'o ObjectKey> {
        let conflicts = |key: &ObjectKey| {
            let one = self.services.get(key).zip(self.load_balancers.get(key));
            one.is_some_and(|one| disagreeing_sharer(self, key, one).is_some())
        };
        objects.load_balancers.keys().filter(|key| conflicts(key)).collect()
    }

    /// Takes the addresses away from applied Services that now conflict with others, as MetalLB's controller does
    /// (`convergeBalancer`, controller/service.go). Services that are applied together are compared as they become, and a
    /// conflict that was there before is not MetalLB's.
    fn take_addresses_away(&mut self, objects: &Self, before: &BTreeSet<&ObjectKey>) {
        let refused: Vec<&ObjectKey> = self.conflicts(objects).difference(before).copied().collect();
        for key in refused {
            if let Some(balancer) = self.load_balancers.get_mut(key) {
                balancer.ingress.clear();
            }
        }
    }

    /// The Services that would get another selector.
    fn reselected(&self, objects: &Self) -> BTreeSet<ObjectKey> {
        let changes = objects.services.iter().filter(|(key, service)| {
            self.services.get(*key).is_some_and(|held| selector(held) != selector(service))
        });
        changes.map(|(key, _)| key.clone()).collect()
    }

    /// Removes endpoints that the endpoint controller would remove: their pod no longer has the labels that the Service
    /// asks for. An endpoint that names no pod stays while a pod on its node has them.
    fn drop_unselected_endpoints(&mut self, reselected: &BTreeSet<ObjectKey>, objects: &Self) {
        let Self { endpoint_slices, services, pods, pod_nodes, .. } = self;
        // Slices that the change itself brings are as it says.
        let held = endpoint_slices.iter_mut().filter(|(key, _)| !objects.endpoint_slices.contains_key(*key));
        for (key, slice) in held {
            let Some(name) = slice.service() else { continue };
            let service = ObjectKey { namespace: key.namespace.clone(), name: name.to_owned() };
            let is_reselected = reselected.contains(&service);
            let Some(selector) = services.get(&service).and_then(selector) else { continue };
            let selects = |pod: &ObjectKey| pods.get(pod).is_some_and(|labels| carries(labels, selector));
            let runs_on = |node: &SmolStr| {
                let on_node = pod_nodes.iter().filter(|(_, held)| node == held.as_str());
                on_node.map(|(pod, _)| pod).any(|pod| pod.namespace == key.namespace && selects(pod))
            };
            slice.endpoints.retain(|endpoint| {
                let pod = ObjectKey { namespace: key.namespace.clone(), name: endpoint.pod.to_string() };
                if endpoint.pod.is_empty() {
                    !is_reselected || runs_on(&endpoint.node_name)
                } else if is_reselected || objects.pods.contains_key(&pod) {
                    selects(&pod)
                } else {
                    true
                }
            });
        }
    }
}

/// The selector of a Service's pods; `None` for one whose endpoints are managed by hand.
pub(super) fn selector(service: &Service) -> Option<&Labels> {
    service.spec.as_ref().map(|spec| &spec.selector).filter(|selector| !selector.is_empty())
}

/// A Service's part in its addresses after an update: the server keeps what the object does not give, and MetalLB's
/// controller gives the addresses that the object asks for.
fn updated(before: &LoadBalancer, applied: &LoadBalancer) -> LoadBalancer {
    let families = if applied.families.is_empty() { &before.families } else { &applied.families };
    let ingress = if applied.ingress.is_empty() {
        let asks = requested(applied).filter(|asked| Some(asked) != requested(before).as_ref());
        asks.unwrap_or_else(|| before.ingress.clone())
    } else {
        applied.ingress.clone()
    };
    LoadBalancer { families: families.clone(), ingress, ..applied.clone() }
}

/// The addresses that a Service asks for; `None` if it asks for none, or not for addresses.
fn requested(balancer: &LoadBalancer) -> Option<Vec<Ingress>> {
    let list = balancer.annotation("loadBalancerIPs", false).unwrap_or(&balancer.requested_address);
    let addresses = list.split(',').map(|address| parse_address(address.trim()));
    let addresses: Vec<Ingress> = addresses
        .map(|address| Some(Ingress { ip: address?.to_string(), hostname: String::new() }))
        .collect::<Option<_>>()?;
    (!addresses.is_empty()).then_some(addresses)
}
