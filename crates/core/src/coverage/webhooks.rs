//! The comparison of a topology's needs with the webhooks of one configuration.

use super::Configurations;
use super::ca_bundle::trusts;
use super::call::CallTarget;
use super::configuration::{Configuration, RuleWithOperations, Webhook};
use super::gap::{Flaw, Gap};
use super::match_condition::{Treatment, treatment};
use super::needs::Need;
use super::selectors::{left_out_namespace, left_out_objects};
use crate::change::Operation;
use crate::objects::Resource;

/// The gaps between the needs and the configuration, without duplicates. Several webhooks together may cover a need,
/// if each operation has one.
pub(super) fn gaps<'t>(
    needs: impl Iterator<Item = Need<'t>>,
    configuration: &Configuration,
    live: Configurations<'_>,
) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for need in needs {
        let mut uncalled = Vec::new();
        for operation in need.operations {
            match nearest(&need, *operation, configuration, live) {
                Some((webhook, flaws)) => {
                    for flaw in flaws {
                        note(
                            &mut gaps,
                            Gap::Flawed { phase: need.phase, webhook: webhook.name.clone(), flaw },
                        );
                    }
                }
                None => uncalled.push(*operation),
            }
        }
        if !uncalled.is_empty() {
            note(
                &mut gaps,
                Gap::NotCalled { phase: need.phase, resource: need.resource, operations: uncalled },
            );
        }
    }
    gaps
}

fn note(gaps: &mut Vec<Gap>, gap: Gap) {
    if !gaps.contains(&gap) {
        gaps.push(gap);
    }
}

/// The webhook with the fewest flaws among those with a rule for the operation. A webhook for other namespaces ranks
/// last, because it is not meant for this topology.
fn nearest<'c>(
    need: &Need<'_>,
    operation: Operation,
    configuration: &'c Configuration,
    live: Configurations<'_>,
) -> Option<(&'c Webhook, Vec<Flaw>)> {
    let called = configuration.webhooks.iter().filter_map(|webhook| {
        let flaws = flaws(webhook, need, operation, live)?;
        Some((webhook, flaws))
    });
    let is_elsewhere = |flaws: &[Flaw]| flaws.iter().any(|flaw| matches!(flaw, Flaw::Namespace { .. }));
    called.min_by_key(|(_, flaws)| (is_elsewhere(flaws), flaws.len()))
}

/// The flaws that keep a webhook from covering the operation; `None` if it has no rule for the operation.
fn flaws(
    webhook: &Webhook,
    need: &Need<'_>,
    operation: Operation,
    live: Configurations<'_>,
) -> Option<Vec<Flaw>> {
    let mut rules = webhook.rules.iter().filter(|rule| is_for(rule, need.resource, operation)).peekable();
    rules.peek()?;
    // A rule for one version covers the others only if the API server converts (`matchPolicy: Equivalent`).
    let has_every_version =
        webhook.match_policy == "Equivalent" || rules.any(|rule| holds(&rule.api_versions, "*"));
    let path = webhook.client_config.path();
    let bundle = webhook.client_config.ca_bundle.as_str();
    let is_without_effects = ["None", "NoneOnDryRun"].contains(&webhook.side_effects.as_str());
    let flaws = [
        (path != need.phase.path()).then(|| Flaw::Path { found: path.to_owned(), wanted: need.phase.path() }),
        (!has_every_version).then(|| Flaw::MatchPolicy(webhook.match_policy.clone())),
        left_out_namespace(webhook, need.namespace),
        left_out_objects(webhook),
        match treatment(&webhook.match_conditions, need.topology) {
            Treatment::Sent => None,
            Treatment::OfOthers => Some(Flaw::OtherGateways),
            Treatment::Foreign => Some(Flaw::MatchConditions),
        },
        (webhook.failure_policy != "Fail").then(|| Flaw::FailsOpen(webhook.failure_policy.clone())),
        bundle.is_empty().then_some(Flaw::NoCaBundle),
        (!bundle.is_empty() && !trusts(bundle, live.trust_anchors)).then_some(Flaw::OtherCaBundle),
        CallTarget::of(webhook).and_then(|target| {
            let fault = live.calls.get(&target)?.clone()?;
            Some(Flaw::Call(target, fault))
        }),
        (!holds(&webhook.admission_review_versions, "v1")).then_some(Flaw::ReviewVersions),
        (!is_without_effects).then(|| Flaw::SideEffects(webhook.side_effects.clone())),
    ];
    Some(flaws.into_iter().flatten().collect())
}

/// Whether a rule names the operation on the resource, as apiserver's `rules.Matcher` does.
fn is_for(rule: &RuleWithOperations, resource: Resource, operation: Operation) -> bool {
    let has = |list: &[String], wanted: &str| holds(list, "*") || holds(list, wanted);
    has(&rule.operations, operation.word())
        && has(&rule.api_groups, resource.group)
        // The API server converts to served versions only, so the rule must name the one that Lockstep reads.
        && has(&rule.api_versions, resource.version)
        && rule.resources.iter().any(|named| names(named, resource.plural))
        && ["*", "Namespaced"].contains(&rule.scope.as_str())
}

/// Whether a resource in a rule covers this one: `*` and `*/*` cover every resource, `pods/*` covers pods and their
/// subresources.
fn names(named: &str, plural: &str) -> bool {
    let (resource, subresource) = named.split_once('/').unwrap_or((named, ""));
    ["*", plural].contains(&resource) && ["", "*"].contains(&subresource)
}

fn holds(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == wanted)
}
