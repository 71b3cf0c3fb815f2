use std::sync::Arc;

use super::*;
use crate::labels::Labels;
use crate::topology::GatewayTopologySpec;

/// The stores with the work of [`super::super::supervisor::Supervisor`], but without tasks.
#[derive(Default)]
struct World {
    stores: Stores,
    open: BTreeMap<Target, WatchId>,
    last: u64,
}

impl World {
    fn follow(&mut self) {
        let wanted = self.stores.wanted();
        for (target, watch) in std::mem::take(&mut self.open) {
            if wanted.contains(&target) {
                self.open.insert(target, watch);
            } else {
                self.stores.close(watch);
            }
        }
        for target in wanted {
            if !self.open.contains_key(&target) {
                self.last = self.last.saturating_add(1);
                self.stores.open(WatchId(self.last), target.clone());
                self.open.insert(target, WatchId(self.last));
            }
        }
    }

    fn watches(&self, kind: WatchedKind) -> Vec<WatchId> {
        let of_kind = self.open.iter().filter(|(target, _)| target.kind == kind);
        of_kind.map(|(_, watch)| *watch).collect()
    }

    fn update(&mut self, kind: WatchedKind, update: Update) -> bool {
        let effect = self.stores.apply(self.watches(kind)[0], update);
        self.follow();
        effect.on_assessments
    }

    fn list(&mut self, kind: WatchedKind, items: impl IntoIterator<Item = (ObjectKey, Item)>) -> bool {
        self.update(kind, Update::Listed(items.into_iter().collect()))
    }

    /// Returns stores with nodes, the built-in topology, and empty lists of all other kinds.
    fn synced() -> Self {
        let mut world = Self::default();
        world.follow();
        world.list(WatchedKind::Node, [node("a", "1")]);
        world.list(WatchedKind::GatewayTopology, [topology("one", GatewayTopologySpec::default())]);
        for kind in WatchedKind::of_inventory().filter(|kind| !is_declared(*kind)) {
            world.list(kind, []);
        }
        world
    }

    fn inventory(&mut self) -> Inventory {
        self.stores.inventory().unwrap().as_ref().clone()
    }
}

/// Whether [`World::synced`] has an object of the kind.
fn is_declared(kind: WatchedKind) -> bool {
    matches!(kind, WatchedKind::Node | WatchedKind::GatewayTopology)
}

fn key(namespace: &str, name: &str) -> ObjectKey {
    ObjectKey { namespace: namespace.to_owned(), name: name.to_owned() }
}

fn labels(value: &str) -> Labels {
    Labels::from([("app".into(), value.into())])
}

fn node(name: &str, value: &str) -> (ObjectKey, Item) {
    (key("", name), Item::Node(Arc::new(labels(value)), Box::default()))
}

fn pod(name: &str) -> (ObjectKey, Item) {
    (key("istio-system", name), Item::Pod(labels("gateway"), "a".to_owned()))
}

fn advertisement(name: &str) -> (ObjectKey, Item) {
    let item = Item::Advertisement(Box::default());
    (key("metallb-system", name), item)
}

fn topology(name: &str, spec: GatewayTopologySpec) -> (ObjectKey, Item) {
    (key("", name), Item::Topology(Box::new(Declared { generation: 1, created: None, spec }), Vec::new()))
}

fn elsewhere(namespace: &str) -> GatewayTopologySpec {
    let mut spec = GatewayTopologySpec::default();
    spec.gateway.namespace = namespace.to_owned();
    spec
}

fn pending(world: &mut World) -> Vec<String> {
    world.inventory().pending.into_iter().collect()
}

#[test]
fn there_is_no_inventory_before_nodes_and_topologies_are_listed() {
    let mut world = World::default();
    world.follow();
    assert!(world.stores.inventory().is_none());
    world.list(WatchedKind::GatewayTopology, []);
    assert!(world.stores.inventory().is_none());
    world.list(WatchedKind::Node, []);
    assert_eq!(world.inventory().pending.len(), 0);
}

#[test]
fn there_is_no_inventory_without_the_kind_gateway_topology() {
    let mut world = World::synced();
    assert!(world.update(WatchedKind::GatewayTopology, Update::Failed(Failure::Missing)));
    assert!(world.stores.inventory().is_none());
    world.list(WatchedKind::GatewayTopology, []);
    assert_eq!(world.inventory().topologies.len(), 0);
}

#[test]
fn a_namespace_is_pending_until_all_of_its_watches_have_received_a_list() {
    let mut world = World::default();
    world.follow();
    world.list(WatchedKind::Node, []);
    world.list(WatchedKind::GatewayTopology, [topology("one", GatewayTopologySpec::default())]);
    assert_eq!(pending(&mut world), ["istio-system", "metallb-system"]);
    world.list(WatchedKind::Service, []);
    assert_eq!(pending(&mut world), ["istio-system", "metallb-system"]);
    world.list(WatchedKind::Pod, []);
    assert_eq!(pending(&mut world), ["metallb-system"]);
    world.list(WatchedKind::L2Advertisement, []);
    world.list(WatchedKind::IPAddressPool, []);
    assert_eq!(pending(&mut world), [""; 0]);
}

/// The namespace is pending even before its watches have been started.
#[test]
fn a_new_topology_makes_its_namespace_pending_and_no_other() {
    let mut world = World::synced();
    let (name, item) = topology("two", elsewhere("edge"));
    let watch = world.watches(WatchedKind::GatewayTopology)[0];
    assert!(world.stores.apply(watch, Update::Applied(name, item)).on_rules);
    assert_eq!(pending(&mut world), ["edge"]);
    world.follow();
    assert_eq!(pending(&mut world), ["edge"]);
}

