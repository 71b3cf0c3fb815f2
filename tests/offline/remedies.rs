//! Every denial names a remedy, and following the remedy to the letter leads to admission.

use lockstep::labels::{LabelSelector, Requirement};
use lockstep::objects::{AdvertisementSpec, L2Advertisement, Object};
use lockstep::rules::{Change, validate};
use lockstep::snapshot::{Inventory, Snapshot};
use lockstep::topology::{GatewayTopologySpec, Match};
use lockstep::verdict::{Finding, Reason, Verdict};
use proptest::prelude::*;

const KEYS: [&str; 3] = ["loadbalancerIPs.metallb.io", "zone", "example.com/rack"];
const VALUES: [&str; 3] = ["arp", "ndp", "1"];

fn facts(relation: Match) -> Snapshot {
    let mut inventory = Inventory::default().or_built_in();
    for declared in inventory.topologies.values_mut() {
        let mut spec = GatewayTopologySpec::default();
        spec.announcements.relation = relation;
        declared.spec = spec;
    }
    Snapshot::new(&inventory)
}

fn judge(selectors: Vec<LabelSelector>, facts: &Snapshot) -> Verdict {
    let spec = AdvertisementSpec {
        pools: vec!["default-pool".to_owned()],
        node_selectors: selectors,
        ..Default::default()
    };
    let advertisement = L2Advertisement { spec, ..L2Advertisement::default() };
    let change = Change::create("metallb-system", "judged", Object::L2Advertisement(advertisement));
    validate(&change, facts)
}

/// Applies the remedy in the help of a finding.
fn follow(finding: &Finding, written: &[LabelSelector]) -> Vec<LabelSelector> {
    if let Some(index) = finding.help.strip_prefix("remove `spec.nodeSelectors[") {
        let index: usize = index.trim_end_matches("]`").parse().unwrap();
        return written
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != index)
            .map(|(_, kept)| kept.clone())
            .collect();
    }
    let list = finding
        .help
        .strip_prefix("set `spec.nodeSelectors` to `")
        .unwrap_or_else(|| panic!("{}", finding.help));
    serde_saphyr::from_str(list.trim_end_matches('`')).unwrap_or_else(|error| panic!("`{list}`: {error}"))
}

fn requirement() -> impl Strategy<Value = Requirement> {
    let values = proptest::sample::subsequence(VALUES.to_vec(), 1..=VALUES.len());
    (
        prop::sample::select(KEYS.to_vec()),
        prop::sample::select(vec!["In", "NotIn", "Exists", "DoesNotExist"]),
        values,
    )
        .prop_map(|(key, operator, values)| Requirement {
            key: key.to_owned(),
            operator: operator.to_owned(),
            values: if operator.ends_with("In") {
                values.into_iter().map(str::to_owned).collect()
            } else {
                Vec::new()
            },
        })
}

