//! Peers: the addresses that connections come from, by which places, bytes, records and spans are shared.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Semaphore;

/// The address of a peer: an IPv4 address, or the first 64 bits of an IPv6 address, because one machine has all
/// addresses of such a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PeerAddress(IpAddr);

impl PeerAddress {
    pub(super) const fn of(address: SocketAddr) -> Self {
        match address.ip().to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
            }
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }
}

/// The state that all connections of one peer share.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) address: PeerAddress,
    /// The number of its open connections, changed under the lock of the connection table.
    pub(super) connections: AtomicUsize,
    pub(super) records: RateLimit,
    pub(super) spans: RateLimit,
    /// The turns to sign a handshake.
    pub(super) signatures: Semaphore,
}

impl Peer {
    pub(super) fn new(address: PeerAddress, (per_second, at_once): (u32, u32), signatures: usize) -> Self {
        let limit = || RateLimit::new(per_second, at_once);
        Self {
            address,
            connections: AtomicUsize::new(0),
            records: limit(),
            spans: limit(),
            signatures: Semaphore::new(signatures),
        }
    }
}

/// A rate limit with a burst, without a lock: the generic cell rate algorithm.
#[derive(Debug)]
pub(super) struct RateLimit {
    /// The time between two events at the limited rate, in microseconds.
    interval: u64,
    /// The time by which events may be early, in microseconds.
    burst: u64,
    /// The time at which the next event would be on time, in microseconds.
    next: AtomicU64,
}

impl RateLimit {
    /// Allows `per_second` events a second, and `burst` events at once after a pause.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        let interval = 1_000_000_u64.checked_div(per_second.into()).unwrap_or(u64::MAX);
        Self { interval, burst: interval.saturating_mul(burst.into()), next: AtomicU64::new(0) }
    }

    /// Takes one event at the time `now`, in microseconds. Returns whether the limit allows it.
    pub(super) fn take(&self, now: u64) -> bool {
        let taken = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
            let next = next.max(now).saturating_add(self.interval);
            (next.saturating_sub(now) <= self.burst).then_some(next)
        });
        taken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_peer_is_its_network_of_64_bits() {
        let peer = |address: &str| PeerAddress::of(SocketAddr::new(address.parse().unwrap(), 1));
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff:0:0:2"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
    }

    #[test]
    fn a_rate_limit_allows_its_burst_and_then_its_rate() {
        let limit = RateLimit::new(10, 3);
        let start = 1_000_000;
        assert_eq!((0..5).filter(|_| limit.take(start)).count(), 3);
        assert!(!limit.take(start + 99_999));
        assert!(limit.take(start + 100_000));
        assert!(!limit.take(start + 100_000));
        assert_eq!((0..5).filter(|_| limit.take(start + 60_000_000)).count(), 3);
    }
}
