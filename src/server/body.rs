//! Request bodies, read within limits.

use std::error::Error;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use tokio::time::{Instant, sleep_until};

use super::connection_table::Charge;
use super::limits::Limits;
use super::rejection::Rejection;

/// The part of an announced size that is reserved with the first bytes: most bodies are no larger, and so are not moved
/// while they grow.
const RESERVED: usize = 64 << 10;

/// A whole request body, with its charge.
///
/// `http_body_util`'s `collect` is not used: it keeps each piece as a separate value, so that a body sent byte by byte
/// takes more than thirty times its size, and it cannot charge bytes as they arrive.
#[derive(Debug)]
pub(super) struct Payload {
    pub(super) bytes: Vec<u8>,
    pub(super) charge: Charge,
}

impl Payload {
    /// Reads the body to its end: at most `body_bytes`, charged as they arrive, in the time that a body may take.
    ///
    /// The announced size alone reserves nothing.
    pub(super) async fn read<B>(body: &mut B, limits: &Limits, charge: Charge) -> Result<Self, Rejection>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
    {
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > limits.body_bytes {
            return Err(Rejection::BodyTooLarge);
        }
        let received = AtomicUsize::new(0);
        let read = async {
            let mut payload = Self { bytes: Vec::new(), charge };
            let mut body = Limited::new(body, limits.body_bytes);
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| {
                    if error.is::<LengthLimitError>() {
                        Rejection::BodyTooLarge
                    } else {
                        Rejection::BodyBroken
                    }
                })?;
                // A frame without data contains trailers, which are not used.
                if let Ok(piece) = frame.into_data() {
                    payload.append(&piece, announced.min(RESERVED))?;
                    received.store(payload.bytes.len(), Ordering::Relaxed);
                }
            }
            Ok(payload)
        };
        in_time(read, &received, limits).await.unwrap_or(Err(Rejection::BodyTooSlow))
    }

    fn append(&mut self, piece: &[u8], least: usize) -> Result<(), Rejection> {
        let Self { bytes, charge } = self;
        let needed = bytes.len().saturating_add(piece.len());
        if needed > bytes.capacity() {
            let capacity = needed.max(least).max(bytes.capacity().saturating_mul(2));
            if !charge.grow(capacity.saturating_sub(bytes.capacity())) {
                return Err(Rejection::Memory);
            }
            bytes.reserve_exact(capacity.saturating_sub(bytes.len()));
        }
        bytes.extend_from_slice(piece);
        Ok(())
    }
}

/// Waits for a body, at most `body`, and after `body_start` only as long as what it received keeps up with `body_rate`;
/// `None` if it did not.
async fn in_time<T>(read: impl Future<Output = T>, received: &AtomicUsize, limits: &Limits) -> Option<T> {
    let start = Instant::now();
    let mut read = pin!(read);
    let mut allowed = limits.body_start.min(limits.body);
    loop {
        tokio::select! {
            biased;
            outcome = &mut read => return Some(outcome),
            () = sleep_until(start.checked_add(allowed)?) => {}
        }
        let earned = earned(received.load(Ordering::Relaxed), limits);
        if earned <= allowed {
            return None;
        }
        allowed = earned;
    }
}

/// The time from its start in which a body of `received` bytes may be read.
fn earned(received: usize, limits: &Limits) -> Duration {
    let received = u32::try_from(received).unwrap_or(u32::MAX);
    let rate = u32::try_from(limits.body_rate).unwrap_or(u32::MAX).max(1);
    let by_rate = Duration::from_secs(1).saturating_mul(received).checked_div(rate);
    by_rate.unwrap_or_default().saturating_add(limits.body_start).min(limits.body)
}

