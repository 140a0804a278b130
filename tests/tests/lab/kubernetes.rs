//! End-to-end tests on an API server: objects are created, a controller allocates addresses, agents advertise
//! them, connections survive.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fairlead_tests::control_plane::ControlPlane;
use fairlead_tests::kubernetes::{
    A_WHILE, KubernetesLab, NODES, ServiceLoad, WATCHED_AGAIN_WITHIN, WITHIN, topology, words,
};
use fairlead_tests::traffic::UdpReport;

#[test]
fn services_get_addresses_routes_and_connections_that_survive_restarts() -> Result<()> {
    topology().run(|lab| {
        let mut cluster = KubernetesLab::start(lab)?;
        cluster.check_assignments()?;

        let load = ServiceLoad::start(&cluster, |_| true)?;
        cluster.scale(&["n1-3", "n3-3"], true)?;
        cluster.wait_served_by(&["n1-2", "n1-3", "n2-2", "n2-3", "n3-2", "n3-3"])?;
        cluster.scale(&["n2-2", "n2-3"], false)?;
        cluster.wait_served_by(&["n1-2", "n1-3", "n3-2", "n3-3"])?;
        cluster.scale(&["n2-2"], true)?;
        cluster.wait_served_by(&["n1-2", "n1-3", "n2-2", "n3-2", "n3-3"])?;
        load.check_alive("endpoints came and went")?;

        cluster.restart_controller()?;
        load.check_alive("another controller leads")?;
        for node in NODES {
            cluster.restart_agent(node)?;
            load.check_alive(&format!("another agent runs on {node}"))?;
        }

        // A deleted pod breaks its own connections, and no others.
        cluster.scale(&["n3-2"], false)?;
        lab.kill_pod("n3-2")?;
        sleep(A_WHILE);
        let total = load.finish(|connection| connection == "n3-2")?;
        println!("{total} connections over {}", cluster.plane);
        Ok(())
    })
}

#[test]
fn a_deleted_service_withdraws_only_its_own_routes() -> Result<()> {
    topology().run(|lab| {
        let cluster = KubernetesLab::start(lab)?;
        let gone = cluster.addresses_of("removed")?;
        let load = ServiceLoad::start(&cluster, |name| name != "removed")?;
        let before = cluster.routes(|name| name != "removed")?;
        cluster.plane.delete_service("removed")?;
        for address in gone {
            cluster.frr_router.wait_next_hops(&[address], &[], WITHIN)?;
        }
        sleep(A_WHILE);
        ensure!(cluster.routes(|name| name != "removed")? == before);
        load.finish(|_| false).map(drop)
    })
}

/// Losses depend on the machine's load, so a run with restarts is compared with the same run without.
#[test]
fn twenty_restarts_of_the_api_server_change_no_route_and_lose_no_datagram() -> Result<()> {
    const RESTARTS: u32 = 20;
    const AWAY: Duration = Duration::from_millis(300);
    const BACK: Duration = Duration::from_millis(700);
    topology().run(|lab| {
        let mut cluster = KubernetesLab::start(lab)?;
        let run =
            |cluster: &mut KubernetesLab<'_>, step: fn(&mut ControlPlane) -> Result<()>| -> Result<u64> {
                let load = ServiceLoad::start(cluster, |_| true)?;
                // The End-of-RIB of a session may still be on its way.
                sleep(A_WHILE);
                let before = cluster.bgp_counters()?;
                for _ in 0..RESTARTS {
                    step(&mut cluster.plane)?;
                    sleep(BACK);
                }
                let after = cluster.bgp_counters()?;
                ensure!(after == before, "the router received updates: {before:?}, then {after:?}");
                let (tcp, udp) = load.end()?;
                ensure!(tcp.iter().all(|report| report.failed() == 0), "{}", words(&tcp));
                let sent: u64 = udp.iter().map(UdpReport::sent).sum();
                let lost = udp.iter().map(|report| report.lost() + report.wrong()).sum();
                println!("{}, {lost} of {sent} datagrams lost", words(&tcp));
                Ok(lost)
            };
        let calm = run(&mut cluster, |_| {
            sleep(AWAY);
            Ok(())
        })?;
        let written = cluster.writes();
        let restarted = run(&mut cluster, |plane| plane.restart(AWAY))?;
        ensure!(restarted <= calm, "{restarted} datagrams lost, but {calm} without restarts");
        ensure!(cluster.writes() == written, "maps were written");
        // All have reconnected to the server: a new Service is served.
        let late = cluster.create_service("late")?;
        let late_comes = Instant::now();
        cluster.frr_router.wait_next_hops(&[late], &NODES, WATCHED_AGAIN_WITHIN)?;
        println!("{}: a new Service was advertised {:.1?} later", cluster.plane, late_comes.elapsed());
        Ok(())
    })
}
