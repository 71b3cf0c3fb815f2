//! The states of the model, and the product's values for them.
//!
//! A state holds numbers instead of certificates, and times relative to the present, so that there are finitely many. Each call of the
//! product's code gets real certificates and times made of them. Calls are pure, so each is made once and remembered.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;

use super::super::super::ca_set::{CaSet, NextCa, OldCa};
use super::super::super::certificate::{Ca, CaCertificate};
use super::super::super::time::{earlier, later};
use super::super::*;
use super::Protocol;

/// The unit of time of the model: the largest difference between clocks.
pub(super) const TICK: Duration = Duration::from_secs(60 * 60);

/// A tick in minutes, the unit of relative times.
pub(super) const MINUTES: i16 = 60;

/// The number of a CA that was generated in the present step. [`World`](super::world::World) numbers it anew.
const NEW: u8 = 200;

/// The revisions of configurations that have not changed, and of those that have changed since they were read.
pub(super) const CURRENT: Revision = Revision(2);
pub(super) const CHANGED: Revision = Revision(1);

/// A revision that a replica has seen before the current one.
const FORMER_REVISION: Revision = Revision(0);

/// The issuer of a leaf, if it is neither the CA that is remembered nor the one that is read: only its number matters.
const FORMER: &str = "former ";

/// A CA: its number, and when it was generated.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct CaRef {
    pub(super) number: u8,
    pub(super) born: i16,
}

impl fmt::Debug for CaRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CA{}", self.number)
    }
}

/// The CAs of a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Cas {
    pub(super) current: CaRef,
    pub(super) next: Option<(CaRef, Option<i16>)>,
    pub(super) old: Option<(CaRef, i16)>,
    pub(super) rotate: bool,
}

/// The numbers of the CAs in a `caBundle`, oldest first, then zeros.
pub(super) type Bundle = [u8; 3];

impl Cas {
    pub(super) fn bundle(&self) -> Bundle {
        let old = self.old.map(|(ca, _)| ca.number);
        let next = self.next.map(|(ca, _)| ca.number);
        bundle(old.into_iter().chain([self.current.number]).chain(next))
    }
}

fn bundle(numbers: impl Iterator<Item = u8>) -> Bundle {
    let mut bundle = Bundle::default();
    bundle.iter_mut().zip(numbers).for_each(|(place, number)| *place = number);
    bundle
}

/// A serving certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct LeafRef {
    pub(super) issuer: u8,
    pub(super) not_after: i16,
    pub(super) renew_at: i16,
}

/// A [`Replica`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Memory {
    pub(super) remembered: Option<Cas>,
    /// The time is in ticks. The flag is false if a configuration has changed since.
    pub(super) settled: Option<(Cas, i8, bool)>,
    pub(super) leaf: Option<LeafRef>,
    pub(super) is_signed: bool,
    pub(super) is_ready: bool,
}

/// A [`Next`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextRef {
    Publish(Bundle),
    Write(Cas),
    Pause,
}

/// A call of the product's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Call {
    Read(Option<Cas>),
    ReadFailed,
    Compared(Option<Found>),
    /// The end of a pass.
    Sign,
}

/// The product's code, called with the values of the model.
pub(super) struct Product<'p> {
    protocol: &'p dyn Protocol,
    lifetimes: Lifetimes,
    now: Timestamp,
    instant: Instant,
    cas: HashMap<CaRef, Arc<Ca>>,
    names: HashMap<String, CaRef>,
    calls: HashMap<(Memory, i8, Call), (Memory, NextRef)>,
    example: Leaf,
}

impl<'p> Product<'p> {
    pub(super) fn new(protocol: &'p dyn Protocol, lifetimes: Lifetimes) -> Self {
        let now: Timestamp = "2026-11-22T19:00:00Z".parse().unwrap();
        let ca = Ca::generate(now, lifetimes.ca).unwrap();
        let example = Leaf::sign(&ca, &["localhost".to_owned()], lifetimes.leaf, now).unwrap();
        Self {
            protocol,
            lifetimes,
            now,
            instant: Instant::now() + TICK * 1000,
            cas: HashMap::new(),
            names: HashMap::new(),
            calls: HashMap::new(),
            example,
        }
    }

    /// Calls the product's code with the memory of a replica whose clock is `skew` ticks ahead.
    pub(super) fn call(&mut self, memory: Memory, skew: i8, call: Call) -> (Memory, NextRef) {
        if let Some(known) = self.calls.get(&(memory, skew, call)) {
            return *known;
        }
        let now = self.time(i16::from(skew) * MINUTES);
        let stored = if let Call::Read(stored) = call { stored } else { None };
        let mut replica = self.replica(&memory, stored);
        let protocol = self.protocol;
        let next = match call {
            Call::Read(_) => {
                // As it is stored, and read back.
                let stored = stored.map(|cas| CaSet::parse(&self.ca_set(&cas).data()).unwrap().unwrap());
                let next = protocol.read(&mut replica, stored.as_ref(), now);
                if stored.is_some() {
                    protocol.sign(&mut replica, now);
                }
                next
            }
            Call::ReadFailed => protocol.read_failed(&mut replica, now),
            Call::Compared(found) => protocol.compared(&mut replica, found, now, self.instant),
            Call::Sign => {
                protocol.sign(&mut replica, now);
                Next::Again
            }
        };
        let next = match next {
            Next::Publish(text) => NextRef::Publish(self.bundle_of(&text)),
            Next::Write(_, cas) => NextRef::Write(self.cas_of(&cas)),
            Next::Again | Next::Wait(_) => NextRef::Pause,
        };
        let outcome = (self.memory_of(&replica), next);
        self.calls.insert((memory, skew, call), outcome);
        outcome
    }

