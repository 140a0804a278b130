//! A set-up that runs, and what can happen to it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ipnet::IpNet;
use nix::sys::signal::Signal;

use super::bgp::BgpSettings;
use super::resilient::ResilientGroup;
use super::{APP, Attraction, Contender, ContenderSettings, set_membership};
use crate::lab::topology::HTTP_PORT;
use crate::lab::{ExternalPolicy, Lab, LabAgentOptions, LabNode, agents};
use crate::layer2::Detection;
use crate::layer2::segment::{self, wait_stable};
use crate::layer2::stand_in::{self, Electorate, StandIn};
use crate::layer2::takeover::isolate;
use crate::routers::{Frr, RouterDaemon, wait, wait_kernel_next_hops};

/// How long the router may take to learn its routes, and a client to be served.
const SERVES_WITHIN: Duration = Duration::from_secs(30);
/// How long a client waits for a connection and for its answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// A set-up that serves its Service. Fields are dropped in order: the lab last.
#[derive(Debug)]
pub struct RunningContender {
    contender: Contender,
    settings: ContenderSettings,
    bgp: Option<BgpSettings>,
    /// The answerers of the nodes, where MetalLB's layer-2 mode is stood in for.
    answerers: BTreeMap<String, StandIn>,
    electorate: Electorate,
    /// FRR on the nodes, where MetalLB's BGP mode is stood in for.
    speakers: BTreeMap<String, Frr>,
    group: Option<ResilientGroup>,
    router: Option<Frr>,
    lab: Lab,
}

impl RunningContender {
    pub(super) fn start(contender: Contender, settings: ContenderSettings) -> Result<Self> {
        let lab = contender.topology(&settings).start()?;
        let bgp = BgpSettings::of(contender, &settings);
        let mut running = Self {
            contender,
            settings,
            bgp,
            answerers: BTreeMap::new(),
            electorate: Electorate::default(),
            speakers: BTreeMap::new(),
            group: None,
            router: None,
            lab,
        };
        let started = running.start_all();
        started.with_context(|| format!("{}\n{}", contender.name(), running.lab.logs()))?;
        Ok(running)
    }

    /// Returns what it is.
    #[must_use]
    pub fn contender(&self) -> Contender {
        self.contender
    }

    /// Returns its settings.
    #[must_use]
    pub fn settings(&self) -> &ContenderSettings {
        &self.settings
    }

    /// Returns its lab.
    #[must_use]
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// Returns the router that learns routes by BGP.
    #[must_use]
    pub fn router(&self) -> Option<&Frr> {
        self.router.as_ref()
    }

    /// Returns the address of its Service.
    #[must_use]
    pub fn vip(&self) -> IpAddr {
        self.contender.vip(self.settings.family)
    }

    /// Returns the names of the nodes that are members of the cluster.
    #[must_use]
    pub fn members(&self) -> Vec<String> {
        let topology = self.lab.topology();
        topology.nodes.iter().filter(|node| node.member).map(|node| node.name.clone()).collect()
    }

    /// Returns the nodes that should attract packets of a routed address: all members, but for MetalLB with
    /// policy Local only those with a ready pod.
    #[must_use]
    pub fn attracting(&self) -> Vec<String> {
        let members = self.members();
        if self.contender.is_fairlead() || self.settings.policy == ExternalPolicy::Cluster {
            return members;
        }
        let topology = self.lab.topology();
        let serves = |node: &String| topology.pods.iter().any(|pod| pod.node == *node && pod.ready);
        members.into_iter().filter(serves).collect()
    }

    /// Waits until the router's kernel has exactly these next hops, of a routed address. Nothing is waited
    /// for on a local network.
    ///
    /// # Errors
    /// When it has not in time.
    pub fn wait_routed(&self, nodes: &[String], within: Duration) -> Result<()> {
        if self.bgp.is_none() {
            return Ok(());
        }
        let hops = nodes
            .iter()
            .map(|node| Ok(self.lab.node(node)?.spec().addresses().of(self.settings.family)))
            .collect::<Result<Vec<_>>>()?;
        wait_kernel_next_hops(&*self.lab.router()?, IpNet::from(self.vip()), &hops, within)
    }

    /// Sends a request from the client.
    ///
    /// # Errors
    /// When it is not answered in half a second.
    pub fn request(&self) -> Result<String> {
        let to = SocketAddr::new(self.vip(), HTTP_PORT);
        self.lab.client()?.run(|| {
            let mut connection = TcpStream::connect_timeout(&to, PATIENCE)?;
            connection.set_read_timeout(Some(PATIENCE))?;
            connection.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            connection.read_to_string(&mut answer)?;
            ensure!(answer.contains("pod="), "not the answer of a pod: {answer:?}");
            Ok(answer)
        })
    }

