//! The connections of a port, and how places and bytes are shared among peers.
//!
//! The fairness rule: while there is room, everybody is served. When every place is taken, a new connection takes the
//! place of one of the peer with the most connections: of the one that has waited longest for its client. When the
//! bytes are used up, the peer that holds the most loses the connection that holds the most. Who holds the most itself
//! is refused. So a peer can only take from peers that have more than itself, and a single address can never keep the
//! API server out, whatever it sends. Handshakes of one peer take turns, so that those of others wait for few of them.
//!
//! A connection that was evicted counts no longer, although its task may take a moment to end.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, SemaphorePermit};

use super::limits::Limits;
use super::metrics::{Eviction, ServerMetrics};
use super::peer::{Peer, PeerAddress};

/// The bit in a connection's count of bytes that says that it was evicted.
const EVICTED: usize = 1 << (usize::BITS - 1);

/// The connections of one port.
#[derive(Debug)]
pub(super) struct ConnectionTable {
    open: Mutex<Open>,
    /// The bytes that all connections hold together.
    held: AtomicUsize,
    start: Instant,
    shares: Shares,
    metrics: Option<ServerMetrics>,
}

/// What the connections of a port share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shares {
    /// The number of connections.
    pub(super) places: usize,
    /// The number of bytes.
    pub(super) bytes: usize,
    /// The time after which a connection that waits for its client may lose its place to one of a peer that has no
    /// fewer connections.
    pub(super) settled: Duration,
    /// The time for which a client may leave an answer unread.
    pub(super) unread: Duration,
    /// The handshakes that are signed at the same time, for each peer.
    pub(super) signatures: usize,
    /// The records of unauthenticated callers a second and at once, for each peer; and as many spans.
    pub(super) records: (u32, u32),
}

impl From<&Limits> for Shares {
    fn from(limits: &Limits) -> Self {
        Self {
            places: limits.connections,
            bytes: limits.buffered_bytes,
            settled: limits.settled,
            unread: limits.unread,
            signatures: limits.signatures,
            records: (limits.records_per_second, limits.records_at_once),
        }
    }
}

#[derive(Debug, Default)]
struct Open {
    connections: BTreeMap<u64, Arc<Connection>>,
    peers: HashMap<PeerAddress, Arc<Peer>>,
    next: u64,
}

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Connection {
    number: u64,
    peer: Arc<Peer>,
    table: Arc<ConnectionTable>,
    /// The bytes that it holds, and [`EVICTED`].
    bytes: AtomicUsize,
    /// The time since which it waits for its client, in milliseconds since the start of the table.
    waiting_since: AtomicU64,
    /// The number of complete requests that are being answered.
    answering: AtomicUsize,
    /// The number of answers that are not written yet, and the time since which none was, in milliseconds.
    unwritten: AtomicUsize,
    unwritten_since: AtomicU64,
    evicted: Notify,
}

/// An open connection. Its place is free once this is dropped.
#[derive(Debug)]
pub(super) struct Registration(Arc<Connection>);

impl ConnectionTable {
    pub(super) fn new(shares: Shares, metrics: Option<ServerMetrics>) -> Arc<Self> {
        let (open, held, start) = (Mutex::default(), AtomicUsize::new(0), Instant::now());
        Arc::new(Self { open, held, start, shares, metrics })
    }

    /// Registers a connection, in the place of another one if there is no other; `None` if it is refused.
    pub(super) fn register(self: &Arc<Self>, address: SocketAddr) -> Option<Registration> {
        let now = self.milliseconds();
        let mut open = self.lock();
        let peer = self.peer(&mut open, PeerAddress::of(address));
        if open.connections.len() >= self.shares.places && !self.make_room(&mut open, &peer, now) {
            if let Some(metrics) = &self.metrics {
                metrics.connection_refused();
            }
            return None;
        }
        peer.connections.fetch_add(1, Ordering::Relaxed);
        let number = open.next;
        open.next = number.wrapping_add(1);
        let connection = Arc::new(Connection {
            number,
            peer,
            table: Arc::clone(self),
            bytes: AtomicUsize::new(0),
            waiting_since: AtomicU64::new(now),
            answering: AtomicUsize::new(0),
            unwritten: AtomicUsize::new(0),
            unwritten_since: AtomicU64::new(now),
            evicted: Notify::new(),
        });
        open.connections.insert(number, Arc::clone(&connection));
        Some(Registration(connection))
    }

