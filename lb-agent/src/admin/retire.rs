//! Taking over from an agent that still runs: it stops all it does, and its process stays until it is
//! signalled.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Time in which the predecessor must answer.
const ANSWER: Duration = Duration::from_secs(3);
/// Time in which it must be gone from the socket.
const GONE: Duration = Duration::from_secs(10);
/// Time after which a socket file without a listener is one that is left over.
const STALE: Duration = Duration::from_secs(1);
/// Interval of looking whether it is.
const EVERY: Duration = Duration::from_millis(10);

/// Asks the agent on this socket to retire, and waits until it has left the socket. Returns false if it does
/// not answer, refuses, or is the agent of another node. Blocks.
pub fn retire(path: &Path, node: &str) -> bool {
    matches!(ask(path, node), Ok(true)) && is_gone(path)
}

fn ask(path: &Path, node: &str) -> io::Result<bool> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    let length = node.len();
    write!(
        stream,
        "POST /retire HTTP/1.1\r\nHost: fairlead\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{node}"
    )?;
    let mut line = [0; 12];
    match stream.read_exact(&mut line) {
        Ok(()) => Ok(line == *b"HTTP/1.1 202"),
        // It may be gone before the answer is sent.
        Err(error) if is_end(&error) => Ok(true),
        Err(error) => Err(error),
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}

/// Waits until nothing listens and the file is gone: it is removed after the listener is closed, and must not
/// be the successor's then.
fn is_gone(path: &Path) -> bool {
    let start = Instant::now();
    let mut refused_since = None;
    while start.elapsed() < GONE {
        match UnixStream::connect(path) {
            Ok(_) => refused_since = None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return true,
            Err(_) => {
                let since: Instant = *refused_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= STALE {
                    return true;
                }
            }
        }
        std::thread::sleep(EVERY);
    }
    false
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn answering(response: &'static str) -> (tempfile::TempDir, std::thread::JoinHandle<String>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let predecessor = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(response.as_bytes()).unwrap();
            drop((stream, listener));
            std::fs::remove_file(path).unwrap();
            String::from_utf8_lossy(&request[..length]).into()
        });
        (directory, predecessor)
    }

    #[test]
    fn a_predecessor_that_accepts_leaves_the_socket() {
        for response in ["HTTP/1.1 202 Accepted\r\n\r\n", ""] {
            let (directory, predecessor) = answering(response);
            assert!(retire(&directory.path().join("agent.sock"), "n1"), "{response}");
            let request = predecessor.join().unwrap();
            assert!(request.starts_with("POST /retire HTTP/1.1\r\n"), "{request}");
            assert!(request.ends_with("\r\n\r\nn1"), "{request}");
        }
    }

    #[test]
    fn a_predecessor_that_refuses_stays() {
        for response in ["HTTP/1.1 404 Not Found\r\n\r\n", "HTTP/1.1 409 Conflict\r\n\r\n"] {
            let (directory, predecessor) = answering(response);
            assert!(!retire(&directory.path().join("agent.sock"), "n1"), "{response}");
            predecessor.join().unwrap();
        }
    }
}
