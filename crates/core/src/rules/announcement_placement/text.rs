//! What the rule says to people.

use super::relation::Outside;
use super::remedy;
use crate::escape::excerpt;
use crate::field::FieldPath;
use crate::labels::{SelectorError, Witness};
use crate::objects::AdvertisementSpec;
use crate::rules::report::Remark;
use crate::snapshot::{Advertisement, Nodes, Pool, ResolvedTopology};

/// How many of today's nodes a message names.
const NAMED_NODES: usize = 3;

/// What a message is about.
pub(super) struct Subject<'a> {
    pub(super) topology: &'a ResolvedTopology,
    pub(super) pool: &'a Pool,
    pub(super) spec: &'a AdvertisementSpec,
    pub(super) advertisement: &'a Advertisement,
    pub(super) nodes: &'a Nodes,
}

impl Subject<'_> {
    pub(super) fn wider(&self, outside: &Outside) -> Remark {
        let nodes = self.announcing_strangers(outside);
        let message = format!(
            "a node {} would announce pool `{}`, but topology `{}` keeps the gateway on nodes labelled {}{}",
            outside.witness,
            self.pool.name,
            self.topology.name,
            placement(self.topology),
            today("would announce", &nodes)
        );
        self.remark(self.selector_field(outside), message, &outside.witness, nodes)
    }

    pub(super) fn narrower(&self, witness: &Witness) -> Remark {
        let silent = |labels: &_| !self.advertisement.announces_from(labels);
        let nodes = self.nodes.examples(NAMED_NODES + 1, &self.topology.placement, silent);
        let message = format!(
            "a node {witness} may run the gateway of topology `{}`, but would not announce pool `{}`: \
             a gateway pod there would get no traffic{}",
            self.topology.name,
            self.pool.name,
            today("would not announce", &nodes)
        );
        self.remark(node_selectors(), message, witness, nodes)
    }

    pub(super) fn disjoint(&self, outside: &Outside) -> Remark {
        let nodes = self.announcing_strangers(outside);
        let message = format!(
            "pool `{}` would be announced only from nodes that may not run the gateway, such as a node {}, so its \
             addresses would fall silent: topology `{}` keeps the gateway on nodes labelled {}{}",
            self.pool.name,
            outside.witness,
            self.topology.name,
            placement(self.topology),
            today("would announce", &nodes)
        );
        self.remark(self.selector_field(outside), message, &outside.witness, nodes)
    }

    pub(super) fn selects_nothing(&self) -> Remark {
        Remark {
            field: node_selectors(),
            message: format!(
                "the node selectors contradict themselves and select no node: pool `{}` would not be announced at all, \
                 while topology `{}` runs the gateway on nodes labelled {}",
                self.pool.name,
                self.topology.name,
                placement(self.topology)
            ),
            help: remedy::propose(&self.spec.node_selectors, self.topology),
            ..Remark::default()
        }
    }

    fn remark(&self, field: FieldPath, message: String, witness: &Witness, mut nodes: Vec<String>) -> Remark {
        nodes.truncate(NAMED_NODES);
        let help = remedy::propose(&self.spec.node_selectors, self.topology);
        Remark { field, message, help, witness: Some(witness.clone()), nodes }
    }

    /// The selector that admits the node; the whole list, where it is the list's emptiness that does.
    fn selector_field(&self, outside: &Outside) -> FieldPath {
        if self.spec.node_selectors.is_empty() {
            node_selectors()
        } else {
            node_selectors().index(outside.selector)
        }
    }

    /// Today's nodes that would announce and may not run the gateway; one more than are named.
    fn announcing_strangers(&self, outside: &Outside) -> Vec<String> {
        let is_stranger = |labels: &_| !self.topology.placement.matches(labels);
        let selector = self.advertisement.nodes().get(outside.selector);
        selector
            .map(|selector| self.nodes.examples(NAMED_NODES + 1, selector, is_stranger))
            .unwrap_or_default()
    }
}

pub(super) fn invalid(error: SelectorError) -> Remark {
    Remark {
        message: format!(
            "{error}; one invalid advertisement makes MetalLB ignore every later change of its configuration"
        ),
        field: error.field,
        ..Remark::default()
    }
}

pub(super) fn too_complex(topology: &ResolvedTopology) -> Remark {
    Remark {
        field: node_selectors(),
        message: format!(
            "the node selectors are too complex to compare with the placement of topology `{}`",
            topology.name
        ),
        help: format!("use fewer selectors; nodes labelled {} are all that is needed", placement(topology)),
        ..Remark::default()
    }
}

pub(super) fn no_gateway_node(topology: &ResolvedTopology) -> Remark {
    Remark {
        field: node_selectors(),
        message: format!(
            "no node is labelled {} today, so the gateway of topology `{}` can run nowhere and nothing can be announced for it",
            placement(topology),
            topology.name
        ),
        help: "label the gateway nodes first".to_owned(),
        ..Remark::default()
    }
}

pub(super) fn uncovered(topology: &ResolvedTopology, pool: &Pool, witness: Witness) -> Remark {
    Remark {
        field: node_selectors(),
        message: format!(
            "a node {witness} may run the gateway of topology `{}`, but no advertisement would announce pool `{}` from it",
            topology.name, pool.name
        ),
        help: format!(
            "let the pool's advertisements together select all nodes labelled {}",
            placement(topology)
        ),
        witness: Some(witness),
        ..Remark::default()
    }
}

pub(super) fn interfaces(pool: &Pool) -> Remark {
    Remark {
        field: FieldPath::fields(["spec", "interfaces"]),
        message: format!(
            "pool `{}` is announced through some interfaces only: MetalLB elects a node without asking whether it has one \
             of them, and a node that has none stays silent",
            pool.name
        ),
        help: "make sure that every gateway node has one of the interfaces".to_owned(),
        ..Remark::default()
    }
}

pub(super) fn undecided_pool(topology: &ResolvedTopology, pool: &Pool) -> Remark {
    Remark {
        field: FieldPath::fields(["spec", "ipAddressPoolSelectors"]),
        message: format!(
            "pool `{}` of topology `{}` does not exist yet, so whether these selectors will select it cannot be judged",
            pool.name, topology.name
        ),
        help: "create the pool first, or name the pools in `spec.ipAddressPools`".to_owned(),
        ..Remark::default()
    }
}

pub(super) fn unknown_pool(name: &str, index: Option<usize>) -> Remark {
    let field = FieldPath::fields(["spec", "ipAddressPools"]);
    Remark {
        field: index.map_or_else(|| field.clone(), |index| field.clone().index(index)),
        message: format!("there is no IPAddressPool `{}`: the name selects nothing", excerpt(name)),
        help: "check the name, or create the pool".to_owned(),
        ..Remark::default()
    }
}

fn node_selectors() -> FieldPath {
    FieldPath::fields(["spec", "nodeSelectors"])
}

/// The placement as a person would write it: `` `a=b`, `c=d` ``.
fn placement(topology: &ResolvedTopology) -> String {
    crate::rules::text::labels(&topology.spec.placement.node_selector)
}

fn today(what: &str, nodes: &[String]) -> String {
    let named: Vec<String> = nodes.iter().take(NAMED_NODES).map(|node| format!("`{node}`")).collect();
    match (named.is_empty(), nodes.len() > named.len()) {
        (true, _) => String::new(),
        (false, true) => format!("; today {} and more {what}", named.join(", ")),
        (false, false) => format!("; today {} {what}", named.join(", ")),
    }
}
