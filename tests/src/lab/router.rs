//! The router between the clients and the racks.

use std::net::IpAddr;
use std::ops::Deref;

use anyhow::Result;

use super::Lab;
use super::addresses::Family;
use super::host::Host;
use super::wiring::ROUTER;

/// The router. It spreads by the hash of addresses and ports over the next hops of a route (ECMP).
#[derive(Debug)]
pub struct Router<'lab> {
    lab: &'lab Lab,
    host: &'lab Host,
}

impl<'lab> Router<'lab> {
    pub(super) fn of(lab: &'lab Lab) -> Result<Self> {
        Ok(Self { lab, host: lab.host(ROUTER)? })
    }

    /// Spreads `vip` over these nodes from now on, over none when there are none.
    ///
    /// # Errors
    /// When a node does not exist.
    pub fn set_next_hops(&self, vip: IpAddr, nodes: &[&str]) -> Result<()> {
        let family = Family::of(vip);
        let target = format!("{vip}/{}", family.host_length());
        if nodes.is_empty() {
            return self.host.ip(&[format!("route replace blackhole {target}")]);
        }
        let mut line = format!("route replace {target}");
        for node in nodes {
            line += &format!(" nexthop via {}", self.lab.node(node)?.spec().addresses().of(family));
        }
        self.host.ip(&[line])
    }
}

impl Deref for Router<'_> {
    type Target = Host;

    fn deref(&self) -> &Host {
        self.host
    }
}
