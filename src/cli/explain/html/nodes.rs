//! The nodes of a Service, grouped by what they do for it, or by the reason why they do nothing.

use maud::{Markup, html};

use super::super::super::page::sentence;
use super::super::Explained;
use super::super::probe;
use super::left_out;
use crate::assessment::{CauseCode, NodeAssessment, ServiceAssessment};
use crate::cli::output::count;

/// The most rows of one group.
const MAX_ROWS: usize = 50;
/// The most rows of a page: more make a browser slow, and nobody reads them.
const MAX_PAGE_ROWS: usize = 2000;
/// The most rows of a group that is open from the start.
const MAX_OPEN_ROWS: usize = 12;

/// The rows that a page has so far.
#[derive(Debug, Default)]
pub(super) struct Rows(usize);

/// What a node does for a Service, in the order in which groups are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Announces,
    TakesOver,
    CanAnnounce,
    Cannot(CauseCode),
}

impl Role {
    fn of(service: &ServiceAssessment, node: &NodeAssessment) -> Self {
        let is = |name: &Option<String>| name.as_ref() == Some(&node.name);
        let mut addresses = service.addresses.iter();
        if addresses.any(|held| is(&held.announcer) || held.bgp_announcers.contains(&node.name)) {
            Self::Announces
        } else if service.addresses.iter().any(|held| is(&held.next)) {
            Self::TakesOver
        } else {
            node.obstacle.map_or(Self::CanAnnounce, Self::Cannot)
        }
    }

    /// The first reason why a node of this group does not announce, as MetalLB checks them.
    const fn words(self) -> &'static str {
        match self {
            Self::Announces => "announcing",
            Self::TakesOver => "next to announce, when the announcing node goes",
            Self::CanAnnounce => "able to announce, while another node does",
            Self::Cannot(code) => match code {
                CauseCode::NoSpeaker => "without a live speaker",
                CauseCode::NetworkUnavailable => "with an unavailable network",
                CauseCode::NodeExcluded => "excluded from external load balancers",
                CauseCode::NodeNotSelected => "not selected by any advertisement",
                CauseCode::ConfigurationRejected => "with a speaker that rejects the configuration",
                CauseCode::Contradiction => "selected by BGP advertisements that contradict each other",
                CauseCode::NoLocalEndpoint => {
                    "without an endpoint that takes traffic, which the policy `Local` requires"
                }
                _ => "unable to announce",
            },
        }
    }

    /// The part of an element's id: a live page keeps open what its reader opened.
    const fn id(self) -> &'static str {
        match self {
            Self::Announces => "announcing",
            Self::TakesOver => "next",
            Self::CanAnnounce => "able",
            Self::Cannot(code) => code.code(),
        }
    }

    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Cannot(code) => Some(code.code()),
            _ => None,
        }
    }
}

/// Nodes of one role, those that matter most first. Those about which nobody would ask are a group of their own.
struct Group<'s> {
    role: Role,
    is_quiet: bool,
    nodes: Vec<&'s NodeAssessment>,
}

/// What the node of a map does, in a few words.
pub(super) fn role_in_short(service: &ServiceAssessment, node: &NodeAssessment) -> (&'static str, bool) {
    let role = Role::of(service, node);
    match role {
        Role::Announces => ("announces", true),
        Role::TakesOver => ("takes over next", true),
        Role::CanAnnounce => ("can announce", true),
        Role::Cannot(code) => (code.code(), false),
    }
}

/// Whether somebody would ask why the node does not announce.
fn concerns(node: &NodeAssessment) -> bool {
    node.endpoints > 0 || node.is_labelled
}

fn groups(service: &ServiceAssessment) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for node in &service.nodes {
        let role = Role::of(service, node);
        let is_quiet = role.code().is_some() && !concerns(node);
        match groups.iter_mut().find(|group| group.role == role && group.is_quiet == is_quiet) {
            Some(group) => group.nodes.push(node),
            None => groups.push(Group { role, is_quiet, nodes: vec![node] }),
        }
    }
    for group in &mut groups {
        group.nodes.sort_by_key(|node| (node.ready_endpoints == 0, node.endpoints == 0, !node.is_labelled));
    }
    groups.sort_by_key(|group| (group.is_quiet, group.role));
    groups
}

