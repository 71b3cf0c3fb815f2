//! The assessment for people.

mod table;

use std::fmt::Write as _;

use annotate_snippets::renderer::AnsiColor;

use super::super::render;
use super::{Explained, service_name};
use crate::assessment::{AddressAssessment, Assessment, Cause, Outcome, ServiceAssessment};

/// The appearance of the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// Whether it has colours.
    pub(super) has_color: bool,
    /// Whether tables have every node and column.
    pub(super) is_wide: bool,
}

impl Style {
    fn paint(self, color: AnsiColor, word: &str) -> String {
        let style = if self.has_color {
            color.on_default().bold()
        } else {
            annotate_snippets::renderer::Style::new()
        };
        format!("{style}{word}{style:#}")
    }

    fn outcome(self, outcome: &Outcome) -> String {
        let color = match outcome {
            Outcome::Preserved => AnsiColor::BrightGreen,
            Outcome::Fragile(_) => AnsiColor::BrightYellow,
            Outcome::Lost(_) | Outcome::Silent(_) => AnsiColor::BrightRed,
            Outcome::Unknown(_) => AnsiColor::BrightMagenta,
        };
        self.paint(color, &outcome.word().to_uppercase())
    }
}

/// The assessment in words: each address, the nodes, and what mends it.
pub(super) fn text(explained: &Explained, style: Style) -> String {
    let Explained { assessment, origin, before, changes, probes } = explained;
    let mut text = String::new();
    if let Some(before) = before {
        write_gone(&mut text, before, assessment, style);
    }
    for topology in &assessment.topologies {
        for service in &topology.services {
            for address in &service.addresses {
                let before = before
                    .as_ref()
                    .map(|before| before.address(&topology.name, &service.key, address.address.as_deref()));
                write_address(&mut text, service, address, before, style);
            }
            table::write(&mut text, service, assessment.nodes, probes.as_ref(), style);
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

/// The line that a person acts on. The words are painted already.
fn write_first(text: &mut String, address: &str, words: &[String], sentence: &str) {
    let (address, sentence) = (render::printable(address), render::printable(sentence));
    // Writing into a String does not fail.
    let _ = writeln!(text, "{address} {}: {sentence}", words.join(" -> "));
}

/// Writes the mend, with its commands on lines of their own, so that they can be copied.
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
fn write_gone(text: &mut String, before: &Assessment, after: &Assessment, style: Style) {
    for topology in &before.topologies {
        for service in &topology.services {
            for address in &service.addresses {
                let shown = address.address.as_deref();
                if after.address(&topology.name, &service.key, shown).is_none() {
                    let shown = shown.unwrap_or("no address");
                    let gone = style.paint(AnsiColor::BrightRed, "GONE");
                    let words = [style.outcome(&address.outcome), gone];
                    write_first(text, shown, &words, "no Service of the topology has it any more");
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
    style: Style,
) {
    let shown = address.address.as_deref().unwrap_or("no address");
    let after = style.outcome(&address.outcome);
    let words = match before {
        None => vec![after],
        Some(None) => vec!["NEW".to_owned(), after],
        Some(Some(before)) => vec![style.outcome(&before.outcome), after],
    };
    let announced = || match (&address.announcer, address.bgp_announcers.as_slice()) {
        (Some(node), _) => format!(
            "`{node}` announces it, then {}",
            address.next.as_deref().map_or_else(|| "nobody".to_owned(), |next| format!("`{next}`"))
        ),
        (None, bgp) => format!("announced by BGP from {}", bgp.join(", ")),
    };
    match address.outcome.cause() {
        None => write_first(text, shown, &words, &announced()),
        Some(cause) => write_first(text, shown, &words, &cause.message),
    }
    let pool = address.pool.as_deref().map_or_else(|| "no pool".to_owned(), |pool| format!("pool {pool}"));
    let policy = if service.policy.is_empty() { "Cluster" } else { &service.policy };
    line(text, &format!("  Service {}, {pool}, externalTrafficPolicy {policy}", service_name(service)));
    if let Some(cause) = address.outcome.cause() {
        write_mend(text, cause);
    }
}
