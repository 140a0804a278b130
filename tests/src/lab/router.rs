//! The router between the clients and the racks.

use std::net::IpAddr;
use std::ops::Deref;

use anyhow::Result;

use super::Lab;
use super::addresses::IpVersion;
use super::host::LabHost;
use super::wiring::ROUTER;

/// The router. It spreads flows over a route's next hops by a hash of addresses and ports (ECMP).
#[derive(Debug)]
pub struct LabRouter<'lab> {
    lab: &'lab Lab,
    host: &'lab LabHost,
}

impl<'lab> LabRouter<'lab> {
    pub(super) fn of(lab: &'lab Lab) -> Result<Self> {
        Ok(Self { lab, host: lab.host(ROUTER)? })
    }

    /// Routes `vip` to these nodes; without any, the route is a blackhole.
    ///
    /// # Errors
    /// When a node does not exist.
    pub fn set_next_hops(&self, vip: IpAddr, nodes: &[&str]) -> Result<()> {
        let family = IpVersion::of(vip);
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

impl Deref for LabRouter<'_> {
    type Target = LabHost;

    fn deref(&self) -> &LabHost {
        self.host
    }
}
