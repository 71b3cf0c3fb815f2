//! The assessment as a page for a browser: the verdict, and for each topology its conditions, a map of each Service, the
//! nodes with their reasons, the findings, and what mends them.
//!
//! A page is bounded, however large the cluster is: it says what it left out and how to see it.

mod map;
mod nodes;
mod verdict;

use k8s_openapi::jiff::Timestamp;
use maud::{Markup, html};

use super::super::output::count;
use super::super::page::{self, Page, Tone, sentence};
use super::{Explained, Origin, service_name};
use crate::assessment::{
    AddressAssessment, Assessment, Cause, Condition, Outcome, ServiceAssessment, TopologyAssessment,
};
use nodes::Rows;
use verdict::badge;

/// The most Services with all that is known of them.
const MAX_SERVICES: usize = 50;
/// The most topologies.
const MAX_TOPOLOGIES: usize = 200;
/// The most findings of one topology.
const MAX_FINDINGS: usize = 50;
/// The most lines of a list of warnings or of kinds that were not read.
const MAX_LINES: usize = 50;

/// A page about a state.
#[derive(Debug)]
pub(in super::super) struct StatePage {
    /// The verdict in words.
    pub(in super::super) verdict: String,
    /// The element `main`.
    pub(in super::super) main: Markup,
    /// The origin of the state.
    pub(in super::super) origin: Markup,
    footer: Markup,
}

impl StatePage {
    /// The title of a browser's tab.
    pub(in super::super) fn title(&self) -> String {
        format!("{} - Lockstep", self.verdict)
    }

    /// The whole document; of a live page, with its script and what stands before `main`.
    pub(in super::super) fn document(&self, notice: Markup, script: Option<&'static str>) -> String {
        let Self { verdict: _, main, origin, footer } = self;
        let (origin, main, footer) = (origin.clone(), main.clone(), footer.clone());
        Page { title: &self.title(), origin, notice, main, footer, script }.document()
    }
}

/// The page about an explained state. With a notice, which stands before everything else, the state is not the present one.
pub(in super::super) fn page(
    explained: &Explained,
    warnings: &[String],
    notice: Option<&Markup>,
) -> StatePage {
    let Explained { assessment, origin, before, changes, probes: _ } = explained;
    let headline = verdict::headline(assessment);
    let headline = if notice.is_some() { headline.of_the_past() } else { headline };
    let shown = Shown::choose(assessment);
    let mut rows = Rows::default();
    let main = html! {
        main id="main" {
            @if let Some(notice) = notice { (notice) }
            (verdict::section(&headline, assessment))
            @if let Some(before) = before { (what_if(before, assessment, changes)) }
            (lines("Warnings", "warnings", warnings))
            @if assessment.topologies.len() > 1 { (contents(assessment)) }
            @for (index, topology) in assessment.topologies.iter().take(MAX_TOPOLOGIES).enumerate() {
                (topology_section(explained, topology, &shown, index, &mut rows))
            }
            @if let Some(more) = left_out(assessment.topologies.len(), MAX_TOPOLOGIES) {
                p class="soft" {
                    @if more == 1 { "1 more topology" } @else { (more) " more topologies" }
                    ": name one to see it, as in " code { "lockstep explain -o html TOPOLOGY" }
                }
            }
            (unread(origin, assessment))
        }
    };
    let footer = footer(origin, assessment);
    StatePage { verdict: headline.words, main, origin: origin_line(origin.read_at), footer }
}

/// The page where there is no state to show.
pub(in super::super) fn page_without_state(
    words: &str,
    warnings: &[String],
    notice: Option<&Markup>,
) -> StatePage {
    let main = html! {
        main id="main" {
            @if let Some(notice) = notice { (notice) }
            (verdict::nothing(words))
            (lines("Warnings", "warnings", warnings))
        }
    };
    let footer = html! { p { "Written by Lockstep " (env!("CARGO_PKG_VERSION")) "." } };
    StatePage { verdict: words.to_owned(), main, origin: html! { "from the cluster" }, footer }
}

fn origin_line(read_at: Option<Timestamp>) -> Markup {
    html! {
        @match read_at {
            Some(time) => { "from the cluster, read at " (clock(time)) }
            None => { "from manifests" }
        }
    }
}

/// A moment, to the second.
pub(in super::super) fn clock(time: Timestamp) -> Markup {
    let text = time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    html! { time datetime=(time.strftime("%Y-%m-%dT%H:%M:%SZ")) { (text) } }
}

fn footer(origin: &Origin, assessment: &Assessment) -> Markup {
    html! {
        p { "As MetalLB " (assessment.version) " decides: " (sentence(&origin.basis.to_string())) "." }
        p { (count(assessment.nodes, "node")) " in the state. Written by Lockstep " (env!("CARGO_PKG_VERSION")) "." }
    }
}

/// The number of items above a limit, if there are any.
fn left_out(items: usize, limit: usize) -> Option<usize> {
    items.checked_sub(limit).filter(|more| *more > 0)
}

