//! A scenario below a router that learns its next hops by BGP.

use std::time::Duration;

use anyhow::Result;

use super::{Carrier, EventScenario, INITIAL_NODES, NO_DOUBLING};
use crate::frr_router::FrrRouter;
use crate::lab::{Lab, WEB_V4, WEB_V6};

const ROUTED_WITHIN: Duration = Duration::from_secs(20);
/// The time that BFD at 50 ms × 3 and the router's table take.
const NOTICED_AFTER: Duration = Duration::from_millis(220);

/// A scenario, and the router above it.
#[derive(Debug)]
pub struct RoutedScenario<'lab> {
    /// The scenario.
    pub scenario: EventScenario<'lab>,
    /// The router that learns by BGP; `None` where its routes are set by hand, since no agent advertises.
    frr_router: Option<FrrRouter>,
}

impl<'lab> RoutedScenario<'lab> {
    /// Starts the initial nodes' agents below FRR with BGP, and BFD of this interval; without agents, sets
    /// the router's routes by hand.
    ///
    /// # Errors
    /// When an agent or FRR does not start, or the routes do not appear.
    pub fn start(lab: &'lab Lab, carrier: Carrier, interval: Duration) -> Result<Self> {
        Self::start_with(lab, carrier, interval, true)
    }

    /// Starts agents without a keeper, whose BGP sessions end with them.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_without_keeper(lab: &'lab Lab, carrier: Carrier, interval: Duration) -> Result<Self> {
        Self::start_with(lab, carrier, interval, false)
    }

    fn start_with(lab: &'lab Lab, carrier: Carrier, interval: Duration, has_keeper: bool) -> Result<Self> {
        if carrier == Carrier::Ecmp {
            return Ok(Self { scenario: EventScenario::start(lab, carrier)?, frr_router: None });
        }
        let frr_router = FrrRouter::start(lab, &['a', 'b'], interval)?;
        let scenario = EventScenario::start_unrouted(lab, carrier, NO_DOUBLING, has_keeper)?;
        let routed = Self { scenario, frr_router: Some(frr_router) };
        routed.wait_routed(&INITIAL_NODES)?;
        Ok(routed)
    }

    /// Waits until the router has exactly these next hops, or sets them where no agent advertises.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn wait_routed(&self, nodes: &[&str]) -> Result<()> {
        match &self.frr_router {
            Some(frr_router) => frr_router.wait_next_hops(&[WEB_V4, WEB_V6], nodes, ROUTED_WITHIN),
            None => self.scenario.route(nodes),
        }
    }

    /// Waits until BFD is up with these nodes.
    ///
    /// # Errors
    /// When it is not in time.
    pub fn wait_bfd_up(&self, nodes: &[&str]) -> Result<()> {
        self.frr_router.as_ref().map_or(Ok(()), |frr_router| frr_router.wait_bfd_up(nodes, ROUTED_WITHIN))
    }

    /// Shuts the router's sessions with a node administratively, or enables them again.
    ///
    /// # Errors
    /// When the router rejects it.
    pub fn set_enabled(&self, node: &str, open: bool) -> Result<()> {
        self.frr_router.as_ref().map_or(Ok(()), |frr_router| frr_router.set_enabled(node, open))
    }

    /// Cuts the link of a node. Without BFD the router would not notice: its route is removed after the time
    /// that BFD would take.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn cut(&self, node: &str) -> Result<()> {
        self.scenario.lab.node(node)?.cut_link()?;
        if self.frr_router.is_none() {
            std::thread::sleep(NOTICED_AFTER);
        }
        Ok(())
    }
}
