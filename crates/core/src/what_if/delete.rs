//! Objects that are deleted, with what depends on them.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use super::apply::selector;
use super::error::near;
use super::{DeletableKind, ObjectReference, WhatIfError};
use crate::labels::carries;
use crate::objects::Endpoint;
use crate::snapshot::{Inventory, ObjectKey};

impl Inventory {
    pub(super) fn delete(&mut self, object: &ObjectReference) -> Result<(), WhatIfError> {
        let name = object.name.as_str();
        match object.kind {
            DeletableKind::Node => {
                if self.nodes.remove(name).is_none() {
                    return Err(self.unknown_node(name));
                }
                self.forget_node(name);
                return Ok(());
            }
            DeletableKind::GatewayTopology => {
                if self.topologies.remove(name).is_none() {
                    let near = near(name, self.topologies.keys().map(String::as_str));
                    let kind = object.kind.name();
                    return Err(WhatIfError::UnknownObject { kind, name: name.to_owned(), near });
                }
                return Ok(());
            }
            _ => {}
        }
        let key = self.find(object)?;
        match object.kind {
            DeletableKind::Service => {
                self.services.remove(&key);
                self.load_balancers.remove(&key);
                self.reported_announcers.remove(&key);
                self.endpoint_slices.retain(|held, slice| {
                    held.namespace != key.namespace || slice.service() != Some(key.name.as_str())
                });
            }
            DeletableKind::Pod => self.delete_pod(&key)?,
            DeletableKind::EndpointSlice => drop(self.endpoint_slices.remove(&key)),
            DeletableKind::IpAddressPool => {
                self.pools.remove(&key);
                self.pool_specs.remove(&key);
            }
            DeletableKind::AddressPool => drop(self.legacy_pools.remove(&key)),
            DeletableKind::L2Advertisement => drop(self.advertisements.remove(&key)),
            DeletableKind::BgpAdvertisement => drop(self.bgp_advertisements.remove(&key)),
            DeletableKind::Node | DeletableKind::GatewayTopology => {}
        }
        Ok(())
    }

    /// The object of a kind with a namespace.
    fn find(&self, object: &ObjectReference) -> Result<ObjectKey, WhatIfError> {
        let known = self.keys(object.kind);
        let is_meant = |key: &&&ObjectKey| {
            key.name == object.name
                && object.namespace.as_ref().is_none_or(|namespace| key.namespace == *namespace)
        };
        let kind = object.kind.name();
        match known.iter().filter(is_meant).collect::<Vec<_>>()[..] {
            [key] => Ok((*key).clone()),
            [] => {
                let full: Vec<String> =
                    known.iter().map(|key| format!("{}/{}", key.namespace, key.name)).collect();
                let name = match &object.namespace {
                    Some(namespace) => format!("{namespace}/{}", object.name),
                    None => object.name.clone(),
                };
                let like = if object.namespace.is_some() {
                    near(&name, full.iter().map(String::as_str))
                } else {
                    near(&name, known.iter().map(|key| key.name.as_str()))
                };
                Err(WhatIfError::UnknownObject { kind, name, near: like })
            }
            ref several => Err(WhatIfError::SeveralNamespaces {
                kind,
                name: object.name.clone(),
                found: several.iter().map(|key| format!("{kind}/{}/{}", key.namespace, key.name)).collect(),
            }),
        }
    }

    fn keys(&self, kind: DeletableKind) -> Vec<&ObjectKey> {
        fn of<T>(objects: &BTreeMap<ObjectKey, T>) -> Vec<&ObjectKey> {
            objects.keys().collect()
        }
        match kind {
            DeletableKind::Service => of(&self.services),
            DeletableKind::Pod => self
                .pods
                .keys()
                // A workload stands for its pods under a name that no pod can have.
                .filter(|key| !key.name.contains('/'))
                .chain(self.speakers.keys().filter(|key| !self.pods.contains_key(*key)))
                .collect(),
            DeletableKind::EndpointSlice => of(&self.endpoint_slices),
            DeletableKind::IpAddressPool => of(&self.pools),
            DeletableKind::AddressPool => of(&self.legacy_pools),
            DeletableKind::L2Advertisement => of(&self.advertisements),
            DeletableKind::BgpAdvertisement => of(&self.bgp_advertisements),
            DeletableKind::Node | DeletableKind::GatewayTopology => Vec::new(),
        }
    }

    /// Everything on a node that is gone.
    fn forget_node(&mut self, node: &str) {
        let Self { pods, pod_nodes, .. } = self;
        self.node_states.remove(node);
        pods.retain(|key, _| pod_nodes.get(key).is_none_or(|held| held != node));
        pod_nodes.retain(|_, held| held != node);
        self.speakers.retain(|_, speaker| speaker.node != node);
        for slice in self.endpoint_slices.values_mut() {
            slice.endpoints.retain(|endpoint| endpoint.node_name != node);
        }
        self.forget_reports_of(node);
    }

    fn delete_pod(&mut self, key: &ObjectKey) -> Result<(), WhatIfError> {
        self.remove_endpoints_of(key)?;
        self.pods.remove(key);
        self.pod_nodes.remove(key);
        self.speakers.remove(key);
        Ok(())
    }

    /// Removes the endpoints that lead to a pod. One that names no pod leads to it if it is the only one on the pod's node,
    /// and the Service selects no other pod there.
    fn remove_endpoints_of(&mut self, pod: &ObjectKey) -> Result<(), WhatIfError> {
        let node = SmolStr::new(self.pod_nodes.get(pod).map_or("", String::as_str));
        let Self { endpoint_slices, services, pods, pod_nodes, .. } = self;
        let selected_by = |service: &ObjectKey, pod: &ObjectKey| {
            let selector = services.get(service).and_then(selector);
            selector.zip(pods.get(pod)).is_some_and(|(selector, labels)| carries(labels, selector))
        };
        let slices = endpoint_slices.iter_mut().filter(|(key, _)| key.namespace == pod.namespace);
        for (key, slice) in slices {
            slice.endpoints.retain(|endpoint| endpoint.pod != pod.name);
            let service = ObjectKey {
                namespace: key.namespace.clone(),
                name: slice.service().unwrap_or_default().to_owned(),
            };
            let is_unnamed = |endpoint: &Endpoint| {
                endpoint.pod.is_empty() && !node.is_empty() && endpoint.node_name == node
            };
            let unnamed = slice.endpoints.iter().filter(|endpoint| is_unnamed(endpoint)).count();
            if unnamed == 0 || !selected_by(&service, pod) {
                continue;
            }
            let others = pod_nodes.iter().any(|(other, held)| {
                other != pod
                    && node == held.as_str()
                    && other.namespace == pod.namespace
                    && selected_by(&service, other)
            });
            if unnamed > 1 || others {
                return Err(WhatIfError::EndpointsWithoutPods {
                    service: service.name,
                    node: node.to_string(),
                    pod: pod.name.clone(),
                });
            }
            slice.endpoints.retain(|endpoint| !is_unnamed(endpoint));
        }
        Ok(())
    }
}
