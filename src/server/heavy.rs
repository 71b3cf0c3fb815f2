//! Heavy calls: judged by few threads of their own, so that they never delay the others. Peers take turns.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::peer::PeerAddress;

/// The queue of heavy calls.
#[derive(Debug)]
pub(super) struct HeavyQueue {
    state: Mutex<State>,
    at_once: usize,
    waiting: usize,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    /// The peers with waiting calls, the one whose turn it is first.
    turns: VecDeque<PeerAddress>,
    waiting: HashMap<PeerAddress, VecDeque<oneshot::Sender<Turn>>>,
}

/// The right to judge one heavy call. The next call gets it when this is dropped.
#[derive(Debug)]
pub(super) struct Turn(Option<Arc<HeavyQueue>>);

impl HeavyQueue {
    /// Creates a queue that lets `at_once` calls run and `waiting` calls of each peer wait.
    pub(super) fn new(at_once: usize, waiting: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), at_once, waiting })
    }

    /// Waits for the turn of a call; `None` if too many calls of its peer wait.
    pub(super) async fn turn(self: &Arc<Self>, peer: PeerAddress) -> Option<Turn> {
        let turn = {
            let mut state = self.lock();
            if state.running < self.at_once {
                state.running = state.running.saturating_add(1);
                return Some(Turn(Some(Arc::clone(self))));
            }
            let State { turns, waiting, .. } = &mut *state;
            let of_peer = waiting.entry(peer).or_insert_with(|| {
                turns.push_back(peer);
                VecDeque::new()
            });
            // Callers that gave up do not count.
            of_peer.retain(|call| !call.is_closed());
            if of_peer.len() >= self.waiting {
                return None;
            }
            let (sender, turn) = oneshot::channel();
            of_peer.push_back(sender);
            turn
        };
        // The sender is dropped with the queue only.
        turn.await.ok()
    }

    /// Gives a turn to the next call, or takes it back if none waits.
    fn pass_on(self: &Arc<Self>) {
        let mut state = self.lock();
        let State { turns, waiting, running } = &mut *state;
        while let Some(peer) = turns.pop_front() {
            let Some(of_peer) = waiting.get_mut(&peer) else { continue };
            let next = of_peer.pop_front();
            if of_peer.is_empty() {
                waiting.remove(&peer);
            } else {
                turns.push_back(peer);
            }
            let Some(next) = next else { continue };
            match next.send(Turn(Some(Arc::clone(self)))) {
                Ok(()) => return,
                // Its caller gave up. Dropping the turn here would lock the queue once more.
                Err(mut unused) => drop(unused.0.take()),
            }
        }
        *running = running.saturating_sub(1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(queue) = self.0.take() {
            queue.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use futures::FutureExt;

    use super::*;

    fn peer(number: u8) -> PeerAddress {
        PeerAddress::of(SocketAddr::from(([192, 0, 2, number], 1)))
    }

    #[tokio::test]
    async fn peers_take_turns() {
        let queue = HeavyQueue::new(1, 8);
        let first = queue.turn(peer(1)).await.unwrap();
        let calls = [1, 1, 1, 2].map(|number| (number, Box::pin(queue.turn(peer(number)))));
        let mut calls: Vec<_> = calls.into();
        for (_, call) in &mut calls {
            assert!(call.now_or_never().is_none());
        }
        let mut order = Vec::new();
        let mut running = Some(first);
        while let Some(turn) = running.take() {
            drop(turn);
            let mut rest = Vec::new();
            for (number, mut call) in calls {
                match (&mut call).now_or_never() {
                    Some(turn) => {
                        order.push(number);
                        running = turn;
                    }
                    None => rest.push((number, call)),
                }
            }
            calls = rest;
        }
        assert_eq!(order, [1, 2, 1, 1]);
    }

    #[tokio::test]
    async fn the_calls_of_a_peer_that_wait_are_bounded_and_those_that_gave_up_do_not_count() {
        let queue = HeavyQueue::new(1, 1);
        let running = queue.turn(peer(1)).await.unwrap();
        let mut waiting = Box::pin(queue.turn(peer(1)));
        assert!((&mut waiting).now_or_never().is_none());
        assert!(queue.turn(peer(1)).await.is_none());
        assert!(Box::pin(queue.turn(peer(2))).now_or_never().is_none());
        drop(waiting);
        let mut other = Box::pin(queue.turn(peer(1)));
        assert!((&mut other).now_or_never().is_none());
        drop(running);
        drop(other.now_or_never().unwrap().unwrap());
        assert!(queue.turn(peer(3)).now_or_never().is_some());
    }
}
