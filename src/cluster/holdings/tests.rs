use std::sync::Arc;

use super::*;
use crate::labels::Labels;
use crate::topology::GatewayTopologySpec;

/// Holdings together with what [`super::super::watches::Watches`] does, but without tasks.
#[derive(Default)]
struct World {
    holdings: Holdings,
    open: BTreeMap<Target, WatchId>,
    last: u64,
}

impl World {
    fn follow(&mut self) {
        let wanted = self.holdings.wanted();
        for (target, watch) in std::mem::take(&mut self.open) {
            if wanted.contains(&target) {
                self.open.insert(target, watch);
            } else {
                self.holdings.close(watch);
            }
        }
        for target in wanted {
            if !self.open.contains_key(&target) {
                self.last = self.last.saturating_add(1);
                self.holdings.open(WatchId(self.last), target.clone());
                self.open.insert(target, WatchId(self.last));
            }
        }
    }

    fn watches(&self, kind: Watched) -> Vec<WatchId> {
        let of_kind = self.open.iter().filter(|(target, _)| target.kind == kind);
        of_kind.map(|(_, watch)| *watch).collect()
    }

    fn report(&mut self, kind: Watched, report: Report) -> bool {
        let changed = self.holdings.apply(self.watches(kind)[0], report);
        self.follow();
        changed
    }

    fn list(&mut self, kind: Watched, items: impl IntoIterator<Item = (ObjectKey, Item)>) -> bool {
        self.report(kind, Report::Listed(items.into_iter().collect()))
    }

    /// Nodes, the built-in topology, and empty lists of everything else.
    fn synced() -> Self {
        let mut world = Self::default();
        world.follow();
        world.list(Watched::Node, [node("a", "1")]);
        world.list(Watched::GatewayTopology, [topology("one", GatewayTopologySpec::default())]);
        for kind in NAMESPACED {
            world.list(kind, []);
        }
        world
    }

    fn inventory(&self) -> Inventory {
        self.holdings.inventory().unwrap()
    }
}

const NAMESPACED: [Watched; 4] =
    [Watched::Service, Watched::Pod, Watched::IPAddressPool, Watched::L2Advertisement];

fn key(namespace: &str, name: &str) -> ObjectKey {
    ObjectKey { namespace: namespace.to_owned(), name: name.to_owned() }
}

fn labels(value: &str) -> Labels {
    Labels::from([("app".into(), value.into())])
}

fn node(name: &str, value: &str) -> (ObjectKey, Item) {
    (key("", name), Item::Node(Arc::new(labels(value))))
}

fn pod(name: &str) -> (ObjectKey, Item) {
    (key("istio-system", name), Item::Pod(labels("gateway")))
}

fn advertisement(name: &str) -> (ObjectKey, Item) {
    let item = Item::Advertisement(Box::default());
    (key("metallb-system", name), item)
}

fn topology(name: &str, spec: GatewayTopologySpec) -> (ObjectKey, Item) {
    (key("", name), Item::Topology(Box::new(Declared { generation: 1, spec })))
}

fn elsewhere(namespace: &str) -> GatewayTopologySpec {
    let mut spec = GatewayTopologySpec::default();
    spec.gateway.namespace = namespace.to_owned();
    spec
}

fn pending(world: &World) -> Vec<String> {
    world.inventory().pending.into_iter().collect()
}

#[test]
fn nothing_is_known_before_nodes_and_topologies_are() {
    let mut world = World::default();
    world.follow();
    assert!(world.holdings.inventory().is_none());
    world.list(Watched::GatewayTopology, []);
    assert!(world.holdings.inventory().is_none());
    world.list(Watched::Node, []);
    assert_eq!(world.inventory(), Inventory::default());
}

#[test]
fn without_our_own_kind_nothing_is_known() {
    let mut world = World::synced();
    assert!(world.report(Watched::GatewayTopology, Report::Missing));
    assert!(world.holdings.inventory().is_none());
    world.list(Watched::GatewayTopology, []);
    assert_eq!(world.inventory().topologies.len(), 0);
}

#[test]
fn a_namespace_is_pending_until_all_of_its_watches_have_listed() {
    let mut world = World::default();
    world.follow();
    world.list(Watched::Node, []);
    world.list(Watched::GatewayTopology, [topology("one", GatewayTopologySpec::default())]);
    assert_eq!(pending(&world), ["istio-system", "metallb-system"]);
    world.list(Watched::Service, []);
    assert_eq!(pending(&world), ["istio-system", "metallb-system"]);
    world.list(Watched::Pod, []);
    assert_eq!(pending(&world), ["metallb-system"]);
    world.list(Watched::L2Advertisement, []);
    world.list(Watched::IPAddressPool, []);
    assert_eq!(pending(&world), [""; 0]);
}

/// Even if the watches have not been started yet.
#[test]
fn a_new_topology_makes_its_namespace_pending_and_no_other() {
    let mut world = World::synced();
    let (name, item) = topology("two", elsewhere("edge"));
    let watch = world.watches(Watched::GatewayTopology)[0];
    assert!(world.holdings.apply(watch, Report::Applied(name, item)));
    assert_eq!(pending(&world), ["edge"]);
    world.follow();
    assert_eq!(pending(&world), ["edge"]);
}

