//! The world of the model: a Secret, webhook configurations, API servers whose view of them lags, replicas, and what can happen.

use std::fmt;

use super::super::super::ca_bundle::{Found, patch};
use super::abstraction::{Bundle, CHANGED, CURRENT, CaRef, Call, Cas, MINUTES, Memory, NextRef, Product};
use super::search::System;
use serde_json::json;

/// The events that can happen, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Budget {
    /// A replica restarts; a write that it has sent may still arrive.
    pub(super) crashes: u8,
    /// A request fails: before or after the API server has carried it out, or later, when its sender has given up.
    pub(super) failures: u8,
    /// Another client removes `caBundle` from a webhook configuration, or puts back one that trusts only the signing CA.
    pub(super) foreign_bundles: u8,
    /// Another client empties the Secret, or removes the next or the old CA from it.
    pub(super) foreign_secrets: u8,
    /// A user asks for a rotation.
    pub(super) rotations: u8,
    /// The clock of a replica is set.
    pub(super) clock_steps: u8,
}

/// A model: its size, and the assumptions under which a leaf must always be trusted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scenario {
    pub(super) replicas: usize,
    /// The number of webhook configurations, 1 or 2.
    pub(super) configurations: usize,
    /// Whether the Secret is empty at first. Otherwise it has a CA, and every replica serves with it.
    pub(super) starts_empty: bool,
    pub(super) budget: Budget,
    /// The differences that clocks have from those of the API servers, in ticks.
    pub(super) skews: [i8; 2],
    /// Whether a replica may be unable to read the Secret for any time. Otherwise it reads it in every tick.
    pub(super) has_partitions: bool,
    /// Whether a pass may last any time. Otherwise it ends before its second tick, and so do the requests that it has sent.
    pub(super) has_endless_passes: bool,
    /// An API server uses a configuration that has been replaced for less than this many ticks.
    pub(super) lag: u8,
    /// The age in ticks after which a CA does not change any more.
    pub(super) oldest_ca: i16,
    /// The ticks for which a replaced CA stays trusted.
    pub(super) retirement: i8,
}

/// Displays as text for reports: `2 replicas, a rotation, a crash`.
impl std::fmt::Display for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Budget { crashes, failures, foreign_bundles, foreign_secrets, rotations, clock_steps } =
            self.budget;
        write!(f, "{} replica{}", self.replicas, if self.replicas == 1 { "" } else { "s" })?;
        let limited = [
            (rotations, "a rotation"),
            (crashes, "a crash"),
            (failures, "a failed request"),
            (foreign_bundles, "a foreign bundle"),
            (foreign_secrets, "a foreign change of the Secret"),
            (clock_steps, "a clock that is set"),
        ];
        let allowed = [
            (self.starts_empty, "an empty Secret"),
            (self.has_partitions, "partitions"),
            (self.has_endless_passes, "endless passes"),
        ];
        let all = limited.into_iter().map(|(count, what)| (count > 0, what)).chain(allowed);
        all.filter(|(is_there, _)| *is_there).try_for_each(|(_, what)| write!(f, ", {what}"))
    }
}

/// The state of one webhook configuration in a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Part {
    Unread,
    /// It was read and must be patched; false if it has changed since.
    Patch(bool),
    /// It was read and has the bundle; false if it has changed since.
    Complete(bool),
    Mended,
    Conflict,
}

/// The present action of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Phase {
    Idle,
    /// Whether the Secret is as it was read, the bundle, and each configuration.
    Publish(bool, Bundle, [Part; 2]),
    /// Whether the Secret is as it was read, and what to write.
    Write(bool, Cas),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Member {
    memory: Memory,
    phase: Phase,
    skew: i8,
    /// The ticks since the pass began, and since the Secret was read.
    pass_age: u8,
    read_age: u8,
}

/// A write whose sender has given up. The flag is false if what it writes onto has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Detached {
    Secret(bool, Cas),
    Bundle(usize, bool, Bundle),
}

