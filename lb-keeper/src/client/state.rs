//! The state that callers and the thread share: the connection, the streams, and messages that wait.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::super::channel::{Channel, Received};
use super::super::message::{AgentMessage, KeeperMessage, VERSIONS};
use super::super::stream::{Stream, StreamTerms};
use super::{KeeperStatus, Outgoing};

/// The progress of the client.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Phase {
    /// Before the first connection.
    #[default]
    Connecting,
    /// The keeper has greeted the agent.
    Connected,
    /// The connection is lost, or the keeper speaks no common version.
    Disconnected,
    /// Another agent has taken over.
    Replaced,
    /// The handle is dropped.
    Stopped,
}

/// The next step after a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Next {
    Continue,
    Close,
}

/// The keeper's word on a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Confirmation {
    /// So many replies are outstanding: the stream may have been held more than once.
    Pending(u32),
    Held,
    Rejected,
}

#[derive(Debug)]
struct HeldRecord {
    stream: Arc<Stream>,
    confirmation: Confirmation,
}

/// The state.
#[derive(Debug, Default)]
pub(super) struct ClientState {
    phase: Phase,
    channel: Option<Arc<Channel>>,
    output: VecDeque<Outgoing>,
    held: BTreeMap<String, HeldRecord>,
    unclaimed: BTreeSet<String>,
    claims: BTreeMap<String, oneshot::Sender<Option<Stream>>>,
    dismisses: bool,
    leaving: bool,
    pid: Option<u32>,
    version: Option<String>,
    last_error: Option<String>,
}

