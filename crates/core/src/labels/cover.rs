//! Whether a union of selectors covers another selector, by taking it apart box by box.

use smol_str::SmolStr;

use super::{Selector, Values};

/// How many elementary set steps a decision may take. Deciding coverage is NP-hard in general, so a
/// hostile list of selectors could otherwise keep a core busy; at this limit an answer takes tens of
/// milliseconds, and selectors that people write stay below a thousand steps.
const WORK_LIMIT: usize = 1_000_000;

/// The decision would take more than the work limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too complex to decide within the work limit")]
pub struct TooComplex;

/// A part of `space` that none of `cover` selects; `None` if together they select all of it.
///
/// Every label set of the answer is in `space` and in no selector of `cover`.
///
/// # Errors
/// [`TooComplex`] if the decision needs more than the work limit.
pub fn uncovered<'a>(
    space: &Selector,
    cover: impl IntoIterator<Item = &'a Selector>,
) -> Result<Option<Selector>, TooComplex> {
    if space.is_empty() {
        return Ok(None);
    }
    let mut work = Work(WORK_LIMIT);
    // An explicit stack: one frame per selector would let a long list overflow the thread's stack.
    let mut open = vec![Piece::new(space.clone(), cover, &mut work)?];
    while let Some(piece) = open.pop() {
        let Some(nearest) = piece.nearest(&mut work)? else {
            return Ok(Some(piece.part));
        };
        piece.without(nearest, &mut open, &mut work)?;
    }
    Ok(None)
}

/// A part of the space, and the selectors that overlap it.
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
            work.spend(selector.size())?;
            if selector.overlaps(&part) {
                overlapping.push(selector);
            }
        }
        Ok(Self { part, cover: overlapping })
    }

    /// The selector that leaves the fewest keys to split on: one that covers the whole piece, if any does.
    fn nearest(&self, work: &mut Work) -> Result<Option<&'a Selector>, TooComplex> {
        for selector in &self.cover {
            work.spend(selector.size())?;
        }
        Ok(self.cover.iter().copied().min_by_key(|selector| splits(&self.part, selector).count()))
    }

    /// Pushes the parts of this piece that `taken` does not select: disjoint boxes, one per key to split on.
    fn without(self, taken: &'a Selector, open: &mut Vec<Self>, work: &mut Work) -> Result<(), TooComplex> {
        let mut rest = self.part;
        let keys: Vec<(SmolStr, Values)> =
            splits(&rest, taken).map(|(key, values)| (key.clone(), values.clone())).collect();
        for (key, values) in keys {
            work.spend(rest.size())?;
            let held = rest.get(&key).cloned().unwrap_or_else(Values::anything);
            let outside = rest.with(&key, held.intersect(&values.complement()));
            let others = self.cover.iter().copied().filter(|other| !std::ptr::eq(*other, taken));
            open.push(Piece::new(outside, others, work)?);
            rest = rest.with(&key, held.intersect(&values));
        }
        Ok(())
    }
}

/// The requirements of `selector` that do not hold throughout `part`.
fn splits<'s>(part: &Selector, selector: &'s Selector) -> impl Iterator<Item = (&'s SmolStr, &'s Values)> {
    selector.keys().filter(|(key, values)| match part.get(key) {
        Some(held) => !held.is_within(values),
        None => !Values::anything().is_within(values),
    })
}

struct Work(usize);

impl Work {
    fn spend(&mut self, steps: usize) -> Result<(), TooComplex> {
        self.0 = self.0.checked_sub(steps).ok_or(TooComplex)?;
        Ok(())
    }
}
