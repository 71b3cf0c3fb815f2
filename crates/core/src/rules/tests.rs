//! Tests of the exact text of every message, and of properties of single phases.

use std::sync::Arc;

use serde::de::DeserializeSeed;
use serde_json::{Value, json};

use super::{Change, Operation, mutate, validate};
use crate::labels::Labels;
use crate::objects::Kind;
use crate::snapshot::{Declared, Inventory, ObjectKey, Snapshot};
use crate::topology::GatewayTopologySpec;
use crate::verdict::{Severity, Verdict};

const NODES: [(&str, &str); 6] =
    [("n1", "arp"), ("n2", "arp"), ("n3", "ndp"), ("n4", "ndp"), ("n5", "ndp"), ("n6", "ndp")];

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

/// Returns a snapshot of two gateway nodes, four other nodes, the gateway's pool, and the given topologies.
fn snapshot(topologies: &[Value]) -> Snapshot {
    let mut inventory = Inventory::default();
    for (position, spec) in topologies.iter().enumerate() {
        let spec: GatewayTopologySpec = serde_json::from_value(spec.clone()).unwrap();
        inventory.topologies.insert(format!("t{position}"), Declared { generation: 1, created: None, spec });
    }
    for (name, value) in NODES {
        let labels = labels(&[("loadbalancerIPs.metallb.io", value), ("name", name)]);
        inventory.nodes.insert(name.to_owned(), Arc::new(labels));
    }
    let key = ObjectKey { namespace: "metallb-system".to_owned(), name: "default-pool".to_owned() };
    inventory.pools.insert(key, Labels::new());
    Snapshot::new(&inventory)
}

fn change(kind: Kind, object: &Value, old: Option<&Value>) -> Change {
    let decode = |value: &Value| kind.deserialize(value.clone()).unwrap().unwrap();
    Change {
        operation: if old.is_some() { Operation::Update } else { Operation::Create },
        namespace: if kind == Kind::L2Advertisement { "metallb-system" } else { "istio-system" }.to_owned(),
        name: "judged".to_owned(),
        object: decode(object),
        old: old.map(decode),
        is_cleanup: false,
        time: None,
    }
}

fn creation(kind: Kind, object: &Value) -> Change {
    change(kind, object, None)
}

/// Returns the text of each finding: severity, reason, field, nodes, message and help.
fn texts(verdict: &Verdict) -> Vec<String> {
    let texts = verdict.findings.iter().map(|finding| {
        let nodes = if finding.nodes.is_empty() { String::new() } else { format!(" {:?}", finding.nodes) };
        format!(
            "{} {} {}{nodes}: {}; {}",
            finding.severity.word(),
            finding.reason,
            finding.field,
            finding.message,
            finding.help
        )
    });
    texts.collect()
}

#[track_caller]
fn assert_texts(verdict: &Verdict, expected: &[&str]) {
    assert_eq!(texts(verdict), expected);
}

fn service(policy: &str) -> Value {
    json!({"spec": {"type": "LoadBalancer", "selector": {"istio": "ingressgateway"}, "externalTrafficPolicy": policy}})
}

#[test]
fn messages_of_external_traffic_policy() {
    let snapshot = snapshot(&[json!({})]);
    assert_texts(
        &validate(&creation(Kind::Service, &service("")), &snapshot),
        &[
            "deny NOT_LOCAL spec.externalTrafficPolicy: the Service sends traffic to the gateway of topology `t0` and its \
           externalTrafficPolicy is not set: kube-proxy would replace the client's source IP; \
           set `spec.externalTrafficPolicy: Local`",
        ],
    );
    assert_texts(
        &validate(&creation(Kind::Service, &service("Cluster")), &snapshot),
        &[
            "deny NOT_LOCAL spec.externalTrafficPolicy: the Service sends traffic to the gateway of topology `t0` and its \
           externalTrafficPolicy is `Cluster`: kube-proxy would replace the client's source IP; \
           set `spec.externalTrafficPolicy: Local`",
        ],
    );
    assert_texts(
        &mutate(&creation(Kind::Service, &service("Cluster")), &snapshot),
        &[
            "warn MADE_LOCAL spec.externalTrafficPolicy: admission sets externalTrafficPolicy to `Local` for the gateway of \
           topology `t0`; set it in the manifest, or by the Istio chart's value `service.externalTrafficPolicy`",
        ],
    );
}

#[test]
fn an_unchanged_violating_service_gets_a_warning_only() {
    let snapshot = snapshot(&[json!({})]);
    let severity = |old: &Value| {
        let verdict = validate(&change(Kind::Service, &service("Cluster"), Some(old)), &snapshot);
        verdict.findings.first().unwrap().severity
    };
    assert_eq!(severity(&service("Cluster")), Severity::Warn);
    assert_eq!(severity(&service("Local")), Severity::Deny);
    assert_eq!(severity(&json!({})), Severity::Deny);
}

