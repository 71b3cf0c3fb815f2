//! Request bodies, read within limits.

use std::error::Error;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::rejection::Rejection;

/// A whole request body, with its share of the budget for all bodies.
///
/// `http_body_util`'s `collect` is not used: it keeps each piece as a separate value, so that a body sent byte by byte
/// takes more than thirty times its size, and it cannot count bytes against a shared limit as they arrive.
#[derive(Debug)]
pub(super) struct Payload<'a> {
    pub(super) bytes: Vec<u8>,
    _share: SemaphorePermit<'a>,
}

impl<'a> Payload<'a> {
    /// Reads the body to its end, at most `most` bytes and within `budget`, which has one permit per byte.
    ///
    /// The announced size reserves neither memory nor budget; only bytes that arrive count.
    pub(super) async fn read<B>(body: &mut B, most: usize, budget: &'a Semaphore) -> Result<Self, Rejection>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
    {
        if usize::try_from(body.size_hint().lower()).is_ok_and(|announced| announced > most) {
            return Err(Rejection::BodyTooLarge);
        }
        let mut body = Limited::new(body, most);
        let mut bytes = Vec::new();
        let mut share = take(budget, 0)?;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                if error.is::<LengthLimitError>() { Rejection::BodyTooLarge } else { Rejection::BodyBroken }
            })?;
            // A frame without data contains trailers, which are not used.
            if let Ok(piece) = frame.into_data() {
                share.merge(take(budget, piece.len())?);
                bytes.extend_from_slice(&piece);
            }
        }
        Ok(Self { bytes, _share: share })
    }
}

fn take(budget: &Semaphore, bytes: usize) -> Result<SemaphorePermit<'_>, Rejection> {
    let bytes = u32::try_from(bytes).map_err(|_| Rejection::Memory)?;
    budget.try_acquire_many(bytes).map_err(|_| Rejection::Memory)
}

/// Reads the rest of a body, at most `most` bytes, and discards it.
///
/// Closing a connection while the client still writes resets it. The client would then get a connection error instead
/// of the response, and would not see the `Retry-After`.
pub(super) async fn discard<B>(body: &mut B, most: usize)
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    let mut body = Limited::new(body, most);
    while let Some(Ok(_)) = body.frame().await {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    use futures::stream;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    fn body(pieces: &[&'static str]) -> impl Body<Data = Bytes, Error = Infallible> + Unpin + use<> {
        let frames = pieces.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes()))));
        StreamBody::new(stream::iter(frames.collect::<Vec<_>>()))
    }

    async fn read<'a>(
        pieces: &[&'static str],
        most: usize,
        budget: &'a Semaphore,
    ) -> Result<Payload<'a>, Rejection> {
        Payload::read(&mut body(pieces), most, budget).await
    }

    #[tokio::test]
    async fn pieces_are_joined_in_order() {
        let budget = Semaphore::new(100);
        for (pieces, whole) in
            [(&[][..], ""), (&["one"], "one"), (&["one", "", "two", "three"], "onetwothree")]
        {
            assert_eq!(read(pieces, 100, &budget).await.unwrap().bytes, whole.as_bytes());
        }
    }

    #[tokio::test]
    async fn the_limit_counts_all_pieces() {
        let budget = Semaphore::new(100);
        assert_eq!(read(&["12345", "6789"], 9, &budget).await.unwrap().bytes, b"123456789");
        assert_eq!(read(&["12345", "67890"], 9, &budget).await.unwrap_err(), Rejection::BodyTooLarge);
    }

    #[tokio::test]
    async fn an_announced_size_over_the_limit_is_rejected_unread() {
        let budget = Semaphore::new(100);
        let mut announced = Full::new(Bytes::from_static(b"1234567890"));
        let outcome = Payload::read(&mut announced, 9, &budget).await;
        assert_eq!(outcome.unwrap_err(), Rejection::BodyTooLarge);
        assert!(!announced.is_end_stream());
    }

    #[tokio::test]
    async fn bodies_share_the_budget_until_they_are_dropped() {
        let budget = Semaphore::new(10);
        let held = read(&["1234", "56"], 10, &budget).await.unwrap();
        assert_eq!(read(&["1234", "5"], 10, &budget).await.unwrap_err(), Rejection::Memory);
        drop(held);
        assert_eq!(read(&["1234", "5"], 10, &budget).await.unwrap().bytes, b"12345");
        assert_eq!(budget.available_permits(), 10);
    }

    #[tokio::test]
    async fn no_more_than_the_limit_is_discarded() {
        // The piece that exceeds the limit is the last one that is read.
        for (most, left) in [(3, Some("56")), (4, Some("78")), (5, Some("78")), (8, None)] {
            let mut body = body(&["12", "34", "56", "78"]);
            discard(&mut body, most).await;
            let next = body.frame().await.map(|frame| frame.unwrap().into_data().unwrap());
            assert_eq!(next.as_deref(), left.map(str::as_bytes), "{most}");
        }
    }
}
