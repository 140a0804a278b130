//! Which node announces each address, and what this node has done about it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use lb_common::ring::{NO_NODE, NodeIndex};

use crate::check::FirstLive;
use crate::table::{L2Address, L2Table};
use crate::view::{AddressPhase, AddressView};

/// All addresses.
#[derive(Clone, Debug, Default)]
pub(super) struct Announcers {
    addresses: BTreeMap<IpAddr, Announced>,
}

/// An address.
#[derive(Clone, Copy, Debug, Default)]
struct Announced {
    announcer: Option<NodeIndex>,
    /// The last other node that announced it.
    before: Option<NodeIndex>,
    since: Duration,
    is_announcing: bool,
    takeovers: u64,
    last_sent: Option<Duration>,
    sent: u64,
}

impl Announcers {
    /// Forgets addresses that are not in the table. Returns those that this node announced.
    pub(super) fn retain(&mut self, table: &L2Table) -> Vec<IpAddr> {
        let mut given_up = Vec::new();
        self.addresses.retain(|address, entry| {
            let is_known = table.addresses.contains_key(address);
            if !is_known && entry.is_announcing {
                given_up.push(*address);
            }
            is_known
        });
        given_up
    }

    /// Sets the node that announces an address. Returns whether it is another one than before.
    pub(super) fn set(&mut self, address: IpAddr, announcer: Option<NodeIndex>, now: Duration) -> bool {
        let new = Announced { since: now, ..Announced::default() };
        let entry = self.addresses.entry(address).or_insert(new);
        if entry.announcer == announcer {
            return false;
        }
        if entry.announcer.is_some() {
            entry.before = entry.announcer;
        }
        (entry.announcer, entry.since) = (announcer, now);
        true
    }

    /// Returns the node that announces an address.
    pub(super) fn announcer(&self, address: &IpAddr) -> Option<NodeIndex> {
        self.addresses.get(address).and_then(|entry| entry.announcer)
    }

    /// Returns the same as seen from this node.
    pub(super) fn first_live(&self, address: &IpAddr, own: NodeIndex) -> FirstLive {
        match self.announcer(address) {
            None => FirstLive::None,
            Some(node) if node == own => FirstLive::Own,
            Some(_) => FirstLive::Other,
        }
    }

    /// Returns whether this node announces an address.
    pub(super) fn is_announcing(&self, address: &IpAddr) -> bool {
        self.addresses.get(address).is_some_and(|entry| entry.is_announcing)
    }

    /// Notes that this node announces an address from now on. Returns the node that did before, or `None` if
    /// this node did already.
    pub(super) fn begin(&mut self, address: &IpAddr) -> Option<Option<NodeIndex>> {
        let entry = self.addresses.get_mut(address).filter(|entry| !entry.is_announcing)?;
        entry.is_announcing = true;
        let from = entry.before.filter(|node| Some(*node) != entry.announcer);
        entry.takeovers += u64::from(from.is_some());
        Some(from)
    }

    /// Notes that this node announces an address no longer. Returns whether it did.
    pub(super) fn end(&mut self, address: &IpAddr) -> bool {
        self.addresses.get_mut(address).is_some_and(|entry| std::mem::take(&mut entry.is_announcing))
    }

    /// Counts an announcement.
    pub(super) fn note_sent(&mut self, address: &IpAddr, now: Duration) {
        if let Some(entry) = self.addresses.get_mut(address) {
            entry.sent += 1;
            entry.last_sent = Some(now);
        }
    }

    /// Returns the state of an address, apart from its check and strangers.
    pub(super) fn view(
        &self,
        address: &IpAddr,
        entry: &L2Address,
        own: NodeIndex,
        now: Duration,
    ) -> AddressView {
        let Announced { announcer, since, takeovers, last_sent, sent, .. } =
            self.addresses.get(address).copied().unwrap_or_default();
        let phase = match announcer {
            _ if entry.links.is_empty() => AddressPhase::Off,
            Some(node) if node == own => AddressPhase::Announcing,
            _ => AddressPhase::Standby,
        };
        AddressView {
            announcer: announcer.unwrap_or(NO_NODE),
            phase,
            since: now.saturating_sub(since),
            takeovers,
            last_announcement: last_sent.map(|at| now.saturating_sub(at)),
            announcements: sent,
            strangers: Vec::new(),
        }
    }
}
