//! A stand-in for MetalLB's layer-2 mode, to compare with: an answerer in user space on every node, elected
//! among the members of a SWIM group with the default timing of hashicorp/memberlist on a LAN.
//!
//! Left out is what would make it slower: the awareness of a member's own health, which stretches its timers,
//! and confirmations of a suspicion, which memberlist awaits from four members on.

mod membership;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use sha2::{Digest, Sha256};

use self::membership::Membership;
use super::frames::{NeighborFrame, NeighborKind, announcements, answer};
use super::segment::LINK;
use super::wire::Wire;
use crate::lab::addresses::{HostAddresses, IpVersion};
use crate::lab::{Lab, LabNode};

/// How often gratuitous frames are repeated after a takeover, and for how long.
const REPEATED_EVERY: Duration = Duration::from_millis(1100);
const REPEATED_FOR: Duration = Duration::from_secs(5);
/// How long the loop waits for a frame before it looks at its timers.
const TICK: Duration = Duration::from_millis(1);

/// A running answerer of one node, stopped on drop.
#[derive(Debug)]
pub struct StandIn {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// What all answerers of a cluster know of its objects: the nodes that may not be elected, for example
/// because they have no ready pod of a Service with policy Local. Clones refer to the same nodes.
#[derive(Clone, Debug, Default)]
pub struct Electorate(Arc<Mutex<BTreeSet<String>>>);

impl Electorate {
    /// Sets whether a node may be elected.
    pub fn set_eligible(&self, node: &str, eligible: bool) {
        let mut excluded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if eligible {
            excluded.remove(node);
        } else {
            excluded.insert(node.to_owned());
        }
    }

    fn elect(&self, members: &BTreeSet<&str>, vip: HostAddresses) -> Option<String> {
        let excluded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let eligible = members.iter().copied().filter(|it| !excluded.contains(*it));
        elected(eligible, vip).map(str::to_owned)
    }
}

/// Starts an answerer on every node for an address of each family.
///
/// # Errors
/// When a host cannot be entered.
pub fn start(lab: &Lab, vip: HostAddresses) -> Result<Vec<StandIn>> {
    let electorate = Electorate::default();
    lab.nodes()?.iter().map(|node| start_one(lab, node.name(), vip, &electorate)).collect()
}

/// Starts the answerer of one node. Its group are all nodes of the lab; those without an answerer are dead
/// to it after a while.
///
/// # Errors
/// When the host cannot be entered.
pub fn start_one(lab: &Lab, node: &str, vip: HostAddresses, electorate: &Electorate) -> Result<StandIn> {
    let nodes = lab.nodes()?;
    let members: Vec<(String, HostAddresses)> =
        nodes.iter().map(|node| (node.name().to_owned(), node.spec().addresses())).collect();
    StandIn::start(&lab.node(node)?, &members, vip, electorate.clone())
}

/// Returns the elected one of these nodes: the one with the lowest hash of its name and the first address.
#[must_use]
pub fn elected<'a>(nodes: impl IntoIterator<Item = &'a str>, vip: HostAddresses) -> Option<&'a str> {
    nodes.into_iter().min_by_key(|node| Sha256::digest(format!("{node}#{}", vip.v4)))
}

impl StandIn {
    fn start(
        node: &LabNode<'_>,
        members: &[(String, HostAddresses)],
        vip: HostAddresses,
        electorate: Electorate,
    ) -> Result<Self> {
        let name = node.name().to_owned();
        let (wire, membership) = node.run(|| Ok((Wire::open(LINK)?, Membership::join(&name, members)?)))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut answerer = Answerer { name, vip, wire, membership, electorate, announced: None };
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                answerer.turn()?;
            }
            Ok(())
        });
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Stops it.
    ///
    /// # Errors
    /// When it could not send or receive.
    pub fn finish(mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take();
        thread.map_or(Ok(()), |thread| thread.join().map_err(|_| anyhow!("an answerer panicked"))?)
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Answerer {
    name: String,
    vip: HostAddresses,
    wire: Wire,
    membership: Membership,
    electorate: Electorate,
    /// Since when it is elected, and when it announced last.
    announced: Option<(Instant, Instant)>,
}

impl Answerer {
    fn turn(&mut self) -> Result<()> {
        if let Some(received) = self.wire.receive(TICK)? {
            self.answer(received.frame)?;
        }
        self.membership.turn(Instant::now())?;
        let members: BTreeSet<&str> = self.membership.members().collect();
        let is_elected = self.electorate.elect(&members, self.vip).as_deref() == Some(&self.name);
        let now = Instant::now();
        match self.announced {
            _ if !is_elected => self.announced = None,
            None => {
                self.announced = Some((now, now));
                self.announce()?;
            }
            Some((since, last)) if now - last >= REPEATED_EVERY && now - since < REPEATED_FOR => {
                self.announced = Some((since, now));
                self.announce()?;
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn answer(&self, frame: NeighborFrame) -> Result<()> {
        let is_question = frame.kind == NeighborKind::Question && self.vip.contains(frame.address);
        let is_to_us = frame.destination.is_group() || frame.destination == self.wire.mac();
        if self.announced.is_none() || !is_question || !is_to_us {
            return Ok(());
        }
        self.wire.send(&answer(self.wire.mac(), frame.address, (frame.mac, frame.from)))
    }

    fn announce(&self) -> Result<()> {
        let frames =
            IpVersion::BOTH.into_iter().flat_map(|it| announcements(self.wire.mac(), self.vip.of(it)));
        frames.into_iter().try_for_each(|frame| self.wire.send(&frame))
    }
}
