//! The engine against a server that stalls, and answers in pieces.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use super::{Answer, HttpLoad, parse};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes";
const STALL: Duration = Duration::from_millis(200);

/// Serves one connection on loopback until its client closes it; stalls once, before the n-th answer.
fn server(stalls_at: usize, answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut buffer = [0; 1024];
        for number in 0.. {
            if connection.read(&mut buffer).unwrap_or_default() == 0 {
                return;
            }
            if number == stalls_at {
                thread::sleep(STALL);
            }
            if connection.write_all(answer).is_err() {
                return;
            }
        }
    });
    address
}

fn load(target: SocketAddr) -> HttpLoad {
    HttpLoad { target, rate: 1000, connections: 1, duration: Duration::from_millis(600) }
}

#[test]
fn all_requests_that_were_due_during_a_stall_are_late() {
    let report = load(server(100, ANSWER)).run().unwrap();
    assert_eq!((report.latencies.count(), report.failed), (600, 0));
    // 200 of the 600 were due during the stall, on average half of it before its end. A client that waits
    // for each answer would record a single late one.
    let late = report.latencies.percentile(80.0);
    assert!(late > 0.04, "the 80th percentile is {late} s");
    let latest = report.latencies.percentile(100.0);
    assert!(latest >= STALL.as_secs_f64() * 0.95, "the latest is {latest} s");
}

#[test]
fn the_rate_is_kept() {
    let begun = Instant::now();
    let report = load(server(usize::MAX, ANSWER)).run().unwrap();
    assert_eq!(report.latencies.count(), 600);
    // The last request is due 1 ms before the end.
    assert!(report.duration >= Duration::from_millis(599) && report.duration <= begun.elapsed());
}

#[test]
fn answers_with_another_status_are_failures() {
    let target = server(usize::MAX, b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    let report = HttpLoad { duration: Duration::from_millis(1), ..load(target) }.run().unwrap();
    assert_eq!((report.latencies.count(), report.failed), (0, 1));
}

#[test]
fn an_answer_is_whole_with_its_body() {
    assert_eq!(parse(b"HTTP/1.1 200 OK\r\nContent-Le"), Answer::Incomplete);
    assert_eq!(parse(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nye"), Answer::Incomplete);
    assert_eq!(parse(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes"), Answer::Whole { is_last: false });
    let last = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(parse(last), Answer::Whole { is_last: true });
    assert_eq!(parse(b"HTTP/1.1 200 OK\r\n\r\n"), Answer::Other);
}
