//! Round trips on open TCP connections, and the opening of connections: one at a time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::prctl;
use socket2::SockRef;

use super::Latencies;

/// How long a connection may take to open, and an answer to arrive.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of a message: it fits into the smallest packet that is not padded.
const MESSAGE: [u8; 32] = [0x55; 32];
/// Round trips on each connection before any is recorded.
const WARM_UP: usize = 20;

/// Measures round trips to an echo server, on these connections in turns.
///
/// # Errors
/// When a connection does not open, or breaks.
pub fn round_trips(target: SocketAddr, connections: usize, count: usize) -> Result<Latencies> {
    prctl::set_timerslack(1)?;
    let open = |_| greeted(target).with_context(|| format!("the echo server of {target}"));
    let mut streams = (0..connections).map(open).collect::<Result<Vec<_>>>()?;
    for stream in &mut streams {
        (0..WARM_UP).try_for_each(|_| exchange(stream).map(drop))?;
    }
    let mut latencies = Latencies::new()?;
    for number in 0..count {
        let place = number % streams.len().max(1);
        latencies.record(exchange(&mut streams[place])?);
    }
    Ok(latencies)
}

/// Measures how long connections take to open, one after the other.
///
/// # Errors
/// When one does not open.
pub fn connects(target: SocketAddr, count: usize) -> Result<Latencies> {
    let mut latencies = Latencies::new()?;
    for _ in 0..count {
        let begun = Instant::now();
        let stream =
            TcpStream::connect_timeout(&target, PATIENCE).with_context(|| format!("connect to {target}"))?;
        latencies.record(begun.elapsed());
        // A reset leaves no state behind, so that rounds do not run out of ports.
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    }
    Ok(latencies)
}

/// Opens a connection, and reads the line with which the server greets.
fn greeted(target: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // The server sends nothing after the line before it is asked, so nothing else is buffered.
    BufReader::new(&stream).read_line(&mut String::new())?;
    Ok(stream)
}

fn exchange(stream: &mut TcpStream) -> Result<Duration> {
    let mut answer = [0; MESSAGE.len()];
    let begun = Instant::now();
    stream.write_all(&MESSAGE)?;
    stream.read_exact(&mut answer)?;
    Ok(begun.elapsed())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;
    use std::time::Duration;

    use super::{MESSAGE, round_trips};

    #[test]
    fn a_round_trip_contains_the_time_of_the_server() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, client) = listener.accept().unwrap();
            stream.write_all(format!("pod {client}\n").as_bytes()).unwrap();
            let mut buffer = [0; MESSAGE.len()];
            while stream.read_exact(&mut buffer).is_ok() {
                thread::sleep(Duration::from_millis(2));
                stream.write_all(&buffer).unwrap();
            }
        });
        let latencies = round_trips(address, 1, 10).unwrap();
        assert_eq!(latencies.count(), 10);
        assert!(latencies.percentile(0.0) >= 0.002);
    }
}