    /// Takes a node off the network, which neither it nor its switch port notices, or puts it back.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn isolate(&self, node: &str, isolated: bool) -> Result<()> {
        isolate(&self.lab, self.lab.host(node)?, isolated)
    }

    /// Cuts the link of a node, whose carrier is lost, or restores it.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn cut_link(&self, node: &str, cut: bool) -> Result<()> {
        let node = self.lab.node(node)?;
        if cut { node.cut_link() } else { node.restore_link() }
    }

    /// Kills what directs packets to a node: Fairlead's agent, FRR or the answerer. The node's kernel goes
    /// on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill_agent(&mut self, node: &str) -> Result<()> {
        if self.contender.is_fairlead() {
            return self.lab.node(node)?.kill_agent();
        }
        self.answerers.remove(node);
        if let Some(speaker) = self.speakers.remove(node) {
            speaker.signal(Signal::SIGKILL)?;
        }
        Ok(())
    }

    /// Starts it again.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_agent(&mut self, node: &str) -> Result<()> {
        match (self.contender.is_fairlead(), &self.bgp) {
            (true, _) => {
                self.lab.node(node)?.start_agent(&self.agent_options())?;
                agents::prioritize(&self.lab)
            }
            (false, Some(bgp)) => {
                let speaker = bgp.start_speaker(&self.lab, node)?;
                speaker.prioritize()?;
                self.speakers.insert(node.to_owned(), speaker);
                Ok(())
            }
            (false, None) => {
                let answerer = stand_in::start_one(&self.lab, node, segment::vip(0), &self.electorate)?;
                self.answerers.insert(node.to_owned(), answerer);
                Ok(())
            }
        }
    }

    /// Drains a node as an operator would before maintenance, or undoes it. Fairlead: `fairlead drain`, while
    /// the pods stay. MetalLB, which has no drain: its pods become unready, by which it leaves the election
    /// or withdraws its route.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn drain(&mut self, node: &str, drained: bool) -> Result<()> {
        if self.contender.is_fairlead() {
            let option = if drained { "--no-wait" } else { "--undo" };
            return self.lab.node(node)?.fairlead(&["drain", option]).map(drop);
        }
        self.set_ready(node, !drained)?;
        self.follow(node)
    }

    /// Makes a machine a node of the cluster with ready pods, or removes it.
    ///
    /// # Errors
    /// When what directs packets to it does not start or end.
    pub fn set_member(&mut self, node: &str, member: bool) -> Result<()> {
        self.lab.update(|cluster| {
            set_membership(cluster, node, member);
            Ok(())
        })?;
        let runs = self.answerers.contains_key(node) || self.speakers.contains_key(node);
        match (self.contender.is_fairlead(), member) {
            (true, true) => self.start_agent(node),
            (true, false) => {
                let gone = self.lab.node(node)?;
                gone.stop_agent(SERVES_WITHIN)?;
                gone.detach()
            }
            (false, _) => {
                if member && !runs {
                    self.start_agent(node)?;
                }
                self.follow(node)
            }
        }
    }

    /// Sets whether the pods of a node are ready.
    ///
    /// # Errors
    /// When kube-proxy's rules do not load.
    pub fn set_ready(&self, node: &str, ready: bool) -> Result<()> {
        self.lab.update(|cluster| {
            cluster.pods.iter_mut().filter(|pod| pod.node == node).for_each(|pod| pod.ready = ready);
            Ok(())
        })
    }

    /// Fails if a part of the set-up that runs in this process has failed.
    ///
    /// # Errors
    /// The part's error.
    pub fn check(&mut self) -> Result<()> {
        self.group.as_mut().map_or(Ok(()), ResilientGroup::check)
    }

    /// Lets a node of MetalLB attract packets exactly if it should.
    fn follow(&mut self, node: &str) -> Result<()> {
        let attracts = self.attracting().iter().any(|it| it == node);
        self.electorate.set_eligible(node, attracts);
        match (&self.bgp, self.speakers.get(node)) {
            (Some(bgp), Some(speaker)) => bgp.set_advertised(speaker, attracts),
            _ => Ok(()),
        }
    }

    /// Returns the options of agents: the defaults, except that an announcer which has returned takes its
    /// addresses back after two seconds, so that a set-up is soon in its normal state.
    fn agent_options(&self) -> LabAgentOptions {
        match self.contender.attraction() {
            Attraction::Layer2 => segment::options(Detection::DEFAULT),
            Attraction::Bgp { .. } => LabAgentOptions::default(),
        }
    }

    fn start_all(&mut self) -> Result<()> {
        let members = self.members();
        if let Some(bgp) = &self.bgp {
            if self.contender == Contender::ResilientEcmp {
                self.group = Some(ResilientGroup::start(&self.lab, self.vip())?);
            }
            let router = bgp.start_router(&self.lab)?;
            router.prioritize()?;
            self.router = Some(router);
        }
        if self.contender.is_fairlead() {
            self.start_fairlead(&members)?;
        } else {
            let attracting = self.attracting();
            for node in self.lab.nodes()? {
                self.electorate.set_eligible(node.name(), attracting.iter().any(|it| it == node.name()));
            }
            attracting.iter().try_for_each(|node| self.start_agent(node))?;
        }
        self.wait_serving()
    }

    fn start_fairlead(&self, members: &[String]) -> Result<()> {
        if let Some(bgp) = &self.bgp {
            bgp.write_objects(&self.lab)?;
        }
        let nodes = members.iter().map(|node| self.lab.node(node)).collect::<Result<Vec<LabNode<'_>>>>()?;
        agents::start(&nodes, &self.agent_options())?;
        agents::prioritize(&self.lab)?;
        if self.contender.attraction() == Attraction::Layer2 { wait_stable(&self.lab) } else { Ok(()) }
    }

    /// Waits until the router has all routes, BFD is up, and a client is served.
    fn wait_serving(&mut self) -> Result<()> {
        let nodes = self.attracting();
        if self.contender != Contender::ResilientEcmp {
            self.wait_routed(&nodes, SERVES_WITHIN)?;
        }
        if let (Some(router), Attraction::Bgp { has_bfd: true }) = (&self.router, self.contender.attraction())
        {
            for node in &nodes {
                let address = self.lab.node(node)?.spec().addresses().of(self.settings.family);
                router.wait_bfd_up(address, SERVES_WITHIN)?;
            }
        }
        self.check()?;
        wait(SERVES_WITHIN, || self.request()).with_context(|| format!("the Service {APP} is not served"))?;
        self.check()
    }
}