fn pod(spec: &Value) -> Value {
    json!({"metadata": {"labels": {"app": "istio-ingressgateway", "istio": "ingressgateway"}}, "spec": spec})
}

fn affinity(terms: &Value) -> Value {
    let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
    json!({"affinity": {"nodeAffinity": required}})
}

fn pinned() -> Value {
    affinity(&json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n3"]}]}]))
}

#[test]
fn messages_of_pods_that_cannot_be_placed() {
    let snapshot = snapshot(&[json!({})]);
    let mutated = |spec: &Value| mutate(&creation(Kind::Pod, &pod(spec)), &snapshot);
    assert_texts(
        &mutated(&json!({"nodeSelector": {"loadbalancerIPs.metallb.io": "ndp"}})),
        &[
            "deny CONFLICT spec.nodeSelector[loadbalancerIPs.metallb.io]: the pod asks for nodes with the value `ndp`, but \
           topology `t0` places the gateway on nodes labelled `loadbalancerIPs.metallb.io=arp`; \
           remove this entry of the node selector, or set it to `arp`",
        ],
    );
    assert_texts(
        &mutated(&json!({"nodeName": "n3"})),
        &[
            "deny PINNED_OUTSIDE spec.nodeName [\"n3\"]: the pod is bound to node `n3`, which is outside the placement of \
           topology `t0`: it lacks `loadbalancerIPs.metallb.io=arp`; \
           remove the node's name so that the scheduler chooses a node, or label the node",
        ],
    );
    assert_texts(
        &mutated(&pinned()),
        &[
            "deny PINNED_OUTSIDE spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms \
           [\"n3\"]: the pod is bound to node `n3`, which is outside the placement of topology `t0`: it lacks \
           `loadbalancerIPs.metallb.io=arp`; add `loadbalancerIPs.metallb.io=arp` to the node selector of the DaemonSet's \
           template: its controller binds pods to nodes before admission",
        ],
    );
    assert_texts(
        &mutated(&affinity(&json!([{}]))),
        &["deny UNSATISFIABLE \
           spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: the pod's required \
           node affinity holds on no node labelled `loadbalancerIPs.metallb.io=arp`, where topology `t0` places the \
           gateway: the pod would stay Pending; remove the expression that contradicts the placement from the affinity"],
    );
    let mut mirror = pod(&json!({}));
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    assert_texts(
        &mutate(&creation(Kind::Pod, &mirror), &snapshot),
        &[
            "warn MIRROR_POD metadata.annotations[kubernetes.io/config.mirror]: the pod is a static pod, which admission cannot place: topology `t0` does not hold for it; run the gateway as a Deployment or a DaemonSet",
        ],
    );
}

#[test]
fn messages_of_daemon_sets_name_the_path_in_the_template() {
    let template = json!({"spec": {"template": pod(&pinned())}});
    assert_texts(
        &mutate(&creation(Kind::DaemonSet, &template), &snapshot(&[json!({})])),
        &["deny PINNED_OUTSIDE \
           spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms \
           [\"n3\"]: the pod is bound to node `n3`, which is outside the placement of topology `t0`: it lacks \
           `loadbalancerIPs.metallb.io=arp`; remove the node's name so that the scheduler chooses a node, or label the node"],
    );
}

#[test]
fn messages_of_pods_with_a_wrong_or_missing_placement() {
    let overriding = snapshot(&[json!({"placement": {"onConflict": "Override"}})]);
    let elsewhere = pod(&json!({"nodeSelector": {"loadbalancerIPs.metallb.io": "ndp"}}));
    assert_texts(
        &mutate(&creation(Kind::Pod, &elsewhere), &overriding),
        &[
            "warn CONFLICT spec.nodeSelector[loadbalancerIPs.metallb.io]: admission replaces the node selector's value `ndp` by `arp`, because topology `t0` overrides conflicts; write `arp` in the manifest, or remove the entry",
        ],
    );
    assert_texts(
        &validate(&creation(Kind::Pod, &pod(&json!({}))), &snapshot(&[json!({})])),
        &["deny NOT_PLACED spec.nodeSelector: the gateway pod could run on a node without the label \
           `loadbalancerIPs.metallb.io`, but topology `t0` places the gateway on nodes labelled \
           `loadbalancerIPs.metallb.io=arp`; add `loadbalancerIPs.metallb.io=arp` to the pod's node selector"],
    );
    assert_texts(
        &mutate(&creation(Kind::Pod, &pod(&json!({}))), &snapshot(&[json!({}), json!({})])),
        &[
            "deny AMBIGUOUS metadata.labels: topologies `t0` and `t1` claim this pod, and their placements may contradict each other; change \
           `spec.gateway.podLabels` of the topologies so that each pod belongs to one",
        ],
    );
}

#[test]
fn a_daemon_set_without_a_spec_is_allowed() {
    let snapshot = snapshot(&[json!({})]);
    let change = creation(Kind::DaemonSet, &json!({}));
    assert_eq!((mutate(&change, &snapshot), validate(&change, &snapshot)), Default::default());
}

fn advertised(spec: &Value, topology: &Value) -> Verdict {
    validate(
        &creation(Kind::L2Advertisement, &json!({ "spec": spec })),
        &snapshot(std::slice::from_ref(topology)),
    )
}

fn of_default_pool(node_selectors: &Value) -> Value {
    json!({"ipAddressPools": ["default-pool"], "nodeSelectors": node_selectors})
}

fn arp() -> Value {
    json!({"matchLabels": {"loadbalancerIPs.metallb.io": "arp"}})
}

#[test]
fn messages_of_wider_narrower_and_disjoint_advertisements() {
    let exact = |selectors: Value| advertised(&of_default_pool(&selectors), &json!({}));
    assert_texts(
        &exact(json!([])),
        &[
            "deny WIDER spec.nodeSelectors [\"n3\", \"n4\", \"n5\"]: a node without the label `loadbalancerIPs.metallb.io` \
           would announce pool `default-pool`, but topology `t0` keeps the gateway on nodes labelled \
           `loadbalancerIPs.metallb.io=arp`; today `n3`, `n4`, `n5` and more would announce; \
           set `spec.nodeSelectors` to `[{matchLabels: {loadbalancerIPs.metallb.io: arp}}]`",
        ],
    );
    assert_texts(
        &exact(json!([arp(), {"matchLabels": {"name": "n4"}}])),
        &["deny WIDER spec.nodeSelectors[1] [\"n4\"]: a node labelled `name=n4` and without the label \
           `loadbalancerIPs.metallb.io` would announce pool `default-pool`, but topology `t0` keeps the gateway on nodes \
           labelled `loadbalancerIPs.metallb.io=arp`; today `n4` would announce; remove `spec.nodeSelectors[1]`"],
    );
    assert_texts(
        &exact(json!([{"matchLabels": {"loadbalancerIPs.metallb.io": "arp", "name": "n1"}}])),
        &[
            "deny NARROWER spec.nodeSelectors [\"n2\"]: a node labelled `loadbalancerIPs.metallb.io=arp` and without the label \
           `name` may run the gateway of topology `t0`, but would not announce pool `default-pool`: a gateway pod there would \
           get no traffic; today `n2` would not announce; set `spec.nodeSelectors` to `[{matchLabels: \
           {loadbalancerIPs.metallb.io: arp}}]`",
        ],
    );
    assert_texts(
        &exact(json!([{"matchLabels": {"loadbalancerIPs.metallb.io": "l3"}}])),
        &[
            "deny DISJOINT spec.nodeSelectors[0]: pool `default-pool` would be announced only from nodes that may not run the \
           gateway, such as a node labelled `loadbalancerIPs.metallb.io=l3`, so its addresses would fall silent: topology \
           `t0` keeps the gateway on nodes labelled `loadbalancerIPs.metallb.io=arp`; set `spec.nodeSelectors` to \
           `[{matchLabels: {loadbalancerIPs.metallb.io: arp}}]`",
        ],
    );
    assert_texts(
        &advertised(
            &of_default_pool(&json!([{"matchLabels": {"loadbalancerIPs.metallb.io": "ndp", "name": "n9"}}])),
            &json!({"placement": {"nodeSelector": {"loadbalancerIPs.metallb.io": "ndp"}}}),
        ),
        &[
            "deny NARROWER spec.nodeSelectors [\"n3\", \"n4\", \"n5\"]: a node labelled `loadbalancerIPs.metallb.io=ndp` and \
           without the label `name` may run the gateway of topology `t0`, but would not announce pool `default-pool`: a \
           gateway pod there would get no traffic; today `n3`, `n4`, `n5` and more would not announce; set \
           `spec.nodeSelectors` to `[{matchLabels: {loadbalancerIPs.metallb.io: ndp}}]`",
        ],
    );
    let nothing = json!({"key": "loadbalancerIPs.metallb.io", "operator": "NotIn", "values": ["arp"]});
    let mut contradiction = arp();
    contradiction["matchExpressions"] = json!([nothing]);
    assert_texts(
        &exact(json!([contradiction])),
        &[
            "deny NARROWER spec.nodeSelectors: the node selectors contradict themselves and select no node, so MetalLB would not announce pool `default-pool` from any node: topology `t0` keeps the gateway on nodes labelled \
           `loadbalancerIPs.metallb.io=arp`; set `spec.nodeSelectors` to `[{matchLabels: {loadbalancerIPs.metallb.io: arp}}]`",
        ],
    );
}

#[test]
fn messages_of_invalid_advertisements_interfaces_and_unknown_pools() {
    let exact = |spec: Value| advertised(&spec, &json!({}));
    assert_texts(
        &exact(json!({"nodeSelectors": [arp(), arp()]})),
        &[
            "deny INVALID spec.nodeSelectors[1]: duplicate selector: MetalLB rejects its whole configuration while one advertisement is invalid; remove one, because MetalLB rejects duplicates",
        ],
    );
    assert_texts(
        &exact(json!({"nodeSelectors": [arp()], "interfaces": ["eth0"]})),
        &[
            "warn INTERFACES spec.interfaces: MetalLB elects a node without checking its interfaces: a node that has none of `spec.interfaces` would not announce pool `default-pool`; remove `spec.interfaces`, or check that every gateway node has one of them",
        ],
    );
    assert_texts(
        &exact(json!({"nodeSelectors": [arp()], "ipAddressPools": ["default-pool", "other"]})),
        &[
            "warn UNKNOWN_POOL spec.ipAddressPools[1]: IPAddressPool `other` does not exist, so the name selects nothing; check the \
           name, or create the pool",
        ],
    );
    assert_texts(
        &advertised(
            &json!({"nodeSelectors": [arp()], "ipAddressPoolSelectors": [{"matchLabels": {"a": "b"}}]}),
            &json!({"addressPools": ["later"]}),
        ),
        &[
            "warn UNKNOWN_POOL spec.ipAddressPoolSelectors: pool `later` of topology `t0` does not exist yet, so it is not known whether these selectors select it; create the pool first, or name the pools in `spec.ipAddressPools`",
        ],
    );
}

#[test]
fn messages_that_depend_on_todays_nodes() {
    let live =
        json!({"announcements": {"match": "LiveNodes"}, "placement": {"nodeSelector": {"name": "n7"}}});
    assert_texts(
        &advertised(&of_default_pool(&json!([])), &live),
        &[
            "deny NO_GATEWAY_NODE spec.nodeSelectors: no node is labelled `name=n7` today: the gateway of topology `t0` can run on no node, so MetalLB would announce none of its addresses; label the gateway nodes, then create the advertisement",
        ],
    );
    let contained = json!({"announcements": {"match": "Contained"}});
    let half = json!([{"matchLabels": {"loadbalancerIPs.metallb.io": "arp", "name": "n1"}}]);
    let verdict = advertised(&of_default_pool(&half), &contained);
    assert_eq!(
        verdict.findings.first().and_then(|finding| finding.witness.as_ref()).map(|witness| &witness.labels),
        Some(&labels(&[("loadbalancerIPs.metallb.io", "arp")]))
    );
    assert_texts(
        &verdict,
        &[
            "warn NARROWER spec.nodeSelectors: a node labelled `loadbalancerIPs.metallb.io=arp` and without the label `name` may \
           run the gateway of topology `t0`, but no advertisement would announce pool `default-pool` from it; make the pool's advertisements together select every node labelled `loadbalancerIPs.metallb.io=arp`",
        ],
    );
}

#[test]
fn a_new_gateway_pod_behind_a_service_that_is_not_local_is_denied() {
    let mut inventory = Inventory::default().or_built_in();
    let service = json!({"spec": {"type": "LoadBalancer", "selector": {"canary": "yes"}}});
    let key = ObjectKey { namespace: "istio-system".to_owned(), name: "strange".to_owned() };
    inventory.services.insert(key, serde_json::from_value(service).unwrap());
    let snapshot = Snapshot::new(&inventory);
    let pod = |canary: &str| {
        let labels = json!({"app": "istio-ingressgateway", "istio": "ingressgateway", "canary": canary});
        let placed = json!({"nodeSelector": {"loadbalancerIPs.metallb.io": "arp"}});
        creation(Kind::Pod, &json!({"metadata": {"labels": labels}, "spec": placed}))
    };
    assert_texts(
        &validate(&pod("yes"), &snapshot),
        &[
            "deny NOT_LOCAL metadata.labels: the pod's labels put the gateway of topology `istio-ingressgateway` behind \
           Service `strange`, whose externalTrafficPolicy is not `Local`: kube-proxy would replace the client's source IP; \
           set `spec.externalTrafficPolicy: Local` in Service `strange` first",
        ],
    );
    assert_texts(&validate(&pod("no"), &snapshot), &[]);
}