    /// Evicts the connections whose clients leave answers unread for too long.
    pub(super) fn sweep(&self) {
        let (now, unread) = (self.milliseconds(), milliseconds(self.shares.unread));
        let mut open = self.lock();
        let is_stuck = |connection: &Connection| {
            connection.unwritten.load(Ordering::Relaxed) > 0
                && now.saturating_sub(connection.unwritten_since.load(Ordering::Relaxed)) > unread
        };
        let stuck: Vec<_> =
            open.connections.values().filter(|connection| is_stuck(connection)).cloned().collect();
        for connection in stuck {
            self.evict(&mut open, &connection, Eviction::Unread);
        }
    }

    /// The bytes that all connections hold together.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn peer(&self, open: &mut Open, address: PeerAddress) -> Arc<Peer> {
        // A peer stays after its last connection, so that a new connection brings no new burst of records.
        if open.peers.len() > self.shares.places.saturating_mul(2) {
            open.peers.retain(|_, peer| peer.connections.load(Ordering::Relaxed) > 0);
        }
        let new = || Arc::new(Peer::new(address, self.shares.records, self.shares.signatures));
        Arc::clone(open.peers.entry(address).or_insert_with(new))
    }

    /// Evicts a connection for a new one of `peer`. Returns whether there was one to evict.
    fn make_room(&self, open: &mut Open, peer: &Arc<Peer>, now: u64) -> bool {
        let share = |of: &Arc<Peer>| {
            let count = of.connections.load(Ordering::Relaxed);
            if Arc::ptr_eq(of, peer) { count.saturating_add(1) } else { count }
        };
        let waited = |of: &Connection| now.saturating_sub(of.waiting_since.load(Ordering::Relaxed));
        let waiting = open.connections.values().filter(|one| one.answering.load(Ordering::Relaxed) == 0);
        let Some(victim) = waiting.max_by_key(|one| (share(&one.peer), waited(one))).cloned() else {
            return false;
        };
        if share(&victim.peer) <= share(peer) && waited(&victim) < milliseconds(self.shares.settled) {
            return false;
        }
        self.evict(open, &victim, Eviction::Places);
        true
    }

    /// Evicts connections of peers that hold more than the peer of `own`, until the bytes suffice. Returns whether
    /// they do.
    fn relieve(&self, own: &Connection) -> bool {
        let mut open = self.lock();
        while self.held.load(Ordering::Relaxed) > self.shares.bytes {
            let mut held: HashMap<PeerAddress, usize> = HashMap::new();
            for connection in open.connections.values() {
                let sum = held.entry(connection.peer.address).or_default();
                *sum = sum.saturating_add(connection.held());
            }
            let own_share = held.get(&own.peer.address).copied().unwrap_or_default();
            let largest = held.into_iter().max_by_key(|(address, sum)| (*sum, *address));
            let Some((address, _)) = largest.filter(|(_, sum)| *sum > own_share) else { return false };
            let of_it = open.connections.values().filter(|one| one.peer.address == address);
            let Some(victim) = of_it.max_by_key(|one| one.held()).cloned() else { return false };
            self.evict(&mut open, &victim, Eviction::Bytes);
        }
        true
    }

    fn evict(&self, open: &mut Open, connection: &Connection, reason: Eviction) {
        Self::remove(open, connection);
        let held = connection.bytes.fetch_or(EVICTED, Ordering::Relaxed);
        if held & EVICTED == 0 {
            self.held.fetch_sub(held, Ordering::Relaxed);
        }
        connection.evicted.notify_one();
        if let Some(metrics) = &self.metrics {
            metrics.connection_evicted(reason);
        }
    }

    fn remove(open: &mut Open, connection: &Connection) {
        if open.connections.remove(&connection.number).is_some() {
            connection.peer.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn milliseconds(&self) -> u64 {
        milliseconds(self.start.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Registration {
    pub(super) const fn connection(&self) -> &Arc<Connection> {
        &self.0
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        ConnectionTable::remove(&mut self.0.table.lock(), &self.0);
    }
}

impl Connection {
    /// Waits until the connection must end because it was evicted.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// Notes that the client did something, so that the wait for it starts anew.
    pub(super) fn touch(&self) {
        self.waiting_since.store(self.table.milliseconds(), Ordering::Relaxed);
    }

    /// Notes that a complete request is being answered until the guard is dropped: such a connection keeps its place.
    pub(super) fn answer(self: &Arc<Self>) -> Answering {
        self.answering.fetch_add(1, Ordering::Relaxed);
        Answering(Arc::clone(self))
    }

    /// Charges `bytes`. Returns `None` if they exceed what all connections may hold and no peer holds more.
    pub(super) fn charge(self: &Arc<Self>, bytes: usize) -> Option<Charge> {
        let mut charge = Charge { connection: Arc::clone(self), bytes: 0 };
        charge.grow(bytes).then_some(charge)
    }

    /// Takes one record of an unauthenticated caller from the share of its peer. Returns whether it is allowed.
    pub(super) fn take_record(&self) -> bool {
        self.peer.records.take(self.microseconds())
    }

    /// Takes one span of an unauthenticated caller from the share of its peer. Returns whether it is allowed.
    pub(super) fn take_span(&self) -> bool {
        self.peer.spans.take(self.microseconds())
    }

    fn microseconds(&self) -> u64 {
        u64::try_from(self.table.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    pub(super) fn peer(&self) -> PeerAddress {
        self.peer.address
    }

    /// Waits for the turn to sign a handshake; the connections of one peer take turns. Without this, a thousand
    /// handshakes of a stranger would be signed before the one of the API server.
    pub(super) async fn turn_to_sign(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.peer.signatures.acquire().await.ok()
    }

    fn held(&self) -> usize {
        self.bytes.load(Ordering::Relaxed) & !EVICTED
    }
}

/// A guard that holds the place of its connection while a complete request is answered.
#[derive(Debug)]
pub(super) struct Answering(Arc<Connection>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.fetch_sub(1, Ordering::Relaxed);
        self.0.touch();
    }
}

/// Bytes that a connection holds until this is dropped.
#[derive(Debug)]
pub(super) struct Charge {
    connection: Arc<Connection>,
    bytes: usize,
}

impl Charge {
    /// Charges further bytes. Returns `false` if they are too many, or if the connection was evicted.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let Self { connection, bytes: own } = self;
        let table = &connection.table;
        let counted = connection.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            (held & EVICTED == 0).then(|| held.saturating_add(bytes))
        });
        if counted.is_err() {
            return false;
        }
        *own = own.saturating_add(bytes);
        let before = table.held.fetch_add(bytes, Ordering::Relaxed);
        let is_enough = before.saturating_add(bytes) <= table.shares.bytes || table.relieve(connection);
        if !is_enough {
            self.shrink(bytes);
        }
        is_enough
    }

    /// Releases all bytes but `bytes`.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        self.shrink(self.bytes.saturating_sub(bytes));
    }

    fn shrink(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        let connection = &self.connection;
        // The bytes of an evicted connection were released when it was evicted.
        let released = connection.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            (held & EVICTED == 0).then(|| held.saturating_sub(bytes))
        });
        if released.is_ok() {
            connection.table.held.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

/// The bytes of an answer. They are charged until they are written, which is when hyper drops them.
#[derive(Debug)]
pub(super) struct UnwrittenAnswer {
    bytes: Vec<u8>,
    charge: Charge,
}

impl UnwrittenAnswer {
    /// Charges the answer in place of its request; `None` if there is no room for it.
    pub(super) fn new(bytes: Vec<u8>, mut charge: Charge) -> Option<Self> {
        let more = bytes.capacity().saturating_sub(charge.bytes);
        if more > 0 && !charge.grow(more) {
            return None;
        }
        charge.shrink_to(bytes.capacity());
        let connection = &charge.connection;
        if connection.unwritten.fetch_add(1, Ordering::Relaxed) == 0 {
            connection.unwritten_since.store(connection.table.milliseconds(), Ordering::Relaxed);
        }
        Some(Self { bytes, charge })
    }
}

impl AsRef<[u8]> for UnwrittenAnswer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for UnwrittenAnswer {
    fn drop(&mut self) {
        let connection = &self.charge.connection;
        if connection.unwritten.fetch_sub(1, Ordering::Relaxed) > 1 {
            connection.unwritten_since.store(connection.table.milliseconds(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a table that started a second ago.
    fn table(places: usize, bytes: usize, settled: Duration) -> Arc<ConnectionTable> {
        let shares =
            Shares { places, bytes, settled, unread: Duration::ZERO, signatures: 1, records: (10, 10) };
        let mut table = ConnectionTable::new(shares, None);
        let start = &mut Arc::get_mut(&mut table).unwrap().start;
        *start = start.checked_sub(Duration::from_secs(1)).unwrap();
        table
    }

    fn from(address: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, address], 1))
    }

    fn is_evicted(registration: &Registration) -> bool {
        registration.0.bytes.load(Ordering::Relaxed) & EVICTED != 0
    }

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_new_peer_takes_the_place_that_waits_longest_of_the_peer_with_most() {
        let table = table(4, 100, LONG);
        let one = table.register(from(1)).unwrap();
        let many: Vec<_> = (0..3).map(|_| table.register(from(2)).unwrap()).collect();
        for (registration, since) in many.iter().zip([5, 1, 0]) {
            registration.0.waiting_since.store(since, Ordering::Relaxed);
        }
        let _busy = many[2].connection().answer();
        let new = table.register(from(3)).unwrap();
        assert_eq!(many.iter().map(is_evicted).collect::<Vec<_>>(), [false, true, false]);
        assert!(!is_evicted(&one) && !is_evicted(&new));
    }

    #[test]
    fn a_peer_with_the_most_connections_takes_no_place_of_a_recent_one() {
        let table = table(3, 100, LONG);
        let held: Vec<_> = [1, 2, 2].map(|peer| table.register(from(peer)).unwrap()).into();
        assert!(table.register(from(2)).is_none());
        assert!(!held.iter().any(is_evicted));
        let own = self::table(1, 100, Duration::ZERO);
        let first = own.register(from(1)).unwrap();
        assert!(own.register(from(1)).is_some());
        assert!(is_evicted(&first));
    }

    #[test]
    fn a_place_is_free_when_its_connection_ends() {
        let table = table(1, 100, LONG);
        drop(table.register(from(1)).unwrap());
        assert!(table.register(from(1)).is_some());
    }

    #[test]
    fn the_peer_that_holds_the_most_bytes_loses_its_largest_connection() {
        let table = table(10, 100, LONG);
        let large = [table.register(from(1)).unwrap(), table.register(from(1)).unwrap()];
        let small = table.register(from(2)).unwrap();
        let held = [large[0].0.charge(30).unwrap(), large[1].0.charge(40).unwrap()];
        let mut own = small.0.charge(30).unwrap();
        // More than its own share is only refused to the peer that holds the most.
        assert!(large[0].0.charge(1).is_none());
        assert!(own.grow(10));
        assert_eq!([is_evicted(&large[0]), is_evicted(&large[1])], [false, true]);
        assert_eq!(table.held(), 70);
        assert!(large[1].0.charge(1).is_none());
        drop(held);
        assert_eq!(table.held(), 40);
        own.shrink_to(5);
        assert_eq!(table.held(), 5);
        drop(own);
        assert_eq!(table.held(), 0);
    }

    #[tokio::test]
    async fn handshakes_of_one_peer_take_turns_and_leave_those_of_others_alone() {
        let table = table(4, 100, LONG);
        let [first, second, other] = [1, 1, 2].map(|peer| table.register(from(peer)).unwrap());
        let turn = first.0.turn_to_sign().await;
        let mut waiting = std::pin::pin!(second.0.turn_to_sign());
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        assert!(other.0.turn_to_sign().await.is_some());
        drop(turn);
        assert!(waiting.await.is_some());
    }

    #[test]
    fn an_answer_is_charged_until_it_is_written() {
        let table = table(1, 1000, LONG);
        let registration = table.register(from(1)).unwrap();
        let charge = registration.0.charge(500).unwrap();
        let answer = UnwrittenAnswer::new(Vec::with_capacity(100), charge).unwrap();
        assert_eq!(table.held(), 100);
        let large = UnwrittenAnswer::new(vec![0; 900], registration.0.charge(1).unwrap());
        assert_eq!((large.is_some(), table.held()), (true, 1000));
        assert!(UnwrittenAnswer::new(vec![0], registration.0.charge(0).unwrap()).is_none());
        drop((answer, large));
        assert_eq!(table.held(), 0);
    }

    #[test]
    fn a_client_that_leaves_an_answer_unread_is_evicted() {
        let table = table(2, 1000, LONG);
        let [deaf, idle] = [1, 2].map(|peer| table.register(from(peer)).unwrap());
        let _answer = UnwrittenAnswer::new(vec![0; 10], deaf.0.charge(10).unwrap());
        deaf.0.unwritten_since.store(0, Ordering::Relaxed);
        table.sweep();
        assert_eq!((is_evicted(&deaf), is_evicted(&idle), table.held()), (true, false, 0));
    }
}
