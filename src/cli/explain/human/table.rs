//! The table of the nodes of a Service.

use super::super::probe::{self, Probes};
use super::super::service_name;
use super::{Style, line};
use crate::assessment::{NodeAssessment, ServiceAssessment};
use crate::cli::output::{columns, count};

/// The most rows of a table that is not wide: what fits on a screen.
const MAX_ROWS: usize = 30;

/// Writes the nodes, and how many of the cluster's nodes are left out.
pub(super) fn write(
    text: &mut String,
    service: &ServiceAssessment,
    cluster: usize,
    probes: Option<&Probes>,
    style: Style,
) {
    if !service.nodes.is_empty() {
        write_nodes(text, service, cluster, probes, style);
    }
    if let Some(probes) = probes {
        write_probes(text, service, probes);
    }
}

fn write_nodes(
    text: &mut String,
    service: &ServiceAssessment,
    cluster: usize,
    probes: Option<&Probes>,
    style: Style,
) {
    let nodes = shown(service, style);
    let mut headings =
        vec!["NODE", "LABELLED", "SELECTED BY", "SPEAKER", "EXCLUDED", "READY", "CANDIDATE", "ANNOUNCES"];
    if style.is_wide {
        headings.extend(["ENDPOINTS", "NETWORK", "TAKES OVER", "TAINTS"]);
    }
    let probes = probes.filter(|_| probe::obstacle(service).is_none());
    if probes.is_some() {
        headings.push("PROBE");
    }
    let mut rows: Vec<Vec<String>> = vec![headings.into_iter().map(str::to_owned).collect()];
    rows.extend(nodes.iter().map(|node| {
        let mut row = row(service, node, style);
        row.extend(probes.map(|probes| {
            let local = probes.of(service, node).and_then(|probe| probe.local_endpoints);
            local.map_or_else(|| "?".to_owned(), |local| local.to_string())
        }));
        row
    }));
    for row in columns(&rows) {
        line(text, &format!("  {row}"));
    }
    let rest = cluster.saturating_sub(nodes.len());
    if rest > 0 {
        line(text, &format!("  and {}: `-o wide` lists all", count(rest, "more node")));
    }
}

/// Writes what the column `PROBE` cannot say: why a node's number is missing, and where it contradicts the `EndpointSlices`.
fn write_probes(text: &mut String, service: &ServiceAssessment, probes: &Probes) {
    if let Some(obstacle) = probe::obstacle(service) {
        line(
            text,
            &format!("  probe: no node was asked about Service {}: {obstacle}", service_name(service)),
        );
    }
    let problems: Vec<String> = service
        .nodes
        .iter()
        .filter_map(|node| Some((node, probes.of(service, node)?)))
        .flat_map(|(node, probe)| {
            let sentences = probe.error.clone().into_iter().chain(probe.disagreement(node));
            sentences.map(|sentence| format!("  probe: {}: {sentence}", node.name))
        })
        .collect();
    for problem in problems.iter().take(MAX_ROWS) {
        line(text, problem);
    }
    let rest = problems.len().saturating_sub(MAX_ROWS);
    if rest > 0 {
        line(text, &format!("  probe: and {rest} more like these: `-o json` has all"));
    }
}

fn row(service: &ServiceAssessment, node: &NodeAssessment, style: Style) -> Vec<String> {
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let listed = |names: Vec<&str>| if names.is_empty() { "-".to_owned() } else { names.join(",") };
    let by = announces(service, node);
    let selected = node.selected_by.iter().chain(&node.selected_by_bgp).map(String::as_str);
    let mut cells = vec![
        node.name.clone(),
        yes(node.is_labelled),
        listed(selected.collect()),
        node.has_speaker.map_or_else(|| "?".to_owned(), yes),
        yes(node.is_excluded || node.is_network_unavailable),
        node.ready_endpoints.to_string(),
        match node.obstacle {
            None => "yes".to_owned(),
            // BGP elects nobody.
            Some(_) if by == Some("by BGP") => "yes".to_owned(),
            Some(obstacle) => format!("no: {obstacle}"),
        },
        by.unwrap_or("no").to_owned(),
    ];
    if style.is_wide {
        let is_next = service.addresses.iter().any(|address| address.next.as_ref() == Some(&node.name));
        cells.extend([
            node.endpoints.to_string(),
            if node.is_network_unavailable { "down" } else { "up" }.to_owned(),
            yes(is_next),
            listed(node.taints.iter().map(String::as_str).collect()),
        ]);
    }
    cells
}

fn announces(service: &ServiceAssessment, node: &NodeAssessment) -> Option<&'static str> {
    let mut addresses = service.addresses.iter();
    if addresses.any(|address| address.announcer.as_ref() == Some(&node.name)) {
        return Some("yes");
    }
    let mut addresses = service.addresses.iter();
    addresses.any(|address| address.bgp_announcers.contains(&node.name)).then_some("by BGP")
}

/// The nodes in order of their names. Of too many, those come first that announce, then those that run or ran a pod, then those
/// that could announce, then gateway nodes.
fn shown(service: &ServiceAssessment, style: Style) -> Vec<&NodeAssessment> {
    let mut nodes: Vec<&NodeAssessment> = service.nodes.iter().collect();
    if !style.is_wide && nodes.len() > MAX_ROWS {
        nodes.sort_by_key(|node| {
            let is_next = service.addresses.iter().any(|address| address.next.as_ref() == Some(&node.name));
            (
                announces(service, node).is_none() && !is_next,
                node.endpoints == 0,
                node.obstacle.is_some(),
                !node.is_labelled,
            )
        });
        nodes.truncate(MAX_ROWS);
        nodes.sort_by(|one, other| one.name.cmp(&other.name));
    }
    nodes
}