/// The state of everything.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    secret: Option<Cas>,
    configurations: Vec<Bundle>,
    /// The bundle that API servers may still use, and the ticks since it was replaced.
    views: Vec<(Bundle, u8)>,
    members: Vec<Member>,
    detached: Vec<(Detached, u8)>,
    budget: Budget,
    /// Whether another client has made certificates untrusted, and this is not repaired yet.
    is_excused: bool,
}

/// A step: a replica by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Tick,
    Read(usize),
    ReadFails(usize),
    GetConfiguration(usize, usize),
    PatchConfiguration(usize, usize),
    WriteSecret(usize),
    RequestLost(usize),
    AnswerLost(usize),
    SenderGivesUp(usize),
    DetachedArrives(usize),
    DetachedIsLost(usize),
    Crash(usize),
    SetClock(usize, i8),
    RequestRotation,
    RemoveBundle(usize),
    RestoreBundle(usize),
    EmptySecret,
    RemoveNext,
    RemoveOld,
}

impl World {
    fn secret_changed(&mut self, secret: Option<Cas>) {
        self.secret = secret;
        for member in &mut self.members {
            if let Phase::Publish(fresh, ..) | Phase::Write(fresh, _) = &mut member.phase {
                *fresh = false;
            }
        }
        for (detached, _) in &mut self.detached {
            if let Detached::Secret(fresh, _) = detached {
                *fresh = false;
            }
        }
    }

    fn configuration_changed(&mut self, index: usize, bundle: Bundle) {
        let before = std::mem::replace(&mut self.configurations[index], bundle);
        if before != bundle {
            self.views.retain(|(view, _)| *view != before);
            self.views.push((before, 0));
        }
        for member in &mut self.members {
            if let Phase::Publish(_, _, parts) = &mut member.phase
                && let Part::Patch(fresh) | Part::Complete(fresh) = &mut parts[index]
            {
                *fresh = false;
            }
            if let Some((_, _, is_current)) = &mut member.memory.settled {
                *is_current = false;
            }
        }
        for (detached, _) in &mut self.detached {
            if let Detached::Bundle(of, fresh, _) = detached
                && *of == index
            {
                *fresh = false;
            }
        }
    }

    /// Carries out a write, if what it writes onto is unchanged or the write does not say what that is.
    fn carry_out(&mut self, write: Detached, is_conditional: bool) -> bool {
        let (Detached::Secret(fresh, _) | Detached::Bundle(_, fresh, _)) = write;
        let succeeds = fresh || (!is_conditional && matches!(write, Detached::Secret(..)));
        match write {
            Detached::Secret(_, cas) if succeeds => self.secret_changed(Some(cas)),
            Detached::Bundle(index, _, bundle) if succeeds => self.configuration_changed(index, bundle),
            Detached::Secret(..) | Detached::Bundle(..) => {}
        }
        succeeds
    }

    /// The bundles that an API server may use.
    fn views(&self) -> impl Iterator<Item = Bundle> {
        self.configurations.iter().copied().chain(self.views.iter().map(|(view, _)| *view))
    }

    fn untrusted(&self) -> Option<String> {
        self.members.iter().filter(|member| member.memory.is_ready).find_map(|member| {
            let leaf = member.memory.leaf?;
            let view = self.views().find(|view| !view.contains(&leaf.issuer));
            match view {
                Some(view) => {
                    Some(format!("a leaf of CA{} is served, and an API server trusts {view:?}", leaf.issuer))
                }
                None if leaf.not_after <= 0 => {
                    Some(format!("an expired leaf of CA{} is served", leaf.issuer))
                }
                None => None,
            }
        })
    }

    /// Ends the excuse once everything is repaired.
    fn settle(&mut self) {
        let is_published =
            self.secret.is_some_and(|cas| self.configurations.iter().all(|held| *held == cas.bundle()));
        if is_published && self.views.is_empty() && self.untrusted().is_none() {
            self.is_excused = false;
        }
    }

