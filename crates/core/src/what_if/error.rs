//! The reasons why a change cannot be supposed.

use crate::escape::excerpt;

/// The reason why a change cannot be supposed. Each message is one lowercase sentence that names near misses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WhatIfError {
    /// The node is not there.
    #[error("there is no node `{}`{}", excerpt(name), hint(near))]
    UnknownNode {
        /// The name.
        name: String,
        /// Names like it.
        near: Vec<String>,
    },
    /// The object is not there.
    #[error("there is no {kind} `{}`{}", excerpt(name), hint(near))]
    UnknownObject {
        /// Its kind.
        kind: &'static str,
        /// Its name, with its namespace if one was given.
        name: String,
        /// Names like it, with their namespaces.
        near: Vec<String>,
    },
    /// Several objects have the name.
    #[error("{kind} `{}` is in several namespaces; write {}", excerpt(name), listed(found, "or"))]
    SeveralNamespaces {
        /// The kind.
        kind: &'static str,
        /// The name.
        name: String,
        /// The objects as `KIND/NAMESPACE/NAME`.
        found: Vec<String>,
    },
    /// The endpoints do not say which pods they lead to.
    #[error(
        "the endpoints of Service `{}` on node `{}` name no pods, so it is not known which of them leads to pod `{}`: \
         change the EndpointSlice itself",
        excerpt(service),
        excerpt(node),
        excerpt(pod)
    )]
    EndpointsWithoutPods {
        /// The Service.
        service: String,
        /// The node.
        node: String,
        /// The pod.
        pod: String,
    },
    /// A Service's selector changes, and the pods that it selects are not known.
    #[error(
        "the selector of Service `{}` changes, and pods were not read, so its endpoints are not known: \
         add the pods to the input",
        excerpt(service)
    )]
    PodsUnread {
        /// The Service.
        service: String,
    },
}

/// The number of names that a message suggests.
const SUGGESTED: usize = 3;

/// The names that are most like `name`; where none is, the first ones.
pub(super) fn near<'n>(name: &str, known: impl Iterator<Item = &'n str> + Clone) -> Vec<String> {
    let likeness = |known: &str| strsim::jaro_winkler(name, known);
    let mut alike: Vec<(f64, &str)> =
        known.clone().map(|known| (likeness(known), known)).filter(|(likeness, _)| *likeness > 0.8).collect();
    alike.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(other.1)));
    alike.dedup_by(|one, other| one.1 == other.1);
    let mut found: Vec<String> =
        alike.into_iter().take(SUGGESTED).map(|(_, known)| known.to_owned()).collect();
    if found.is_empty() {
        found.extend(known.take(SUGGESTED).map(str::to_owned));
    }
    found
}

fn hint(near: &[String]) -> String {
    if near.is_empty() { ", nor any other".to_owned() } else { format!("; there is {}", listed(near, "and")) }
}

fn listed(names: &[String], last_word: &str) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{}`", excerpt(name))).collect();
    match names.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} {last_word} {last}", rest.join(", ")),
    }
}
