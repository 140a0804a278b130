//! Tests that the last-known-good configuration survives the agent: an object that is invalid when an agent
//! starts keeps the state that the previous agent had.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fairlead_tests::control_plane::ControlPlane;
use fairlead_tests::lab::addresses::IpVersion;
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, LabNode, Topology, WEB_V4, agents};
use fairlead_tests::objects::{metallb, yaml};
use fairlead_tests::routers::{
    Frr, GracefulRestartMode, RouterConfig, RouterDaemon, RouterPeer, kernel_next_hops, wait,
    wait_kernel_next_hops,
};
use serde_json::{Value, json};

const ROUTERS_AS: u32 = 64_500;
const AGENTS_AS: u32 = 64_501;
const WITHIN: Duration = Duration::from_secs(30);
/// How long the router's route is monitored for an interruption.
const WATCHED_FOR: Duration = Duration::from_secs(4);
/// The agent's message about an object that it keeps.
const STAYS: &str = "its last-known-good configuration stays in force";

#[test]
fn invalid_files_at_an_agents_start_keep_their_last_known_good_objects() -> Result<()> {
    run(|lab, node| {
        let lab_state = LastGoodLab::directory(lab, node)?;
        let unread = |name, spec: &str| {
            json!({"apiVersion": "metallb.io/v1beta1", "kind": name, "spec": spec,
                "metadata": {"name": "lab", "namespace": "metallb-system"}})
        };
        lab_state.survives_a_restart(
            || {
                lab_state.put_pool(&unread("IPAddressPool", "nothing"))?;
                lab_state.put_peer(&unread("BGPPeer", "nothing"))
            },
            &["IPAddressPool metallb-system/lab: spec", "BGPPeer metallb-system/lab: spec"],
        )?;
        lab_state.survives_a_restart(
            || lab_state.put_file("pool", "---\n{"),
            &[
                "cannot parse this document",
                "IPAddressPool metallb-system/lab: the object is invalid; its last-known-good",
            ],
        )?;
        lab_state.invalid_survives_a_restart()?;
        lab_state.deleted_stays_deleted()
    })
}

#[test]
fn invalid_cluster_objects_at_an_agents_start_keep_their_last_known_good_state() -> Result<()> {
    run(|lab, node| {
        let lab_state = LastGoodLab::cluster(lab, node)?;
        lab_state.invalid_survives_a_restart()?;
        lab_state.deleted_stays_deleted()
    })
}

/// Shows that the two tests above can fail.
#[test]
fn without_the_last_good_file_an_invalid_object_is_ignored() -> Result<()> {
    run(|lab, node| {
        let lab_state = LastGoodLab::directory(lab, node)?;
        for content in [None, Some("{\"format\":1,\"obj")] {
            lab_state.put_pool(&pool(&["203.0.113.10/33"]))?;
            lab_state.wait_problems(&["IPAddressPool metallb-system/lab: spec.addresses[0]", STAYS])?;
            node.kill_agent()?;
            match content {
                None => fs::remove_file(lab_state.file())?,
                Some(content) => fs::write(lab_state.file(), content)?,
            }
            node.start_agent(&lab_state.options)?;
            wait_kernel_next_hops(lab_state.frr.host(), WEB_V4.into(), &[], WITHIN)?;
            let log = node.agent_log();
            ensure!(log.contains("cannot read the last-known-good configuration"), "{log}");
            ensure!(!lab_state.problems()?.iter().any(|problem| problem.contains(STAYS)));
            lab_state.fix("64512:1")?;
        }
        Ok(())
    })
}

/// A node that advertises an address to a router, and the source of its objects.
struct LastGoodLab<'lab> {
    lab: &'lab Lab,
    node: &'lab LabNode<'lab>,
    frr: Frr,
    plane: Option<ControlPlane>,
    options: LabAgentOptions,
}

impl<'lab> LastGoodLab<'lab> {
    fn directory(lab: &'lab Lab, node: &'lab LabNode<'lab>) -> Result<Self> {
        // Each agent has a session of its own, so that it is known when it has sent its routes.
        Self::start(lab, node, None, LabAgentOptions::without_keeper())
    }

