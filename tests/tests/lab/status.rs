//! Tests of the statuses that real agents report, and of drains by taints of Node objects.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fairlead_tests::control_plane::ControlPlane;
use fairlead_tests::frr_router::FrrRouter;
use fairlead_tests::lab::addresses::IpVersion;
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, Topology};
use fairlead_tests::routers::{RouterDaemon, wait};
use serde_json::{Value, json};

const NODES: [&str; 2] = ["n1", "n2"];
const WITHIN: Duration = Duration::from_secs(40);
/// BFD interval.
const INTERVAL: Duration = Duration::from_millis(100);
const POOL: &str = "198.51.100.0/28";
/// RFC 8326.
const GRACEFUL_SHUTDOWN: (u16, u16) = (65535, 0);

#[test]
fn agents_report_services_and_sessions_and_a_taint_drains_a_node() -> Result<()> {
    let topology = Topology::empty().node('a', 1).node('a', 2).pods("n1", "web", 1).pods("n2", "web", 1);
    topology.service("web", "web", &[], ExternalPolicy::Cluster).run(|lab| {
        let plane = ControlPlane::start(lab)?;
        let frr_router = FrrRouter::start_router(lab, &['a'], INTERVAL)?;
        plane.put(&frr_router.objects())?;
        plane.put(&[json!({
            "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
            "metadata": {"name": "lab", "namespace": "metallb-system"}, "spec": {"addresses": [POOL]},
        })])?;
        plane.put(&lab.topology().observed()?)?;
        let _controller = plane.controller("controller-1")?;
        let service_request = lab.topology().service_request("web", &[IpVersion::V4], "SingleStack")?;
        plane.put(&[service_request])?;
        let vip = wait(WITHIN, || plane.addresses("web")?.first().copied().context("no address"))?;
        lab.update(|topology| {
            topology.service_mut("web")?.vips = vec![vip];
            Ok(())
        })?;
        plane.put(&lab.topology().observed()?)?;
        let options = LabAgentOptions {
            kubeconfig: Some(plane.kubeconfig()),
            arguments: ["--drain-on-taint", "reboot:NoExecute"].map(String::from).into(),
            ..LabAgentOptions::default()
        };
        NODES.iter().try_for_each(|name| lab.node(name)?.start_agent(&options))?;
        frr_router.wait_next_hops(&[vip], &NODES, WITHIN)?;
        wait(WITHIN, || reports_all(&plane))?;

        taint(lab, &plane, "n2", &json!([{"key": "reboot", "effect": "NoExecute"}]))?;
        wait(WITHIN, || has_graceful_shutdown(&frr_router, lab, vip, &["n2"]))?;
        for name in NODES {
            let drains = |node: &Value| node["name"] == "n2" && node["drain"] == "taint reboot";
            wait(WITHIN, || {
                let status = lab.node(name)?.status()?;
                ensure!(status["nodes"].as_array().is_some_and(|it| it.iter().any(drains)), "{status}");
                Ok(())
            })?;
        }
        taint(lab, &plane, "n2", &json!([]))?;
        wait(WITHIN, || has_graceful_shutdown(&frr_router, lab, vip, &[]))?;
        reports_all(&plane)
    })
}

/// Checks that each node reports the Service, all its sessions, and a valid configuration.
fn reports_all(plane: &ControlPlane) -> Result<()> {
    let services = plane.list("metallb.io/v1beta1", "ServiceBGPStatus")?;
    let of = |node: &str| services.iter().find(|it| it["status"]["node"] == node);
    for node in NODES {
        let status = &of(node).with_context(|| format!("{node} reports no Service: {services:?}"))?["status"];
        ensure!(status["serviceName"] == "web" && status["serviceNamespace"] == "default", "{status}");
        ensure!(status["peers"].as_array().is_some_and(|peers| !peers.is_empty()), "{status}");
    }
    ensure!(services.len() == NODES.len(), "{services:?}");
    let sessions = plane.list("frrk8s.metallb.io/v1beta1", "BGPSessionState")?;
    for node in NODES {
        let mut of = sessions.iter().map(|it| &it["status"]).filter(|status| status["node"] == node);
        ensure!(of.clone().count() == 2, "a session of each family: {sessions:?}");
        let is_up = |status: &Value| status["bgpStatus"] == "Established" && status["bfdStatus"] == "Up";
        ensure!(of.all(is_up), "{sessions:?}");
    }
    let mut states: Vec<_> = plane
        .list("metallb.io/v1beta1", "ConfigurationState")?
        .into_iter()
        .map(|it| (it["metadata"]["name"].clone(), it["status"]["result"].clone()))
        .collect();
    states.sort_by_key(|(name, _)| name.to_string());
    let expected = ["controller", "speaker-n1", "speaker-n2"].map(|name| (json!(name), json!("Valid")));
    ensure!(states == expected, "{states:?}");
    Ok(())
}

/// Checks that routes of these nodes to an address carry the graceful-shutdown community, and no others.
fn has_graceful_shutdown(frr_router: &FrrRouter, lab: &Lab, vip: IpAddr, nodes: &[&str]) -> Result<()> {
    let routes = frr_router.frr().routes(vip.into())?;
    for name in NODES {
        let from = lab.node(name)?.spec().addresses().of(IpVersion::V4);
        let route = routes.iter().find(|route| route.from == Some(from));
        let route = route.with_context(|| format!("{name} advertises nothing: {routes:?}"))?;
        let asks = route.communities.contains(&GRACEFUL_SHUTDOWN);
        ensure!(asks == nodes.contains(&name), "{name}: {route:?}");
    }
    Ok(())
}

fn taint(lab: &Lab, plane: &ControlPlane, node: &str, taints: &Value) -> Result<()> {
    let observed = lab.topology().observed()?;
    let is_node = |object: &&Value| object["kind"] == "Node" && object["metadata"]["name"] == node;
    let mut object = observed.iter().find(is_node).context("no such Node")?.clone();
    object["spec"]["taints"] = taints.clone();
    plane.put(&[object])
}
