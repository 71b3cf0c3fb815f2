//! The content of a report: what an assessment says of a topology, as results.
//!
//! The fields are those of OpenReports (`ClusterReport`, apis/openreports.io/v1alpha1 of github.com/openreports/reports-api
//! v0.2.1). `ClusterPolicyReport` (wgpolicyk8s.io/v1alpha2) has the same ones but for `source`, which only its results have.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use lockstep_core::escape::cut;
use serde::{Deserialize, Serialize};

use super::super::last_assessments::Assessed;
use crate::assessment::{
    AddressAssessment, Cause, CauseCode, Outcome, ServiceAssessment, TopologyAssessment,
};
use crate::topology::GatewayTopology;

/// The maximum number of results. With the limit on messages, a report stays below 256 KiB.
pub(super) const MAX_RESULTS: usize = 100;

/// The maximum length of a message, in bytes.
const MAX_MESSAGE: usize = 1024;

/// The source of every report and result.
const SOURCE: &str = "lockstep";

/// The rule of a result without a reason.
const OK: &str = "OK";

/// The policies of results: the conditions of a topology.
const PRESERVED: &str = "SourceIPPreserved";
const ALIGNED: &str = "Aligned";
const RESILIENT: &str = "Resilient";
const STALLED: &str = "Stalled";

/// A report, without its metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Report {
    /// The source of the report; only OpenReports has the field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<String>,
    /// The topology.
    pub(super) scope: Reference,
    pub(super) summary: Summary,
    /// The results, the worst ones first. There are at most [`MAX_RESULTS`].
    pub(super) results: Vec<ReportResult>,
}

/// The numbers of results, also of those that are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Summary {
    pass: usize,
    fail: usize,
    warn: usize,
    error: usize,
    skip: usize,
}

/// The reference to an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Reference {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uid: Option<String>,
}

/// What was found at one address, or one finding.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ReportResult {
    source: String,
    /// The condition that the result belongs to.
    policy: String,
    /// The reason as a code.
    rule: String,
    result: Verdict,
    /// Whether the result counts as a failure.
    scored: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<Severity>,
    /// The reason in a sentence, and what to do.
    message: String,
    resources: Vec<Reference>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    properties: BTreeMap<String, String>,
    /// When the result was first found.
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<Time>,
}

/// The result in one word. The order is that of results in a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Fail,
    /// The result is not known.
    #[default]
    Error,
    Warn,
    /// There is nothing to judge.
    Skip,
    Pass,
}

/// How much a result matters. The order is that of results in a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Critical,
    High,
    Medium,
    Low,
    Info,
}

/// A time as protocol buffers have it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Time {
    seconds: i64,
    nanos: i32,
}

impl Report {
    /// The report about a topology, without times; `None` while it was not assessed. `has_source` says whether its kind has
    /// the field `source`.
    pub(super) fn new(name: &str, uid: &str, assessed: &Assessed, has_source: bool) -> Option<Self> {
        let scope = Reference {
            api_version: GatewayTopology::api_version(&()).into_owned(),
            kind: GatewayTopology::kind(&()).into_owned(),
            name: name.to_owned(),
            namespace: None,
            uid: Some(uid.to_owned()),
        };
        let stalled = |rule: &str, message: &str| {
            vec![ReportResult::new(STALLED, rule, Verdict::Error, None, message, scope.clone())]
        };
        let mut results = match assessed {
            Assessed::NotYet => return None,
            Assessed::Unusable(problem) => {
                stalled("InvalidSpec", &format!("the topology is invalid and ignored: {problem}"))
            }
            Assessed::Unknown => stalled(
                CauseCode::Unread.code(),
                "the cluster's nodes or topologies could not be read, so its state is not known",
            ),
            Assessed::Known(assessment) => results(assessment, &scope),
        };
        let count = |verdict| results.iter().filter(|result| result.result == verdict).count();
        let summary = Summary {
            pass: count(Verdict::Pass),
            fail: count(Verdict::Fail),
            warn: count(Verdict::Warn),
            error: count(Verdict::Error),
            skip: count(Verdict::Skip),
        };
        results.sort_by_key(|result| (result.result, result.severity));
        results.truncate(MAX_RESULTS);
        Some(Self { source: has_source.then(|| SOURCE.to_owned()), scope, summary, results })
    }

