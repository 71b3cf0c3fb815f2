use super::*;

const NOW: Moment = Duration::from_secs(1_795_374_000);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LIFETIMES: Lifetimes =
    Lifetimes { ca: Duration::from_secs(90 * 86400), leaf: DAY, propagation: MINUTE };
const DUE: Moment = NOW.saturating_add(Duration::from_secs(60 * 86400));

fn fresh() -> Authority {
    Authority::generate(&LIFETIMES, NOW).unwrap()
}

fn view(stored: &Authority, now: Moment, settled: Option<Duration>) -> View<'_> {
    View { stored: Some(stored), remembered: Some(stored), now, settled }
}

/// What is done, and what stands in the Secret then.
fn act(stored: &Authority, now: Moment, settled: Option<Duration>) -> (Option<Step>, Authority) {
    let view = view(stored, now, settled);
    let step = decide(&view, &LIFETIMES).step;
    (step, step.map_or_else(|| stored.clone(), |step| step.outcome(&view, &LIFETIMES).unwrap()))
}

fn again(stored: &Authority, now: Moment, settled: Option<Duration>) -> Duration {
    let decision = decide(&view(stored, now, settled), &LIFETIMES);
    assert_eq!(decision.step, None);
    decision.again
}

fn with_next() -> Authority {
    fresh().with_next(&LIFETIMES, DUE).unwrap()
}

fn with_next_published() -> Authority {
    with_next().with_next_published(DUE)
}

#[test]
fn an_empty_secret_gets_a_ca() {
    let view = View { stored: None, remembered: None, now: NOW, settled: None };
    assert_eq!(decide(&view, &LIFETIMES).step, Some(Step::Generate));
    let authority = Step::Generate.outcome(&view, &LIFETIMES).unwrap();
    assert_eq!(authority.current.certificate().not_after(), NOW + LIFETIMES.ca);
}

#[test]
fn a_wiped_secret_gets_back_what_stood_there() {
    let known = with_next_published();
    let view = View { stored: None, remembered: Some(&known), now: DUE, settled: Some(DAY) };
    assert_eq!(decide(&view, &LIFETIMES).step, Some(Step::Restore));
    assert_eq!(Step::Restore.outcome(&view, &LIFETIMES).unwrap(), known);
}

#[test]
fn a_wiped_secret_gets_a_new_ca_where_the_known_one_has_expired() {
    let known = fresh();
    let view = View { stored: None, remembered: Some(&known), now: NOW + 91 * DAY, settled: None };
    assert_eq!(decide(&view, &LIFETIMES).step, Some(Step::Generate));
    assert_ne!(Step::Generate.outcome(&view, &LIFETIMES).unwrap().current, known.current);
}

#[test]
fn nothing_happens_before_two_thirds_of_the_cas_life() {
    let authority = fresh();
    assert_eq!(again(&authority, NOW, Some(DAY)), 60 * DAY);
    assert_eq!(again(&authority, DUE - MINUTE, Some(DAY)), MINUTE);
    assert_eq!(act(&authority, DUE, Some(DAY)).0, Some(Step::PrepareNext));
    assert_eq!(act(&authority, DUE, None).0, Some(Step::PrepareNext), "the bundle is for later");
}

#[test]
fn a_rotation_goes_step_by_step_and_always_trusts_what_signs() {
    let first = fresh();
    let (step, prepared) = act(&first, DUE, Some(DAY));
    assert_eq!(step, Some(Step::PrepareNext));
    assert_eq!(prepared.current, first.current, "the next one does not sign yet");

    assert_eq!(again(&prepared, DUE, None), Duration::MAX, "not in every configuration");
    let (step, published) = act(&prepared, DUE, Some(Duration::ZERO));
    assert_eq!(step, Some(Step::MarkPublished));
    assert_eq!(published.next.as_ref().unwrap().published_at, Some(DUE));

    assert_eq!(again(&published, DUE, Some(Duration::ZERO)), MINUTE);
    assert_eq!(again(&published, DUE + HOUR, Some(MINUTE / 2)), MINUTE / 2);
    let (step, promoted) = act(&published, DUE + MINUTE, Some(MINUTE));
    assert_eq!(step, Some(Step::Promote));
    assert_eq!(promoted.current, published.next.clone().unwrap().ca);
    assert_eq!(promoted.bundle(), published.bundle());

    let retired = DUE + MINUTE;
    assert_eq!(again(&promoted, retired, Some(Duration::ZERO)), DAY + MINUTE);
    let (step, done) = act(&promoted, retired + DAY + MINUTE, Some(MINUTE));
    assert_eq!(step, Some(Step::DropOld));
    assert_eq!((done.old.clone(), done.next.clone()), (None, None));
    assert_eq!(act(&done, retired + DAY + MINUTE, Some(Duration::ZERO)).0, None);
}

#[test]
fn a_promotion_waits_while_a_configuration_lacks_a_ca() {
    assert_eq!(again(&with_next_published(), DUE + HOUR, None), Duration::MAX);
}

