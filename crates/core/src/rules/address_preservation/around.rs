//! The state before and after a change.

use std::borrow::Cow;

use crate::change::{Change, Operation};
use crate::objects::Object;
use crate::snapshot::{Inventory, ObjectKey};
use crate::what_if::WhatIf;

/// The states before and after the change. The request knows the object better than the inventory, which follows by
/// watches and may be behind, or ahead: `check` judges creations in a state that has the object already.
pub(super) fn around<'i>(
    change: &Change,
    inventory: &'i Inventory,
) -> (Cow<'i, Inventory>, Cow<'i, Inventory>) {
    let mut key = change.key();
    if key.name.is_empty() {
        key.name.clone_from(&change.object.metadata().generate_name);
    }
    let stored = match change.operation {
        Operation::Create => None,
        Operation::Update => change.old.as_ref(),
        Operation::Delete | Operation::Connect => Some(&change.object),
    };
    if let Object::Service(..) = change.object {
        let before = with_service(inventory, &key, stored);
        let after = applied(&before, &key, change);
        return (before, Cow::Owned(after));
    }
    let next = change.stores().then_some(&change.object);
    (with(inventory, &key, stored, &change.object), with(inventory, &key, next, &change.object))
}

/// The inventory with this object under the key, or without any of the kind of `like`.
fn with<'i>(
    inventory: &'i Inventory,
    key: &ObjectKey,
    object: Option<&Object>,
    like: &Object,
) -> Cow<'i, Inventory> {
    let is_same = match (object, like) {
        (Some(Object::L2Advertisement(it)), _) => inventory.advertisements.get(key) == Some(&it.spec),
        (Some(Object::BgpAdvertisement(it)), _) => inventory.bgp_advertisements.get(key) == Some(&it.spec),
        (Some(Object::IpAddressPool(it)), _) => {
            inventory.pool_specs.get(key) == Some(&it.spec)
                && inventory.pools.get(key) == Some(&it.metadata.labels)
        }
        (Some(Object::AddressPool(it)), _) => inventory.legacy_pools.get(key) == Some(&it.spec),
        (None, Object::L2Advertisement(_)) => !inventory.advertisements.contains_key(key),
        (None, Object::BgpAdvertisement(_)) => !inventory.bgp_advertisements.contains_key(key),
        (None, Object::IpAddressPool(_)) => !inventory.pools.contains_key(key),
        (None, Object::AddressPool(_)) => !inventory.legacy_pools.contains_key(key),
        (_, Object::Pod(_) | Object::DaemonSet(_) | Object::Service(..) | Object::Workload(..))
        | (Some(_), _) => true,
    };
    if is_same {
        return Cow::Borrowed(inventory);
    }
    let mut changed = inventory.clone();
    match object {
        Some(Object::L2Advertisement(it)) => {
            drop(changed.advertisements.insert(key.clone(), it.spec.clone()));
        }
        Some(Object::BgpAdvertisement(it)) => {
            drop(changed.bgp_advertisements.insert(key.clone(), it.spec.clone()));
        }
        Some(Object::IpAddressPool(it)) => {
            changed.pools.insert(key.clone(), it.metadata.labels.clone());
            changed.pool_specs.insert(key.clone(), it.spec.clone());
        }
        Some(Object::AddressPool(it)) => {
            drop(changed.legacy_pools.insert(key.clone(), it.spec.clone()));
        }
        _ => match like {
            Object::L2Advertisement(_) => drop(changed.advertisements.remove(key)),
            Object::BgpAdvertisement(_) => drop(changed.bgp_advertisements.remove(key)),
            Object::IpAddressPool(_) => {
                changed.pools.remove(key);
                changed.pool_specs.remove(key);
            }
            Object::AddressPool(_) => drop(changed.legacy_pools.remove(key)),
            Object::Pod(_) | Object::DaemonSet(_) | Object::Service(..) | Object::Workload(..) => {}
        },
    }
    Cow::Owned(changed)
}

/// The inventory with this Service under the key, or with none.
fn with_service<'i>(
    inventory: &'i Inventory,
    key: &ObjectKey,
    stored: Option<&Object>,
) -> Cow<'i, Inventory> {
    match stored {
        Some(Object::Service(service, balancer)) => {
            let is_same = inventory.services.get(key).is_some_and(|held| {
                held.spec == service.spec && held.metadata.labels == service.metadata.labels
            });
            if is_same && inventory.load_balancers.get(key) == Some(balancer) {
                return Cow::Borrowed(inventory);
            }
            let mut changed = inventory.clone();
            changed.services.insert(key.clone(), service.clone());
            changed.load_balancers.insert(key.clone(), balancer.as_ref().clone());
            Cow::Owned(changed)
        }
        _ if inventory.services.contains_key(key) => {
            let mut changed = inventory.clone();
            changed.services.remove(key);
            changed.load_balancers.remove(key);
            Cow::Owned(changed)
        }
        _ => Cow::Borrowed(inventory),
    }
}

/// The state after a Service is stored, once MetalLB's controller has given the addresses that it asks for, or has taken away
/// one that it no longer shares.
fn applied(before: &Inventory, key: &ObjectKey, change: &Change) -> Inventory {
    let Object::Service(service, balancer) = &change.object else { return before.clone() };
    let mut balancer = balancer.as_ref().clone();
    let asks_anew = matches!(&change.old, Some(Object::Service(_, old))
        if old.annotations != balancer.annotations || old.requested_address != balancer.requested_address);
    if asks_anew {
        // The status still has the addresses that were asked for before.
        balancer.ingress.clear();
    }
    let mut objects = Inventory::default();
    objects.services.insert(key.clone(), service.clone());
    objects.load_balancers.insert(key.clone(), balancer.clone());
    match before.clone().what_if(&WhatIf::Apply(Box::new(objects))) {
        Ok(applied) => applied,
        // Pods were not read: the endpoints stay.
        Err(_) => {
            let mut after = before.clone();
            after.services.insert(key.clone(), service.clone());
            after.load_balancers.insert(key.clone(), balancer);
            after
        }
    }
}