fn selector() -> impl Strategy<Value = LabelSelector> {
    let labels = prop::collection::btree_map(
        prop::sample::select(KEYS.to_vec()),
        prop::sample::select(VALUES.to_vec()),
        0..=2,
    );
    (labels, prop::collection::vec(requirement(), 0..=2)).prop_map(|(labels, match_expressions)| {
        LabelSelector {
            match_labels: labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
            match_expressions,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn a_proposed_remedy_is_admitted(
        written in prop::collection::vec(selector(), 0..=4),
        relation in prop::sample::select(vec![Match::Exact, Match::Contained]),
    ) {
        let facts = facts(relation);
        let verdict = judge(written.clone(), &facts);
        let finding = verdict.denials().next();
        // Selectors that MetalLB itself rejects are named by their place, and have no proposed remedy.
        if let Some(finding) = finding.filter(|finding| finding.reason != Reason::Invalid) {
            let followed = follow(finding, &written);
            let again = judge(followed, &facts);
            prop_assert!(!again.is_denied(), "{}\nof {written:?}\nled to {again:?}", finding.help);
        }
    }
}

#[test]
fn the_proposed_remedy_is_the_smallest_change() {
    let facts = facts(Match::Exact);
    let parse = |text: &str| -> Vec<LabelSelector> { serde_saphyr::from_str(text).unwrap() };
    let arp = "{matchLabels: {loadbalancerIPs.metallb.io: arp}}";
    let help = |text: &str| judge(parse(text), &facts).denials().next().unwrap().help.clone();
    assert_eq!(help("[]"), format!("set `spec.nodeSelectors` to `[{arp}]`"));
    assert_eq!(
        help(&format!("[{arp}, {{matchLabels: {{kubernetes.io/os: linux}}}}]")),
        "remove `spec.nodeSelectors[1]`"
    );
    // A selector within the placement adds nothing to it.
    assert_eq!(
        help("[{matchLabels: {loadbalancerIPs.metallb.io: arp, zone: a}}]"),
        format!("set `spec.nodeSelectors` to `[{arp}]`")
    );
}

#[test]
fn selectors_are_narrowed_if_that_suffices() {
    let arp = "loadbalancerIPs.metallb.io: arp";
    let help = |text: &str, relation| {
        let written: Vec<LabelSelector> = serde_saphyr::from_str(text).unwrap();
        let help = judge(written, &facts(relation)).denials().next().unwrap().help.clone();
        help.strip_prefix("set `spec.nodeSelectors` to `[").unwrap().strip_suffix("]`").unwrap().to_owned()
    };
    let elsewhere = "{matchExpressions: [{key: zone, operator: NotIn, values: [a]}]}";
    let ndp = "{matchLabels: {loadbalancerIPs.metallb.io: ndp}}";
    assert_eq!(
        help(&format!("[{{matchLabels: {{zone: a}}}}, {ndp}, {elsewhere}]"), Match::Exact),
        format!(
            "{{matchLabels: {{{arp}, zone: a}}}}, \
             {{matchLabels: {{{arp}}}, matchExpressions: [{{key: zone, operator: NotIn, values: [a]}}]}}"
        )
    );
    assert_eq!(
        help(
            &format!("[{{matchLabels: {{zone: \"yes\"}}}}, {ndp}, {{matchLabels: {{zone: \"1\"}}}}]"),
            Match::Contained
        ),
        format!("{{matchLabels: {{{arp}, zone: \"yes\"}}}}, {{matchLabels: {{{arp}, zone: \"1\"}}}}")
    );
    assert_eq!(
        help("[{matchLabels: {zone: \"\"}}]", Match::Contained),
        format!("{{matchLabels: {{{arp}, zone: \"\"}}}}")
    );
    let among = |values: &str| {
        format!(
            "{{matchExpressions: [{{key: loadbalancerIPs.metallb.io, operator: In, values: [{values}]}}]}}"
        )
    };
    assert_eq!(
        help(&format!("[{}, {}]", among("arp, ndp"), among("arp, l3")), Match::Exact),
        format!("{{matchLabels: {{{arp}}}}}")
    );
}

#[test]
fn for_many_selectors_the_remedy_is_the_placement() {
    let zone = |n: usize| format!("{{matchLabels: {{zone: z{n}}}}}");
    let narrowed = |n: usize| format!("{{matchLabels: {{loadbalancerIPs.metallb.io: arp, zone: z{n}}}}}");
    let list = |count: usize, item: &dyn Fn(usize) -> String| {
        format!("[{}]", (0..count).map(item).collect::<Vec<_>>().join(", "))
    };
    let facts = facts(Match::Contained);
    let help = |text: &str| {
        let written: Vec<LabelSelector> = serde_saphyr::from_str(text).unwrap();
        judge(written, &facts).denials().next().unwrap().help.clone()
    };
    let set = |list: &str| format!("set `spec.nodeSelectors` to `{list}`");
    assert_eq!(help(&list(8, &zone)), set(&list(8, &narrowed)));
    assert_eq!(help(&list(9, &zone)), set("[{matchLabels: {loadbalancerIPs.metallb.io: arp}}]"));
    let one_stranger = |n: usize| if n == 7 { zone(n) } else { narrowed(n) };
    assert_eq!(help(&list(64, &one_stranger)), "remove `spec.nodeSelectors[7]`");
    assert_eq!(help(&list(65, &one_stranger)), set("[{matchLabels: {loadbalancerIPs.metallb.io: arp}}]"));
}

#[test]
fn for_thousands_of_selectors_the_remedy_is_the_placement() {
    let named = |n: usize| LabelSelector {
        match_labels: [("kubernetes.io/hostname".into(), format!("n{n}").into())].into(),
        ..LabelSelector::default()
    };
    let verdict = judge((0..5_000).map(named).collect(), &facts(Match::Exact));
    let finding = verdict.denials().next().unwrap();
    assert_eq!(
        finding.help,
        "set `spec.nodeSelectors` to `[{matchLabels: {loadbalancerIPs.metallb.io: arp}}]`"
    );
}