/// All nodes of a Service that are known, and how many are not listed.
pub(super) fn section(
    service: &ServiceAssessment,
    explained: &Explained,
    id: &str,
    rows: &mut Rows,
) -> Markup {
    let groups = groups(service);
    let others = explained.assessment.nodes.saturating_sub(service.nodes.len());
    let obstacle = explained.probes.as_ref().and_then(|_| probe::obstacle(service));
    html! {
        @if !service.nodes.is_empty() {
            section class="nodes" aria-labelledby={ (id) "-nodes" } {
                h4 id={ (id) "-nodes" } { "Nodes" }
                @if let Some(obstacle) = obstacle { p { "No node was asked: " (sentence(obstacle)) "." } }
                @for group in &groups { (details(service, explained, group, id, rows)) }
                @if others > 0 {
                    p class="soft" {
                        (count(others, "more node")) ": no gateway node, none with an endpoint, and none that an advertisement's "
                        code { "nodeSelectors" } " select. " code { "-o wide" } " lists all."
                    }
                }
            }
        }
    }
}

fn details(
    service: &ServiceAssessment,
    explained: &Explained,
    group: &Group<'_>,
    id: &str,
    rows: &mut Rows,
) -> Markup {
    let room = MAX_PAGE_ROWS.saturating_sub(rows.0).min(MAX_ROWS);
    let shown: Vec<_> = group.nodes.iter().copied().take(room).collect();
    rows.0 = rows.0.saturating_add(shown.len());
    let is_open = !group.is_quiet && group.nodes.len() <= MAX_OPEN_ROWS;
    let what = if group.is_quiet { "other node" } else { "node" };
    html! {
        details id={ (id) "-" (group.role.id()) @if group.is_quiet { "-other" } } open[is_open] {
            summary {
                b { (count(group.nodes.len(), what)) } ": " (sentence(group.role.words()))
                @if let Some(code) = group.role.code() { " " span class="code soft" { (code) } }
            }
            div class="inside" {
                @if !shown.is_empty() { (table(service, explained, group, &shown)) }
                @if let Some(more) = left_out(group.nodes.len(), shown.len()) {
                    p class="soft" { "and " (more) " more: " code { "-o wide" } " and " code { "-o json" } " list them" }
                }
            }
        }
    }
}

fn table(
    service: &ServiceAssessment,
    explained: &Explained,
    group: &Group<'_>,
    nodes: &[&NodeAssessment],
) -> Markup {
    let probes = explained.probes.as_ref().filter(|_| probe::obstacle(service).is_none());
    let yes = |is: bool| if is { "yes" } else { "no" };
    html! {
        table {
            caption class="hidden" { @if group.is_quiet { "Other nodes" } @else { "Nodes" } " for Service " (service.key.name) ": " (sentence(group.role.words())) }
            thead {
                tr {
                    th scope="col" { "Node" }
                    th scope="col" { "Gateway node" }
                    th scope="col" { "Selected by" }
                    th scope="col" { "Speaker" }
                    th scope="col" { "Ready endpoints" }
                    th scope="col" { "Also" }
                    @if probes.is_some() { th scope="col" { "Probe" } }
                }
            }
            tbody {
                @for node in nodes {
                    tr {
                        th scope="row" { (node.name) }
                        td { (yes(node.is_labelled)) }
                        td { (selected_by(node)) }
                        td { (node.has_speaker.map_or("not known", yes)) }
                        td { (node.ready_endpoints)
                            @if node.endpoints > node.ready_endpoints { " of " (node.endpoints) } }
                        td { (also(node)) }
                        @if let Some(probes) = probes {
                            td { (probed(probes.of(service, node), node)) }
                        }
                    }
                }
            }
        }
    }
}

fn selected_by(node: &NodeAssessment) -> String {
    let bgp = node.selected_by_bgp.iter().map(|name| format!("{name} (BGP)"));
    let names: Vec<String> = node.selected_by.iter().cloned().chain(bgp).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn also(node: &NodeAssessment) -> String {
    let excluded = node.is_excluded.then(|| "excluded from load balancers".to_owned());
    let down = node.is_network_unavailable.then(|| "network unavailable".to_owned());
    let taints = node.taints.iter().map(|taint| format!("taint {taint}"));
    let words: Vec<String> = excluded.into_iter().chain(down).chain(taints).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

/// The answer of a node's kube-proxy, and what contradicts the `EndpointSlices`.
fn probed(probe: Option<&probe::NodeProbe>, node: &NodeAssessment) -> Markup {
    html! {
        @match probe {
            None => { "not asked" }
            Some(probe) => {
                @if let Some(local) = probe.local_endpoints { (count(usize::try_from(local).unwrap_or(usize::MAX), "local endpoint")) }
                @if let Some(error) = &probe.error { " " (sentence(error)) }
                @if let Some(contradiction) = probe.disagreement(node) { " " strong { (sentence(&contradiction)) } }
            }
        }
    }
}
