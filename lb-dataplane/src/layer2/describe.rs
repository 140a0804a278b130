//! The view of the announcer, with names in place of numbers.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use lb_common::maps::Standing;
use lb_common::ring::{NO_NODE, NodeIndex};
use lb_l2::table::L2Address;
use lb_l2::view::{AddressView, StrangerView};

use super::view::{AddressState, Layer2View, RankState, StrangerState};
use super::{AddressDetails, AnnouncerThread};

/// Returns the name of a standing.
pub(super) const fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Stable => "stable",
        Standing::Returned => "returned",
        Standing::Ready => "ready",
        Standing::Absent => "absent",
    }
}

/// Formats a MAC address.
pub(super) fn mac([a, b, c, d, e, f]: [u8; 6]) -> String {
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

impl AnnouncerThread {
    /// Returns the view.
    pub(super) fn describe(&self, now: Duration) -> Layer2View {
        let view = self.engine.view(now);
        let addresses = view.addresses.iter().filter_map(|(address, state)| {
            let entry = self.config.table.addresses.get(address)?;
            Some(self.describe_address(*address, entry, state))
        });
        Layer2View {
            standing: standing(view.standing).into(),
            addresses: addresses.collect(),
            announcements: view.counters.sent,
            defended: view.counters.defended,
        }
    }

    fn describe_address(&self, address: IpAddr, entry: &L2Address, state: &AddressView) -> AddressState {
        let AddressDetails { pool, services, number } =
            self.config.details.get(&address).cloned().unwrap_or_default();
        let own = self.config.table.own;
        let ranks = entry.ranks.iter().take_while(|node| **node != NO_NODE);
        AddressState {
            address,
            pool,
            services,
            announcer: (state.announcer != NO_NODE).then(|| self.node(state.announcer).to_owned()),
            is_self: state.announcer == own && own != NO_NODE,
            phase: state.phase.name().into(),
            ranks: ranks.map(|node| self.describe_rank(*node)).collect(),
            interfaces: entry.links.iter().map(|link| self.link(*link).to_owned()).collect(),
            number,
            since_ms: Some(millis(state.since)),
            takeovers: state.takeovers,
            announcements: state.announcements,
            last_announcement_ms: state.last_announcement.map(millis),
            strangers: state.strangers.iter().map(|it| self.describe_stranger(it)).collect(),
        }
    }

    fn describe_rank(&self, node: NodeIndex) -> RankState {
        let name = self.node(node).to_owned();
        let is_own = node == self.config.table.own;
        let (state, said): (&'static str, Standing) = if is_own {
            let state = if self.config.is_draining { "draining" } else { "alive" };
            (state, self.engine.standing())
        } else {
            let cell = self.cells.of(node);
            let state = match () {
                () if self.is_dead(node) => "dead",
                () if cell.is_draining() => "draining",
                () => "alive",
            };
            let said = cell.standing();
            (state, if cell.is_held() { said.max(Standing::Returned) } else { said })
        };
        RankState { node: name, state: Cow::Borrowed(state), standing: standing(said).into() }
    }

    fn describe_stranger(&self, stranger: &StrangerView) -> StrangerState {
        StrangerState {
            mac: mac(stranger.mac),
            interface: self.link(stranger.link).to_owned(),
            claims: stranger.claims,
            last_ms: millis(stranger.last_seen),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