    /// The report without times.
    pub(super) fn timeless(mut self) -> Self {
        for result in &mut self.results {
            result.timestamp = None;
        }
        self
    }

    /// The report with the time of each result: that of the stored report if it has the same result, and `now` otherwise.
    pub(super) fn timed(mut self, stored: Option<&Self>, now: Timestamp) -> Self {
        let now = Time { seconds: now.as_second(), nanos: 0 };
        for result in &mut self.results {
            let mut stored = stored.iter().flat_map(|report| &report.results);
            let held = stored.find(|held| held.is_about_the_same_as(result));
            result.timestamp = Some(held.and_then(|held| held.timestamp).unwrap_or(now));
        }
        self
    }
}

impl ReportResult {
    fn new(
        policy: &str,
        rule: &str,
        result: Verdict,
        severity: Option<Severity>,
        message: &str,
        resource: Reference,
    ) -> Self {
        Self {
            source: SOURCE.to_owned(),
            policy: policy.to_owned(),
            rule: rule.to_owned(),
            result,
            scored: result != Verdict::Warn,
            severity,
            message: cut(message, MAX_MESSAGE).to_owned(),
            resources: vec![resource],
            properties: BTreeMap::new(),
            timestamp: None,
        }
    }

    /// Whether both say the same of the same object, in other words perhaps.
    fn is_about_the_same_as(&self, other: &Self) -> bool {
        let key = |result: &Self| {
            let address = result.properties.get("address").cloned();
            (result.policy.clone(), result.rule.clone(), result.result, result.resources.clone(), address)
        };
        key(self) == key(other)
    }
}

/// One result for each address, for each finding, and for each condition of the topology as a whole that holds or is not
/// known.
fn results(assessment: &TopologyAssessment, scope: &Reference) -> Vec<ReportResult> {
    let addresses =
        || assessment.services.iter().flat_map(|it| it.addresses.iter().map(move |address| (it, address)));
    let mut results: Vec<ReportResult> =
        addresses().map(|(service, address)| of_address(service, address)).collect();
    results.extend(assessment.findings.iter().map(|finding| {
        let (policy, verdict, severity) = class(finding.code);
        ReportResult::new(
            policy,
            finding.code.code(),
            verdict,
            Some(severity),
            &sentence(finding),
            scope.clone(),
        )
    }));
    // What an address reports is not reported once more for its topology.
    let is_reported = |cause: &Cause| addresses().any(|(_, address)| address.outcome.cause() == Some(cause));
    let unread = [(PRESERVED, &assessment.unread), (ALIGNED, &assessment.unread_for_alignment)];
    for (policy, cause) in unread {
        if let Some(cause) = cause.as_ref().filter(|cause| policy != PRESERVED || !is_reported(cause)) {
            let (code, message) = (cause.code.code(), sentence(cause));
            results.push(ReportResult::new(policy, code, Verdict::Error, None, &message, scope.clone()));
        }
    }
    for condition in assessment.conditions() {
        if condition.kind != PRESERVED && condition.status == Some(true) {
            let message = &condition.message;
            results.push(ReportResult::new(condition.kind, OK, Verdict::Pass, None, message, scope.clone()));
        }
    }
    results
}