#[test]
fn other_pod_labels_make_the_namespace_pending_again() {
    let mut world = World::synced();
    let mut spec = GatewayTopologySpec::default();
    spec.gateway.pod_labels = labels("other");
    let (name, item) = topology("one", spec);
    world.report(Watched::GatewayTopology, Report::Applied(name, item));
    assert_eq!(pending(&world), ["istio-system"]);
}

#[test]
fn a_relist_drops_what_vanished_and_shares_what_stayed() {
    let mut world = World::synced();
    world.list(Watched::Node, [node("a", "1"), node("b", "1"), node("c", "1")]);
    let before = world.inventory();
    assert!(world.list(Watched::Node, [node("a", "1"), node("c", "2")]));
    let after = world.inventory();
    assert_eq!(after.nodes.keys().collect::<Vec<_>>(), ["a", "c"]);
    assert!(Arc::ptr_eq(&before.nodes["a"], &after.nodes["a"]));
    assert_eq!(*after.nodes["c"], labels("2"));
}

#[test]
fn what_changes_nothing_is_no_change() {
    let mut world = World::synced();
    let (name, item) = node("a", "1");
    assert!(!world.report(Watched::Node, Report::Applied(name, item)));
    assert!(!world.list(Watched::Node, [node("a", "1")]));
    assert!(!world.report(Watched::Node, Report::Deleted(key("", "unheard-of"))));
    let (name, item) = node("a", "2");
    assert!(world.report(Watched::Node, Report::Applied(name.clone(), item)));
    assert!(world.report(Watched::Node, Report::Deleted(name)));
    assert!(world.inventory().nodes.is_empty());
}

#[test]
fn a_deleted_topology_takes_its_objects_along() {
    let mut world = World::synced();
    world.list(Watched::L2Advertisement, [advertisement("a")]);
    world.list(Watched::Pod, [pod("p")]);
    let late = world.watches(Watched::Pod)[0];
    world.report(Watched::GatewayTopology, Report::Deleted(key("", "one")));
    assert_eq!(world.inventory().advertisements.len(), 0);
    assert_eq!(world.open.len(), 2);

    let (name, item) = pod("late");
    assert!(!world.holdings.apply(late, Report::Applied(name, item)));
    assert_eq!(world.inventory().pods.len(), 0);
}

/// A pod that leaves one topology's labels is deleted as far as that watch is concerned, and stays in the other.
#[test]
fn a_pod_of_two_topologies_stays_until_both_lose_it() {
    let mut world = World::synced();
    let mut other = GatewayTopologySpec::default();
    other.gateway.pod_labels = labels("gateway");
    let (name, item) = topology("two", other);
    world.report(Watched::GatewayTopology, Report::Applied(name, item));
    let watches = world.watches(Watched::Pod);
    assert_eq!(watches.len(), 2);
    for watch in &watches {
        world.holdings.apply(*watch, Report::Listed([pod("p")].into()));
    }
    assert_eq!(pending(&world), [""; 0]);
    for (watch, left) in watches.into_iter().zip([1, 0]) {
        world.holdings.apply(watch, Report::Deleted(pod("p").0));
        assert_eq!(world.inventory().pods.len(), left);
    }
}

#[test]
fn metallb_may_come_later_and_go_again() {
    let mut world = World::synced();
    assert!(!world.inventory().lacks_metallb);
    world.list(Watched::L2Advertisement, [advertisement("a")]);
    for kind in [Watched::L2Advertisement, Watched::IPAddressPool] {
        assert!(world.report(kind, Report::Missing));
        assert!(!world.report(kind, Report::Missing));
    }
    let inventory = world.inventory();
    assert!(inventory.lacks_metallb && inventory.pending.is_empty() && inventory.advertisements.is_empty());

    // Pools decide what advertisements mean, so one kind is not enough.
    world.list(Watched::L2Advertisement, [advertisement("a")]);
    assert!(world.inventory().lacks_metallb);
    world.list(Watched::IPAddressPool, []);
    assert!(!world.inventory().lacks_metallb);
}

#[test]
fn what_cannot_be_used_is_left_out_and_counted() {
    let mut world = World::synced();
    let (name, _) = topology("one", GatewayTopologySpec::default());
    let unusable = || Item::Unusable("spec: it is missing".to_owned());
    assert!(world.report(Watched::GatewayTopology, Report::Applied(name, unusable())));
    assert_eq!(world.inventory().topologies.len(), 0);
    assert_eq!(world.holdings.count(Watched::GatewayTopology), (1, 1));
    let (name, item) = topology("two", elsewhere("edge"));
    world.report(Watched::GatewayTopology, Report::Applied(name, item));
    assert_eq!(world.inventory().topologies.len(), 1);
    assert_eq!(world.holdings.count(Watched::GatewayTopology), (2, 1));
}