    fn ages(&mut self, scenario: &Scenario) {
        let Scenario { lag, oldest_ca, retirement, .. } = *scenario;
        let less = |time: &mut i16, least: i16| *time = time.saturating_sub(MINUTES).max(least);
        for cas in self.all_cas() {
            for ca in [
                Some(&mut cas.current),
                cas.next.as_mut().map(|(ca, _)| ca),
                cas.old.as_mut().map(|(ca, _)| ca),
            ]
            .into_iter()
            .flatten()
            {
                less(&mut ca.born, -oldest_ca * MINUTES);
            }
            cas.next.iter_mut().filter_map(|(_, at)| at.as_mut()).for_each(|at| less(at, OLDEST_PUBLICATION));
            cas.old.iter_mut().for_each(|(_, at)| less(at, -MINUTES * (i16::from(retirement) + 1)));
        }
        for member in &mut self.members {
            member.read_age = (member.read_age + 1).min(2);
            member.pass_age = if member.phase == Phase::Idle { 0 } else { (member.pass_age + 1).min(2) };
            if let Some((_, ticks, _)) = &mut member.memory.settled {
                *ticks = (*ticks + 1).min(retirement);
            }
            if let Some(leaf) = &mut member.memory.leaf {
                less(&mut leaf.not_after, 0);
                less(&mut leaf.renew_at, -MINUTES);
            }
        }
        self.views.iter_mut().for_each(|(_, age)| *age += 1);
        self.views.retain(|(_, age)| *age < lag);
        self.detached.iter_mut().for_each(|(_, age)| *age = (*age + 1).min(2));
    }

    fn all_cas(&mut self) -> impl Iterator<Item = &mut Cas> {
        let members = self.members.iter_mut().flat_map(|member| {
            let Member { memory, phase, .. } = member;
            let written = if let Phase::Write(_, cas) = phase { Some(cas) } else { None };
            let settled = memory.settled.as_mut().map(|(cas, ..)| cas);
            [memory.remembered.as_mut(), settled, written].into_iter().flatten()
        });
        let detached = self.detached.iter_mut().filter_map(|(write, _)| match write {
            Detached::Secret(_, cas) => Some(cas),
            Detached::Bundle(..) => None,
        });
        self.secret.iter_mut().chain(members).chain(detached)
    }

    /// Gives the CAs the smallest numbers in the order of their generation, and orders what has no order.
    fn normalize(&mut self) {
        let mut numbers = [false; 256];
        self.renumber(&mut |number| {
            numbers[usize::from(*number)] = true;
        });
        numbers[0] = false;
        let mut next = 0;
        let names: Vec<u8> = numbers
            .iter()
            .map(|used| {
                next += u8::from(*used);
                if *used { next } else { 0 }
            })
            .collect();
        self.renumber(&mut |number| *number = names[usize::from(*number)]);
        self.views.sort_unstable();
        self.members.sort_unstable();
        self.detached.sort_unstable();
    }

    fn renumber(&mut self, each: &mut impl FnMut(&mut u8)) {
        for cas in self.all_cas() {
            each(&mut cas.current.number);
            cas.next.iter_mut().for_each(|(ca, _)| each(&mut ca.number));
            cas.old.iter_mut().for_each(|(ca, _)| each(&mut ca.number));
        }
        self.configurations.iter_mut().flatten().for_each(&mut *each);
        self.views.iter_mut().flat_map(|(view, _)| view).for_each(&mut *each);
        for member in &mut self.members {
            member.memory.leaf.iter_mut().for_each(|leaf| each(&mut leaf.issuer));
            if let Phase::Publish(_, bundle, _) = &mut member.phase {
                bundle.iter_mut().for_each(&mut *each);
            }
        }
        for (write, _) in &mut self.detached {
            if let Detached::Bundle(_, _, bundle) = write {
                bundle.iter_mut().for_each(&mut *each);
            }
        }
    }
}

/// When a next CA was published makes no difference to what is decided.
const OLDEST_PUBLICATION: i16 = -MINUTES;

/// The system that is searched.
pub(super) struct Rotation<'p> {
    pub(super) scenario: Scenario,
    pub(super) product: Product<'p>,
    /// Whether writes of the Secret name the version that was read, as the product's do.
    pub(super) is_conditional: bool,
}

