//! Whether the webhooks of a configuration cover needs.

use super::authority::trusts;
use super::configuration::{Configuration, Rule, Webhook};
use super::gap::{Flaw, Gap};
use super::need::Need;
use super::selection::{left_out_namespace, left_out_objects};
use crate::change::Operation;
use crate::objects::Resource;

/// What of `needs` the configuration does not cover, each gap once. Several webhooks together may cover a need:
/// each operation must have one.
pub(super) fn gaps<'t>(
    needs: impl Iterator<Item = Need<'t>>,
    configuration: &Configuration,
    relied_on: Option<&str>,
) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for need in needs {
        let mut uncalled = Vec::new();
        for operation in need.operations {
            match nearest(&need, *operation, configuration, relied_on) {
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

/// Among the webhooks with a rule for the operation, the one that lacks the least. One for other namespaces comes
/// last: it was never meant.
fn nearest<'c>(
    need: &Need<'_>,
    operation: Operation,
    configuration: &'c Configuration,
    relied_on: Option<&str>,
) -> Option<(&'c Webhook, Vec<Flaw>)> {
    let called = configuration.webhooks.iter().filter_map(|webhook| {
        let flaws = flaws(webhook, need, operation, relied_on)?;
        Some((webhook, flaws))
    });
    let is_elsewhere = |flaws: &[Flaw]| flaws.iter().any(|flaw| matches!(flaw, Flaw::Namespace { .. }));
    called.min_by_key(|(_, flaws)| (is_elsewhere(flaws), flaws.len()))
}

/// What keeps a webhook from covering the operation; `None` where it has no rule for it.
fn flaws(
    webhook: &Webhook,
    need: &Need<'_>,
    operation: Operation,
    relied_on: Option<&str>,
) -> Option<Vec<Flaw>> {
    let mut rules = webhook.rules.iter().filter(|rule| is_for(rule, need.resource, operation)).peekable();
    rules.peek()?;
    // A version that the rules name stands for all of them only if the API server converts.
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
        (!webhook.match_conditions.is_empty()).then_some(Flaw::MatchConditions),
        (webhook.failure_policy != "Fail").then(|| Flaw::FailsOpen(webhook.failure_policy.clone())),
        bundle.is_empty().then_some(Flaw::NoCaBundle),
        (!bundle.is_empty() && !trusts(bundle, relied_on)).then_some(Flaw::OtherCaBundle),
        (!holds(&webhook.admission_review_versions, "v1")).then_some(Flaw::ReviewVersions),
        (!is_without_effects).then(|| Flaw::SideEffects(webhook.side_effects.clone())),
    ];
    Some(flaws.into_iter().flatten().collect())
}

/// Whether a rule names the operation on the resource, as apiserver's `rules.Matcher` does.
fn is_for(rule: &Rule, resource: Resource, operation: Operation) -> bool {
    let has = |list: &[String], wanted: &str| holds(list, "*") || holds(list, wanted);
    has(&rule.operations, operation.word())
        && has(&rule.api_groups, resource.group)
        // A version that is not served is converted to by nobody, so the one that is read must be named.
        && has(&rule.api_versions, resource.version)
        && rule.resources.iter().any(|named| names(named, resource.plural))
        && ["*", "Namespaced"].contains(&rule.scope.as_str())
}

/// `*` and `*/*` name every resource, `pods/*` names pods and all their subresources.
fn names(named: &str, plural: &str) -> bool {
    let (resource, subresource) = named.split_once('/').unwrap_or((named, ""));
    ["*", plural].contains(&resource) && ["", "*"].contains(&subresource)
}

fn holds(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == wanted)
}
