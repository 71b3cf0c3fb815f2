//! The assessment for people.

use std::fmt::Write as _;

use super::super::render;
use super::{Explained, service_name};
use crate::assessment::{AddressAssessment, Assessment, Cause, ServiceAssessment};

/// The assessment in words: each address, the nodes, and what mends it.
pub(super) fn text(explained: &Explained) -> String {
    let Explained { assessment, origin, before, changes } = explained;
    let mut text = String::new();
    if let Some(before) = before {
        write_gone(&mut text, before, assessment);
    }
    for topology in &assessment.topologies {
        for service in &topology.services {
            for address in &service.addresses {
                let before = before
                    .as_ref()
                    .map(|before| before.address(&topology.name, &service.key, address.address.as_deref()));
                write_address(&mut text, service, address, before);
            }
            write_nodes(&mut text, service);
        }
        if topology.services.is_empty() {
            line(&mut text, &format!("topology {}: no Service to explain", topology.name));
        }
        if let Some(unread) = topology.unread.as_ref().filter(|_| topology.services.is_empty()) {
            line(&mut text, &format!("  {}: {}", unread.code, unread.message));
        }
        for finding in &topology.findings {
            line(&mut text, &format!("topology {}: {}: {}", topology.name, finding.code, finding.message));
            write_mend(&mut text, finding);
        }
    }
    if before.is_some() {
        line(&mut text, &format!("what if: {}", changes.join("; ")));
    }
    for unread in origin.unread_lines(assessment) {
        line(&mut text, &unread);
    }
    line(&mut text, &format!("as MetalLB {} decides: {}", assessment.version, origin.basis));
    text
}

/// What mends it, with its commands on lines of their own, so that they can be copied.
fn write_mend(text: &mut String, cause: &Cause) {
    line(text, &format!("  mend: {}", cause.mend));
    for command in &cause.commands {
        line(text, &format!("    {command}"));
    }
}

fn line(text: &mut String, words: &str) {
    text.push_str(&render::printable(words));
    text.push('\n');
}

/// The addresses that only the state before has.
fn write_gone(text: &mut String, before: &Assessment, after: &Assessment) {
    for topology in &before.topologies {
        for service in &topology.services {
            for address in &service.addresses {
                let shown = address.address.as_deref();
                if after.address(&topology.name, &service.key, shown).is_none() {
                    let word = address.outcome.word().to_uppercase();
                    let shown = shown.unwrap_or("no address");
                    line(
                        text,
                        &format!("{shown} {word} -> GONE: no Service of the topology has it any more"),
                    );
                    line(text, &format!("  Service {}", service_name(service)));
                }
            }
        }
    }
}

/// An address; with what-if also the one of the state before, if there is one.
fn write_address(
    text: &mut String,
    service: &ServiceAssessment,
    address: &AddressAssessment,
    before: Option<Option<&AddressAssessment>>,
) {
    let shown = address.address.as_deref().unwrap_or("no address");
    let word = address.outcome.word().to_uppercase();
    let word = match before {
        None => word,
        Some(None) => format!("NEW -> {word}"),
        Some(Some(before)) => format!("{} -> {word}", before.outcome.word().to_uppercase()),
    };
    let announced = || match (&address.announcer, address.bgp_announcers.as_slice()) {
        (Some(node), _) => format!(
            "`{node}` announces it, then {}",
            address.next.as_deref().map_or_else(|| "nobody".to_owned(), |next| format!("`{next}`"))
        ),
        (None, bgp) => format!("announced by BGP from {}", bgp.join(", ")),
    };
    match address.outcome.cause() {
        None => line(text, &format!("{shown} {word}: {}", announced())),
        Some(cause) => line(text, &format!("{shown} {word}: {}", cause.message)),
    }
    let pool = address.pool.as_deref().map_or_else(|| "no pool".to_owned(), |pool| format!("pool {pool}"));
    let policy = if service.policy.is_empty() { "Cluster" } else { &service.policy };
    line(text, &format!("  Service {}, {pool}, externalTrafficPolicy {policy}", service_name(service)));
    if let Some(cause) = address.outcome.cause() {
        write_mend(text, cause);
    }
}

fn write_nodes(text: &mut String, service: &ServiceAssessment) {
    if service.nodes.is_empty() {
        return;
    }
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let announcers: Vec<&String> = service
        .addresses
        .iter()
        .flat_map(|address| address.announcer.iter().chain(&address.bgp_announcers))
        .collect();
    let mut rows = vec![
        ["NODE", "LABELLED", "SELECTED BY", "SPEAKER", "EXCLUDED", "READY", "CANDIDATE", "ANNOUNCES"]
            .map(str::to_owned),
    ];
    rows.extend(service.nodes.iter().map(|node| {
        [
            node.name.clone(),
            yes(node.is_labelled),
            if node.selected_by.is_empty() { "-".to_owned() } else { node.selected_by.join(",") },
            node.has_speaker.map_or_else(|| "?".to_owned(), yes),
            yes(node.is_excluded || node.is_network_unavailable),
            node.ready_endpoints.to_string(),
            node.obstacle.map_or_else(|| "yes".to_owned(), |obstacle| format!("no: {obstacle}")),
            yes(announcers.contains(&&node.name)),
        ]
    }));
    let mut widths = [0; 8];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in &rows {
        let mut written = String::from(" ");
        for (width, cell) in widths.iter().zip(row) {
            // Writing into a String does not fail.
            let _ = write!(written, " {cell:width$} ");
        }
        line(text, written.trim_end());
    }
}
