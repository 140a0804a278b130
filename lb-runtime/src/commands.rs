//! Other programs, run with a limit of their time and output.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may take.
const LIMIT: Duration = Duration::from_secs(2);
/// The most output that is read: the rules of ten thousand Services.
const OUTPUT: u64 = 64 << 20;
const POLL: Duration = Duration::from_millis(5);

/// Runs a program. Returns whether it succeeded, and its output; `None` if it is not installed or takes too
/// long.
pub fn run(program: &str, arguments: &[&str]) -> Option<(bool, String)> {
    let command = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = command.ok()?;
    let stdout = child.stdout.take()?;
    let reader = thread::spawn(move || {
        let mut text = String::new();
        // Output that is no text, as of another program of that name, says nothing.
        let _ = stdout.take(OUTPUT).read_to_string(&mut text);
        text
    });
    let until = Instant::now() + LIMIT;
    let status = loop {
        match child.try_wait().ok()? {
            Some(status) => break status,
            None if Instant::now() >= until => {
                // It ends by itself if it cannot be killed; its end is awaited so that no zombie stays.
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            None => thread::sleep(POLL),
        }
    };
    Some((status.success(), reader.join().ok()?))
}