    fn cluster(lab: &'lab Lab, node: &'lab LabNode<'lab>) -> Result<Self> {
        let plane = ControlPlane::start(lab)?;
        let options =
            LabAgentOptions { kubeconfig: Some(plane.kubeconfig()), ..LabAgentOptions::without_keeper() };
        plane.put(&lab.topology().observed()?)?;
        let mut service = lab.topology().service_request("web", &[IpVersion::V4], "SingleStack")?;
        service["status"] = json!({ "loadBalancer": { "ingress": [{ "ip": WEB_V4 }] } });
        plane.put(&[service])?;
        Self::start(lab, node, Some(plane), options)
    }

    fn start(
        lab: &'lab Lab,
        node: &'lab LabNode<'lab>,
        plane: Option<ControlPlane>,
        options: LabAgentOptions,
    ) -> Result<Self> {
        let peer = RouterPeer::at(node.spec().addresses().of(IpVersion::V4), AGENTS_AS).source(gateway(node));
        let peer = RouterPeer { graceful_restart: GracefulRestartMode::Helper, ..peer };
        let frr = Frr::start(&*lab.router()?, &RouterConfig::new(ROUTERS_AS, gateway(node)).peer(peer))?;
        let lab_state = Self { lab, node, frr, plane, options };
        // The lab's own pool would conflict with the test's.
        fs::remove_file(lab.outside(&lab.manifests_directory()).join("metallb.yaml"))?;
        lab_state.put_valid("64512:0")?;
        node.start_agent(&lab_state.options)?;
        lab_state.wait_community("64512:0")?;
        wait_kernel_next_hops(lab_state.frr.host(), WEB_V4.into(), &lab_state.hops(), WITHIN)?;
        Ok(lab_state)
    }

    /// Returns the last-known-good file as this process sees it.
    fn file(&self) -> PathBuf {
        self.lab.outside(&self.node.socket().with_extension("accepted.json"))
    }

    fn hops(&self) -> [IpAddr; 1] {
        [self.node.spec().addresses().of(IpVersion::V4)]
    }

    fn put_valid(&self, community: &str) -> Result<()> {
        self.put_pool(&pool(&["203.0.113.10/32"]))?;
        self.put_peer(&self.peer("9s"))?;
        let advertisement = json!({ "ipAddressPools": ["lab"], "communities": [community] });
        self.put("advertisement", &metallb("v1beta1", "BGPAdvertisement", "lab", &advertisement))
    }

    fn peer(&self, hold_time: &str) -> Value {
        let spec = json!({
            "myASN": AGENTS_AS,
            "peerASN": ROUTERS_AS,
            "peerAddress": gateway(self.node).to_string(),
            "holdTime": hold_time,
            "connectTime": "1s",
            "enableGracefulRestart": true,
        });
        metallb("v1beta2", "BGPPeer", "lab", &spec)
    }

    fn put_pool(&self, pool: &Value) -> Result<()> {
        self.put("pool", pool)
    }

    fn put_peer(&self, peer: &Value) -> Result<()> {
        self.put("peer", peer)
    }

    fn put(&self, file: &str, object: &Value) -> Result<()> {
        match &self.plane {
            Some(plane) => plane.put(std::slice::from_ref(object)),
            None => self.put_file(file, &yaml(std::slice::from_ref(object))),
        }
    }

    fn put_file(&self, file: &str, text: &str) -> Result<()> {
        let directory = self.lab.outside(&self.lab.manifests_directory());
        // Write atomically, so that the agent never reads half of it.
        fs::write(directory.join(".draft"), text)?;
        Ok(fs::rename(directory.join(".draft"), directory.join(format!("{file}.yaml")))?)
    }

    fn invalid_survives_a_restart(&self) -> Result<()> {
        self.survives_a_restart(
            || {
                self.put_pool(&pool(&["203.0.113.10/33"]))?;
                self.put_peer(&self.peer("1s"))
            },
            &[
                "IPAddressPool metallb-system/lab: spec.addresses[0]",
                "IPAddressPool metallb-system/lab: the object is invalid; its last-known-good",
                "BGPPeer metallb-system/lab: spec.holdTime",
                "BGPPeer metallb-system/lab: the object is invalid; its last-known-good",
            ],
        )
    }

