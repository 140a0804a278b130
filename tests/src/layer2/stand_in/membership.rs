//! A member of a SWIM group: it probes one other member a second, asks others to probe who does not answer,
//! suspects, and after a while declares dead.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::lab::addresses::HostAddresses;

/// memberlist's port.
const PORT: u16 = 7946;
/// `DefaultLANConfig`: ProbeInterval, ProbeTimeout, IndirectChecks, SuspicionMult, GossipInterval,
/// RetransmitMult.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
const INDIRECT_CHECKS: usize = 3;
const SUSPICION_MULTIPLIER: f64 = 4.0;
const GOSSIP_INTERVAL: Duration = Duration::from_millis(200);
const RETRANSMIT_MULTIPLIER: f64 = 4.0;

/// This member's view of the group.
#[derive(Debug)]
pub(super) struct Membership {
    name: String,
    socket: UdpSocket,
    incarnation: u64,
    others: BTreeMap<String, Member>,
    probe: Option<Probe>,
    /// The place of the member that is probed next.
    next: usize,
    next_probe: Instant,
    next_gossip: Instant,
    sequence: u64,
    /// Probes that this member sends for another: by their number, the member that asked, and the other's
    /// number.
    relayed: BTreeMap<u64, (String, u64)>,
    rumors: Vec<(Rumor, u32)>,
}

