//! What a webhook's selectors leave out, decided as sets: whatever else a namespace or an object is labelled.

use super::configuration::Webhook;
use super::gap::Flaw;
use crate::labels::{Labels, Selector, Witness};

/// The label that the API server puts on every namespace, with its name; it cannot be changed.
const METADATA_NAME: &str = "kubernetes.io/metadata.name";

/// What is wrong if some label set of the namespace `name` is not selected.
pub(super) fn left_out_namespace(webhook: &Webhook, name: &str) -> Option<Flaw> {
    let namespace = Labels::from([(METADATA_NAME.into(), name.into())]);
    let selected = match webhook.namespace_selector.parse() {
        Ok(selected) => selected,
        Err(error) => return Some(unreadable("namespaceSelector", &error)),
    };
    let mut witness = Selector::from_labels(&namespace).outside(&selected)?;
    // That one goes without saying.
    witness.labels.remove(METADATA_NAME);
    Some(Flaw::Namespace { name: name.to_owned(), witness: told(&witness) })
}

/// What is wrong if some object is not selected.
pub(super) fn left_out_objects(webhook: &Webhook) -> Option<Flaw> {
    match webhook.object_selector.parse() {
        Ok(selected) => {
            let witness = Selector::default().outside(&selected)?;
            Some(Flaw::Objects { witness: witness.to_string() })
        }
        Err(error) => Some(unreadable("objectSelector", &error)),
    }
}

fn unreadable(field: &'static str, error: &crate::labels::SelectorError) -> Flaw {
    Flaw::Unreadable { field, problem: format!("{} in `{}`", error.problem, error.field) }
}

fn told(witness: &Witness) -> Option<String> {
    let is_any = witness.labels.is_empty() && witness.without.is_empty();
    (!is_any).then(|| witness.to_string())
}
