//! The content of documents.

use super::*;
use crate::objects::{Kind, Object};
use crate::snapshot::{Inventory, ObjectKey};
use crate::topology::GatewayTopologySpec;

fn facts(text: &str) -> (Inventory, Vec<String>) {
    let (inventory, problems) = inventory(&parsed(text), "default");
    (inventory, problems.iter().map(ToString::to_string).collect())
}

#[track_caller]
fn problem(text: &str) -> String {
    let (_, problems) = facts(text);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].clone()
}

fn content(text: &str) -> Option<Content> {
    Content::read(&parsed(text)[0], "default").unwrap()
}

#[track_caller]
fn candidate(text: &str) -> Candidate {
    match content(text) {
        Some(Content::Candidate(candidate)) => *candidate,
        other => panic!("{other:?}"),
    }
}

fn key(namespace: &str, name: &str) -> ObjectKey {
    ObjectKey { namespace: namespace.to_owned(), name: name.to_owned() }
}

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: gateway, namespace: istio-system, labels: {of: workload}}
spec:
  template:
    metadata: {labels: {app: gateway}}
    spec: {nodeSelector: {a: b}}
";

#[test]
fn every_kind_of_the_inventory_is_read() {
    let (inventory, problems) = facts(
        "
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {a: b}}
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: pool, namespace: metallb-system, labels: {tier: ingress}}
spec: {addresses: [10.0.0.0/24], unknown: {to: us}}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: ad, namespace: metallb-system}
spec: {ipAddressPools: [pool], nodeSelector: is pruned}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: gateway}}
---
apiVersion: v1
kind: Pod
metadata: {generateName: web-, labels: {app: web}}
---
apiVersion: lockstep.dev/v1alpha1
kind: GatewayTopology
metadata: {name: edge, generation: 3}
spec: {addressPools: [pool]}
status: {observedGeneration: 3, conditions: [{type: Guarded, status: 'True'}], unheard: of}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: whatever, labels: [nonsense]}
---
just text
",
    );
    assert_eq!(problems, [""; 0]);
    assert_eq!(inventory.nodes["n1"]["a"], "b");
    assert_eq!(inventory.pools[&key("metallb-system", "pool")]["tier"], "ingress");
    assert_eq!(inventory.advertisements[&key("metallb-system", "ad")].pools, ["pool"]);
    assert_eq!(inventory.services[&key("default", "web")].metadata.namespace, "default");
    assert_eq!(inventory.pods[&key("default", "web-")]["app"], "web");
    let edge = &inventory.topologies["edge"];
    assert_eq!(edge.generation, 3);
    let expected = GatewayTopologySpec { address_pools: vec!["pool".to_owned()], ..Default::default() };
    assert_eq!(edge.spec, expected);
}

#[test]
fn workloads_add_pods_with_the_labels_of_their_template() {
    let text = format!(
        "{DEPLOYMENT}---
apiVersion: batch/v1
kind: CronJob
metadata: {{name: nightly}}
spec: {{jobTemplate: {{spec: {{template: {{metadata: {{labels: {{app: job}}}}}}}}}}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: gateway, namespace: istio-system}}
spec: {{template: {{metadata: {{labels: {{app: daemon}}}}}}}}
"
    );
    let (inventory, problems) = facts(&text);
    assert_eq!(problems, [""; 0]);
    let labels: Vec<_> =
        inventory.pods.iter().map(|(pod, labels)| (pod.namespace.as_str(), labels["app"].as_str())).collect();
    assert_eq!(labels, [("default", "job"), ("istio-system", "daemon"), ("istio-system", "gateway")]);
}

#[test]
fn a_later_object_replaces_an_earlier_one() {
    let node = |value| format!("apiVersion: v1\nkind: Node\nmetadata: {{name: a, labels: {{a: {value}}}}}\n");
    let (inventory, _) = facts(&format!("{}---\n{}", node("x"), node("z")));
    assert_eq!(inventory.nodes["a"]["a"], "z");
}

#[test]
fn an_object_that_the_api_server_would_reject_is_a_problem_at_its_place() {
    let cases = [
        (
            "apiVersion: v1\nkind: Node\nmetadata:\n  name: n\n  labels: {loadbalancerIPs.metallb.io: true}\n",
            "a.yaml:5:40: `metadata.labels[loadbalancerIPs.metallb.io]`: expected a string, found the boolean `true`: put it in quotes",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  nodeName: 5\n",
            "a.yaml:5:13: `spec.nodeName`: expected a string, found the number `5`: put it in quotes",
        ),
        (
            "apiVersion: metallb.io/v1beta1\nkind: L2Advertisement\nmetadata: {name: a}\nspec:\n  nodeSelectors:\n  - null\n",
            "a.yaml:6:5: `spec.nodeSelectors[0]`: expected a map, found null",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec:\n- a\n",
            "a.yaml:4:1: `spec`: expected a map, found a list",
        ),
        (
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  template:\n    spec: {nodeSelector: {a: 1.5}}\n",
            "a.yaml:6:30: `spec.template.spec.nodeSelector.a`: expected a string, found the number `1.5`: put it in quotes",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata:\n  labels: {}\n",
            "a.yaml:3:1: `metadata.name` is missing: the API server rejects an object without a name",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problem(text), expected);
    }
}

