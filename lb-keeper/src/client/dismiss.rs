//! The end of all streams, for an agent that has no successor.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::super::channel::{Channel, Incoming};
use super::super::message::{AgentMessage, KeeperMessage, VERSIONS};

/// Milliseconds within which the keeper replies.
const REPLY_WITHIN: u16 = 2_000;

/// Makes the keeper that listens on `socket` end the streams that no running agent has claimed, each with its
/// farewell, and waits until it has. A running agent is replaced. Returns false if no keeper listens.
///
/// # Errors
/// If the keeper does not reply in time, or the kernel refuses the connection.
pub fn dismiss_all(socket: &Path, release: &str) -> io::Result<bool> {
    let channel = match Channel::connect(socket) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(false);
        }
        connected => connected?,
    };
    let hello = AgentMessage::Hello { versions: VERSIONS, release: release.to_owned() };
    // Messages are handled in order, so the reply to the last one comes after the end of the streams. No
    // stream has this name.
    let last = AgentMessage::Claim { name: String::new() };
    for message in [hello, AgentMessage::Dismiss { name: None }, last] {
        channel.send(&message, &[])?;
    }
    loop {
        match channel.receive()? {
            // A keeper that has no version in common has ended all streams.
            Incoming::Message(received) => match received.message {
                KeeperMessage::Unknown { .. } | KeeperMessage::Refused { .. } => return Ok(true),
                _ => {}
            },
            Incoming::End => return Ok(true),
            Incoming::Nothing => {
                let mut waited = [PollFd::new(channel.as_fd(), PollFlags::POLLIN)];
                if poll(&mut waited, PollTimeout::from(REPLY_WITHIN))? == 0 {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
    }
}
