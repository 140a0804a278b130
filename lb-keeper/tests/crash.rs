//! A process that is killed while it appends to a journal and writes to the socket: with both, another
//! process continues the stream without a gap and without a repetition.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic, also in its helpers")]

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lb_keeper::journal::Journal;
use lb_keeper::position;
use socket2::SockRef;

/// Kills in one run.
const KILLS: u64 = 220;
/// Variable that states where in the sequence its journal begins.
const START: &str = "FAIRLEAD_TEST_SEQUENCE_START";

/// The octet at an offset of the sequence: no short period, so that gaps and repetitions show.
fn octet(offset: u64) -> u8 {
    (offset.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// The child: its standard input is the socket, its standard error the journal.
#[test]
#[ignore = "run by the other test, as a process that is killed"]
fn writer() {
    let Ok(start) = std::env::var(START) else { return };
    let start: u64 = start.parse().unwrap();
    let socket: OwnedFd = io::stdin().as_fd().try_clone_to_owned().unwrap();
    let mut socket = TcpStream::from(socket);
    let mut journal = Journal::open(io::stderr().as_fd().try_clone_to_owned().unwrap()).unwrap();
    let mut random = Random(start + u64::from(std::process::id()));
    loop {
        let from = start + journal.stream_len();
        let limit = [20, 300, 20_000][random.below(3) as usize];
        let chunk: Vec<u8> = (from..from + 1 + random.below(limit)).map(octet).collect();
        journal.append(&chunk).unwrap();
        socket.write_all(&chunk).unwrap();
    }
}

fn spawn(socket: &TcpStream, journal: &Journal, start: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["writer", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(START, start.to_string())
        .stdin(Stdio::from(socket.as_fd().try_clone_to_owned().unwrap()))
        .stdout(Stdio::null())
        .stderr(Stdio::from(journal.file().try_clone_to_owned().unwrap()))
        .spawn()
        .unwrap()
}

/// Checks every octet; returns their number.
fn read_sequence(mut socket: TcpStream) -> u64 {
    let mut random = Random(4711);
    let mut buffer = vec![0; 40_000];
    let mut total = 0;
    loop {
        let size = 1 + random.below(40_000) as usize;
        let octets = socket.read(&mut buffer[..size]).unwrap();
        if octets == 0 {
            return total;
        }
        for got in &buffer[..octets] {
            assert_eq!(*got, octet(total), "at offset {total}");
            total += 1;
        }
        // Slower than the writer, so that its writes block and are cut.
        std::thread::sleep(Duration::from_micros(random.below(600)));
    }
}

#[test]
fn a_stream_continues_exactly_where_its_writer_was_killed() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let accepted = listener.accept().unwrap().0;
    // Small buffers, so that writers block, and are killed in the middle of a write.
    SockRef::from(&socket).set_send_buffer_size(32_768).unwrap();
    SockRef::from(&accepted).set_recv_buffer_size(65_536).unwrap();
    let reader = std::thread::spawn(move || read_sequence(accepted));
    let mut random = Random(99);
    let (mut total, mut left_over, mut busy) = (0_u64, 0, 0);
    let mut start = 0;
    let mut journal = Journal::create(position::written(&socket).unwrap(), b"").unwrap();
    for kill in 0..KILLS {
        if kill % 5 == 0 {
            start = total;
            journal = Journal::create(position::written(&socket).unwrap(), &[0; 100]).unwrap();
        }
        let mut child = spawn(&socket, &journal, start);
        std::thread::sleep(Duration::from_micros(4000 + random.below(16_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        journal = Journal::open(journal.file().try_clone_to_owned().unwrap()).unwrap();
        busy += u64::from(start + journal.stream_len() > total);
        total = start + journal.stream_len();
        let unsent = journal.unsent(position::written(&socket).unwrap()).unwrap();
        left_over += u64::from(!unsent.is_empty());
        socket.write_all(&unsent).unwrap();
    }
    socket.shutdown(Shutdown::Write).unwrap();
    assert_eq!(reader.join().unwrap(), total);
    assert!(busy > KILLS / 4, "only {busy} of {KILLS} writers wrote before they were killed");
    assert!(left_over > KILLS / 4, "only {left_over} of {KILLS} left something to write");
}
