//! For how long things have been as they are.

use std::time::{Duration, Instant};

use crate::certs::authority::Authority;

/// Since when this replica has seen one authority, and all of its CAs in every webhook configuration.
#[derive(Debug, Default)]
pub(super) struct Settled {
    since: Option<(Authority, Instant)>,
}

impl Settled {
    /// Notes that everything is as `authority` wants it, and says for how long it has been.
    pub(super) fn note(&mut self, authority: &Authority, now: Instant) -> Duration {
        match &self.since {
            Some((seen, since)) if seen == authority => now.saturating_duration_since(*since),
            _ => {
                self.since = Some((authority.clone(), now));
                Duration::ZERO
            }
        }
    }

    /// Notes that something is not.
    pub(super) fn forget(&mut self) {
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::authority::{Lifetimes, Step, View, now};

    fn authority() -> Authority {
        let view = View { stored: None, remembered: None, now: now(), settled: None };
        Step::Generate.outcome(&view, &Lifetimes::default()).unwrap()
    }

    #[test]
    fn a_change_or_a_missing_ca_starts_it_anew() {
        let (one, other) = (authority(), authority());
        let second = Duration::from_secs(1);
        let mut settled = Settled::default();
        let mut now = Instant::now();
        for (seen, expected) in [(&one, 0), (&one, 1), (&one, 2), (&other, 0), (&other, 1), (&one, 0)] {
            assert_eq!(settled.note(seen, now), second * expected);
            now += second;
        }
        settled.forget();
        assert_eq!(settled.note(&one, now), Duration::ZERO);
    }
}