#[test]
fn other_pod_labels_make_the_namespace_pending_again() {
    let mut world = World::synced();
    let mut spec = GatewayTopologySpec::default();
    spec.gateway.pod_labels = labels("other");
    let (name, item) = topology("one", spec);
    world.update(WatchedKind::GatewayTopology, Update::Applied(name, item));
    assert_eq!(pending(&mut world), ["istio-system"]);
}

#[test]
fn a_list_discards_missing_objects_and_shares_unchanged_ones() {
    let mut world = World::synced();
    world.list(WatchedKind::Node, [node("a", "1"), node("b", "1"), node("c", "1")]);
    let before = world.inventory();
    assert!(world.list(WatchedKind::Node, [node("a", "1"), node("c", "2")]));
    let after = world.inventory();
    assert_eq!(after.nodes.keys().collect::<Vec<_>>(), ["a", "c"]);
    assert!(Arc::ptr_eq(&before.nodes["a"], &after.nodes["a"]));
    assert_eq!(*after.nodes["c"], labels("2"));
}

#[test]
fn an_update_without_a_difference_is_not_a_change() {
    let mut world = World::synced();
    let (name, item) = node("a", "1");
    assert!(!world.update(WatchedKind::Node, Update::Applied(name, item)));
    assert!(!world.list(WatchedKind::Node, [node("a", "1")]));
    assert!(!world.update(WatchedKind::Node, Update::Deleted(key("", "unheard-of"))));
    let (name, item) = node("a", "2");
    assert!(world.update(WatchedKind::Node, Update::Applied(name.clone(), item)));
    assert!(world.update(WatchedKind::Node, Update::Deleted(name)));
    assert!(world.inventory().nodes.is_empty());
}

#[test]
fn a_failure_other_than_a_missing_kind_changes_nothing() {
    let mut world = World::synced();
    assert!(!world.update(WatchedKind::Pod, Update::Failed(Failure::Other("forbidden (403)".to_owned()))));
    assert!(world.inventory().pending.is_empty());
}

#[test]
fn the_objects_of_a_deleted_topology_are_discarded() {
    let mut world = World::synced();
    world.list(WatchedKind::L2Advertisement, [advertisement("a")]);
    world.list(WatchedKind::Pod, [pod("p")]);
    let stopped = world.watches(WatchedKind::Pod)[0];
    world.update(WatchedKind::GatewayTopology, Update::Deleted(key("", "one")));
    assert_eq!(world.inventory().advertisements.len(), 0);
    assert_eq!(world.open.len(), 3);

    let (name, item) = pod("late");
    assert_eq!(world.stores.apply(stopped, Update::Applied(name, item)), Effect::default());
    assert_eq!(world.inventory().pods.len(), 0);
}

/// For the watch of a topology whose labels a pod loses, the pod is deleted.
#[test]
fn a_pod_of_two_topologies_stays_until_neither_selects_it() {
    let mut world = World::synced();
    let mut other = GatewayTopologySpec::default();
    other.gateway.pod_labels = labels("gateway");
    let (name, item) = topology("two", other);
    world.update(WatchedKind::GatewayTopology, Update::Applied(name, item));
    let watches = world.watches(WatchedKind::Pod);
    assert_eq!(watches.len(), 2);
    for watch in &watches {
        world.stores.apply(*watch, Update::Listed([pod("p")].into()));
    }
    assert_eq!(pending(&mut world), [""; 0]);
    for (watch, left) in watches.into_iter().zip([1, 0]) {
        world.stores.apply(watch, Update::Deleted(pod("p").0));
        assert_eq!(world.inventory().pods.len(), left);
    }
}

#[test]
fn metallb_may_be_installed_later_and_removed_again() {
    let mut world = World::synced();
    assert!(!world.inventory().lacks_metallb);
    world.list(WatchedKind::L2Advertisement, [advertisement("a")]);
    for kind in [WatchedKind::L2Advertisement, WatchedKind::IPAddressPool] {
        assert!(world.update(kind, Update::Failed(Failure::Missing)));
        assert!(!world.update(kind, Update::Failed(Failure::Missing)));
    }
    let inventory = world.inventory();
    assert!(inventory.lacks_metallb && inventory.pending.is_empty() && inventory.advertisements.is_empty());

    // One kind is not enough, because the verdict on advertisements depends on pools.
    world.list(WatchedKind::L2Advertisement, [advertisement("a")]);
    assert!(world.inventory().lacks_metallb);
    world.list(WatchedKind::IPAddressPool, []);
    assert!(!world.inventory().lacks_metallb);
}

#[test]
fn an_unusable_object_is_left_out_and_counted() {
    let mut world = World::synced();
    let (name, _) = topology("one", GatewayTopologySpec::default());
    let unusable = || Item::Unusable("spec: it is missing".to_owned());
    assert!(world.update(WatchedKind::GatewayTopology, Update::Applied(name, unusable())));
    assert_eq!(world.inventory().topologies.len(), 0);
    assert_eq!(world.stores.count(WatchedKind::GatewayTopology), (1, 1));
    let (name, item) = topology("two", elsewhere("edge"));
    world.update(WatchedKind::GatewayTopology, Update::Applied(name, item));
    assert_eq!(world.inventory().topologies.len(), 1);
    assert_eq!(world.stores.count(WatchedKind::GatewayTopology), (2, 1));
}