fn lines(title: &str, id: &str, lines: &[String]) -> Markup {
    html! {
        @if !lines.is_empty() {
            section class="note" aria-labelledby=(id) {
                h2 id=(id) { (title) }
                ul { @for line in lines.iter().take(MAX_LINES) { li { (sentence(line)) } } }
                @if let Some(more) = left_out(lines.len(), MAX_LINES) { p class="soft" { "and " (more) " more" } }
            }
        }
    }
}

/// The kinds that were not read, with the rules that allow it.
fn unread(origin: &Origin, assessment: &Assessment) -> Markup {
    let lines = origin.unread_lines(assessment);
    html! {
        @if !lines.is_empty() {
            section class="note plain" aria-labelledby="unread" {
                h2 id="unread" { "What was not read" }
                @for line in lines.iter().take(MAX_LINES) {
                    @match line.strip_prefix("  ") {
                        Some(rule) => (page::to_copy("Rule to copy", rule)),
                        None => { p { (sentence(line)) } }
                    }
                }
                @if let Some(more) = left_out(lines.len(), MAX_LINES) { p class="soft" { "and " (more) " more lines" } }
            }
        }
    }
}

fn what_if(before: &Assessment, after: &Assessment, changes: &[String]) -> Markup {
    let gone = gone(before, after);
    html! {
        section class="note plain" aria-labelledby="what-if" {
            h2 id="what-if" { "What if" }
            p { "This is the state as it would be. Nothing was changed." }
            ul { @for change in changes.iter().take(MAX_LINES) { li { (sentence(change)) } } }
            @if let Some(more) = left_out(changes.len(), MAX_LINES) { p class="soft" { "and " (more) " more" } }
            @for (service, address) in gone.iter().take(MAX_LINES) {
                p { (badge(&address.outcome)) " to " strong { "GONE" } ": "
                    (address.address.as_deref().unwrap_or("no address")) ", no Service of the topology has it any more (Service "
                    (service_name(service)) ")" }
            }
            @if let Some(more) = left_out(gone.len(), MAX_LINES) { p class="soft" { "and " (more) " more that are gone" } }
        }
    }
}

/// The addresses that only the state before has.
fn gone<'b>(
    before: &'b Assessment,
    after: &Assessment,
) -> Vec<(&'b ServiceAssessment, &'b AddressAssessment)> {
    let mut gone = Vec::new();
    for topology in &before.topologies {
        for service in &topology.services {
            let addresses = service.addresses.iter().filter(|held| {
                after.address(&topology.name, &service.key, held.address.as_deref()).is_none()
            });
            gone.extend(addresses.map(|address| (service, address)));
        }
    }
    gone
}

/// The list of topologies, each with the worst outcome of its addresses.
fn contents(assessment: &Assessment) -> Markup {
    html! {
        nav class="contents" aria-labelledby="contents" {
            h2 id="contents" { "Topologies" }
            ul {
                @for (index, topology) in assessment.topologies.iter().take(MAX_TOPOLOGIES).enumerate() {
                    @let worst = verdict::worst(topology);
                    li { @if let Some(worst) = worst { (badge(worst)) " " }
                        a href={ "#topology-" (index) } { (topology.name) } }
                }
            }
        }
    }
}

/// The Services that are shown with all that is known of them: the worst ones.
struct Shown<'a>(Vec<&'a ServiceAssessment>);

impl<'a> Shown<'a> {
    fn choose(assessment: &'a Assessment) -> Self {
        let topologies = assessment.topologies.iter().take(MAX_TOPOLOGIES);
        let mut services: Vec<_> = topologies.flat_map(|topology| &topology.services).collect();
        if services.len() > MAX_SERVICES {
            services.sort_by_key(|service| {
                let tones = service.addresses.iter().map(|address| verdict::tone(&address.outcome));
                std::cmp::Reverse(tones.max())
            });
            services.truncate(MAX_SERVICES);
        }
        Self(services)
    }

    fn has(&self, service: &ServiceAssessment) -> bool {
        self.0.iter().any(|shown| std::ptr::eq(*shown, service))
    }
}

fn topology_section(
    explained: &Explained,
    topology: &TopologyAssessment,
    shown: &Shown<'_>,
    index: usize,
    rows: &mut Rows,
) -> Markup {
    let id = format!("topology-{index}");
    let (drawn, others): (Vec<_>, Vec<_>) = topology.services.iter().partition(|service| shown.has(service));
    html! {
        section class="topology" aria-labelledby=(id) {
            h2 id=(id) { span class="kind" { "Topology " } (topology.name) }
            ul class="conditions" { @for condition in &topology.conditions() { (condition_card(condition)) } }
            @if topology.services.is_empty() { p { "The topology has no Service to explain." } }
            @if let Some(unread) = topology.unread.as_ref().filter(|_| topology.services.is_empty()) {
                (cause_text(unread))
            }
            @for (number, service) in drawn.iter().enumerate() {
                (service_card(explained, topology, service, &format!("{id}-{number}"), rows))
            }
            @if !others.is_empty() { (other_services(&others)) }
            @if !topology.findings.is_empty() { (findings(topology, &id)) }
        }
    }
}

