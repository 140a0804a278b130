//! The connection of an agent, with output that waits for room.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::super::channel::{Channel, Incoming};
use super::super::message::{AgentMessage, KeeperMessage};

/// Messages that wait at most: a reply to each of the streams, several times. An agent that reads none is
/// stuck.
const MAX_OUTPUT: usize = 8192;

/// A connection.
#[derive(Debug)]
pub(super) struct AgentConnection {
    channel: Channel,
    phase: Phase,
    output: VecDeque<(KeeperMessage, Vec<OwnedFd>)>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The agent must say hello before this time.
    Silent(Duration),
    Greeted {
        version: Option<u32>,
    },
}

impl AgentConnection {
    pub(super) const fn new(channel: Channel, hello_by: Duration) -> Self {
        Self { channel, phase: Phase::Silent(hello_by), output: VecDeque::new() }
    }

    /// Returns when the connection is closed unless the agent says hello.
    pub(super) const fn deadline(&self) -> Option<Duration> {
        match self.phase {
            Phase::Silent(at) => Some(at),
            Phase::Greeted { .. } => None,
        }
    }

    pub(super) const fn is_greeted(&self) -> bool {
        matches!(self.phase, Phase::Greeted { .. })
    }

    pub(super) const fn version(&self) -> Option<u32> {
        match self.phase {
            Phase::Silent(_) => None,
            Phase::Greeted { version } => version,
        }
    }

    /// Notes the agent's hello and the common version.
    pub(super) const fn greet(&mut self, version: Option<u32>) {
        self.phase = Phase::Greeted { version };
    }

    pub(super) fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    pub(super) fn receive(&mut self) -> io::Result<Incoming<AgentMessage>> {
        self.channel.receive()
    }

    /// Sends a message, now or when there is room.
    pub(super) fn send(&mut self, message: KeeperMessage, descriptors: Vec<OwnedFd>) -> io::Result<()> {
        if self.output.len() >= MAX_OUTPUT {
            // The agent does not read; its end is read next.
            self.channel.shut_down();
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the agent reads no replies"));
        }
        self.output.push_back((message, descriptors));
        self.flush()
    }

    /// Sends what there is room for.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while let Some((message, descriptors)) = self.output.front() {
            let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
            match self.channel.send(message, &descriptors) {
                Ok(()) => drop(self.output.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => {
                    self.output.clear();
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

impl AsFd for AgentConnection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}
