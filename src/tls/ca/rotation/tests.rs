use super::super::time::earlier;
use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LIFETIMES: Lifetimes =
    Lifetimes { ca: Duration::from_secs(90 * 86400), leaf: DAY, propagation: MINUTE };

fn now() -> Timestamp {
    "2026-11-22T19:00:00Z".parse().unwrap()
}

/// Returns the time at which the CA of [`fresh`] is due for rotation.
fn due() -> Timestamp {
    later(now(), DAY.saturating_mul(60))
}

fn fresh() -> CaSet {
    CaSet::generate(&LIFETIMES, now()).unwrap()
}

fn observation(stored: &CaSet, now: Timestamp, settled: Option<Duration>) -> Observation<'_> {
    Observation { stored: Some(stored), remembered: Some(stored), now, settled }
}

/// Returns the next step, and the CAs in the Secret after it.
fn act(stored: &CaSet, now: Timestamp, settled: Option<Duration>) -> (Option<Step>, CaSet) {
    let observation = observation(stored, now, settled);
    let step = decide(&observation, &LIFETIMES).step;
    (step, step.map_or_else(|| stored.clone(), |step| step.apply(&observation, &LIFETIMES).unwrap()))
}

fn wait(stored: &CaSet, now: Timestamp, settled: Option<Duration>) -> Duration {
    let decision = decide(&observation(stored, now, settled), &LIFETIMES);
    assert_eq!(decision.step, None);
    decision.wait
}

fn with_next() -> CaSet {
    fresh().with_next(&LIFETIMES, due()).unwrap()
}

fn with_next_published() -> CaSet {
    with_next().with_next_published(due())
}

#[test]
fn an_empty_secret_gets_a_ca() {
    let observation = Observation { stored: None, remembered: None, now: now(), settled: None };
    assert_eq!(decide(&observation, &LIFETIMES).step, Some(Step::Generate));
    let cas = Step::Generate.apply(&observation, &LIFETIMES).unwrap();
    assert_eq!(cas.current.certificate().not_after(), later(now(), LIFETIMES.ca));
}

#[test]
fn an_emptied_secret_is_restored() {
    let known = with_next_published();
    let observation = Observation { stored: None, remembered: Some(&known), now: due(), settled: Some(DAY) };
    assert_eq!(decide(&observation, &LIFETIMES).step, Some(Step::Restore));
    assert_eq!(Step::Restore.apply(&observation, &LIFETIMES).unwrap(), known);
}

#[test]
fn an_emptied_secret_gets_a_new_ca_if_the_remembered_one_has_expired() {
    let known = fresh();
    let observation =
        Observation { stored: None, remembered: Some(&known), now: later(now(), 91 * DAY), settled: None };
    assert_eq!(decide(&observation, &LIFETIMES).step, Some(Step::Generate));
    assert_ne!(Step::Generate.apply(&observation, &LIFETIMES).unwrap().current, known.current);
}

#[test]
fn a_rotation_starts_after_two_thirds_of_the_cas_life() {
    let cas = fresh();
    assert_eq!(wait(&cas, now(), Some(DAY)), 60 * DAY);
    assert_eq!(wait(&cas, earlier(due(), MINUTE), Some(DAY)), MINUTE);
    assert_eq!(act(&cas, due(), Some(DAY)).0, Some(Step::PrepareNext));
    assert_eq!(
        act(&cas, due(), None).0,
        Some(Step::PrepareNext),
        "the next CA does not depend on the configurations"
    );
}

#[test]
fn every_step_of_a_rotation_trusts_the_ca_that_signs() {
    let first = fresh();
    let (step, prepared) = act(&first, due(), Some(DAY));
    assert_eq!(step, Some(Step::PrepareNext));
    assert_eq!(prepared.current, first.current, "the next one does not sign yet");

    assert_eq!(wait(&prepared, due(), None), Duration::MAX, "a configuration lacks the next CA");
    let (step, published) = act(&prepared, due(), Some(Duration::ZERO));
    assert_eq!(step, Some(Step::MarkPublished));
    assert_eq!(published.next.as_ref().unwrap().published_at, Some(due()));

    assert_eq!(wait(&published, due(), Some(Duration::ZERO)), MINUTE);
    assert_eq!(wait(&published, later(due(), HOUR), Some(MINUTE / 2)), MINUTE / 2);
    let (step, promoted) = act(&published, later(due(), MINUTE), Some(MINUTE));
    assert_eq!(step, Some(Step::Promote));
    assert_eq!(promoted.current, published.next.clone().unwrap().ca);
    assert_eq!(promoted.bundle(), published.bundle());

    let retired = later(due(), MINUTE);
    assert_eq!(wait(&promoted, retired, Some(Duration::ZERO)), DAY + MINUTE);
    let (step, done) = act(&promoted, later(retired, DAY + MINUTE), Some(MINUTE));
    assert_eq!(step, Some(Step::DropOld));
    assert_eq!((done.old.clone(), done.next.clone()), (None, None));
    assert_eq!(act(&done, later(retired, DAY + MINUTE), Some(Duration::ZERO)).0, None);
}