/// A condition in its tone, an item of a list.
pub(in super::super) fn condition_card(condition: &Condition) -> Markup {
    let tone = match condition.status {
        Some(true) => Tone::Good,
        Some(false) => Tone::Bad,
        None => Tone::Unknown,
    };
    html! {
        li class=(tone.class()) {
            p { span class="name" { (condition.kind) } }
            p class="status" { (tone.icon()) " " (condition.word()) span class="kind" { " " span class="code" { (condition.reason) } } }
            p class="message" { (sentence(&condition.message)) }
        }
    }
}

/// Services without a map, because the page would be too long with them.
fn other_services(services: &[&ServiceAssessment]) -> Markup {
    html! {
        p class="soft" {
            (count(services.len(), "more Service")) " without a map here; name one to see it, as in "
            code { "lockstep explain -o html NAMESPACE/NAME" }
        }
        ul class="others" {
            @for service in services.iter().take(MAX_LINES) {
                li { @for address in &service.addresses { (badge(&address.outcome)) " " } (service_name(service)) }
            }
        }
        @if let Some(more) = left_out(services.len(), MAX_LINES) { p class="soft" { "and " (more) " more" } }
    }
}

fn findings(topology: &TopologyAssessment, id: &str) -> Markup {
    html! {
        section class="card" aria-labelledby={ (id) "-findings" } {
            h3 id={ (id) "-findings" } { "Findings" }
            @for finding in topology.findings.iter().take(MAX_FINDINGS) {
                div class="finding" {
                    h4 { span class="code" { (finding.code) } }
                    p { (sentence(&finding.message)) }
                    (mend(finding))
                }
            }
            @if let Some(more) = left_out(topology.findings.len(), MAX_FINDINGS) {
                p class="soft" { "and " (more) " more: " code { "-o json" } " has all" }
            }
        }
    }
}

fn cause_text(cause: &Cause) -> Markup {
    html! { p { span class="code" { (cause.code) } ": " (sentence(&cause.message)) } }
}

/// What mends a cause, with the commands to copy.
fn mend(cause: &Cause) -> Markup {
    html! {
        div class="mend" {
            p { b { "Mend: " } (sentence(&cause.mend)) }
            @for command in &cause.commands { (page::to_copy("Command to copy", command)) }
        }
    }
}

fn service_card(
    explained: &Explained,
    topology: &TopologyAssessment,
    service: &ServiceAssessment,
    id: &str,
    rows: &mut Rows,
) -> Markup {
    let policy = if service.policy.is_empty() { "Cluster" } else { &service.policy };
    let before = |address: &AddressAssessment| {
        let before = explained.before.as_ref()?;
        Some(before.address(&topology.name, &service.key, address.address.as_deref()))
    };
    html! {
        section class="card" aria-labelledby=(id) {
            div {
                h3 id=(id) { span class="kind" { "Service " } (service_name(service)) }
                p class="facts" { "externalTrafficPolicy " (policy) }
            }
            @for address in &service.addresses { (address_section(address, before(address))) }
            (map::figure(service))
            (nodes::section(service, explained, id, rows))
        }
    }
}

fn address_section(address: &AddressAssessment, before: Option<Option<&AddressAssessment>>) -> Markup {
    let cause = address.outcome.cause();
    html! {
        div class={ "address " (verdict::tone(&address.outcome).class()) } {
            h4 {
                @match before {
                    None => {}
                    Some(None) => { span { "new:" } }
                    Some(Some(before)) => { (badge(&before.outcome)) span { "to" } }
                }
                (badge(&address.outcome))
                span class="code" { (address.address.as_deref().unwrap_or("no address")) }
                @if let Some(cause) = cause { span class="code soft" { (cause.code) } }
            }
            @match cause {
                None => { p { "The client's source IP reaches the gateway, also after one node goes." } }
                Some(cause) => { p { (sentence(&cause.message)) } }
            }
            p class="facts" { (facts(address)) }
            @if let Some(cause) = cause { (mend(cause)) }
        }
    }
}

/// The pool, and who announces.
fn facts(address: &AddressAssessment) -> Markup {
    const SHOWN: usize = 8;
    let bgp = &address.bgp_announcers;
    html! {
        @match &address.pool { Some(pool) => { "Pool " code { (pool) } "." }, None => { "No pool has it." } }
        " "
        @match &address.announcer {
            Some(node) => {
                "Announced by layer 2 from " code { (node) }
                @match &address.next {
                    Some(next) => { ", then from " code { (next) } "." }
                    None => { ", and nobody takes over." }
                }
            }
            None if bgp.is_empty() && matches!(address.outcome, Outcome::Unknown(_)) => { "Who announces it is not known." }
            None if bgp.is_empty() => { "No node announces it." }
            None => {}
        }
        @if !bgp.is_empty() {
            " Announced by BGP from "
            @for (index, node) in bgp.iter().take(SHOWN).enumerate() {
                @if index > 0 { ", " }
                code { (node) }
            }
            @if let Some(more) = left_out(bgp.len(), SHOWN) { " and " (count(more, "more node")) }
            "."
        }
    }
}