    /// Makes objects invalid, kills the agent, starts another and one more, and fixes the objects: the route
    /// must never disappear.
    fn survives_a_restart(&self, invalidate: impl Fn() -> Result<()>, problems: &[&str]) -> Result<()> {
        let mode = fs::metadata(self.file())?.permissions().mode() & 0o777;
        ensure!(mode == 0o600, "others may read passwords: {mode:o}");
        invalidate()?;
        self.wait_problems(&problems[..1])?;
        for _ in 0..2 {
            let before = self.established()?;
            self.node.kill_agent()?;
            self.node.launch_agent(&self.options)?;
            self.watch_route()?;
            wait(WITHIN, || {
                let now = self.established()?;
                ensure!(now > before, "no new session: {now}, {before} before");
                Ok(())
            })?;
            self.wait_problems(problems)?;
            // By now the agent's first UPDATEs would have replaced the routes that the router kept.
            self.watch_route()?;
        }
        self.fix("64512:1")?;
        self.watch_route()?;
        self.fix("64512:0")
    }

    fn fix(&self, community: &str) -> Result<()> {
        self.put_valid(community)?;
        self.wait_community(community)?;
        wait(WITHIN, || {
            let problems = self.problems()?;
            ensure!(problems.is_empty(), "{problems:?}");
            Ok(())
        })
    }

    /// Deletes the pool while no agent runs, and creates an invalid one: the old pool must not return.
    fn deleted_stays_deleted(&self) -> Result<()> {
        self.node.kill_agent()?;
        match &self.plane {
            Some(plane) => plane.delete("metallb.io/v1beta1", "IPAddressPool", "lab")?,
            None => fs::remove_file(self.lab.outside(&self.lab.manifests_directory()).join("pool.yaml"))?,
        }
        self.node.start_agent(&self.options)?;
        wait_kernel_next_hops(self.frr.host(), WEB_V4.into(), &[], WITHIN)?;
        self.put_pool(&pool(&["203.0.113.10/33"]))?;
        self.wait_problems(&["IPAddressPool metallb-system/lab: spec.addresses[0]"])?;
        ensure!(kernel_next_hops(self.frr.host(), WEB_V4.into())?.is_empty());
        Ok(())
    }

    fn watch_route(&self) -> Result<()> {
        let until = Instant::now() + WATCHED_FOR;
        while Instant::now() < until {
            let hops = kernel_next_hops(self.frr.host(), WEB_V4.into())?;
            ensure!(hops == self.hops(), "the route is gone: {hops:?}\n{}", self.node.agent_log());
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn problems(&self) -> Result<Vec<String>> {
        agents::problems(&self.node.status()?)
    }

    /// Waits until the agent's status reports all of these.
    fn wait_problems(&self, expected: &[&str]) -> Result<()> {
        wait(WITHIN, || {
            let problems = self.problems()?;
            let missing = expected.iter().find(|it| !problems.iter().any(|problem| problem.contains(**it)));
            ensure!(missing.is_none(), "no {missing:?} in {problems:?}");
            Ok(())
        })
    }

    fn wait_community(&self, community: &str) -> Result<()> {
        let (asn, value) = community.split_once(':').unwrap_or_default();
        let community = (asn.parse()?, value.parse()?);
        let has = |routes: &[fairlead_tests::routers::RouteView]| {
            !routes.is_empty() && routes.iter().all(|route| route.communities == [community].into())
        };
        self.frr.wait_routes(WEB_V4.into(), WITHIN, &has).map(drop)
    }

    /// Returns how many sessions with the node the router has established.
    fn established(&self) -> Result<u64> {
        let address = self.hops()[0].to_string();
        let text = self.frr.vtysh(&format!("show bgp neighbors {address} json"))?;
        let printed: Value = serde_json::from_str(&text)?;
        Ok(printed[&address]["connectionsEstablished"].as_u64().unwrap_or_default())
    }
}

fn pool(addresses: &[&str]) -> Value {
    metallb("v1beta1", "IPAddressPool", "lab", &json!({ "addresses": addresses }))
}

fn gateway(node: &LabNode<'_>) -> Ipv4Addr {
    node.spec().segment().gateway().v4
}

/// Runs a test in a lab of one node with a pod.
fn run(test: impl FnOnce(&Lab, &LabNode<'_>) -> Result<()>) -> Result<()> {
    let topology = Topology::empty().node('a', 1).pods("n1", "web", 1);
    let topology = topology.service("web", "web", &[WEB_V4], ExternalPolicy::Local);
    topology.run(|lab| test(lab, &lab.node("n1")?))
}
