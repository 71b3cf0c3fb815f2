//! Namespaces and objects that a webhook's selectors exclude, decided as sets over all possible labels.

use super::configuration::Webhook;
use super::gap::Flaw;
use crate::labels::{Labels, Selector, Witness};

/// The label that the API server sets on every namespace to its name. It cannot be changed.
const METADATA_NAME: &str = "kubernetes.io/metadata.name";

/// The flaw, if the namespace `name` could have labels that the webhook does not select.
pub(super) fn left_out_namespace(webhook: &Webhook, name: &str) -> Option<Flaw> {
    let namespace = Labels::from([(METADATA_NAME.into(), name.into())]);
    let selected = match webhook.namespace_selector.parse() {
        Ok(selected) => selected,
        Err(error) => return Some(invalid("namespaceSelector", &error)),
    };
    let mut witness = Selector::from_labels(&namespace).outside(&selected)?;
    // The message names the namespace already.
    witness.labels.remove(METADATA_NAME);
    Some(Flaw::Namespace { name: name.to_owned(), witness: in_words(&witness) })
}

/// The flaw, if an object could have labels that the webhook does not select.
pub(super) fn left_out_objects(webhook: &Webhook) -> Option<Flaw> {
    match webhook.object_selector.parse() {
        Ok(selected) => {
            let witness = Selector::default().outside(&selected)?;
            Some(Flaw::Objects { witness: witness.to_string() })
        }
        Err(error) => Some(invalid("objectSelector", &error)),
    }
}

fn invalid(field: &'static str, error: &crate::labels::SelectorError) -> Flaw {
    Flaw::InvalidSelector { field, path: error.field.to_string(), problem: error.problem.to_string() }
}

fn in_words(witness: &Witness) -> Option<String> {
    let is_any = witness.labels.is_empty() && witness.without.is_empty();
    (!is_any).then(|| witness.to_string())
}
