use std::net::IpAddr;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn table(connections: usize, bytes: usize) -> ConnectionTable {
    ConnectionTable::new(
        "a test",
        HttpLimits { connections, head: SECOND, request: SECOND * 2, idle: SECOND * 3, body: 100, bytes },
    )
}

fn client(last: u8) -> ClientKey {
    IpAddr::from([192, 0, 2, last]).into()
}

fn is_evicted(evicted: &mut Evicted) -> bool {
    evicted.try_recv() == Err(oneshot::error::TryRecvError::Closed)
}

#[test]
fn a_full_server_evicts_the_connection_that_has_waited_longest() {
    let (table, start) = (table(2, 0), Instant::now());
    let (first, mut first_evicted) = table.admit(client(1), start).unwrap();
    let (_second, mut second_evicted) = table.admit(client(1), start + SECOND).unwrap();
    // It has just received a response, so the other one has waited longer.
    table.wait(first, SECOND, start + SECOND * 2);
    table.admit(client(1), start + SECOND * 3).unwrap();
    assert!(!is_evicted(&mut first_evicted) && is_evicted(&mut second_evicted));
    assert_eq!(table.usage(), (2, 0));
}

#[test]
fn a_client_with_many_connections_loses_them_before_others_lose_theirs() {
    let (table, start) = (table(8, 0), Instant::now());
    let (_, mut of_few) = table.admit(client(1), start).unwrap();
    for after in 1..1000 {
        table.admit(client(2), start + SECOND * after).unwrap();
    }
    assert!(!is_evicted(&mut of_few), "the oldest connection stays: it is the only one of its client");
    let (_, mut of_few) = table.admit(client(3), start).unwrap();
    for after in 1..1000 {
        table.admit(client(2), start + SECOND * after).unwrap();
    }
    assert!(!is_evicted(&mut of_few));
}

#[test]
fn connections_with_a_request_in_progress_stay_and_a_newcomer_is_refused_if_all_have_one() {
    let (table, start) = (table(2, 0), Instant::now());
    let all: Vec<_> = (0..2).map(|_| table.admit(client(1), start).unwrap()).collect();
    for (id, _) in &all {
        table.work(*id, SECOND, start);
    }
    assert!(table.admit(client(2), start).is_none());
    table.remove(all[0].0);
    assert!(table.admit(client(2), start).is_some());
}

#[test]
fn every_step_has_its_deadline() {
    let (table, start) = (table(2, 0), Instant::now());
    let (id, _evicted) = table.admit(client(1), start).unwrap();
    assert_eq!(table.deadline(id), Some(start + SECOND), "the head");
    table.work(id, table.limits.request, start + SECOND);
    assert_eq!(table.deadline(id), Some(start + SECOND * 3));
    table.wait(id, table.limits.idle, start + SECOND * 2);
    assert_eq!(table.deadline(id), Some(start + SECOND * 5));
    table.remove(id);
    assert_eq!(table.deadline(id), None);
}

#[test]
fn all_held_bytes_are_bounded_and_the_heaviest_waiting_connection_is_evicted_first() {
    let (table, start) = (table(10, 100), Instant::now());
    let (heavy, mut heavy_evicted) = table.admit(client(1), start).unwrap();
    let (light, mut light_evicted) = table.admit(client(2), start).unwrap();
    assert!(table.hold(heavy, 60) && table.hold(light, 40));
    let (third, _open) = table.admit(client(3), start).unwrap();
    assert!(table.hold(third, 30), "evicting the heaviest connection makes room");
    assert!(is_evicted(&mut heavy_evicted) && !is_evicted(&mut light_evicted));
    assert_eq!(table.usage(), (2, 70));
    table.hold(third, 30);
    assert!(!table.hold(light, 40), "no waiting connection holds as much as this one would");
    table.work(third, SECOND, start);
    assert!(!table.hold(light, 1), "a connection with a request in progress stays");
    table.release(third);
    assert_eq!(table.usage(), (2, 40));
    assert!(table.hold(light, 60));
}

#[test]
fn a_single_connection_may_exceed_the_bound() {
    let (table, start) = (table(10, 100), Instant::now());
    let (only, _open) = table.admit(client(1), start).unwrap();
    assert!(table.hold(only, 1000), "a single long response is sent");
    assert_eq!(table.usage(), (1, 1000));
    let (other, _open) = table.admit(client(1), start).unwrap();
    assert!(table.hold(other, 10), "it is evicted when others need the room before its client has read it");
    assert_eq!(table.usage(), (1, 10));
    table.remove(other);
    assert_eq!(table.usage(), (0, 0));
}