impl ClientState {
    pub(super) const fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) const fn unclaimed(&self) -> &BTreeSet<String> {
        &self.unclaimed
    }

    pub(super) const fn is_leaving(&self) -> bool {
        self.leaving
    }

    pub(super) fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    pub(super) fn status(&self) -> KeeperStatus {
        let is_held = |record: &&HeldRecord| record.confirmation == Confirmation::Held;
        let connected = self.phase == Phase::Connected;
        KeeperStatus {
            connected,
            replaced: self.phase == Phase::Replaced,
            leaving: self.leaving,
            pid: self.pid.filter(|_| connected),
            version: self.version.clone().filter(|_| connected),
            held: if connected { self.held.values().filter(is_held).count() } else { 0 },
            last_error: self.last_error.clone(),
        }
    }

    pub(super) fn is_keeping(&self) -> bool {
        let is_held = |record: &HeldRecord| record.confirmation == Confirmation::Held;
        self.phase == Phase::Connected && !self.leaving && self.held.values().all(is_held)
    }

    /// Begins a claim; returns false if there is nothing to claim.
    pub(super) fn claim(&mut self, name: &str, sender: oneshot::Sender<Option<Stream>>) -> bool {
        let may_claim = self.phase == Phase::Connected && self.unclaimed.remove(name);
        if may_claim {
            self.claims.insert(name.to_owned(), sender);
            self.send(AgentMessage::Claim { name: name.to_owned() }, None);
        }
        may_claim
    }

    /// Gives a claim up, answered or not. An answer that is still to come finds no claim.
    pub(super) fn abandon_claim(&mut self, name: &str) {
        self.claims.remove(name);
        if self.held.remove(name).is_some() && self.phase == Phase::Connected {
            self.send(AgentMessage::Dismiss { name: Some(name.to_owned()) }, None);
        }
    }

    pub(super) fn hold(&mut self, stream: Stream) -> bool {
        let stream = Arc::new(stream);
        let is_connected = self.phase == Phase::Connected;
        self.record(&stream);
        is_connected && self.send(hold_message(&stream), Some(stream))
    }

    pub(super) fn try_hold(&mut self, stream: Stream) -> bool {
        let stream = Arc::new(stream);
        if self.phase == Phase::Connected {
            let Some(channel) = self.channel.clone().filter(|_| self.output.is_empty()) else { return false };
            let outgoing = Outgoing { message: hold_message(&stream), stream: Some(Arc::clone(&stream)) };
            if transmit(&channel, &outgoing).is_err() {
                return false;
            }
        }
        // Without a keeper, the next one gets the new stream only.
        self.record(&stream);
        true
    }

    fn record(&mut self, stream: &Arc<Stream>) {
        let name = stream.name.clone();
        self.unclaimed.remove(&name);
        let outstanding = match self.held.get(&name).map(|record| record.confirmation) {
            Some(Confirmation::Pending(count)) => count,
            _ => 0,
        };
        let is_connected = u32::from(self.phase == Phase::Connected);
        let confirmation = Confirmation::Pending(outstanding + is_connected);
        self.held.insert(name, HeldRecord { stream: Arc::clone(stream), confirmation });
    }

    pub(super) fn release(&mut self, name: &str) {
        if self.held.remove(name).is_some() && self.phase == Phase::Connected {
            self.send(AgentMessage::Release { name: name.to_owned() }, None);
        }
    }

    pub(super) fn dismiss_unclaimed(&mut self) {
        self.dismisses = true;
        if self.phase == Phase::Connected {
            self.unclaimed.clear();
            self.send(AgentMessage::Dismiss { name: None }, None);
        }
    }

    /// Disconnects for good, as if the process had died.
    pub(super) fn stop(&mut self) {
        self.disconnect(Phase::Stopped);
        self.held.clear();
    }

    /// Begins a connection.
    pub(super) fn connected(&mut self, channel: Arc<Channel>, release: &str) {
        if self.phase == Phase::Stopped {
            return;
        }
        self.channel = Some(channel);
        self.send(AgentMessage::Hello { versions: VERSIONS, release: release.to_owned() }, None);
    }

    /// Notes that the connection is lost, or that there is none.
    pub(super) fn disconnected(&mut self, error: Option<String>) {
        let phase = match self.phase {
            Phase::Connected | Phase::Disconnected => Phase::Disconnected,
            other => other,
        };
        self.disconnect(phase);
        if error.is_some() {
            self.last_error = error;
        }
    }

    fn disconnect(&mut self, phase: Phase) {
        if let Some(channel) = self.channel.take() {
            channel.shut_down();
        }
        self.phase = phase;
        self.output.clear();
        self.claims.clear();
        self.unclaimed.clear();
        for record in self.held.values_mut() {
            record.confirmation = Confirmation::Pending(0);
        }
    }

    /// Sends a message, or queues it behind others; returns whether it is sent.
    fn send(&mut self, message: AgentMessage, stream: Option<Arc<Stream>>) -> bool {
        self.output.push_back(Outgoing { message, stream });
        self.flush();
        self.output.is_empty()
    }

    /// Sends what there is room for.
    pub(super) fn flush(&mut self) {
        let Some(channel) = self.channel.clone() else { return };
        while let Some(outgoing) = self.output.front() {
            match transmit(&channel, outgoing) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The thread notices the end of the connection. Any other message is one that cannot be sent.
                Err(error) => self.last_error = Some(format!("cannot send to the keeper: {error}")),
            }
            self.output.pop_front();
        }
    }

    /// Handles a message of the keeper.
    pub(super) fn receive(&mut self, received: Received<KeeperMessage>) -> Next {
        match received.message {
            KeeperMessage::Welcome { pid, release, .. } => {
                self.pid = Some(pid);
                self.version = Some(release);
            }
            KeeperMessage::Unclaimed { names, more } => {
                self.unclaimed.extend(names);
                if !more {
                    self.greeted();
                }
            }
            KeeperMessage::Refused { release, .. } => {
                let error = format!("keeper {release} speaks no common version of the protocol");
                self.phase = Phase::Disconnected;
                self.last_error = Some(error);
                return Next::Close;
            }
            KeeperMessage::Held { name } => self.confirm(&name, Confirmation::Held),
            KeeperMessage::Rejected { name, reason } => {
                self.last_error = Some(format!("the keeper cannot hold {name}: {reason}"));
                self.confirm(&name, Confirmation::Rejected);
            }
            KeeperMessage::Claimed { name, terms } => self.claimed(name, terms, received.descriptors),
            KeeperMessage::Unknown { name } => {
                if let Some(sender) = self.claims.remove(&name) {
                    // The claimant may have given up.
                    let _ = sender.send(None);
                }
            }
            KeeperMessage::Replaced => {
                self.disconnect(Phase::Replaced);
                // The successor has them, or the keeper; here they only delay their end.
                self.held.clear();
                self.last_error = Some("another agent has taken over".to_owned());
                return Next::Close;
            }
            KeeperMessage::Leaving => return self.leave(),
        }
        Next::Continue
    }

    /// Holds all streams again, on a new connection.
    fn greeted(&mut self) {
        self.phase = Phase::Connected;
        self.leaving = false;
        let streams: Vec<Arc<Stream>> = self.held.values().map(|record| Arc::clone(&record.stream)).collect();
        for stream in streams {
            self.record(&stream);
            self.send(hold_message(&stream), Some(stream));
        }
        if self.dismisses {
            self.dismiss_unclaimed();
        }
    }

    fn confirm(&mut self, name: &str, result: Confirmation) {
        let Some(record) = self.held.get_mut(name) else { return };
        record.confirmation = match record.confirmation {
            Confirmation::Pending(count) if count > 1 => Confirmation::Pending(count - 1),
            _ => result,
        };
    }

    /// Passes a claimed stream on, or dismisses it if the claimant has given up.
    fn claimed(&mut self, name: String, terms: StreamTerms, descriptors: Vec<OwnedFd>) {
        let stream = <[OwnedFd; 2]>::try_from(descriptors).ok().map(|[socket, journal]| Stream {
            name: name.clone(),
            socket,
            journal,
            terms,
        });
        let duplicated = stream.as_ref().and_then(|stream| duplicate(stream).ok());
        let sender = self.claims.remove(&name);
        let is_taken = match (stream, &duplicated, sender) {
            (Some(stream), Some(_), Some(sender)) => sender.send(Some(stream)).is_ok(),
            _ => false,
        };
        match duplicated.filter(|_| is_taken) {
            Some(stream) => {
                let confirmation = Confirmation::Held;
                self.held.insert(name, HeldRecord { stream: Arc::new(stream), confirmation });
            }
            None => {
                self.last_error = Some(format!("the claim of {name} was not completed"));
                self.send(AgentMessage::Dismiss { name: Some(name) }, None);
            }
        }
    }

    /// Releases all streams, which this agent has itself, and disconnects if it can: the keeper need not
    /// wait, and the next one can begin.
    fn leave(&mut self) -> Next {
        self.leaving = true;
        let names: Vec<String> = self.held.keys().cloned().collect();
        for name in names {
            self.send(AgentMessage::Release { name }, None);
        }
        let is_done = self.output.is_empty() && self.claims.is_empty();
        if is_done { Next::Close } else { Next::Continue }
    }
}

fn hold_message(stream: &Stream) -> AgentMessage {
    AgentMessage::Hold { name: stream.name.clone(), terms: stream.terms.clone() }
}

fn transmit(channel: &Channel, outgoing: &Outgoing) -> io::Result<()> {
    let descriptors: Vec<BorrowedFd<'_>> = match &outgoing.stream {
        Some(stream) => vec![stream.socket.as_fd(), stream.journal.as_fd()],
        None => Vec::new(),
    };
    channel.send(&outgoing.message, &descriptors)
}

fn duplicate(stream: &Stream) -> io::Result<Stream> {
    Ok(Stream {
        name: stream.name.clone(),
        socket: stream.socket.try_clone()?,
        journal: stream.journal.try_clone()?,
        terms: stream.terms.clone(),
    })
}
