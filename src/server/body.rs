//! Request bodies, read under limits.

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;

use super::budget::{Budget, Charge};
use super::refusal::Refusal;

/// The first room made for a body that comes in pieces. What a client announces is taken at its word up to
/// here only: beyond, memory is taken as bytes arrive.
const FIRST_ROOM: usize = 64 << 10;

/// A whole body, and its share of the budget.
#[derive(Debug)]
pub(super) struct Payload<'a> {
    pieces: Pieces,
    charge: Charge<'a>,
}

impl<'a> Payload<'a> {
    /// Reads the body to its end, up to `most` bytes, as far as the budget goes.
    pub(super) async fn read(body: &mut Body, most: usize, budget: &'a Budget) -> Result<Self, Refusal> {
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > most {
            return Err(Refusal::BodyTooLarge);
        }
        let mut payload = Self { pieces: Pieces::expect(announced), charge: budget.open() };
        while let Some(frame) = body.frame().await {
            // What is no data is a trailer, and of no interest.
            if let Ok(piece) = frame.map_err(|_| Refusal::BodyBroken)?.into_data() {
                payload.add(piece, most)?;
            }
        }
        Ok(payload)
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.pieces.as_slice()
    }

    fn add(&mut self, piece: Bytes, most: usize) -> Result<(), Refusal> {
        if piece.len() > most.saturating_sub(self.as_slice().len()) {
            return Err(Refusal::BodyTooLarge);
        }
        if !self.charge.grow(piece.len()) {
            return Err(Refusal::Memory);
        }
        self.pieces.add(piece);
        Ok(())
    }
}

/// The pieces of a body; joined only if there are several.
#[derive(Debug)]
struct Pieces {
    expected: usize,
    first: Bytes,
    joined: Vec<u8>,
}

impl Pieces {
    const fn expect(expected: usize) -> Self {
        Self { expected, first: Bytes::new(), joined: Vec::new() }
    }

    fn add(&mut self, piece: Bytes) {
        if self.as_slice().is_empty() {
            self.first = piece;
            return;
        }
        if self.joined.is_empty() {
            self.joined.reserve(self.expected.min(FIRST_ROOM));
            self.joined.extend_from_slice(&self.first);
            self.first = Bytes::new();
        }
        self.joined.extend_from_slice(&piece);
    }

    fn as_slice(&self) -> &[u8] {
        if self.joined.is_empty() { &self.first } else { &self.joined }
    }
}

/// Reads the rest of a body and throws it away.
///
/// A connection that is closed while the client still writes is reset by the kernel, and the reset can
/// overtake the answer: the client would see a broken connection where it should see a status, and a
/// `Retry-After` that is never read is never followed.
pub(super) async fn discard(body: &mut Body) {
    while let Some(Ok(_)) = body.frame().await {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Error;
    use futures::stream;

    fn body(pieces: &[&'static str]) -> Body {
        let pieces: Vec<_> =
            pieces.iter().map(|piece| Ok::<_, Error>(Bytes::from_static(piece.as_bytes()))).collect();
        Body::from_stream(stream::iter(pieces))
    }

    async fn read<'a>(
        pieces: &[&'static str],
        most: usize,
        budget: &'a Budget,
    ) -> Result<Payload<'a>, Refusal> {
        Payload::read(&mut body(pieces), most, budget).await
    }

    #[tokio::test]
    async fn pieces_are_joined_in_order() {
        let budget = Budget::new(100);
        for (pieces, whole) in
            [(&[][..], ""), (&["one"], "one"), (&["one", "", "two", "three"], "onetwothree")]
        {
            assert_eq!(read(pieces, 100, &budget).await.unwrap().as_slice(), whole.as_bytes());
        }
    }

    #[tokio::test]
    async fn a_single_piece_is_not_copied() {
        let budget = Budget::new(100);
        let piece = Bytes::from_static(b"whole");
        let mut single = Body::from(piece.clone());
        let payload = Payload::read(&mut single, 100, &budget).await.unwrap();
        assert_eq!(payload.as_slice().as_ptr(), piece.as_ptr());
    }

    #[tokio::test]
    async fn the_cap_counts_all_pieces() {
        let budget = Budget::new(100);
        assert_eq!(read(&["12345", "6789"], 9, &budget).await.unwrap().as_slice(), b"123456789");
        assert_eq!(read(&["12345", "67890"], 9, &budget).await.unwrap_err(), Refusal::BodyTooLarge);
    }

    #[tokio::test]
    async fn an_announced_size_over_the_cap_is_refused_unread() {
        let budget = Budget::new(100);
        let mut announced = Body::from("1234567890");
        let outcome = Payload::read(&mut announced, 9, &budget).await;
        assert_eq!(outcome.unwrap_err(), Refusal::BodyTooLarge);
        assert!(!announced.is_end_stream());
    }

    #[tokio::test]
    async fn bodies_share_the_budget_until_they_are_dropped() {
        let budget = Budget::new(10);
        let held = read(&["1234", "56"], 10, &budget).await.unwrap();
        assert_eq!(read(&["1234", "5"], 10, &budget).await.unwrap_err(), Refusal::Memory);
        drop(held);
        assert_eq!(read(&["1234", "5"], 10, &budget).await.unwrap().as_slice(), b"12345");
    }
}