#[test]
fn promotion_waits_while_a_configuration_lacks_a_ca() {
    assert_eq!(wait(&with_next_published(), later(due(), HOUR), None), Duration::MAX);
}

#[test]
fn a_clock_an_hour_ahead_shortens_no_wait() {
    let published = with_next_published();
    assert_eq!(wait(&published, later(due(), HOUR), Some(Duration::ZERO)), MINUTE);
    // Its record of the old CA's retirement is an hour ahead.
    let promoted = act(&published, later(due(), HOUR), Some(MINUTE)).1;
    assert_eq!(promoted.old.as_ref().unwrap().retired_at, later(due(), HOUR));
    let others = act(&promoted, later(due(), DAY + HOUR), Some(DAY));
    assert_eq!(others.0, None);
    // A replica that has observed enough time drops the old CA, whatever the timestamp.
    assert_eq!(act(&promoted, due(), Some(DAY + MINUTE)).0, Some(Step::DropOld));
    // A replica that has just started waits, even if the timestamp is long ago.
    let late = later(due(), 3 * DAY);
    assert_eq!(wait(&promoted, late, Some(Duration::ZERO)), MINUTE);
}

#[test]
fn replicas_with_different_clocks_do_not_revert_each_other() {
    let ahead = |now: Timestamp| later(now, HOUR);
    let (step, prepared) = act(&fresh(), ahead(earlier(due(), HOUR)), Some(DAY));
    assert_eq!(step, Some(Step::PrepareNext), "an hour early");
    // The other replicas, by whose clocks no step is due, continue the rotation.
    let mut cas = prepared;
    for (now, expected) in [
        (earlier(due(), HOUR), Some(Step::MarkPublished)),
        (earlier(due(), HOUR - MINUTE), Some(Step::Promote)),
        (ahead(earlier(due(), HOUR - MINUTE)), None),
        (earlier(due(), HOUR - 2 * MINUTE), None),
    ] {
        let (step, next) = act(&cas, now, Some(MINUTE));
        assert_eq!(step, expected);
        cas = next;
    }
    let signs_now = cas.current.certificate();
    assert!(signs_now.not_before() <= earlier(due(), HOUR), "valid for replicas whose clocks are behind");
}

#[test]
fn an_expired_ca_is_replaced_without_waiting() {
    let expired = later(now(), 91 * DAY);
    let (step, prepared) = act(&fresh(), expired, Some(Duration::ZERO));
    assert_eq!(step, Some(Step::PrepareNext));
    let (step, published) = act(&prepared, expired, Some(Duration::ZERO));
    assert_eq!(step, Some(Step::MarkPublished));
    assert_eq!(act(&published, expired, Some(Duration::ZERO)).0, Some(Step::Promote));
    assert_eq!(act(&published, expired, None).0, None, "a CA that nobody trusts would not help");
}

#[test]
fn an_expired_next_ca_is_replaced() {
    let prepared = with_next_published();
    let (step, anew) = act(&prepared, later(due(), 91 * DAY), Some(DAY));
    assert_eq!(step, Some(Step::PrepareNext));
    assert_ne!(anew.next, prepared.next);
}

#[test]
fn the_old_ca_is_dropped_when_it_has_expired() {
    let mut promoted = with_next_published().promoted(due());
    let lifetimes = Lifetimes { leaf: 365 * DAY, ..LIFETIMES };
    let expiry = promoted.old.as_ref().unwrap().certificate.not_after();
    let decide = |cas: &CaSet, now| decide(&observation(cas, now, Some(HOUR)), &lifetimes);
    assert_eq!(decide(&promoted, earlier(expiry, HOUR)), Decision { step: None, wait: HOUR });
    assert_eq!(decide(&promoted, expiry).step, Some(Step::DropOld));
    // The next rotation requires that there is no old CA, and waits for that.
    promoted.old = None;
    assert_eq!(decide(&promoted, expiry).step, None);
}

#[test]
fn a_rotation_waits_until_the_previous_one_is_complete() {
    let mut promoted = with_next_published().promoted(due());
    promoted.rotate = true;
    let (step, prepared) = act(&promoted, later(due(), MINUTE), Some(MINUTE));
    assert_eq!(step, Some(Step::PrepareNext));
    let published = prepared.with_next_published(later(due(), MINUTE));
    assert_eq!(act(&published, later(due(), HOUR), Some(HOUR)).0, None);
    assert!(wait(&published, later(due(), HOUR), Some(HOUR)) < DAY);
    let (step, alone) = act(&published, later(due(), 2 * DAY), Some(HOUR));
    assert_eq!(step, Some(Step::DropOld));
    assert_eq!(act(&alone, later(due(), 2 * DAY), Some(MINUTE)).0, Some(Step::Promote));
}

#[test]
fn a_requested_rotation_is_performed_once() {
    let mut cas = fresh();
    cas.rotate = true;
    let (step, prepared) = act(&cas, now(), Some(DAY));
    assert_eq!(step, Some(Step::PrepareNext));
    assert!(!prepared.rotate);
    let promoted = prepared.with_next_published(now()).promoted(now());
    assert_eq!(act(&promoted, now(), Some(MINUTE)).0, None);
}
