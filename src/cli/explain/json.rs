//! The assessment for programs.

use serde_json::{Value, json};

use super::Explained;
use super::origin::Origin;
use crate::assessment::{
    AddressAssessment, Assessment, Cause, CauseCode, Condition, NodeAssessment, ServiceAssessment,
    TopologyAssessment,
};

/// The assessment as one JSON document. With what-if it is that of the state after the changes, and has the one before.
pub(super) fn document(explained: &Explained) -> Value {
    let mut document = state(&explained.assessment, &explained.origin);
    if let (Some(before), Value::Object(fields)) = (&explained.before, &mut document) {
        fields.insert("whatIf".to_owned(), json!(explained.changes));
        fields.insert("before".to_owned(), state(before, &explained.origin));
    }
    document
}

fn state(assessment: &Assessment, origin: &Origin) -> Value {
    json!({
        "metallb": assessment.version.number(),
        "metallbBasis": {"reason": origin.basis.reason(), "message": origin.basis.to_string()},
        "topologies": assessment.topologies.iter().map(topology).collect::<Vec<_>>(),
        "unread": origin.unread(assessment),
    })
}

fn topology(topology: &TopologyAssessment) -> Value {
    let is_unmatched =
        |cause: &&Cause| matches!(cause.code.code(), "NO_POD" | "NO_SERVICE" | "NO_POOL" | "NO_GATEWAY_NODE");
    json!({
        "name": &*topology.name,
        "conditions": topology.conditions().iter().map(condition).collect::<Vec<_>>(),
        "services": topology.services.iter().map(service).collect::<Vec<_>>(),
        "findings": topology.findings.iter().map(cause).collect::<Vec<_>>(),
        "unmatched": topology.findings.iter().filter(is_unmatched).map(|cause| cause.message.clone()).collect::<Vec<_>>(),
    })
}

fn condition(condition: &Condition) -> Value {
    json!({
        "type": condition.kind,
        "status": match condition.status { Some(true) => "True", Some(false) => "False", None => "Unknown" },
        "reason": condition.reason,
        "message": condition.message,
    })
}

fn cause(cause: &Cause) -> Value {
    json!({"reason": cause.code.code(), "message": cause.message, "mend": cause.mend, "commands": cause.commands})
}

fn service(service: &ServiceAssessment) -> Value {
    let nodes: Vec<Value> = service.nodes.iter().map(node).collect();
    let address = |address: &AddressAssessment| {
        let cause = address.outcome.cause();
        json!({
            "address": address.address,
            "pool": address.pool,
            "outcome": address.outcome.word(),
            "reason": cause.map(|cause| cause.code.code()),
            "message": cause.map(|cause| cause.message.clone()),
            "mend": cause.map(|cause| cause.mend.clone()),
            "commands": cause.map_or(&[][..], |cause| &cause.commands),
            "announcer": address.announcer,
            "next": address.next,
            "bgpAnnouncers": address.bgp_announcers,
            "nodes": nodes,
        })
    };
    json!({
        "namespace": service.key.namespace,
        "name": service.key.name,
        "policy": service.policy,
        "addresses": service.addresses.iter().map(address).collect::<Vec<_>>(),
    })
}

fn node(node: &NodeAssessment) -> Value {
    json!({
        "name": node.name,
        "labelled": node.is_labelled,
        "selectedBy": node.selected_by,
        "speaker": node.has_speaker,
        "excluded": node.is_excluded,
        "networkUnavailable": node.is_network_unavailable,
        "readyEndpoints": node.ready_endpoints,
        "candidate": node.obstacle.is_none(),
        "reason": node.obstacle.map(CauseCode::code),
    })
}
