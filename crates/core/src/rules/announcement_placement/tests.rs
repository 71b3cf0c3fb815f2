//! Tests of selectors beyond the work limit, and of node names in messages.

use crate::labels::{LabelSelector, Requirement};
use crate::objects::{AdvertisementSpec, L2Advertisement, Object};
use crate::rules::{Change, Operation, validate};
use crate::snapshot::{Inventory, Snapshot};
use crate::topology::{GatewayTopologySpec, Match};
use crate::verdict::{Finding, Reason, Severity};

const GATEWAY: (&str, &str) = ("loadbalancerIPs.metallb.io", "arp");

fn inventory(relation: Match) -> Inventory {
    let mut inventory = Inventory::default().or_built_in();
    for declared in inventory.topologies.values_mut() {
        declared.spec = GatewayTopologySpec::default();
        declared.spec.announcements.relation = relation;
    }
    inventory
}

fn judge(node_selectors: Vec<LabelSelector>, inventory: &Inventory) -> Vec<Finding> {
    let spec = AdvertisementSpec {
        pools: vec!["default-pool".to_owned()],
        node_selectors,
        ..AdvertisementSpec::default()
    };
    let change = Change {
        operation: Operation::Create,
        namespace: "metallb-system".to_owned(),
        name: "judged".to_owned(),
        object: Object::L2Advertisement(L2Advertisement { spec, ..L2Advertisement::default() }),
        old: None,
        is_cleanup: false,
        time: None,
    };
    validate(&change, &Snapshot::new(inventory)).findings
}

fn labelled<const N: usize>(pairs: [(&str, &str); N]) -> LabelSelector {
    let match_labels = pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
    LabelSelector { match_labels, match_expressions: Vec::new() }
}

/// Returns selectors that cover all gateway nodes, in a form whose proof is the pigeonhole principle: a node either
/// has a vertex without any of the colours, or two vertices of the same colour, because there is one colour too few.
fn pigeonholes() -> Vec<LabelSelector> {
    const VERTICES: usize = 12;
    let colours: Vec<String> = (1..VERTICES).map(|colour| format!("c{colour}")).collect();
    let vertices: Vec<String> = (0..VERTICES).map(|vertex| format!("v{vertex}")).collect();
    let uncoloured = vertices.iter().map(|vertex| LabelSelector {
        match_expressions: vec![Requirement {
            key: vertex.clone(),
            operator: "NotIn".to_owned(),
            values: colours.clone(),
        }],
        ..labelled([GATEWAY])
    });
    let mut selectors: Vec<LabelSelector> = uncoloured.collect();
    for (position, right) in vertices.iter().enumerate() {
        for left in vertices.iter().take(position) {
            selectors
                .extend(colours.iter().map(|colour| labelled([GATEWAY, (left, colour), (right, colour)])));
        }
    }
    selectors
}

#[test]
fn selectors_beyond_the_work_limit_are_denied_as_too_complex() {
    for relation in [Match::Exact, Match::Contained] {
        let findings = judge(pigeonholes(), &inventory(relation));
        let told: Vec<_> = findings.iter().map(|finding| (finding.reason, finding.severity)).collect();
        assert_eq!(told, [(Reason::TooComplex, Severity::Deny)]);
        let finding = &findings[0];
        assert_eq!(finding.field.to_string(), "spec.nodeSelectors");
        assert_eq!(
            format!("{}; {}", finding.message, finding.help),
            "the node selectors are too complex to compare with the placement of topology `istio-ingressgateway`; \
             use fewer selectors: one for nodes labelled `loadbalancerIPs.metallb.io=arp` is enough"
        );
    }
}

#[test]
fn wider_selectors_beyond_the_work_limit_are_denied_as_wider() {
    let mut selectors = pigeonholes();
    selectors.push(labelled([("zone", "a")]));
    let findings = judge(selectors, &inventory(Match::Exact));
    assert_eq!(findings.iter().map(|finding| finding.reason).collect::<Vec<_>>(), [Reason::Wider]);
}

/// MetalLB would parse them as well, but a review must not keep a core busy.
#[test]
fn selectors_that_take_long_to_parse_are_denied_before_they_are_parsed() {
    let selectors = |count: usize| -> Vec<LabelSelector> {
        let zones = (0..count).map(|number| format!("zone-{number}"));
        zones.map(|zone| labelled([GATEWAY, ("zone", zone.as_str())])).collect()
    };
    let reasons = |count| -> Vec<Reason> {
        judge(selectors(count), &inventory(Match::Exact)).iter().map(|finding| finding.reason).collect()
    };
    assert_eq!(reasons(5_000), [Reason::Narrower]);
    assert_eq!(reasons(9_000), [Reason::TooComplex]);
}