impl Rotation<'_> {
    /// The next phase of a member after a call of its code.
    fn call(&mut self, world: &mut World, index: usize, call: Call, fresh: bool) {
        let member = &mut world.members[index];
        let (memory, next) = self.product.call(member.memory, member.skew, call);
        member.memory = memory;
        member.phase = match next {
            NextRef::Publish(bundle) => {
                let unread = [
                    Part::Unread,
                    if self.scenario.configurations == 2 { Part::Unread } else { Part::Complete(true) },
                ];
                Phase::Publish(fresh, bundle, unread)
            }
            NextRef::Write(cas) => Phase::Write(fresh, cas),
            NextRef::Pause => Phase::Idle,
        };
        if member.phase == Phase::Idle {
            self.end(world, index);
        }
    }

    fn end(&mut self, world: &mut World, index: usize) {
        let member = &mut world.members[index];
        (member.memory, _) = self.product.call(member.memory, member.skew, Call::Sign);
        (member.phase, member.pass_age) = (Phase::Idle, 0);
    }

    /// Continues the pass of a member once all configurations were compared.
    fn compared(&mut self, world: &mut World, index: usize) {
        let Phase::Publish(fresh, _, parts) = world.members[index].phase else { return };
        let is_current = parts.iter().all(|part| *part == Part::Complete(true));
        let revision = if is_current { CURRENT } else { CHANGED };
        let found = parts.map(|part| match part {
            Part::Complete(_) => Some(Found::Complete(revision)),
            Part::Mended => Some(Found::Mended(1)),
            Part::Conflict => Some(Found::Conflict),
            Part::Unread | Part::Patch(_) => None,
        });
        if let [Some(one), Some(other)] = found {
            // The revisions of both are one number, and here it is one already.
            let found = if let (Found::Complete(_), Found::Complete(_)) = (one, other) {
                one
            } else {
                one.and(other)
            };
            self.call(world, index, Call::Compared(Some(found)), fresh);
        }
    }

    /// The request that a member has sent, if it is a write.
    fn sent(member: &Member, configuration: usize) -> Option<Detached> {
        match member.phase {
            Phase::Write(fresh, cas) => Some(Detached::Secret(fresh, cas)),
            Phase::Publish(_, bundle, parts) => match parts[configuration] {
                Part::Patch(fresh) => Some(Detached::Bundle(configuration, fresh, bundle)),
                _ => None,
            },
            Phase::Idle => None,
        }
    }

    /// The error of a request ends the pass.
    fn fail(&mut self, world: &mut World, index: usize) {
        if let Phase::Publish(..) = world.members[index].phase {
            self.call(world, index, Call::Compared(None), false);
        }
        self.end(world, index);
    }

    fn member_steps(&mut self, world: &World, index: usize, steps: &mut Vec<(Act, World)>) {
        let member = world.members[index];
        let is_spare = world.budget.failures > 0;
        let mut step = |act, change: &mut dyn FnMut(&mut World)| {
            let mut next = world.clone();
            change(&mut next);
            steps.push((act, next));
        };
        match member.phase {
            Phase::Idle => {
                step(Act::Read(index), &mut |next| {
                    next.members[index].read_age = 0;
                    next.members[index].pass_age = 0;
                    self.call(next, index, Call::Read(next.secret), true);
                });
                if is_spare {
                    step(Act::ReadFails(index), &mut |next| {
                        next.budget.failures -= 1;
                        self.call(next, index, Call::ReadFailed, false);
                    });
                }
            }
            Phase::Publish(_, bundle, parts) => {
                for (at, part) in parts.into_iter().enumerate() {
                    match part {
                        Part::Unread => step(Act::GetConfiguration(index, at), &mut |next| {
                            let is_complete = is_complete(next.configurations[at], bundle);
                            let part = if is_complete { Part::Complete(true) } else { Part::Patch(true) };
                            set_part(next, index, at, part);
                            self.compared(next, index);
                        }),
                        Part::Patch(_) => step(Act::PatchConfiguration(index, at), &mut |next| {
                            let sent = Self::sent(&next.members[index], at).unwrap();
                            let is_written = next.carry_out(sent, true);
                            set_part(next, index, at, if is_written { Part::Mended } else { Part::Conflict });
                            self.compared(next, index);
                        }),
                        Part::Complete(_) | Part::Mended | Part::Conflict => {}
                    }
                }
            }
            Phase::Write(..) => step(Act::WriteSecret(index), &mut |next| {
                let sent = Self::sent(&next.members[index], 0).unwrap();
                next.carry_out(sent, self.is_conditional);
                self.end(next, index);
            }),
        }
        if is_spare && member.phase != Phase::Idle {
            step(Act::RequestLost(index), &mut |next| {
                next.budget.failures -= 1;
                self.fail(next, index);
            });
            for configuration in 0..self.scenario.configurations {
                let Some(sent) = Self::sent(&member, configuration) else { continue };
                step(Act::AnswerLost(index), &mut |next| {
                    next.budget.failures -= 1;
                    next.carry_out(sent, self.is_conditional);
                    self.fail(next, index);
                });
                // The pass timed out: nothing is reported to the code.
                step(Act::SenderGivesUp(index), &mut |next| {
                    next.budget.failures -= 1;
                    next.detached.push((sent, member.pass_age));
                    self.end(next, index);
                });
                if matches!(member.phase, Phase::Write(..)) {
                    break;
                }
            }
        }
        if world.budget.crashes > 0 {
            step(Act::Crash(index), &mut |next| {
                next.budget.crashes -= 1;
                let member = &mut next.members[index];
                (member.memory, member.phase, member.pass_age) = (Memory::default(), Phase::Idle, 0);
            });
        }
        if world.budget.clock_steps > 0 {
            for skew in self.scenario.skews.into_iter().filter(|skew| *skew != member.skew) {
                step(Act::SetClock(index, skew), &mut |next| {
                    next.budget.clock_steps -= 1;
                    next.members[index].skew = skew;
                });
            }
        }
    }

    fn foreign_steps(&self, world: &World, steps: &mut Vec<(Act, World)>) {
        if world.budget.foreign_bundles > 0 {
            let restored = world.secret.map(|cas| [cas.current.number, 0, 0]);
            for at in 0..self.scenario.configurations {
                for (act, bundle) in
                    [(Act::RemoveBundle(at), Some(Bundle::default())), (Act::RestoreBundle(at), restored)]
                {
                    let Some(bundle) = bundle.filter(|bundle| *bundle != world.configurations[at]) else {
                        continue;
                    };
                    let mut next = world.clone();
                    next.budget.foreign_bundles -= 1;
                    next.is_excused = true;
                    next.configuration_changed(at, bundle);
                    steps.push((act, next));
                }
            }
        }
        let Some(cas) = world.secret else { return };
        if world.budget.rotations > 0 && !cas.rotate {
            let mut next = world.clone();
            next.budget.rotations -= 1;
            next.secret_changed(Some(Cas { rotate: true, ..cas }));
            steps.push((Act::RequestRotation, next));
        }
        if world.budget.foreign_secrets > 0 {
            let changes = [
                (Act::EmptySecret, true, None),
                (Act::RemoveNext, cas.next.is_some(), Some(Cas { next: None, ..cas })),
                (Act::RemoveOld, cas.old.is_some(), Some(Cas { old: None, ..cas })),
            ];
            for (act, is_possible, secret) in changes {
                if is_possible {
                    let mut next = world.clone();
                    next.budget.foreign_secrets -= 1;
                    next.is_excused = true;
                    next.secret_changed(secret);
                    steps.push((act, next));
                }
            }
        }
    }
}

