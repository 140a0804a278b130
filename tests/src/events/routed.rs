//! A stage below a router that learns by itself whom to send to.

use std::time::Duration;

use anyhow::Result;

use super::{Carrier, EventScenario, INITIAL_NODES, NO_DOUBLING};
use crate::frr_router::FrrRouter;
use crate::lab::{Lab, WEB_V4, WEB_V6};

const ROUTED_WITHIN: Duration = Duration::from_secs(20);
/// What BFD at 50 ms × 3 takes, and a router's table.
const NOTICED_AFTER: Duration = Duration::from_millis(220);

/// A stage, and the router above it.
#[derive(Debug)]
pub struct RoutedScenario<'lab> {
    /// The stage.
    pub stage: EventScenario<'lab>,
    /// The router that learns by BGP; `None` where its routes are set by hand, since nobody announces.
    upstream: Option<FrrRouter>,
}

impl<'lab> RoutedScenario<'lab> {
    /// Starts the residents' agents below FRR with BGP, and BFD of this interval; without agents, the router
    /// is told by hand.
    ///
    /// # Errors
    /// When an agent or FRR does not start, or their routes do not come to be.
    pub fn set(lab: &'lab Lab, carrier: Carrier, interval: Duration) -> Result<Self> {
        if carrier == Carrier::Nothing {
            return Ok(Self { stage: EventScenario::set(lab, carrier)?, upstream: None });
        }
        let upstream = FrrRouter::start(lab, &['a', 'b'], interval)?;
        let stage = EventScenario::set_unrouted(lab, carrier, NO_DOUBLING)?;
        let scene = Self { stage, upstream: Some(upstream) };
        scene.settle(&INITIAL_NODES)?;
        Ok(scene)
    }

    /// Waits until the router spreads over exactly these nodes, or has it do so where nobody announces.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn settle(&self, nodes: &[&str]) -> Result<()> {
        match &self.upstream {
            Some(upstream) => upstream.wait_next_hops(&[WEB_V4, WEB_V6], nodes, ROUTED_WITHIN),
            None => self.stage.route(nodes),
        }
    }

    /// Waits until BFD is up with these nodes.
    ///
    /// # Errors
    /// When it is not in time.
    pub fn wait_watched(&self, nodes: &[&str]) -> Result<()> {
        self.upstream.as_ref().map_or(Ok(()), |upstream| upstream.wait_watched(nodes, ROUTED_WITHIN))
    }

    /// Has the operator of the router shut its sessions with a node, or open them again.
    ///
    /// # Errors
    /// When the router does not take it.
    pub fn set_open(&self, node: &str, open: bool) -> Result<()> {
        self.upstream.as_ref().map_or(Ok(()), |upstream| upstream.set_open(node, open))
    }

    /// Pulls the cable of a node. Where nobody watches, the router would not notice: it is given the time that
    /// it would take if somebody did.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn cut(&self, node: &str) -> Result<()> {
        self.stage.lab.node(node)?.cut_link()?;
        if self.upstream.is_none() {
            std::thread::sleep(NOTICED_AFTER);
        }
        Ok(())
    }
}