    /// The number of different calls.
    pub(super) fn calls(&self) -> usize {
        self.calls.len()
    }

    fn time(&self, minutes: i16) -> Timestamp {
        let distance = Duration::from_secs(u64::from(minutes.unsigned_abs()) * 60);
        if minutes < 0 { earlier(self.now, distance) } else { later(self.now, distance) }
    }

    fn minutes(&self, time: Timestamp) -> i16 {
        i16::try_from(time.duration_since(self.now).as_secs() / 60).unwrap()
    }

    fn ca(&mut self, ca: CaRef) -> Arc<Ca> {
        if let Some(known) = self.cas.get(&ca) {
            return Arc::clone(known);
        }
        let made = Arc::new(Ca::generate(self.time(ca.born), self.lifetimes.ca).unwrap());
        self.names.insert(made.certificate().serial().to_owned(), ca);
        self.cas.insert(ca, Arc::clone(&made));
        made
    }

    fn ca_set(&mut self, cas: &Cas) -> CaSet {
        CaSet {
            current: self.ca(cas.current),
            next: cas.next.map(|(ca, at)| NextCa {
                ca: self.ca(ca),
                published_at: at.map(|minutes| self.time(minutes)),
            }),
            old: cas.old.map(|(ca, at)| OldCa {
                certificate: self.ca(ca).certificate().clone(),
                retired_at: self.time(at),
            }),
            rotate: cas.rotate,
        }
    }

    /// The number of a CA; one that is not known was generated by this call.
    fn ref_of(&mut self, serial: &str, not_before: Timestamp) -> CaRef {
        if let Some(known) = self.names.get(serial) {
            return *known;
        }
        let born = self.minutes(not_before) + MINUTES;
        let new = CaRef { number: NEW, born };
        self.names.insert(serial.to_owned(), new);
        new
    }

    fn cas_of(&mut self, set: &CaSet) -> Cas {
        let mut of =
            |certificate: &CaCertificate| self.ref_of(certificate.serial(), certificate.not_before());
        let current = of(set.current.certificate());
        let next = set.next.as_ref().map(|next| (of(next.ca.certificate()), next.published_at));
        let old = set.old.as_ref().map(|old| (of(&old.certificate), old.retired_at));
        Cas {
            current,
            next: next.map(|(ca, at)| (ca, at.map(|at| self.minutes(at)))),
            old: old.map(|(ca, at)| (ca, self.minutes(at))),
            rotate: set.rotate,
        }
    }

    fn bundle_of(&mut self, text: &str) -> Bundle {
        let certificates = text.split_inclusive("-----END CERTIFICATE-----\n");
        let numbers: Vec<u8> = certificates
            .map(|pem| {
                let known = self.cas.iter().find(|(_, ca)| ca.certificate().pem().trim() == pem.trim());
                known.unwrap().0.number
            })
            .collect();
        bundle(numbers.into_iter())
    }

    /// The replica with this memory. `stored` is what it is about to read.
    fn replica(&mut self, memory: &Memory, stored: Option<Cas>) -> Replica {
        let signers = [memory.remembered, stored].into_iter().flatten().map(|cas| cas.current);
        let signer = memory.leaf.and_then(|leaf| signers.into_iter().find(|ca| ca.number == leaf.issuer));
        let leaf = memory.leaf.map(|leaf| Leaf {
            issuer: match signer {
                Some(ca) => self.ca(ca).certificate().serial().to_owned(),
                None => format!("{FORMER}{}", leaf.issuer),
            },
            not_after: self.time(leaf.not_after),
            renew_at: self.time(leaf.renew_at),
            ..self.example.clone()
        });
        let settled = memory.settled.map(|(cas, ticks, is_current)| {
            let distance = TICK * u32::from(ticks.unsigned_abs());
            let since = if ticks < 0 { self.instant + distance } else { self.instant - distance };
            (self.ca_set(&cas), if is_current { CURRENT } else { FORMER_REVISION }, since)
        });
        Replica {
            names: vec!["localhost".to_owned()],
            lifetimes: self.lifetimes,
            remembered: memory.remembered.map(|cas| self.ca_set(&cas)),
            settled: Settled { since: settled },
            leaf,
            is_signed: memory.is_signed,
            is_ready: memory.is_ready,
        }
    }

    fn memory_of(&mut self, replica: &Replica) -> Memory {
        let Replica { names: _, lifetimes: _, remembered, settled, leaf, is_signed, is_ready } = replica;
        Memory {
            remembered: remembered.as_ref().map(|set| self.cas_of(set)),
            settled: settled.since.as_ref().map(|(set, revision, since)| {
                let ticks = |time: Duration| i8::try_from(time.as_secs() / TICK.as_secs()).unwrap();
                let past = ticks(self.instant.saturating_duration_since(*since));
                let ahead = ticks(since.saturating_duration_since(self.instant));
                (self.cas_of(set), past - ahead, *revision == CURRENT)
            }),
            leaf: leaf.as_ref().map(|leaf| LeafRef {
                issuer: match leaf.issuer.strip_prefix(FORMER) {
                    Some(number) => number.parse().unwrap(),
                    None => self.names[&leaf.issuer].number,
                },
                not_after: self.minutes(leaf.not_after),
                renew_at: self.minutes(leaf.renew_at),
            }),
            is_signed: *is_signed,
            is_ready: *is_ready,
        }
    }
}
