//! What the rules say, word by word; and what only one of the two questions shows.

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

/// Two gateway nodes, four others, the gateway's pool, and the given topologies.
fn snapshot(topologies: &[Value]) -> Snapshot {
    let mut inventory = Inventory::default();
    for (position, spec) in topologies.iter().enumerate() {
        let spec: GatewayTopologySpec = serde_json::from_value(spec.clone()).unwrap();
        inventory.topologies.insert(format!("t{position}"), Declared { generation: 1, spec });
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
    }
}

fn creation(kind: Kind, object: &Value) -> Change {
    change(kind, object, None)
}

/// Everything that people read of a verdict.
fn told(verdict: &Verdict) -> Vec<String> {
    let told = verdict.findings.iter().map(|finding| {
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
    told.collect()
}

#[track_caller]
fn tells(verdict: &Verdict, expected: &[&str]) {
    assert_eq!(told(verdict), expected);
}

fn service(policy: &str) -> Value {
    json!({"spec": {"type": "LoadBalancer", "selector": {"istio": "ingressgateway"}, "externalTrafficPolicy": policy}})
}

#[test]
fn a_service_without_local_is_told_what_it_has() {
    let snapshot = snapshot(&[json!({})]);
    tells(
        &validate(&creation(Kind::Service, &service("")), &snapshot),
        &[
            "deny NOT_LOCAL spec.externalTrafficPolicy: the Service sends traffic to the gateway of topology `t0` and its \
           externalTrafficPolicy is not set: kube-proxy would replace the client's source IP; \
           set `spec.externalTrafficPolicy: Local`",
        ],
    );
    tells(
        &validate(&creation(Kind::Service, &service("Cluster")), &snapshot),
        &[
            "deny NOT_LOCAL spec.externalTrafficPolicy: the Service sends traffic to the gateway of topology `t0` and its \
           externalTrafficPolicy is `Cluster`: kube-proxy would replace the client's source IP; \
           set `spec.externalTrafficPolicy: Local`",
        ],
    );
    tells(
        &mutate(&creation(Kind::Service, &service("Cluster")), &snapshot),
        &[
            "warn MADE_LOCAL spec.externalTrafficPolicy: externalTrafficPolicy was set to `Local` for the gateway of \
           topology `t0`; write it in the manifest, or in the Istio chart's value `service.externalTrafficPolicy`",
        ],
    );
}

#[test]
fn a_service_that_stays_as_it_was_is_only_warned_of() {
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
fn a_pod_is_told_why_it_cannot_be_placed() {
    let snapshot = snapshot(&[json!({})]);
    let mutated = |spec: &Value| mutate(&creation(Kind::Pod, &pod(spec)), &snapshot);
    tells(
        &mutated(&json!({"nodeSelector": {"loadbalancerIPs.metallb.io": "ndp"}})),
        &[
            "deny CONFLICT spec.nodeSelector[loadbalancerIPs.metallb.io]: the pod asks for nodes with the value `ndp`, but \
           topology `t0` places the gateway on nodes labelled `loadbalancerIPs.metallb.io=arp`; \
           remove this entry of the node selector, or set it to `arp`",
        ],
    );
    tells(
        &mutated(&json!({"nodeName": "n3"})),
        &[
            "deny PINNED_OUTSIDE spec.nodeName [\"n3\"]: the pod is bound to node `n3`, which is outside the placement of \
           topology `t0`: it lacks `loadbalancerIPs.metallb.io=arp`; \
           remove the node's name and let the scheduler choose, or label the node",
        ],
    );
    tells(
        &mutated(&pinned()),
        &[
            "deny PINNED_OUTSIDE spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms \
           [\"n3\"]: the pod is bound to node `n3`, which is outside the placement of topology `t0`: it lacks \
           `loadbalancerIPs.metallb.io=arp`; add `loadbalancerIPs.metallb.io=arp` to the node selector of the DaemonSet's \
           template: its pods are bound to nodes before they are admitted",
        ],
    );
    tells(
        &mutated(&affinity(&json!([{}]))),
        &["deny UNSATISFIABLE \
           spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: the pod's required \
           node affinity holds on no node labelled `loadbalancerIPs.metallb.io=arp`, where topology `t0` places the \
           gateway: the pod would stay pending for ever; remove the contradicting expression from the affinity"],
    );
    let mut mirror = pod(&json!({}));
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    tells(
        &mutate(&creation(Kind::Pod, &mirror), &snapshot),
        &[
            "warn MIRROR_POD metadata.annotations[kubernetes.io/config.mirror]: this is a static pod: topology `t0` cannot \
           place it; run the gateway as a Deployment or a DaemonSet",
        ],
    );
}

#[test]
fn a_template_is_told_where_in_its_daemon_set() {
    let template = json!({"spec": {"template": pod(&pinned())}});
    tells(
        &mutate(&creation(Kind::DaemonSet, &template), &snapshot(&[json!({})])),
        &["deny PINNED_OUTSIDE \
           spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms \
           [\"n3\"]: the pod is bound to node `n3`, which is outside the placement of topology `t0`: it lacks \
           `loadbalancerIPs.metallb.io=arp`; remove the node's name and let the scheduler choose, or label the node"],
    );
}

#[test]
fn a_pod_is_told_what_was_replaced_and_what_is_missing() {
    let overriding = snapshot(&[json!({"placement": {"onConflict": "Override"}})]);
    let elsewhere = pod(&json!({"nodeSelector": {"loadbalancerIPs.metallb.io": "ndp"}}));
    tells(
        &mutate(&creation(Kind::Pod, &elsewhere), &overriding),
        &[
            "warn CONFLICT spec.nodeSelector[loadbalancerIPs.metallb.io]: the node selector's value `ndp` was replaced by \
           `arp`, as topology `t0` asks; write `arp` in the manifest, or remove the entry",
        ],
    );
    tells(
        &validate(&creation(Kind::Pod, &pod(&json!({}))), &snapshot(&[json!({})])),
        &["deny NOT_PLACED spec.nodeSelector: the gateway pod could run on a node without the label \
           `loadbalancerIPs.metallb.io`, but topology `t0` places the gateway on nodes labelled \
           `loadbalancerIPs.metallb.io=arp`; add `loadbalancerIPs.metallb.io=arp` to the pod's node selector"],
    );
    tells(
        &mutate(&creation(Kind::Pod, &pod(&json!({}))), &snapshot(&[json!({}), json!({})])),
        &[
            "deny AMBIGUOUS metadata.labels: topologies `t0` and `t1` claim this pod, and each places it by itself; change \
           `spec.gateway.podLabels` of the topologies so that each pod belongs to one",
        ],
    );
}

#[test]
fn a_daemon_set_without_a_spec_has_no_template() {
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
fn an_advertisement_is_told_which_nodes_it_adds_and_which_it_lacks() {
    let exact = |selectors: Value| advertised(&of_default_pool(&selectors), &json!({}));
    tells(
        &exact(json!([])),
        &[
            "deny WIDER spec.nodeSelectors [\"n3\", \"n4\", \"n5\"]: a node without the label `loadbalancerIPs.metallb.io` \
           would announce pool `default-pool`, but topology `t0` keeps the gateway on nodes labelled \
           `loadbalancerIPs.metallb.io=arp`; today `n3`, `n4`, `n5` and more would announce; \
           set `spec.nodeSelectors` to `[{matchLabels: {loadbalancerIPs.metallb.io: arp}}]`",
        ],
    );
    tells(
        &exact(json!([arp(), {"matchLabels": {"name": "n4"}}])),
        &["deny WIDER spec.nodeSelectors[1] [\"n4\"]: a node labelled `name=n4` and without the label \
           `loadbalancerIPs.metallb.io` would announce pool `default-pool`, but topology `t0` keeps the gateway on nodes \
           labelled `loadbalancerIPs.metallb.io=arp`; today `n4` would announce; remove `spec.nodeSelectors[1]`"],
    );
    tells(
        &exact(json!([{"matchLabels": {"loadbalancerIPs.metallb.io": "arp", "name": "n1"}}])),
        &[
            "deny NARROWER spec.nodeSelectors [\"n2\"]: a node labelled `loadbalancerIPs.metallb.io=arp` and without the label \
           `name` may run the gateway of topology `t0`, but would not announce pool `default-pool`: a gateway pod there would \
           get no traffic; today `n2` would not announce; set `spec.nodeSelectors` to `[{matchLabels: \
           {loadbalancerIPs.metallb.io: arp}}]`",
        ],
    );
    tells(
        &exact(json!([{"matchLabels": {"loadbalancerIPs.metallb.io": "l3"}}])),
        &[
            "deny DISJOINT spec.nodeSelectors[0]: pool `default-pool` would be announced only from nodes that may not run the \
           gateway, such as a node labelled `loadbalancerIPs.metallb.io=l3`, so its addresses would fall silent: topology \
           `t0` keeps the gateway on nodes labelled `loadbalancerIPs.metallb.io=arp`; set `spec.nodeSelectors` to \
           `[{matchLabels: {loadbalancerIPs.metallb.io: arp}}]`",
        ],
    );
    tells(
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
    tells(
        &exact(json!([contradiction])),
        &[
            "deny NARROWER spec.nodeSelectors: the node selectors contradict themselves and select no node: pool `default-pool` \
           would not be announced at all, while topology `t0` runs the gateway on nodes labelled \
           `loadbalancerIPs.metallb.io=arp`; set `spec.nodeSelectors` to `[{matchLabels: {loadbalancerIPs.metallb.io: arp}}]`",
        ],
    );
}

#[test]
fn an_advertisement_is_told_what_else_is_wrong_with_it() {
    let exact = |spec: Value| advertised(&spec, &json!({}));
    tells(
        &exact(json!({"nodeSelectors": [arp(), arp()]})),
        &[
            "deny INVALID spec.nodeSelectors[1]: the same selector stands twice: MetalLB refuses duplicates, so remove one; one \
           invalid advertisement makes MetalLB ignore every later change of its configuration; ",
        ],
    );
    tells(
        &exact(json!({"nodeSelectors": [arp()], "interfaces": ["eth0"]})),
        &[
            "warn INTERFACES spec.interfaces: pool `default-pool` is announced through some interfaces only: MetalLB elects a \
           node without asking whether it has one of them, and a node that has none stays silent; make sure that every \
           gateway node has one of the interfaces",
        ],
    );
    tells(
        &exact(json!({"nodeSelectors": [arp()], "ipAddressPools": ["default-pool", "other"]})),
        &[
            "warn UNKNOWN_POOL spec.ipAddressPools[1]: there is no IPAddressPool `other`: the name selects nothing; check the \
           name, or create the pool",
        ],
    );
    tells(
        &advertised(
            &json!({"nodeSelectors": [arp()], "ipAddressPoolSelectors": [{"matchLabels": {"a": "b"}}]}),
            &json!({"addressPools": ["later"]}),
        ),
        &[
            "warn UNKNOWN_POOL spec.ipAddressPoolSelectors: pool `later` of topology `t0` does not exist yet, so whether these \
           selectors will select it cannot be judged; create the pool first, or name the pools in `spec.ipAddressPools`",
        ],
    );
}

#[test]
fn an_advertisement_is_told_what_is_wrong_with_the_nodes_of_today() {
    let live =
        json!({"announcements": {"match": "LiveNodes"}, "placement": {"nodeSelector": {"name": "n7"}}});
    tells(
        &advertised(&of_default_pool(&json!([])), &live),
        &[
            "deny NO_GATEWAY_NODE spec.nodeSelectors: no node is labelled `name=n7` today, so the gateway of topology `t0` can \
           run nowhere and nothing can be announced for it; label the gateway nodes first",
        ],
    );
    let contained = json!({"announcements": {"match": "Contained"}});
    let half = json!([{"matchLabels": {"loadbalancerIPs.metallb.io": "arp", "name": "n1"}}]);
    let verdict = advertised(&of_default_pool(&half), &contained);
    assert_eq!(
        verdict.findings.first().and_then(|finding| finding.witness.as_ref()).map(|witness| &witness.labels),
        Some(&labels(&[("loadbalancerIPs.metallb.io", "arp")]))
    );
    tells(
        &verdict,
        &[
            "warn NARROWER spec.nodeSelectors: a node labelled `loadbalancerIPs.metallb.io=arp` and without the label `name` may \
           run the gateway of topology `t0`, but no advertisement would announce pool `default-pool` from it; let the pool's \
           advertisements together select all nodes labelled `loadbalancerIPs.metallb.io=arp`",
        ],
    );
}
