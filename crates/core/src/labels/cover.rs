//! Coverage of one selector by a union of others, decided box by box.

use smol_str::SmolStr;

use super::{Selector, Values};

/// The maximum number of steps of one judgement. Coverage is NP-hard in general, and several selectors are compared with
/// every node or Service, so without a limit a hostile list of selectors could keep a core busy. A step compares one
/// element of a set, which counts as several, or matches one label set with one selector. At the limit, a judgement takes tens of milliseconds;
/// selectors that people write take less than a thousand steps.
const WORK_LIMIT: usize = 1_000_000;

/// The steps that one element of a set counts in a comparison of sets, which takes longer than a match.
const SET_STEPS: usize = 4;

/// The steps that one label or value of a selector counts when it is parsed, once for each rule that reads it.
const PARSE_STEPS: usize = 60;

/// The error of a decision that would exceed the work limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too complex to decide within the work limit")]
pub struct TooComplex;

/// Returns a part of `space` that no selector of `cover` selects; `None` if together they select all of it.
///
/// `space` contains the returned part, and every selector of `cover` is disjoint from it.
///
/// # Errors
/// [`TooComplex`] if the decision needs more than the work limit.
pub fn uncovered<'a>(
    space: &Selector,
    cover: impl IntoIterator<Item = &'a Selector>,
) -> Result<Option<Selector>, TooComplex> {
    uncovered_within(space, cover, &mut Work::default())
}

/// Decides as [`uncovered`], within the work that is left.
///
/// # Errors
/// [`TooComplex`] if the decision needs more than that.
pub fn uncovered_within<'a>(
    space: &Selector,
    cover: impl IntoIterator<Item = &'a Selector>,
    work: &mut Work,
) -> Result<Option<Selector>, TooComplex> {
    if space.is_empty() {
        return Ok(None);
    }
    // An explicit stack, because recursion over a long list would overflow the thread's stack.
    let mut open = vec![Piece::new(space.clone(), cover, work)?];
    while let Some(piece) = open.pop() {
        let Some(nearest) = piece.nearest(work)? else {
            return Ok(Some(piece.part));
        };
        piece.without(nearest, &mut open, work)?;
    }
    Ok(None)
}

/// A part of the space with the selectors that overlap it.
struct Piece<'a> {
    part: Selector,
    cover: Vec<&'a Selector>,
}

impl<'a> Piece<'a> {
    fn new(
        part: Selector,
        cover: impl IntoIterator<Item = &'a Selector>,
        work: &mut Work,
    ) -> Result<Self, TooComplex> {
        let mut overlapping = Vec::new();
        for selector in cover {
            work.compare(selector)?;
            if selector.overlaps(&part) {
                overlapping.push(selector);
            }
        }
        Ok(Self { part, cover: overlapping })
    }

    /// The selector that leaves the fewest keys to split on: one that covers the whole piece, if any does.
    fn nearest(&self, work: &mut Work) -> Result<Option<&'a Selector>, TooComplex> {
        for selector in &self.cover {
            work.compare(selector)?;
        }
        Ok(self.cover.iter().copied().min_by_key(|selector| splits(&self.part, selector).count()))
    }

    /// Pushes the parts of this piece that `taken` does not select, as disjoint boxes: one for each key to split on.
    fn without(self, taken: &'a Selector, open: &mut Vec<Self>, work: &mut Work) -> Result<(), TooComplex> {
        let keys: Vec<(SmolStr, Values)> =
            splits(&self.part, taken).map(|(key, values)| (key.clone(), values.clone())).collect();
        if let [(key, _)] = keys.as_slice() {
            return self.without_all_on(key, open, work);
        }
        let mut rest = self.part;
        for (key, values) in keys {
            work.compare(&rest)?;
            let held = rest.get(&key).cloned().unwrap_or_else(Values::anything);
            let outside = rest.with(&key, held.intersect(&values.complement()));
            let others = self.cover.iter().copied().filter(|other| !std::ptr::eq(*other, taken));
            open.push(Piece::new(outside, others, work)?);
            rest = rest.with(&key, held.intersect(&values));
        }
        Ok(())
    }
}

impl<'a> Piece<'a> {
    /// Pushes the part of this piece that no selector takes away which splits it on `key` alone. Lists of host names are
    /// such selectors: one by one, they would take time quadratic in their number.
    fn without_all_on(self, key: &SmolStr, open: &mut Vec<Self>, work: &mut Work) -> Result<(), TooComplex> {
        let Self { part, cover } = self;
        let only_on_key = |selector: &&'a Selector| {
            let mut keys = splits(&part, selector);
            keys.next().is_some_and(|(first, _)| first == key) && keys.next().is_none()
        };
        let (taken, others): (Vec<_>, Vec<_>) = cover.into_iter().partition(only_on_key);
        let held = part.get(key).cloned().unwrap_or_else(Values::anything);
        let outside = held.without_all(taken.iter().filter_map(|selector| selector.get(key)));
        if !outside.is_empty() {
            open.push(Piece::new(part.with(key, outside), others, work)?);
        }
        Ok(())
    }
}

/// The requirements of `selector` that do not hold for all of `part`.
fn splits<'s>(part: &Selector, selector: &'s Selector) -> impl Iterator<Item = (&'s SmolStr, &'s Values)> {
    selector.keys().filter(|(key, values)| match part.get(key) {
        Some(held) => !held.is_within(values),
        None => !Values::anything().is_within(values),
    })
}

/// The work that is left of one judgement.
#[derive(Debug)]
pub struct Work(usize);

impl Default for Work {
    fn default() -> Self {
        Self(WORK_LIMIT)
    }
}

impl Work {
    /// Takes a number of steps, each of which matches one label set with one selector.
    ///
    /// # Errors
    /// [`TooComplex`] if they are not left.
    pub fn spend(&mut self, steps: usize) -> Result<(), TooComplex> {
        self.0 = self.0.checked_sub(steps).ok_or(TooComplex)?;
        Ok(())
    }

    /// Takes the steps to parse selectors with this number of labels and values.
    ///
    /// # Errors
    /// [`TooComplex`] if they are not left.
    pub fn parse(&mut self, size: usize) -> Result<(), TooComplex> {
        self.spend(size.saturating_mul(PARSE_STEPS))
    }

    fn compare(&mut self, selector: &Selector) -> Result<(), TooComplex> {
        self.spend(selector.size().saturating_mul(SET_STEPS))
    }
}
