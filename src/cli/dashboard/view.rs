//! What the browser gets: the page with the last state, and what is known about how old it is.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use maud::{Markup, html};
use serde::Serialize;

use super::super::explain::html::{StatePage, clock, page, page_without_state};
use super::super::explain::{Question, Reading};
use super::super::page::{lines, sentence};
use crate::cluster::state::ClusterState;

/// The script of the page.
pub(super) const SCRIPT: &str = include_str!("live.js");

/// The page at one moment, in both of its forms.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// The document.
    pub(super) document: Arc<str>,
    /// The event that updates a document that a browser has, as JSON.
    pub(super) event: Arc<str>,
}

/// The parts of a document that change.
#[derive(Serialize)]
struct Update<'u> {
    title: &'u str,
    verdict: &'u str,
    origin: String,
    main: String,
}

/// The state that was read last.
pub(super) type Answer = Result<(super::super::explain::Explained, Vec<String>), Vec<String>>;

/// How long the cluster has not been read, and why.
#[derive(Debug, Clone)]
pub(super) struct Outage {
    /// The last time that the cluster answered; `None` if it never did.
    pub(super) since: Option<Timestamp>,
    pub(super) cause: String,
}

/// What is shown of a cluster.
pub(super) struct Shown {
    answer: Answer,
    read_at: Timestamp,
}

impl Shown {
    /// Explains a state.
    pub(super) fn of(question: &Question<'_>, state: ClusterState) -> Self {
        Self { answer: question.answer(Reading::of_cluster(state)), read_at: Timestamp::now() }
    }
}

impl View {
    /// The page before the first state.
    pub(super) fn reading() -> Self {
        Self::of(&page_without_state("The cluster is being read", &[], None))
    }

    /// The page with the last state, if there is one, and what keeps it from being the present one.
    pub(super) fn new(shown: Option<&Shown>, outage: Option<&Outage>) -> Self {
        let notice = outage.map(|outage| banner(outage, shown.map(|shown| shown.read_at)));
        let notice = notice.as_ref();
        let page = match shown {
            None => page_without_state("The state of the cluster is not known", &[], notice),
            Some(Shown { answer: Ok((explained, warnings)), .. }) => page(explained, warnings, notice),
            Some(Shown { answer: Err(warnings), .. }) => {
                page_without_state("There is nothing to explain", warnings, notice)
            }
        };
        Self::of(&page)
    }

    fn of(page: &StatePage) -> Self {
        let update = Update {
            title: &page.title(),
            verdict: &page.verdict,
            origin: lines(&page.origin),
            main: lines(&page.main),
        };
        // A map of strings can be written as JSON.
        let event = serde_json::to_string(&update).unwrap_or_default();
        Self { document: page.document(beside(), Some(SCRIPT)).into(), event: event.into() }
    }
}

fn banner(outage: &Outage, read_at: Option<Timestamp>) -> Markup {
    html! {
        div class="banner" {
            p {
                strong {
                    "The cluster cannot be read"
                    @if let Some(since) = outage.since { " since " (clock(since)) }
                    ": "
                }
                (sentence(&outage.cause)) ". Lockstep keeps trying."
                @if let Some(read_at) = read_at { " What follows is the state of " (clock(read_at)) "." }
            }
        }
    }
}

/// What stands beside the state: whether the dashboard itself answers, and the way to see changes without a script.
fn beside() -> Markup {
    html! {
        div id="gone" class="banner" role="alert" hidden {
            p { strong { "The dashboard does not answer." } " It may have ended. What follows is the last state that it sent." }
        }
        p id="said" class="hidden" role="status" {}
        noscript { p class="banner" { "Without scripts, this page does not follow the cluster. " a href="" { "Load it again" } } }
    }
}