#[test]
fn a_clock_that_is_an_hour_ahead_shortens_no_wait() {
    let published = with_next_published();
    assert_eq!(again(&published, DUE + HOUR, Some(Duration::ZERO)), MINUTE);
    // It retires what it promotes an hour in the future of everybody else.
    let promoted = act(&published, DUE + HOUR, Some(MINUTE)).1;
    assert_eq!(promoted.old.as_ref().unwrap().retired_at, DUE + HOUR);
    let others = act(&promoted, DUE + DAY + HOUR, Some(DAY));
    assert_eq!(others.0, None);
    // Seen for long enough, it goes, whatever the timestamp says.
    assert_eq!(act(&promoted, DUE, Some(DAY + MINUTE)).0, Some(Step::DropOld));
    // A replica that has only just started takes nobody's word for it.
    let late = DUE + 3 * DAY;
    assert_eq!(again(&promoted, late, Some(Duration::ZERO)), MINUTE);
}

#[test]
fn replicas_whose_clocks_differ_do_not_undo_each_other() {
    let ahead = |now: Moment| now + HOUR;
    let (step, prepared) = act(&fresh(), ahead(DUE - HOUR), Some(DAY));
    assert_eq!(step, Some(Step::PrepareNext), "an hour early");
    // The others, by whose clock nothing is due, go on with what is there.
    let mut authority = prepared;
    for (now, expected) in [
        (DUE - HOUR, Some(Step::MarkPublished)),
        (DUE - HOUR + MINUTE, Some(Step::Promote)),
        (ahead(DUE - HOUR + MINUTE), None),
        (DUE - HOUR + 2 * MINUTE, None),
    ] {
        let (step, next) = act(&authority, now, Some(MINUTE));
        assert_eq!(step, expected);
        authority = next;
    }
    let signs_now = authority.current.certificate();
    assert!(signs_now.not_before() <= DUE - HOUR, "valid for those whose clocks are behind");
}

#[test]
fn an_expired_ca_is_replaced_without_a_wait() {
    let expired = NOW + 91 * DAY;
    let (step, prepared) = act(&fresh(), expired, Some(Duration::ZERO));
    assert_eq!(step, Some(Step::PrepareNext));
    let (step, published) = act(&prepared, expired, Some(Duration::ZERO));
    assert_eq!(step, Some(Step::MarkPublished));
    assert_eq!(act(&published, expired, Some(Duration::ZERO)).0, Some(Step::Promote));
    assert_eq!(act(&published, expired, None).0, None, "a CA that nobody trusts would not help");
}

#[test]
fn a_next_ca_that_has_expired_is_made_anew() {
    let prepared = with_next_published();
    let (step, anew) = act(&prepared, DUE + 91 * DAY, Some(DAY));
    assert_eq!(step, Some(Step::PrepareNext));
    assert_ne!(anew.next, prepared.next);
}

#[test]
fn the_old_ca_goes_when_it_has_expired() {
    let mut promoted = with_next_published().promoted(DUE);
    let lifetimes = Lifetimes { leaf: 365 * DAY, ..LIFETIMES };
    let expiry = promoted.old.as_ref().unwrap().certificate.not_after();
    let decide = |authority: &Authority, now| decide(&view(authority, now, Some(HOUR)), &lifetimes);
    assert_eq!(decide(&promoted, expiry - HOUR), Decision { step: None, again: HOUR });
    assert_eq!(decide(&promoted, expiry).step, Some(Step::DropOld));
    // Which is before the next rotation needs its place.
    promoted.old = None;
    assert_eq!(decide(&promoted, expiry).step, None);
}

#[test]
fn a_rotation_waits_for_the_end_of_the_one_before() {
    let mut promoted = with_next_published().promoted(DUE);
    promoted.rotate = true;
    let (step, prepared) = act(&promoted, DUE + MINUTE, Some(MINUTE));
    assert_eq!(step, Some(Step::PrepareNext));
    let published = prepared.with_next_published(DUE + MINUTE);
    assert_eq!(act(&published, DUE + HOUR, Some(HOUR)).0, None);
    assert!(again(&published, DUE + HOUR, Some(HOUR)) < DAY);
    let (step, alone) = act(&published, DUE + 2 * DAY, Some(HOUR));
    assert_eq!(step, Some(Step::DropOld));
    assert_eq!(act(&alone, DUE + 2 * DAY, Some(MINUTE)).0, Some(Step::Promote));
}

#[test]
fn a_person_can_ask_for_a_rotation_and_it_is_done_once() {
    let mut authority = fresh();
    authority.rotate = true;
    let (step, prepared) = act(&authority, NOW, Some(DAY));
    assert_eq!(step, Some(Step::PrepareNext));
    assert!(!prepared.rotate);
    let promoted = prepared.with_next_published(NOW).promoted(NOW);
    assert_eq!(act(&promoted, NOW, Some(MINUTE)).0, None);
}
