use std::net::IpAddr;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn table(connections: usize, bytes: usize) -> Table {
    Table::new(
        "a test",
        Limits { connections, head: SECOND, request: SECOND * 2, idle: SECOND * 3, body: 100, bytes },
    )
}

fn origin(last: u8) -> Origin {
    IpAddr::from([192, 0, 2, last]).into()
}

fn is_closed(closed: &mut Closed) -> bool {
    closed.try_recv() == Err(oneshot::error::TryRecvError::Closed)
}

#[test]
fn a_full_server_closes_the_connection_that_has_waited_longest() {
    let (table, start) = (table(2, 0), Instant::now());
    let (first, mut first_closed) = table.admit(origin(1), start).unwrap();
    let (_second, mut second_closed) = table.admit(origin(1), start + SECOND).unwrap();
    // It has just been answered, so the other one has waited longer.
    table.wait(first, SECOND, start + SECOND * 2);
    table.admit(origin(1), start + SECOND * 3).unwrap();
    assert!(!is_closed(&mut first_closed) && is_closed(&mut second_closed));
    assert_eq!(table.usage(), (2, 0));
}

#[test]
fn a_client_with_many_connections_loses_them_before_others_lose_theirs() {
    let (table, start) = (table(8, 0), Instant::now());
    let (_, mut of_few) = table.admit(origin(1), start).unwrap();
    for after in 1..1000 {
        table.admit(origin(2), start + SECOND * after).unwrap();
    }
    assert!(!is_closed(&mut of_few), "the oldest of all stays, since it is its client's only one");
    let (_, mut of_few) = table.admit(origin(3), start).unwrap();
    for after in 1..1000 {
        table.admit(origin(2), start + SECOND * after).unwrap();
    }
    assert!(!is_closed(&mut of_few));
}

#[test]
fn a_connection_that_is_worked_for_stays_and_a_newcomer_is_refused_if_all_are() {
    let (table, start) = (table(2, 0), Instant::now());
    let all: Vec<_> = (0..2).map(|_| table.admit(origin(1), start).unwrap()).collect();
    for (number, _) in &all {
        table.work(*number, SECOND, start);
    }
    assert!(table.admit(origin(2), start).is_none());
    table.remove(all[0].0);
    assert!(table.admit(origin(2), start).is_some());
}

#[test]
fn every_step_has_its_time() {
    let (table, start) = (table(2, 0), Instant::now());
    let (number, _closed) = table.admit(origin(1), start).unwrap();
    assert_eq!(table.until(number), Some(start + SECOND), "the head");
    table.work(number, table.limits.request, start + SECOND);
    assert_eq!(table.until(number), Some(start + SECOND * 3));
    table.wait(number, table.limits.idle, start + SECOND * 2);
    assert_eq!(table.until(number), Some(start + SECOND * 5));
    table.remove(number);
    assert_eq!(table.until(number), None);
}

#[test]
fn what_all_hold_together_is_bounded_and_the_heaviest_that_waits_goes_first() {
    let (table, start) = (table(10, 100), Instant::now());
    let (heavy, mut heavy_closed) = table.admit(origin(1), start).unwrap();
    let (light, mut light_closed) = table.admit(origin(2), start).unwrap();
    assert!(table.hold(heavy, 60) && table.hold(light, 40));
    let (third, _open) = table.admit(origin(3), start).unwrap();
    assert!(table.hold(third, 30), "for less than the heaviest holds there is room");
    assert!(is_closed(&mut heavy_closed) && !is_closed(&mut light_closed));
    assert_eq!(table.usage(), (2, 70));
    table.hold(third, 30);
    assert!(!table.hold(light, 40), "nobody that waits holds as much as this one would");
    table.work(third, SECOND, start);
    assert!(!table.hold(light, 1), "what is worked for stays");
    table.release(third);
    assert_eq!(table.usage(), (2, 40));
    assert!(table.hold(light, 60));
}

#[test]
fn one_that_is_alone_may_hold_more() {
    let (table, start) = (table(10, 100), Instant::now());
    let (only, _open) = table.admit(origin(1), start).unwrap();
    assert!(table.hold(only, 1000), "an answer that is long is an answer");
    assert_eq!(table.usage(), (1, 1000));
    let (other, _open) = table.admit(origin(1), start).unwrap();
    assert!(table.hold(other, 10), "and its client has to read it before others need the room");
    assert_eq!(table.usage(), (1, 10));
    table.remove(other);
    assert_eq!(table.usage(), (0, 0));
}