/// Reads the rest of a body, up to twice the limit of a body and in the time that one may take, and discards it.
///
/// Closing a connection while the client still writes resets it. The client would then get a connection error instead
/// of the response, and would not see the `Retry-After`.
pub(super) async fn discard<B>(body: &mut B, limits: &Limits)
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    let received = AtomicUsize::new(0);
    let mut body = Limited::new(body, limits.body_bytes.saturating_mul(2));
    let read = async {
        while let Some(Ok(frame)) = body.frame().await {
            received.fetch_add(frame.data_ref().map_or(0, Bytes::len), Ordering::Relaxed);
        }
    };
    // The response is sent whether or not the body is complete.
    let _ = in_time(read, &received, limits).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::net::SocketAddr;
    use std::sync::Arc;

    use futures::stream;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    use crate::server::connection_table::{ConnectionTable, Registration, Shares};

    fn body(pieces: &[&'static str]) -> impl Body<Data = Bytes, Error = Infallible> + Unpin + use<> {
        let frames = pieces.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes()))));
        StreamBody::new(stream::iter(frames.collect::<Vec<_>>()))
    }

    fn connection(bytes: usize) -> (Arc<ConnectionTable>, Registration) {
        let shares = Shares { bytes, ..Shares::from(&Limits::default()) };
        let table = ConnectionTable::new(shares, None);
        let registration = table.register(SocketAddr::from(([192, 0, 2, 1], 1))).unwrap();
        (table, registration)
    }

    async fn read(
        pieces: &[&'static str],
        most: usize,
        connection: &Registration,
    ) -> Result<Payload, Rejection> {
        let limits = Limits { body_bytes: most, ..Limits::default() };
        let charge = connection.connection().charge(0).unwrap();
        Payload::read(&mut body(pieces), &limits, charge).await
    }

    #[tokio::test]
    async fn pieces_are_joined_in_order() {
        let (_, connection) = connection(100);
        for (pieces, whole) in
            [(&[][..], ""), (&["one"], "one"), (&["one", "", "two", "three"], "onetwothree")]
        {
            assert_eq!(read(pieces, 100, &connection).await.unwrap().bytes, whole.as_bytes());
        }
    }

    #[tokio::test]
    async fn the_limit_counts_all_pieces() {
        let (_, connection) = connection(100);
        assert_eq!(read(&["12345", "6789"], 9, &connection).await.unwrap().bytes, b"123456789");
        assert_eq!(read(&["12345", "67890"], 9, &connection).await.unwrap_err(), Rejection::BodyTooLarge);
    }

    #[tokio::test]
    async fn an_announced_size_over_the_limit_is_rejected_unread() {
        let (_, connection) = connection(100);
        let mut announced = Full::new(Bytes::from_static(b"1234567890"));
        let limits = Limits { body_bytes: 9, ..Limits::default() };
        let charge = connection.connection().charge(0).unwrap();
        let outcome = Payload::read(&mut announced, &limits, charge).await;
        assert_eq!(outcome.unwrap_err(), Rejection::BodyTooLarge);
        assert!(!announced.is_end_stream());
    }

    #[tokio::test]
    async fn bodies_are_charged_by_their_capacity_until_they_are_dropped() {
        let (table, connection) = connection(10);
        let kept = read(&["1234", "56"], 10, &connection).await.unwrap();
        assert_eq!((kept.bytes.capacity(), table.held()), (8, 8));
        assert_eq!(read(&["123"], 10, &connection).await.unwrap_err(), Rejection::Memory);
        drop(kept);
        assert_eq!(read(&["12345", "6789"], 10, &connection).await.unwrap().bytes, b"123456789");
        assert_eq!(table.held(), 0);
    }

    #[test]
    fn a_body_has_its_start_and_then_the_time_that_its_bytes_take_at_the_minimum_rate() {
        let limits = Limits {
            body_start: Duration::from_secs(2),
            body_rate: 10,
            body: Duration::from_secs(10),
            ..Limits::default()
        };
        for (received, seconds) in [(0, 2), (10, 3), (30, 5), (1000, 10)] {
            assert_eq!(earned(received, &limits), Duration::from_secs(seconds), "{received}");
        }
    }

    #[tokio::test]
    async fn no_more_than_twice_the_limit_is_discarded() {
        // The piece that exceeds the limit is the last one that is read.
        for (most, left) in [(1, Some("56")), (2, Some("78")), (4, None)] {
            let mut body = body(&["12", "34", "56", "78"]);
            discard(&mut body, &Limits { body_bytes: most, ..Limits::default() }).await;
            let next = body.frame().await.map(|frame| frame.unwrap().into_data().unwrap());
            assert_eq!(next.as_deref(), left.map(str::as_bytes), "{most}");
        }
    }
}