fn set_part(world: &mut World, index: usize, at: usize, part: Part) {
    if let Phase::Publish(_, _, parts) = &mut world.members[index].phase {
        parts[at] = part;
    }
}

/// Whether the product finds the bundle in a configuration; otherwise its patch sets it.
fn is_complete(held: Bundle, wanted: Bundle) -> bool {
    let text = |bundle: Bundle| format!("{bundle:?}");
    let mut configuration = json!({
        "metadata": {"resourceVersion": "7"},
        "webhooks": [{"clientConfig": {"caBundle": text(held)}}],
    });
    let Some((_, patch)) = patch(&configuration, "7", &text(wanted)) else { return true };
    json_patch::patch(&mut configuration, &patch).unwrap();
    assert_eq!(configuration["webhooks"][0]["clientConfig"]["caBundle"], text(wanted));
    false
}

impl System for Rotation<'_> {
    type State = World;
    type Act = Act;

    fn initial(&self) -> Vec<World> {
        let Scenario { replicas, configurations, starts_empty, budget, skews, .. } = self.scenario;
        let first = CaRef { number: 1, born: 0 };
        let cas = Cas { current: first, next: None, old: None, rotate: false };
        let held = if starts_empty { Bundle::default() } else { cas.bundle() };
        let worlds = (0..=replicas).map(|ahead| {
            let members = (0..replicas).map(|index| Member {
                memory: Memory::default(),
                phase: Phase::Idle,
                skew: skews[usize::from(index < ahead)],
                pass_age: 0,
                read_age: 0,
            });
            let mut world = World {
                secret: (!starts_empty).then_some(cas),
                configurations: vec![held; configurations],
                views: Vec::new(),
                members: members.collect(),
                detached: Vec::new(),
                budget,
                is_excused: starts_empty,
            };
            world.normalize();
            world
        });
        worlds.collect()
    }

    fn steps(&mut self, world: &World) -> Vec<(Act, World)> {
        let mut steps = Vec::new();
        for index in 0..world.members.len() {
            // Equal replicas have equal steps.
            if index == 0 || world.members[index] != world.members[index - 1] {
                self.member_steps(world, index, &mut steps);
            }
        }
        for (index, (write, _)) in world.detached.iter().enumerate() {
            for (act, arrives) in [(Act::DetachedArrives(index), true), (Act::DetachedIsLost(index), false)] {
                let mut next = world.clone();
                next.detached.remove(index);
                if arrives {
                    next.carry_out(*write, self.is_conditional);
                }
                steps.push((act, next));
            }
        }
        self.foreign_steps(world, &mut steps);
        let Scenario { has_partitions, has_endless_passes, .. } = self.scenario;
        let may_wait = world.members.iter().all(|member| {
            (has_partitions || member.read_age == 0)
                && (has_endless_passes || member.phase == Phase::Idle || member.pass_age == 0)
        });
        if may_wait && (has_endless_passes || world.detached.iter().all(|(_, age)| *age == 0)) {
            let mut next = world.clone();
            next.ages(&self.scenario);
            // A renewal waits for no API server.
            for member in &mut next.members {
                (member.memory, _) = self.product.call(member.memory, member.skew, Call::Sign);
            }
            steps.push((Act::Tick, next));
        }
        for (_, next) in &mut steps {
            next.settle();
            next.normalize();
        }
        steps
    }

    fn violation(&self, world: &World) -> Option<String> {
        world.untrusted().filter(|_| !world.is_excused)
    }

    fn is_end(&self, world: &World) -> bool {
        world.secret.is_some_and(|cas| {
            let is_one = cas.next.is_none() && cas.old.is_none() && !cas.rotate;
            let serves = |member: &Member| {
                let leaf = member.memory.leaf;
                member.phase == Phase::Idle
                    && member.memory.is_ready
                    && leaf.is_some_and(|leaf| leaf.issuer == cas.current.number)
            };
            is_one
                && !world.is_excused
                && world.configurations.iter().all(|held| *held == cas.bundle())
                && world.members.iter().all(serves)
        })
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, phase, skew, .. } = self;
        let leaf =
            memory.leaf.map_or_else(|| "no leaf".to_owned(), |leaf| format!("leaf of CA{}", leaf.issuer));
        let ready = if memory.is_ready { "" } else { ", not ready" };
        let settled = memory.settled.map(|(_, ticks, _)| ticks);
        write!(f, "({leaf}{ready}, clock {skew:+}, settled {settled:?}, {phase:?})")
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { secret, configurations, views, members, detached, .. } = self;
        write!(f, "Secret {secret:?}, caBundle {configurations:?}, before {views:?}, {members:?}")?;
        if detached.is_empty() { Ok(()) } else { write!(f, ", on the way {detached:?}") }
    }
}
