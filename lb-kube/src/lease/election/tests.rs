use super::*;

mod world;

const TIMINGS: LeaseTimings = LeaseTimings::DEFAULT;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn held_by(holder: &str, version: u32) -> LeaseRecord {
    let duration = Some(TIMINGS.lease_duration);
    LeaseRecord { holder: Some(holder.into()), version: version.to_string(), transitions: 3, duration }
}

fn leads(election: &Election, now: Duration) -> bool {
    election.leads_until().is_some_and(|until| now < until)
}

#[test]
fn a_lease_that_does_not_exist_is_created() {
    let mut me = Election::new("me".into(), TIMINGS);
    assert_eq!(me.step(secs(0)), ElectionStep::Read);
    me.handle_read(None, secs(0));
    assert_eq!(me.step(secs(0)), ElectionStep::AcquireOrRenew { transitions: 0 });
    assert!(!leads(&me, secs(0)));
    me.handle_written(held_by("me", 1), secs(0));
    assert_eq!(me.step(secs(1)), ElectionStep::WaitUntil(secs(2)));
    assert_eq!(me.step(secs(2)), ElectionStep::AcquireOrRenew { transitions: 3 }, "one request renews it");
    assert!(leads(&me, secs(9)));
    assert!(!leads(&me, secs(10)), "without a renewal it stops leading");
}

#[test]
fn the_renew_deadline_counts_from_when_the_renewal_was_sent() {
    let mut me = Election::new("me".into(), TIMINGS);
    me.handle_read(None, secs(0));
    // The response arrived nine seconds after the request was sent.
    me.handle_written(held_by("me", 1), secs(0));
    assert!(leads(&me, secs(9)) && !leads(&me, secs(10)));
    me.handle_failure(secs(11));
    assert_eq!(me.step(secs(12)), ElectionStep::Read, "the outcome of the write has to be read");
}

#[test]
fn the_lease_of_another_is_acquired_once_its_version_has_not_changed_for_the_duration() {
    let mut me = Election::new("me".into(), TIMINGS);
    me.handle_read(Some(held_by("other", 1)), secs(100));
    assert_eq!(me.step(secs(101)), ElectionStep::WaitUntil(secs(102)));
    assert_eq!(me.step(secs(110)), ElectionStep::Read);
    me.handle_read(Some(held_by("other", 2)), secs(114));
    assert_eq!(me.step(secs(120)), ElectionStep::Read);
    me.handle_read(Some(held_by("other", 2)), secs(120));
    assert_eq!(me.step(secs(129)), ElectionStep::Read, "it was renewed");
    me.handle_read(Some(held_by("other", 2)), secs(129));
    assert_eq!(me.step(secs(129)), ElectionStep::AcquireOrRenew { transitions: 4 });
}

#[test]
fn a_released_lease_is_acquired_at_once_and_a_deleted_one_is_not() {
    let mut me = Election::new("me".into(), TIMINGS);
    me.handle_read(Some(held_by("other", 1)), secs(0));
    me.handle_read(Some(LeaseRecord { holder: None, ..held_by("other", 2) }), secs(2));
    assert_eq!(me.step(secs(2)), ElectionStep::AcquireOrRenew { transitions: 4 });
    me.handle_read(None, secs(3));
    assert_eq!(me.step(secs(3)), ElectionStep::WaitUntil(secs(5)), "its holder may not know yet");
    me.handle_read(None, secs(18));
    assert_eq!(me.step(secs(18)), ElectionStep::AcquireOrRenew { transitions: 0 });
}

#[test]
fn a_candidate_that_sees_another_holder_stops_leading() {
    let mut me = Election::new("me".into(), TIMINGS);
    me.handle_written(held_by("me", 1), secs(0));
    me.handle_conflict();
    assert_eq!(me.step(secs(2)), ElectionStep::Read);
    me.handle_read(Some(held_by("other", 2)), secs(2));
    assert!(!leads(&me, secs(2)));
}

#[test]
fn only_a_known_version_is_released() {
    let mut me = Election::new("me".into(), TIMINGS);
    assert_eq!(me.step_down(), None);
    me.handle_written(held_by("me", 1), secs(0));
    let mut unsure = me.clone();
    assert_eq!(me.step_down(), Some(&held_by("me", 1)));
    assert!(!leads(&me, secs(0)));
    unsure.handle_failure(secs(3));
    assert_eq!(unsure.step_down(), None, "a write may still be in flight");
}
