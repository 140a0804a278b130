//! The number of octets that were written to a TCP socket, by any process that holds it.
#![allow(unsafe_code, reason = "no crate reads the whole of TCP_INFO, or SIOCOUTQ")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use libc::{TIOCOUTQ, c_int, c_void, socklen_t};

/// Size of the part of `struct tcp_info` that is read.
const INFO: usize = 128;
/// Offset of `tcpi_bytes_acked` (linux/tcp.h): eight octets, 24 words and two rates precede it.
const BYTES_ACKED: usize = 120;
/// Attempts to read both numbers with no acknowledgment in between.
const ATTEMPTS: usize = 10_000;

/// Returns the number of octets ever written to a connected TCP socket, up to a constant of the socket:
/// compare it with earlier results of the same socket only. Shutting down the write side counts as one octet.
///
/// # Errors
/// If it is no TCP socket, or not connected.
pub fn written(socket: impl AsFd) -> io::Result<u64> {
    let mut acknowledged = bytes_acked(&socket)?;
    for _ in 0..ATTEMPTS {
        let queued = unacknowledged(&socket)?;
        // An acknowledgment between both calls moves octets from one number to the other.
        match bytes_acked(&socket)? {
            same if same == acknowledged => return Ok(acknowledged.wrapping_add(queued)),
            later => acknowledged = later,
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "acknowledgments arrive too fast to count octets"))
}

fn bytes_acked(socket: &impl AsFd) -> io::Result<u64> {
    let mut info = [0_u8; INFO];
    let mut length = INFO as socklen_t;
    // SAFETY: the kernel writes at most `length` octets to `info`, and the new length to `length`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast::<c_void>(),
            &raw mut length,
        )
    };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    match info.get(BYTES_ACKED..).and_then(|rest| rest.first_chunk()) {
        Some(octets) if length as usize == INFO => Ok(u64::from_ne_bytes(*octets)),
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, "the kernel does not count octets of TCP")),
    }
}

/// Octets that the kernel has and the peer has not acknowledged.
fn unacknowledged(socket: &impl AsFd) -> io::Result<u64> {
    let mut octets: c_int = 0;
    // SAFETY: the request (SIOCOUTQ in linux/sockios.h) writes one `int`.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), TIOCOUTQ, &raw mut octets) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(octets.unsigned_abs().into()) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::written;

    #[test]
    fn the_position_counts_what_was_written_on_either_side_of_an_acknowledgment() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let mut opened = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut accepted = listener.accept().unwrap().0;
        for (writer, reader) in [(&mut opened, &mut accepted)] {
            let base = written(&*writer).unwrap();
            let mut total = 0;
            for size in [1, 19, 4096, 65_536] {
                writer.write_all(&vec![7; size]).unwrap();
                total += size as u64;
                assert_eq!(written(&*writer).unwrap() - base, total, "before the peer has read");
                reader.read_exact(&mut vec![0; size]).unwrap();
                assert_eq!(written(&*writer).unwrap() - base, total, "after the peer has read");
            }
        }
        let base = written(&accepted).unwrap();
        accepted.write_all(b"reply").unwrap();
        assert_eq!(written(&accepted).unwrap() - base, 5);
    }

    #[test]
    fn a_full_send_buffer_is_counted_to_the_octet() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _accepted = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let base = written(&stream).unwrap();
        let mut total = 0_u64;
        while let Ok(octets) = stream.write(&[1; 10_000]) {
            total += octets as u64;
        }
        assert_eq!(written(&stream).unwrap() - base, total);
    }

    #[test]
    fn a_socket_that_is_not_tcp_has_no_position() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(written(&one).is_err());
        assert!(written(std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap()).is_err());
    }
}