fn of_address(service: &ServiceAssessment, address: &AddressAssessment) -> ReportResult {
    let (policy, verdict, severity) = match &address.outcome {
        Outcome::Preserved => (PRESERVED, Verdict::Pass, None),
        Outcome::Fragile(_) => (RESILIENT, Verdict::Warn, Some(Severity::Medium)),
        Outcome::Lost(_) => (PRESERVED, Verdict::Fail, Some(Severity::High)),
        Outcome::Silent(_) => (PRESERVED, Verdict::Fail, Some(Severity::Critical)),
        Outcome::Unknown(_) => (PRESERVED, Verdict::Error, None),
    };
    let cause = address.outcome.cause();
    let said = cause
        .map_or_else(|| "the client's source IP survives, also after one node fails".to_owned(), sentence);
    let shown = address.address.as_deref().unwrap_or("no address");
    let resource = Reference {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        name: service.key.name.clone(),
        namespace: Some(service.key.namespace.clone()),
        uid: None,
    };
    let rule = cause.map_or(OK, |cause| cause.code.code());
    let message = format!("{shown}: {}: {said}", address.outcome.word());
    let node = address.announcer.as_ref().or_else(|| address.bgp_announcers.first());
    let properties = [
        ("outcome", Some(address.outcome.word().to_owned())),
        ("address", address.address.clone()),
        ("node", node.cloned()),
    ];
    ReportResult {
        properties: properties
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)))
            .collect(),
        ..ReportResult::new(policy, rule, verdict, severity, &message, resource)
    }
}

/// The condition that a finding on a topology belongs to, its result and its severity. A finding that makes its condition False
/// fails, except for `Resilient`: the client's source IP still survives.
const fn class(code: CauseCode) -> (&'static str, Verdict, Severity) {
    use CauseCode::{
        AddressInNoPool, Aggregated, ConfigurationRejected, Contradiction, Disjoint,
        DisruptionBudgetAllowsAll, DisruptionBudgetAllowsNone, EndpointWithoutNode, Exception, ExternalIp,
        Narrower, NetworkUnavailable, NoAddress, NoDisruptionBudget, NoEndpoint, NoGatewayNode,
        NoLocalEndpoint, NoMemberlist, NoPod, NoPool, NoReadyPod, NoService, NoSpeaker, NodeExcluded,
        NodeNotSelected, NodeTainted, NotAdvertised, NotAnAddress, NotLocal, NotSpread, OneNode, OneReplica,
        OtherPool, PodOffPlacement, PoolConflict, ReportedElsewhere, RolloutStopsAll, ServiceNotSelected,
        SeveralPools, SharedAddress, TooComplex, Unread, Wider,
    };
    match code {
        Wider | Narrower | Disjoint | TooComplex | NoGatewayNode | NoPool | NotAdvertised | PoolConflict
        | ServiceNotSelected => (ALIGNED, Verdict::Fail, Severity::High),
        OneReplica | NotSpread | RolloutStopsAll | OneNode | Aggregated => {
            (RESILIENT, Verdict::Warn, Severity::Medium)
        }
        NoDisruptionBudget | DisruptionBudgetAllowsAll | DisruptionBudgetAllowsNone => {
            (RESILIENT, Verdict::Warn, Severity::Low)
        }
        Exception => (PRESERVED, Verdict::Warn, Severity::Low),
        NoService => (PRESERVED, Verdict::Skip, Severity::Info),
        Unread => (PRESERVED, Verdict::Error, Severity::Medium),
        NoAddress
        | NotAnAddress
        | AddressInNoPool
        | SeveralPools
        | ConfigurationRejected
        | NoEndpoint
        | SharedAddress
        | NoMemberlist
        | NodeNotSelected
        | NodeExcluded
        | NetworkUnavailable
        | NoSpeaker
        | NoLocalEndpoint
        | Contradiction
        | EndpointWithoutNode
        | ExternalIp
        | NotLocal
        | NoPod
        | PodOffPlacement
        | NoReadyPod
        | NodeTainted
        | OtherPool
        | ReportedElsewhere => (PRESERVED, Verdict::Warn, Severity::Medium),
    }
}

/// A cause and its mend.
fn sentence(cause: &Cause) -> String {
    format!("{}; {}", cause.message, cause.mend)
}

#[cfg(test)]
mod tests;