#[test]
fn a_topology_that_cannot_be_used_is_reported_as_such() {
    let topology = |spec: &str| {
        format!("apiVersion: lockstep.dev/v1alpha1\nkind: GatewayTopology\nmetadata: {{name: t}}\n{spec}")
    };
    let cases = [
        (
            topology("spec:\n  placement: {nodeSelectors: {a: b}}\n"),
            "a.yaml:5:15: `spec.placement.nodeSelectors`: unknown field",
        ),
        (
            topology("spec: {enforcement: Loud}\n"),
            "a.yaml:4:21: `spec.enforcement`: unknown value `Loud`: use `Enforce`, `Warn` or `Audit`",
        ),
        (topology("spec: {addressPools: []}\n"), "a.yaml:4:8: `spec.addressPools`: give at least one entry"),
        (
            topology("spec: {enforcementByRule: {no-such: Warn}}\n"),
            "a.yaml:4:37: `spec.enforcementByRule[no-such]`: rule `no-such` does not exist",
        ),
        (topology(""), "a.yaml:3:18: `spec` is missing: write `spec: {}`"),
        (
            "apiVersion: lockstep.dev/v1\nkind: GatewayTopology\n".to_owned(),
            "a.yaml:1:13: unknown `apiVersion` `lockstep.dev/v1` of kind GatewayTopology",
        ),
        (
            "apiVersion: lockstep.dev/v1alpha1\nkind: Topology\n".to_owned(),
            "a.yaml:2:7: unknown kind `Topology` of Lockstep",
        ),
    ];
    for (text, expected) in cases {
        let (inventory, problems) = inventory(&parsed(&text), "default");
        assert!(problems[0].to_string().starts_with(expected), "{}", problems[0]);
        assert!(problems[0].hides_a_topology());
        assert!(inventory.topologies.is_empty());
    }
}

#[test]
fn a_workload_is_judged_as_a_pod_that_it_creates() {
    let candidate = candidate(DEPLOYMENT);
    assert_eq!((candidate.kind.as_str(), candidate.name.as_str()), ("Deployment", "gateway"));
    assert_eq!(candidate.change.object.kind(), Kind::Pod);
    assert_eq!(candidate.path.to_string(), "spec.template");
    let change = &candidate.change;
    assert_eq!((change.namespace.as_str(), change.name.as_str()), ("istio-system", ""));
    let metadata = change.object.metadata();
    assert_eq!((metadata.generate_name.as_str(), metadata.namespace.as_str()), ("gateway-", "istio-system"));
    assert_eq!(metadata.labels["app"], "gateway");
    assert!(!metadata.labels.contains_key("of"));
}

#[test]
fn a_daemon_set_is_judged_itself() {
    let candidate = candidate(
        "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: d}\nspec: {template: {spec: {nodeName: a}}}\n",
    );
    assert_eq!(candidate.change.object.kind(), Kind::DaemonSet);
    assert_eq!(candidate.path.to_string(), "");
    assert_eq!(candidate.namespace, "default");
}

#[test]
fn other_kinds_have_no_content() {
    for text in [
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
        "apiVersion: extensions/v1beta1\nkind: Deployment\nmetadata: {name: a}\n",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {}\n",
        "kind: Pod\n",
        "[a, b]\n",
    ] {
        assert!(content(text).is_none(), "{text}");
    }
}

#[test]
fn a_recorded_review_is_recognised() {
    let text = "apiVersion: admission.k8s.io/v1\nkind: AdmissionReview\nrequest: {uid: a}\n";
    assert!(matches!(content(text), Some(Content::Review)));
}

#[test]
fn an_edited_candidate_keeps_the_name_and_namespace_that_the_manifest_gives_it() {
    let before = candidate(DEPLOYMENT);
    let mut value = parsed(DEPLOYMENT)[0].at(&before.path).unwrap().clone();
    value["spec"]["nodeSelector"]["c"] = json!("d");
    let after = before.edited(&value).unwrap();
    let Object::Pod(pod) = &after.object else { panic!("{after:?}") };
    assert_eq!(pod.spec.as_ref().unwrap().node_selector.as_ref().unwrap()["c"], "d");
    assert_eq!(pod.metadata, *before.change.object.metadata());
    assert!(before.edited(&json!({"spec": 1})).is_err());
}
