use super::*;

mod world;

const TERMS: Terms = Terms::DEFAULT;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn held_by(holder: &str, version: u32) -> Record {
    let duration = Some(TERMS.duration);
    Record { holder: Some(holder.into()), version: version.to_string(), transitions: 3, duration }
}

fn leads(election: &Election, now: Duration) -> bool {
    election.acts_until().is_some_and(|until| now < until)
}

#[test]
fn a_lease_that_does_not_exist_is_created() {
    let mut me = Election::new("me".into(), TERMS);
    assert_eq!(me.step(secs(0)), Step::Read);
    me.handle_read(None, secs(0));
    assert_eq!(me.step(secs(0)), Step::Take { transitions: 0 });
    assert!(!leads(&me, secs(0)));
    me.handle_taken(held_by("me", 1), secs(0));
    assert_eq!(me.step(secs(1)), Step::WaitUntil(secs(2)));
    assert_eq!(me.step(secs(2)), Step::Take { transitions: 3 }, "one request renews it");
    assert!(leads(&me, secs(9)));
    assert!(!leads(&me, secs(10)), "without a renewal it stops acting");
}

#[test]
fn the_time_to_act_counts_from_when_the_renewal_was_sent() {
    let mut me = Election::new("me".into(), TERMS);
    me.handle_read(None, secs(0));
    // Answered nine seconds after it was sent.
    me.handle_taken(held_by("me", 1), secs(0));
    assert!(leads(&me, secs(9)) && !leads(&me, secs(10)));
    me.handle_failure(secs(11));
    assert_eq!(me.step(secs(12)), Step::Read, "what became of the write has to be read");
}

#[test]
fn a_lease_of_another_is_taken_once_its_version_has_been_seen_for_the_duration() {
    let mut me = Election::new("me".into(), TERMS);
    me.handle_read(Some(held_by("other", 1)), secs(100));
    assert_eq!(me.step(secs(101)), Step::WaitUntil(secs(102)));
    assert_eq!(me.step(secs(110)), Step::Read);
    me.handle_read(Some(held_by("other", 2)), secs(114));
    assert_eq!(me.step(secs(120)), Step::Read);
    me.handle_read(Some(held_by("other", 2)), secs(120));
    assert_eq!(me.step(secs(129)), Step::Read, "it was renewed");
    me.handle_read(Some(held_by("other", 2)), secs(129));
    assert_eq!(me.step(secs(129)), Step::Take { transitions: 4 });
}

#[test]
fn a_released_lease_is_taken_at_once_and_a_deleted_one_is_not() {
    let mut me = Election::new("me".into(), TERMS);
    me.handle_read(Some(held_by("other", 1)), secs(0));
    me.handle_read(Some(Record { holder: None, ..held_by("other", 2) }), secs(2));
    assert_eq!(me.step(secs(2)), Step::Take { transitions: 4 });
    me.handle_read(None, secs(3));
    assert_eq!(me.step(secs(3)), Step::WaitUntil(secs(5)), "its holder does not know yet");
    me.handle_read(None, secs(18));
    assert_eq!(me.step(secs(18)), Step::Take { transitions: 0 });
}

#[test]
fn a_candidate_that_sees_another_holder_stops_acting() {
    let mut me = Election::new("me".into(), TERMS);
    me.handle_taken(held_by("me", 1), secs(0));
    me.handle_conflict();
    assert_eq!(me.step(secs(2)), Step::Read);
    me.handle_read(Some(held_by("other", 2)), secs(2));
    assert!(!leads(&me, secs(2)));
}

#[test]
fn only_a_version_that_it_knows_is_released() {
    let mut me = Election::new("me".into(), TERMS);
    assert_eq!(me.resign(), None);
    me.handle_taken(held_by("me", 1), secs(0));
    let mut unsure = me.clone();
    assert_eq!(me.resign(), Some(&held_by("me", 1)));
    assert!(!leads(&me, secs(0)));
    unsure.handle_failure(secs(3));
    assert_eq!(unsure.resign(), None, "a write may still be under way");
}
