//! The verdict of a page: one sentence, a colour with a shape and a word, and the number of addresses of each outcome.

use maud::{Markup, html};

use super::super::outcomes;
use crate::assessment::{Assessment, Outcome, TopologyAssessment};
use crate::cli::page::Tone;

/// The tone of an outcome.
pub(super) const fn tone(outcome: &Outcome) -> Tone {
    match outcome {
        Outcome::Preserved => Tone::Good,
        Outcome::Fragile(_) => Tone::Fragile,
        Outcome::Lost(_) | Outcome::Silent(_) => Tone::Bad,
        Outcome::Unknown(_) => Tone::Unknown,
    }
}

/// An outcome as its word in its colour.
pub(super) fn badge(outcome: &Outcome) -> Markup {
    tone(outcome).badge(outcome.word())
}

/// The worst outcome of a topology; `None` without an address.
pub(super) fn worst(topology: &TopologyAssessment) -> Option<&Outcome> {
    let addresses = topology.services.iter().flat_map(|service| &service.addresses);
    addresses.map(|address| &address.outcome).max_by_key(|outcome| tone(outcome))
}

/// The verdict on everything that the page shows.
#[derive(Debug)]
pub(super) struct Headline {
    pub(super) tone: Tone,
    pub(super) words: String,
}

/// The number of addresses with each outcome.
#[derive(Debug, Default)]
struct Tally {
    preserved: usize,
    fragile: usize,
    lost: usize,
    silent: usize,
    unknown: usize,
}

impl Tally {
    fn of(assessment: &Assessment) -> Self {
        let mut tally = Self::default();
        for outcome in outcomes(assessment) {
            let count = match outcome {
                Outcome::Preserved => &mut tally.preserved,
                Outcome::Fragile(_) => &mut tally.fragile,
                Outcome::Lost(_) => &mut tally.lost,
                Outcome::Silent(_) => &mut tally.silent,
                Outcome::Unknown(_) => &mut tally.unknown,
            };
            *count = count.saturating_add(1);
        }
        tally
    }
}

/// The sentence: what is bad first, then what is not known, then what is fragile.
pub(super) fn headline(assessment: &Assessment) -> Headline {
    let tally = Tally::of(assessment);
    let all = outcomes(assessment).count();
    let bad = tally.lost.saturating_add(tally.silent);
    let only = (all == 1).then(|| {
        let services = assessment.topologies.iter().flat_map(|topology| &topology.services);
        let address = services.flat_map(|service| &service.addresses).find_map(|held| held.address.clone());
        address.unwrap_or_else(|| "the gateway, which has no address".to_owned())
    });
    let at = |some: usize| match &only {
        Some(only) => format!("at {only}"),
        None if some == all => format!("at all {all} addresses"),
        None => format!("at {some} of {all} addresses"),
    };
    let is_unread = assessment.topologies.iter().any(|topology| topology.unread.is_some());
    let (tone, words) = if tally.silent > 0 && tally.lost == 0 {
        let words = match only {
            Some(only) => format!("No node announces {only}"),
            None if tally.silent == all => format!("No node announces any of the {all} addresses"),
            None => format!("No node announces {} of {all} addresses", tally.silent),
        };
        (Tone::Bad, words)
    } else if tally.lost > 0 && tally.silent == 0 {
        (Tone::Bad, format!("The client's source IP is lost {}", at(tally.lost)))
    } else if bad > 0 {
        (Tone::Bad, format!("The client's source IP does not survive {}", at(bad)))
    } else if tally.unknown > 0 {
        (
            Tone::Unknown,
            format!("It is not known whether the client's source IP survives {}", at(tally.unknown)),
        )
    } else if all == 0 && is_unread {
        (Tone::Unknown, "It is not known whether the client's source IP survives".to_owned())
    } else if all == 0 {
        (Tone::Bad, "There is no address at which the client's source IP could survive".to_owned())
    } else if tally.fragile > 0 {
        let some =
            if tally.fragile == all { String::new() } else { format!(" at {} of them", tally.fragile) };
        (Tone::Fragile, format!("The client's source IP survives {}, and one step ends that{some}", at(all)))
    } else if let Some(kind) = unmet(assessment) {
        (Tone::Fragile, format!("The client's source IP survives {}, and {kind}", at(all)))
    } else {
        (Tone::Good, format!("The client's source IP survives {}", at(all)))
    };
    Headline { tone, words }
}

/// The first condition that is not True, in words: a page is green only if all are.
fn unmet(assessment: &Assessment) -> Option<String> {
    let conditions = assessment.topologies.iter().flat_map(TopologyAssessment::conditions);
    let mut unmet = conditions.filter(|condition| condition.status != Some(true));
    unmet.next().map(|condition| format!("{} is {}", condition.kind, condition.word()))
}

impl Headline {
    /// The same of a state that may have changed since: neither good nor bad.
    pub(super) fn of_the_past(self) -> Self {
        Self { tone: Tone::Unknown, words: format!("Not current: {}", self.words) }
    }
}

/// The sentence where there is no state.
pub(super) fn nothing(words: &str) -> Markup {
    html! { div class="verdict unknown" { h1 { (Tone::Unknown.icon()) span { (words) } } } }
}

/// The sentence, and the outcomes in numbers.
pub(super) fn section(headline: &Headline, assessment: &Assessment) -> Markup {
    let Tally { preserved, fragile, lost, silent, unknown } = Tally::of(assessment);
    let outcomes = [
        (silent, "silent", Tone::Bad),
        (lost, "lost", Tone::Bad),
        (unknown, "unknown", Tone::Unknown),
        (fragile, "fragile", Tone::Fragile),
        (preserved, "preserved", Tone::Good),
    ];
    html! {
        div class={ "verdict " (headline.tone.class()) } {
            h1 { (headline.tone.icon()) span { (headline.words) } }
            @if outcomes.iter().map(|(count, ..)| count).sum::<usize>() > 1 {
                ul class="tally" aria-label="Addresses by outcome" {
                    @for (count, word, tone) in outcomes.iter().filter(|(count, ..)| *count > 0) {
                        li class=(tone.class()) { (tone.icon()) " " (count) " " (word) }
                    }
                }
            }
        }
    }
}