#[derive(Debug)]
struct Member {
    address: SocketAddr,
    incarnation: u64,
    state: MemberState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MemberState {
    Alive,
    /// Until then it can refute.
    Suspect(Instant),
    Dead,
}

#[derive(Debug)]
struct Probe {
    target: String,
    sequence: u64,
    sent: Instant,
    is_indirect: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
enum SwimMessage {
    Ping { from: String, sequence: u64 },
    IndirectPing { from: String, target: String, sequence: u64 },
    Ack { sequence: u64 },
    Gossip(Rumor),
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Rumor {
    about: String,
    incarnation: u64,
    says: RumorState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
enum RumorState {
    Alive,
    Suspect,
    Dead,
}

impl Membership {
    /// Joins a group whose members all know each other; to be called inside the member's host.
    pub(super) fn join(name: &str, members: &[(String, HostAddresses)]) -> Result<Self> {
        let own = members.iter().find(|(it, _)| it == name).context("not a member")?;
        let socket = UdpSocket::bind((own.1.v4, PORT)).context("the member's socket")?;
        socket.set_nonblocking(true)?;
        let others = members.iter().filter(|(it, _)| it != name).map(|(it, addresses)| {
            let address = (addresses.v4, PORT).into();
            (it.clone(), Member { address, incarnation: 0, state: MemberState::Alive })
        });
        let now = Instant::now();
        Ok(Self {
            name: name.to_owned(),
            socket,
            incarnation: 0,
            others: others.collect(),
            probe: None,
            next: 0,
            next_probe: now + PROBE_INTERVAL,
            next_gossip: now + GOSSIP_INTERVAL,
            sequence: 0,
            relayed: BTreeMap::new(),
            rumors: Vec::new(),
        })
    }

    /// Iterates over the members that are not dead; a suspect is still one.
    pub(super) fn members(&self) -> impl Iterator<Item = &str> {
        let others = self.others.iter().filter(|(_, it)| it.state != MemberState::Dead);
        others.map(|(name, _)| name.as_str()).chain([self.name.as_str()])
    }

    /// Receives what has come, and does what is due.
    pub(super) fn turn(&mut self, now: Instant) -> Result<()> {
        let mut buffer = [0; 1500];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(bytes) => self.receive(serde_json::from_slice(&buffer[..bytes])?, now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // A closed port of a member that has ended.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.advance_probe(now);
        self.end_suspicions(now);
        if now >= self.next_gossip {
            self.next_gossip = now + GOSSIP_INTERVAL;
            self.gossip();
        }
        Ok(())
    }

    fn receive(&mut self, message: SwimMessage, now: Instant) {
        match message {
            SwimMessage::Ping { from, sequence } => self.send(&from, &SwimMessage::Ack { sequence }),
            SwimMessage::IndirectPing { from, target, sequence } => {
                self.sequence += 1;
                self.relayed.insert(self.sequence, (from, sequence));
                self.ping(&target, self.sequence);
            }
            SwimMessage::Ack { sequence } => {
                if self.probe.as_ref().is_some_and(|probe| probe.sequence == sequence) {
                    self.probe = None;
                }
                if let Some((asker, sequence)) = self.relayed.remove(&sequence) {
                    self.send(&asker, &SwimMessage::Ack { sequence });
                }
            }
            SwimMessage::Gossip(rumor) => self.hear(rumor, now),
        }
    }

    fn hear(&mut self, rumor: Rumor, now: Instant) {
        if rumor.about == self.name {
            if rumor.says != RumorState::Alive && rumor.incarnation >= self.incarnation {
                self.incarnation = rumor.incarnation + 1;
                let refuted = Rumor {
                    about: self.name.clone(),
                    incarnation: self.incarnation,
                    says: RumorState::Alive,
                };
                self.spread(refuted);
            }
            return;
        }
        let suspicion = MemberState::Suspect(now + self.suspicion_time());
        let Some(member) = self.others.get_mut(&rumor.about) else { return };
        let state = match (rumor.says, member.state) {
            (RumorState::Alive, _) if rumor.incarnation > member.incarnation => MemberState::Alive,
            (RumorState::Suspect, MemberState::Alive) if rumor.incarnation >= member.incarnation => suspicion,
            (RumorState::Dead, MemberState::Alive | MemberState::Suspect(_))
                if rumor.incarnation >= member.incarnation =>
            {
                MemberState::Dead
            }
            _ => return,
        };
        (member.state, member.incarnation) = (state, rumor.incarnation);
        self.spread(rumor);
    }

    /// Goes on with the probe of this interval: asks others half-way, and suspects at its end.
    fn advance_probe(&mut self, now: Instant) {
        let silent =
            self.probe.as_mut().filter(|probe| now - probe.sent >= PROBE_TIMEOUT && !probe.is_indirect);
        if let Some(probe) = silent {
            probe.is_indirect = true;
            let (target, sequence) = (probe.target.clone(), probe.sequence);
            let helpers: Vec<String> =
                self.alive().filter(|it| *it != target).take(INDIRECT_CHECKS).collect();
            for helper in helpers {
                let (from, target) = (self.name.clone(), target.clone());
                self.send(&helper, &SwimMessage::IndirectPing { from, target, sequence });
            }
        }
        if now < self.next_probe {
            return;
        }
        self.next_probe = now + PROBE_INTERVAL;
        if let Some(probe) = self.probe.take() {
            let incarnation = self.others.get(&probe.target).map_or(0, |it| it.incarnation);
            self.hear(Rumor { about: probe.target, incarnation, says: RumorState::Suspect }, now);
        }
        let candidates: Vec<String> = self.alive().collect();
        let Some(target) = candidates.get(self.next % candidates.len().max(1)).cloned() else { return };
        self.next += 1;
        self.sequence += 1;
        self.probe =
            Some(Probe { target: target.clone(), sequence: self.sequence, sent: now, is_indirect: false });
        self.ping(&target, self.sequence);
    }

    fn end_suspicions(&mut self, now: Instant) {
        let is_over = |it: &Member| matches!(it.state, MemberState::Suspect(until) if now >= until);
        let over = self.others.iter().filter(|(_, it)| is_over(it));
        let rumors: Vec<Rumor> = over
            .map(|(name, it)| Rumor {
                about: name.clone(),
                incarnation: it.incarnation,
                says: RumorState::Dead,
            })
            .collect();
        rumors.into_iter().for_each(|rumor| self.hear(rumor, now));
    }

    /// Iterates over the others that are probed: the living and the suspects.
    fn alive(&self) -> impl Iterator<Item = String> {
        self.others.iter().filter(|(_, it)| it.state != MemberState::Dead).map(|(name, _)| name.clone())
    }

    fn suspicion_time(&self) -> Duration {
        let members = self.members().count() as f64;
        PROBE_INTERVAL.mul_f64(SUSPICION_MULTIPLIER * members.log10().max(1.0))
    }

    fn spread(&mut self, rumor: Rumor) {
        let members = self.others.len() as f64 + 2.0;
        let times = RETRANSMIT_MULTIPLIER * members.log10().ceil();
        self.rumors.retain(|(it, _)| it.about != rumor.about);
        self.rumors.push((rumor, times as u32));
    }

    fn gossip(&mut self) {
        let rumors = std::mem::take(&mut self.rumors);
        for (rumor, times) in rumors {
            // GossipNodes is 3, and these groups have no more.
            let targets: Vec<String> = self.alive().collect();
            for target in targets {
                self.send(&target, &SwimMessage::Gossip(rumor.clone()));
            }
            if times > 1 {
                self.rumors.push((rumor, times - 1));
            }
        }
    }

    fn ping(&self, target: &str, sequence: u64) {
        self.send(target, &SwimMessage::Ping { from: self.name.clone(), sequence });
    }

    /// Sends a message; what cannot be sent is lost, as on the network.
    fn send(&self, to: &str, message: &SwimMessage) {
        if let (Some(member), Ok(text)) = (self.others.get(to), serde_json::to_vec(message)) {
            let _ = self.socket.send_to(&text, member.address);
        }
    }
}
