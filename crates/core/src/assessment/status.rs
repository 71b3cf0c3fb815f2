//! The part of a topology's status that its assessment says.

use super::{Cause, Outcome, TopologyAssessment};
use crate::escape::cut;
use crate::topology::{FindingStatus, MAX_FINDINGS, MAX_SERVICES, ServiceStatus, StatusSummary};

/// The maximum length of a sentence in a status, in bytes. With the limits on lists, a status stays below 64 KiB.
const MAX_SENTENCE: usize = 1024;

impl TopologyAssessment {
    /// The numbers of addresses and nodes; `None` if they are not known.
    #[must_use]
    pub fn summary(&self) -> Option<StatusSummary> {
        let nodes = self.nodes?;
        let outcomes = || self.services.iter().flat_map(|service| &service.addresses);
        let is_preserved = |outcome: &Outcome| matches!(outcome, Outcome::Preserved | Outcome::Fragile(_));
        Some(StatusSummary {
            addresses: number(outcomes().count()),
            preserved: number(outcomes().filter(|address| is_preserved(&address.outcome)).count()),
            gateway_nodes: number(nodes.gateway),
            announcing_nodes: number(nodes.announcing),
            serving_nodes: number(nodes.serving),
        })
    }

    /// The addresses of the topology's Services, the worst outcomes first. There are at most [`MAX_SERVICES`].
    #[must_use]
    pub fn service_statuses(&self) -> Vec<ServiceStatus> {
        let mut addresses: Vec<_> = self
            .services
            .iter()
            .flat_map(|service| service.addresses.iter().map(move |address| (&service.key.name, address)))
            .collect();
        addresses.sort_by_key(|(_, address)| rank(&address.outcome));
        let status = |(name, address): (&String, &super::AddressAssessment)| {
            let cause = address.outcome.cause();
            ServiceStatus {
                name: name.clone(),
                address: address.address.clone(),
                node: address.announcer.clone().or_else(|| address.bgp_announcers.first().cloned()),
                outcome: address.outcome.word().to_owned(),
                reason: cause.map(|cause| cause.code.code().to_owned()),
                message: cause.map(sentence),
            }
        };
        addresses.into_iter().take(MAX_SERVICES).map(status).collect()
    }

    /// The findings on the topology as a whole. There are at most [`MAX_FINDINGS`].
    #[must_use]
    pub fn finding_statuses(&self) -> Vec<FindingStatus> {
        let status =
            |cause: &Cause| FindingStatus { reason: cause.code.code().to_owned(), message: sentence(cause) };
        self.findings.iter().take(MAX_FINDINGS).map(status).collect()
    }
}

/// A cause and its mend, bounded.
fn sentence(cause: &Cause) -> String {
    cut(&format!("{}; {}", cause.message, cause.mend), MAX_SENTENCE).to_owned()
}

/// The order in which outcomes concern people.
const fn rank(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Silent(_) => 0,
        Outcome::Lost(_) => 1,
        Outcome::Unknown(_) => 2,
        Outcome::Fragile(_) => 3,
        Outcome::Preserved => 4,
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
