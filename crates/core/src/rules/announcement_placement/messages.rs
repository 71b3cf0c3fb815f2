//! The messages of `announcement-placement`.

use super::remedy;
use crate::escape::excerpt;
use crate::field::FieldPath;
use crate::labels::{SelectorError, Witness, in_words};
use crate::node_relation::Outside;
use crate::objects::AdvertisementSpec;
use crate::rules::builder::Details;
use crate::snapshot::{Advertisement, Nodes, Pool, ResolvedTopology};

/// The maximum number of current nodes in a message.
const NAMED_NODES: usize = 3;

/// The subject of a message: an advertisement, with the pool and topology that it does not match.
pub(super) struct Subject<'a> {
    pub(super) topology: &'a ResolvedTopology,
    pub(super) pool: &'a Pool,
    pub(super) spec: &'a AdvertisementSpec,
    pub(super) advertisement: &'a Advertisement,
    pub(super) nodes: &'a Nodes,
}

impl Subject<'_> {
    pub(super) fn wider(&self, outside: &Outside) -> Details {
        let nodes = self.announcing_outsiders(outside);
        let today = today("would announce", &nodes);
        let message = format!(
            "a node {} would announce pool `{}`, but topology `{}` keeps the gateway on nodes labelled {}{today}",
            outside.witness,
            self.pool.name,
            self.topology.name,
            placement(self.topology)
        );
        self.details(self.selector_field(outside), message, &outside.witness, nodes, today)
    }

    pub(super) fn narrower(&self, witness: &Witness) -> Details {
        let silent = |labels: &_| !self.advertisement.announces_from(labels);
        let nodes = self.nodes.examples(NAMED_NODES + 1, &self.topology.placement, silent);
        let today = today("would not announce", &nodes);
        let message = format!(
            "a node {witness} may run the gateway of topology `{}`, but would not announce pool `{}`: \
             a gateway pod there would get no traffic{today}",
            self.topology.name, self.pool.name
        );
        self.details(node_selectors(), message, witness, nodes, today)
    }

    pub(super) fn disjoint(&self, outside: &Outside) -> Details {
        let nodes = self.announcing_outsiders(outside);
        let today = today("would announce", &nodes);
        let message = format!(
            "pool `{}` would be announced only from nodes that may not run the gateway, such as a node {}, so its \
             addresses would fall silent: topology `{}` keeps the gateway on nodes labelled {}{today}",
            self.pool.name,
            outside.witness,
            self.topology.name,
            placement(self.topology)
        );
        self.details(self.selector_field(outside), message, &outside.witness, nodes, today)
    }

    pub(super) fn selects_nothing(&self) -> Details {
        Details {
            field: node_selectors(),
            message: format!(
                "the node selectors contradict themselves and select no node, so MetalLB would not announce pool `{}` from any \
                 node: topology `{}` keeps the gateway on nodes labelled {}",
                self.pool.name,
                self.topology.name,
                placement(self.topology)
            ),
            help: remedy::propose(&self.spec.node_selectors, self.topology),
            ..Details::default()
        }
    }

    fn details(
        &self,
        field: FieldPath,
        message: String,
        witness: &Witness,
        mut nodes: Vec<String>,
        today: String,
    ) -> Details {
        nodes.truncate(NAMED_NODES);
        let help = remedy::propose(&self.spec.node_selectors, self.topology);
        Details { field, message, help, witness: Some(witness.clone()), nodes, today }
    }

    /// The field of the selector that selects the node; the field of the list if it is empty and selects every node.
    fn selector_field(&self, outside: &Outside) -> FieldPath {
        if self.spec.node_selectors.is_empty() {
            node_selectors()
        } else {
            node_selectors().index(outside.selector)
        }
    }

    /// Current nodes that would announce but may not run the gateway: one more than a message contains, so that it can
    /// say `and more`.
    fn announcing_outsiders(&self, outside: &Outside) -> Vec<String> {
        let is_outsider = |labels: &_| !self.topology.placement.matches(labels);
        let selector = self.advertisement.nodes().get(outside.selector);
        selector
            .map(|selector| self.nodes.examples(NAMED_NODES + 1, selector, is_outsider))
            .unwrap_or_default()
    }
}

