//! Memory that many requests share.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many bytes may still be held, over all requests.
#[derive(Debug)]
pub(super) struct Budget {
    left: AtomicUsize,
}

impl Budget {
    pub(super) const fn new(bytes: usize) -> Self {
        Self { left: AtomicUsize::new(bytes) }
    }

    /// A charge of nothing yet.
    pub(super) const fn open(&self) -> Charge<'_> {
        Charge { budget: self, bytes: 0 }
    }
}

/// What one request holds of a [`Budget`]; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Charge<'a> {
    budget: &'a Budget,
    bytes: usize,
}

impl Charge<'_> {
    /// Takes `bytes` more. `false` if the budget has not so many, and then nothing is taken.
    #[must_use]
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let take = |left: usize| left.checked_sub(bytes);
        let taken = self.budget.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok();
        if taken {
            self.bytes = self.bytes.saturating_add(bytes);
        }
        taken
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charges_share_the_budget_and_give_it_back() {
        let budget = Budget::new(10);
        let (mut one, mut other) = (budget.open(), budget.open());
        assert!(one.grow(4) && one.grow(2) && other.grow(4));
        assert!(!other.grow(1), "nothing is left");
        drop(one);
        assert!(other.grow(6) && !other.grow(1));
        drop(other);
        assert_eq!(budget.left.load(Ordering::Relaxed), 10);
    }
}
