//! The objects of a cluster that rules judge, as text that `check` reads like manifests.

use std::collections::BTreeSet;

use kube::Client;
use serde_json::Value;

use super::{Answer, Listing, PageError, StateError, answer, each_item};
use crate::objects::Kind;
use crate::topology::GatewayTopologySpec;

/// The kinds that are listed. A ReplicaSet is left out: nearly all have an owner, which is judged.
const KINDS: [Kind; 10] = [
    Kind::Pod,
    Kind::Service,
    Kind::DaemonSet,
    Kind::Deployment,
    Kind::StatefulSet,
    Kind::Rollout,
    Kind::L2Advertisement,
    Kind::BgpAdvertisement,
    Kind::IpAddressPool,
    Kind::AddressPool,
];

/// The objects, and what could not be listed.
#[derive(Debug, Default)]
pub struct JudgedObjects {
    /// One JSON document for each object, in a YAML stream.
    pub text: String,
    /// The lists that the API server refused, in words.
    pub refused: Vec<String>,
}

/// Lists the objects in the namespaces of these topologies that rules judge, as they would be created again: without the node
/// that the scheduler chose. A pod with an owner is left out, because its owner creates the next one, and is judged.
///
/// # Errors
/// [`StateError`]. A refused list is no error, and neither is a kind that the cluster does not serve.
pub async fn judged<'t>(
    client: &Client,
    topologies: impl Iterator<Item = &'t GatewayTopologySpec>,
) -> Result<JudgedObjects, StateError> {
    let mut listings = BTreeSet::new();
    for topology in topologies {
        for kind in KINDS {
            let namespace =
                if kind.is_metallb() { &topology.metallb_namespace } else { &topology.gateway.namespace };
            listings.insert(Listing {
                source: None,
                resource: kind.resource(),
                kind: kind.name(),
                namespace: Some(namespace.clone()),
            });
        }
    }
    let mut judged = JudgedObjects::default();
    for listing in listings {
        match answer(&listing, async || text(client, &listing).await).await? {
            Answer::Objects(text) => judged.text.push_str(&text),
            Answer::NotServed => {}
            Answer::Forbidden => judged.refused.push(listing.what()),
        }
    }
    Ok(judged)
}

/// The objects of a list, one JSON document for each.
async fn text(client: &Client, listing: &Listing) -> Result<String, PageError> {
    let mut text = String::new();
    each_item(client, listing, &mut |object| {
        if let Some(object) = created_again(listing.typed(object)) {
            // Writing a value to a string never fails.
            let object = serde_json::to_string_pretty(&object).unwrap_or_default();
            text.push_str(&format!("---\n{object}\n"));
        }
    })
    .await?;
    Ok(text)
}

/// The object as it would be created again; `None` for one that nobody creates again by itself.
fn created_again(mut object: Value) -> Option<Value> {
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    if metadata.contains_key("deletionTimestamp") {
        return None;
    }
    let owners = metadata.remove("ownerReferences");
    for field in ["managedFields", "uid", "resourceVersion", "creationTimestamp", "generation"] {
        metadata.remove(field);
    }
    if object.get("kind")? == "Pod" {
        let is_owned = owners.as_ref().and_then(Value::as_array).is_some_and(|owners| !owners.is_empty());
        let has_ended = ["Succeeded", "Failed"]
            .iter()
            .any(|phase| object.pointer("/status/phase").is_some_and(|it| it == phase));
        if is_owned || has_ended {
            return None;
        }
        if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove("nodeName");
        }
    }
    // A Service keeps its addresses.
    if object.get("kind")? != "Service" {
        object.as_object_mut()?.remove("status");
    }
    Some(object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_are_judged_by_their_owner_or_as_if_the_scheduler_chose_again() {
        let pod = |metadata: Value, phase: &str| {
            created_again(
                json!({"kind": "Pod", "metadata": metadata, "spec": {"nodeName": "n1"}, "status": {"phase": phase}}),
            )
        };
        let expected = json!({"kind": "Pod", "metadata": {"name": "a"}, "spec": {}});
        assert_eq!(pod(json!({"name": "a", "uid": "u", "managedFields": []}), "Running"), Some(expected));
        assert_eq!(pod(json!({"name": "a", "ownerReferences": [{"name": "r"}]}), "Running"), None);
        assert_eq!(pod(json!({"name": "a"}), "Succeeded"), None);
        assert_eq!(pod(json!({"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"}), "Running"), None);
        let service = json!({"kind": "Service", "metadata": {"name": "a"}, "status": {"loadBalancer": {}}});
        assert_eq!(created_again(service.clone()), Some(service));
    }
}