/// An advertisement from other nodes of a topology that does not enforce `Local`.
pub(super) fn wider_without_local(topology: &ResolvedTopology, pool: &Pool, outside: &Outside) -> Details {
    Details {
        field: node_selectors(),
        message: format!(
            "a node {} would announce pool `{}`, and topology `{}` does not enforce `externalTrafficPolicy: Local`, by which only nodes \
             with a gateway pod announce",
            outside.witness, pool.name, topology.name
        ),
        help: "enforce the rule `external-traffic-policy` for Services of type LoadBalancer, or restrict `spec.nodeSelectors`"
            .to_owned(),
        witness: Some(outside.witness.clone()),
        ..Details::default()
    }
}

pub(super) fn invalid(error: SelectorError) -> Details {
    Details {
        message: format!(
            "{}: MetalLB rejects its whole configuration while one advertisement is invalid",
            error.problem.message()
        ),
        help: error.problem.help().to_owned(),
        field: error.field,
        ..Details::default()
    }
}

pub(super) fn too_complex(topology: &ResolvedTopology) -> Details {
    Details {
        field: node_selectors(),
        message: format!(
            "the node selectors are too complex to compare with the placement of topology `{}`",
            topology.name
        ),
        help: match topology.spec.placement.node_selector.is_empty() {
            true => "use fewer selectors: without any, every node announces".to_owned(),
            false => format!("use fewer selectors: one for nodes labelled {} is enough", placement(topology)),
        },
        ..Details::default()
    }
}

pub(super) fn no_gateway_node(topology: &ResolvedTopology) -> Details {
    Details {
        field: node_selectors(),
        message: format!(
            "no node is labelled {} today: the gateway of topology `{}` can run on no node, so MetalLB would announce none of its addresses",
            placement(topology),
            topology.name
        ),
        help: "label the gateway nodes, then create the advertisement".to_owned(),
        ..Details::default()
    }
}

pub(super) fn uncovered(topology: &ResolvedTopology, pool: &Pool, witness: Witness) -> Details {
    Details {
        field: node_selectors(),
        message: format!(
            "a node {witness} may run the gateway of topology `{}`, but no advertisement would announce pool `{}` from it",
            topology.name, pool.name
        ),
        help: match topology.spec.placement.node_selector.is_empty() {
            true => "remove `spec.nodeSelectors` from one of the pool's advertisements, so that it selects every node".to_owned(),
            false => format!(
                "make the pool's advertisements together select every node labelled {}",
                placement(topology)
            ),
        },
        witness: Some(witness),
        ..Details::default()
    }
}

pub(super) fn interfaces(pool: &Pool) -> Details {
    Details {
        field: FieldPath::fields(["spec", "interfaces"]),
        message: format!(
            "MetalLB elects a node without checking its interfaces: a node that has none of `spec.interfaces` would not \
             announce pool `{}`",
            pool.name
        ),
        help: "remove `spec.interfaces`, or check that every gateway node has one of them".to_owned(),
        ..Details::default()
    }
}

pub(super) fn undecided_pool(topology: &ResolvedTopology, pool: &Pool) -> Details {
    Details {
        field: FieldPath::fields(["spec", "ipAddressPoolSelectors"]),
        message: format!(
            "pool `{}` of topology `{}` does not exist yet, so it is not known whether these selectors select it",
            pool.name, topology.name
        ),
        help: "create the pool first, or name the pools in `spec.ipAddressPools`".to_owned(),
        ..Details::default()
    }
}

pub(super) fn unknown_pool(name: &str, index: Option<usize>) -> Details {
    let field = FieldPath::fields(["spec", "ipAddressPools"]);
    Details {
        field: index.map_or_else(|| field.clone(), |index| field.clone().index(index)),
        message: format!("IPAddressPool `{}` does not exist, so the name selects nothing", excerpt(name)),
        help: "check the name, or create the pool".to_owned(),
        ..Details::default()
    }
}

fn node_selectors() -> FieldPath {
    FieldPath::fields(["spec", "nodeSelectors"])
}

/// The labels of the gateway nodes: `` `a=b`, `c=d` ``.
fn placement(topology: &ResolvedTopology) -> String {
    in_words(&topology.spec.placement.node_selector)
}

fn today(what: &str, nodes: &[String]) -> String {
    let named: Vec<String> = nodes.iter().take(NAMED_NODES).map(|node| format!("`{node}`")).collect();
    match (named.is_empty(), nodes.len() > named.len()) {
        (true, _) => String::new(),
        (false, true) => format!("; today {} and more {what}", named.join(", ")),
        (false, false) => format!("; today {} {what}", named.join(", ")),
    }
}
