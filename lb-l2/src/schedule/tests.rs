use super::*;
use crate::pacing::Pacer;
use proptest::prelude::*;

const KEEP_ALIVE: Duration = Duration::from_secs(30);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn v4(last: u32) -> IpAddr {
    IpAddr::V4((0xc000_0200 + last).into())
}

fn v6(last: u128) -> IpAddr {
    IpAddr::V6(((0x2001_0db8 << 96) + last).into())
}

/// Takes everything that is due in each millisecond.
fn run(schedule: &mut Schedule, from: u64, to: u64) -> Vec<(u64, Announcement)> {
    let mut sent = Vec::new();
    for at in from..to {
        while let Some(next) = schedule.poll_announcement(ms(at)) {
            sent.push((at, next));
        }
    }
    sent
}

fn kinds(sent: &[(u64, Announcement)]) -> Vec<(u64, L2FrameKind)> {
    sent.iter().map(|(at, next)| (*at, next.kind)).collect()
}

#[test]
fn an_address_is_announced_at_once_and_repeated_within_a_second() {
    use L2FrameKind::{Announcement, AnnouncementReply};
    let mut schedule = Schedule::new(None);
    schedule.start(v4(1), &[3], ms(0));
    schedule.start(v6(1), &[3], ms(5000));
    let expected = [
        (0, Announcement),
        (0, AnnouncementReply),
        (150, Announcement),
        (400, AnnouncementReply),
        (900, Announcement),
    ];
    assert_eq!(kinds(&run(&mut schedule, 0, 5000)), expected);
    let expected =
        [(5000, Announcement), (5150, Announcement), (5400, AnnouncementReply), (5900, Announcement)];
    assert_eq!(kinds(&run(&mut schedule, 5000, 100_000)), expected);
    assert_eq!(schedule.next_deadline(), None);
}

#[test]
fn each_link_of_an_address_gets_its_own_announcements() {
    let mut schedule = Schedule::new(None);
    schedule.start(v4(1), &[3, 4], ms(0));
    let links = |sent: Vec<(u64, Announcement)>| sent.iter().map(|(_, next)| next.link).collect::<Vec<_>>();
    assert_eq!(links(run(&mut schedule, 0, 100)), [3, 4, 3, 4]);
    // A new link is announced on at once, and a lost one no longer.
    schedule.start(v4(1), &[4, 5], ms(100));
    assert_eq!(links(run(&mut schedule, 100, 101)), [5, 5]);
    assert_eq!(links(run(&mut schedule, 101, 2000)), [4, 5, 4, 5, 4, 5]);
}

#[test]
fn an_address_that_is_given_up_leaves_at_once() {
    let mut schedule = Schedule::new(Some(KEEP_ALIVE));
    schedule.start(v4(1), &[3], ms(0));
    schedule.defend(v4(1), 3, ms(0));
    schedule.stop(v4(1));
    assert!(run(&mut schedule, 0, 100).is_empty());
    assert_eq!(schedule.next_deadline(), None);
    schedule.defend(v4(1), 3, ms(100));
    assert!(run(&mut schedule, 100, 200).is_empty());
}

#[test]
fn first_announcements_come_before_defences_repeats_and_keep_alives() {
    let mut schedule = Schedule::new(Some(ms(1000)));
    schedule.start(v4(1), &[3], ms(0));
    run(&mut schedule, 0, 1000);
    schedule.start(v4(2), &[3], ms(1000));
    run(&mut schedule, 1000, 1001);
    schedule.defend(v4(1), 3, ms(3000));
    schedule.start(v4(3), &[3], ms(3000));
    schedule.start(v4(4), &[3], ms(3000));
    let order: Vec<_> = std::iter::from_fn(|| schedule.poll_announcement(ms(3000))).take(9).collect();
    let addresses: Vec<IpAddr> = order.iter().map(|next| next.address).collect();
    assert_eq!(addresses, [3, 4, 1, 2, 2, 2, 3, 4, 1].map(v4));
    assert_eq!(order.iter().filter(|next| next.is_defence).count(), 1);
}

#[test]
fn keep_alives_come_once_an_interval_and_are_spread() {
    let mut schedule = Schedule::new(Some(KEEP_ALIVE));
    let addresses: Vec<IpAddr> = (0..500).map(v4).chain((0..500).map(v6)).collect();
    for address in &addresses {
        schedule.start(*address, &[3], ms(0));
    }
    run(&mut schedule, 0, 2000);
    run(&mut schedule, 2000, 31_000);
    let sent = run(&mut schedule, 31_000, 61_000);
    assert_eq!(sent.len(), 1000);
    assert_eq!(sent.iter().map(|(_, next)| next.address).collect::<BTreeSet<_>>().len(), 1000);
    for second in 31..61 {
        let within = sent.iter().filter(|(at, _)| at / 1000 == second).count();
        assert!((10..70).contains(&within), "{within} in second {second}");
    }
}

#[test]
fn a_thousand_addresses_are_each_announced_once_within_half_a_second() {
    let mut schedule = Schedule::new(Some(KEEP_ALIVE));
    for k in 0..500 {
        schedule.start(v4(k), &[3], ms(0));
        schedule.start(v6(k.into()), &[3], ms(0));
    }
    let (mut pacer, mut seen) = (Pacer::new(2000), BTreeSet::new());
    for at in (0..=500).step_by(4) {
        while schedule.due(ms(at)).is_some() && pacer.is_open(ms(at)) {
            seen.insert(schedule.poll_announcement(ms(at)).unwrap().address);
            pacer.handle_sent(ms(0), ms(at));
        }
    }
    assert_eq!(seen.len(), 1000);
}

proptest! {
    #[test]
    fn queues_and_places_agree_whatever_happens(
        steps in proptest::collection::vec((0u32..5, 0u32..4, 0u64..400, 0usize..6), 1..100),
        keep_alive in proptest::option::of(1u64..2000),
    ) {
        let mut schedule = Schedule::new(keep_alive.map(ms));
        let (mut now, mut started) = (0, BTreeMap::new());
        for (which, action, step, polls) in steps {
            now += step;
            let links: &[u32] = [&[1][..], &[1, 2], &[2]][which as usize % 3];
            match action {
                0 | 1 => {
                    schedule.start(v4(which), links, ms(now));
                    started.insert(v4(which), links);
                }
                2 => {
                    schedule.stop(v4(which));
                    started.remove(&v4(which));
                }
                _ => schedule.defend(v4(which), 1, ms(now)),
            }
            for _ in 0..polls {
                let Some(next) = schedule.poll_announcement(ms(now)) else { break };
                prop_assert!(started.get(&next.address).is_some_and(|links| links.contains(&next.link)));
                prop_assert!(next.due <= ms(now));
            }
            let places: usize = started.values().map(|links| links.len()).sum();
            prop_assert_eq!(schedule.places.len(), places);
            let queued = schedule.first.len() + schedule.repeats.len() + schedule.keep_alives.len();
            prop_assert!(queued == places || keep_alive.is_none() && queued < places);
        }
    }
}
