//! The metrics of assessments, read from the newest ones at each scrape, so that no series outlives its topology.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;

use super::assessor::{Assessments, AssessmentsReceiver};
use crate::assessment::{Outcome, TopologyAssessment};
use crate::topology::Enforcement;

/// The maximum number of topologies with series. Administrators name topologies, and the first ones by name count.
const MAX_TOPOLOGIES: usize = 500;

/// The words of all outcomes.
const OUTCOMES: [&str; 5] = ["Preserved", "Fragile", "Lost", "Silent", "Unknown"];

/// Writes the metrics of the newest assessments.
#[derive(Debug)]
pub struct AssessmentMetrics(AssessmentsReceiver);

impl AssessmentMetrics {
    /// The metrics of these assessments.
    #[must_use]
    pub const fn new(assessments: AssessmentsReceiver) -> Self {
        Self(assessments)
    }
}

impl Collector for AssessmentMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let newest = self.0.borrow().clone();
        let assessments: Vec<(&str, &TopologyAssessment)> = newest.as_deref().map_or_else(Vec::new, first);
        let mut gauges = |name: &str, help: &str, of: &mut Series<'_>| {
            let mut metric =
                encoder.encode_descriptor(name, help, None, ConstGauge::new(0_i64).metric_type())?;
            assessments.iter().try_for_each(|(topology, assessment)| {
                of(assessment, &mut |labels, value| {
                    let mut all = vec![("topology", *topology)];
                    all.extend(labels);
                    let value = i64::try_from(value).unwrap_or(i64::MAX);
                    ConstGauge::new(value).encode(metric.encode_family(&all)?)
                })
            })
        };
        gauges(
            "topology_condition",
            "1 for the current status of each condition of a topology that follows from its assessment, 0 for the others",
            &mut |assessment, put| {
                for condition in assessment.conditions() {
                    for status in ["True", "False", "Unknown"] {
                        put(
                            &[("condition", condition.kind), ("status", status)],
                            usize::from(condition.word() == status),
                        )?;
                    }
                }
                Ok(())
            },
        )?;
        gauges(
            "topology_enforcement",
            "1 for the effect of each rule of a topology (Enforce, Warn or Audit), 0 for the others",
            &mut |assessment, put| {
                for (rule, effect) in &assessment.enforcement {
                    for word in Enforcement::ALL.map(Enforcement::word) {
                        let labels = [("rule", rule.id()), ("enforcement", word)];
                        put(&labels, usize::from(effect.word() == word))?;
                    }
                }
                Ok(())
            },
        )?;
        let now = Timestamp::now();
        gauges(
            "topology_exceptions",
            "Exceptions of a topology by state: active, or ended, which count as none",
            &mut |assessment, put| {
                let ended = assessment.exceptions.iter().filter(|exception| exception.has_ended(now)).count();
                put(&[("state", "active")], assessment.exceptions.len().saturating_sub(ended))?;
                put(&[("state", "ended")], ended)
            },
        )?;
        gauges(
            "topology_addresses",
            "Addresses of a topology's Services, by the outcome for the client's source IP; a Service without an address counts as one",
            &mut |assessment, put| {
                let outcomes: Vec<&str> = outcomes(assessment).map(Outcome::word).collect();
                OUTCOMES.into_iter().try_for_each(|outcome| {
                    let count = outcomes.iter().filter(|word| **word == outcome).count();
                    put(&[("outcome", outcome)], count)
                })
            },
        )?;
        gauges(
            "topology_nodes",
            "Nodes of a topology, by role: gateway nodes, nodes that an advertisement selects, nodes with an endpoint that takes traffic",
            &mut |assessment, put| {
                let Some(nodes) = assessment.nodes else { return Ok(()) };
                put(&[("role", "gateway")], nodes.gateway)?;
                put(&[("role", "announcing")], nodes.announcing)?;
                put(&[("role", "serving")], nodes.serving)
            },
        )?;
        gauges(
            "topology_candidates",
            "Nodes that announce an address of a topology or could; of several addresses, the one with the fewest",
            &mut |assessment, put| {
                let addresses = assessment.services.iter().flat_map(|service| &service.addresses);
                match addresses.map(|address| address.candidates).min() {
                    Some(candidates) => put(&[], candidates),
                    None => Ok(()),
                }
            },
        )?;
        gauges(
            "topology_findings",
            "Findings on a topology and its addresses, by reason",
            &mut |assessment, put| {
                let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
                let causes = outcomes(assessment).filter_map(Outcome::cause).chain(&assessment.findings);
                for cause in causes {
                    let count = counts.entry(cause.code.code()).or_default();
                    *count = count.saturating_add(1);
                }
                counts.into_iter().try_for_each(|(reason, count)| put(&[("reason", reason)], count))
            },
        )
    }
}

/// Writes the series of one topology: labels besides the topology's name, and a value.
type Series<'s> = dyn FnMut(&TopologyAssessment, &mut Put<'_>) -> fmt::Result + 's;
type Put<'p> = dyn FnMut(&[(&str, &str)], usize) -> fmt::Result + 'p;

fn first(assessments: &Assessments) -> Vec<(&str, &TopologyAssessment)> {
    let all = assessments.topologies.iter().take(MAX_TOPOLOGIES);
    all.map(|(name, (_, assessment))| (&**name, Arc::as_ref(assessment))).collect()
}

fn outcomes(assessment: &TopologyAssessment) -> impl Iterator<Item = &Outcome> {
    assessment.services.iter().flat_map(|service| &service.addresses).map(|address| &address.outcome)
}
