//! Every set-up that Fairlead is compared with serves clients, and survives what can happen to it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fairlead_tests::contenders::{Contender, ContenderSettings, PodPlacement, RunningContender};
use fairlead_tests::lab::ExternalPolicy;
use fairlead_tests::lab::addresses::IpVersion;
use fairlead_tests::routers::wait;

/// More than memberlist's detection and the announcements after it: the slowest of those that detect at all.
const RECOVERS_WITHIN: Duration = Duration::from_secs(20);

#[test]
fn every_contender_serves_with_both_policies() -> Result<()> {
    for contender in Contender::ALL {
        for policy in [ExternalPolicy::Local, ExternalPolicy::Cluster] {
            let begun = Instant::now();
            let running = contender.start(ContenderSettings { policy, ..ContenderSettings::default() })?;
            eprintln!("{}, {policy:?}: served after {:.1?}", contender.name(), begun.elapsed());
            let answer = running.request()?;
            // Policy Local keeps the client's address.
            let is_kept = answer.contains("client=192.0.2.11");
            assert!(is_kept || policy == ExternalPolicy::Cluster, "{}: {answer}", contender.name());
        }
    }
    Ok(())
}

#[test]
fn contenders_serve_ipv6_where_they_can() -> Result<()> {
    for contender in
        [Contender::MetallbL2, Contender::MetallbBgp, Contender::FairleadL2, Contender::FairleadBgp]
    {
        let settings = ContenderSettings { family: IpVersion::V6, ..ContenderSettings::default() };
        let running = contender.start(settings)?;
        assert!(running.request()?.contains("client=2001:db8:c"), "{}", contender.name());
    }
    Ok(())
}

#[test]
fn pods_behind_the_entry_are_served_through_it() -> Result<()> {
    for (contender, policy) in
        [(Contender::MetallbL2, ExternalPolicy::Cluster), (Contender::FairleadL2, ExternalPolicy::Local)]
    {
        let placement = PodPlacement::Behind;
        let settings = ContenderSettings { policy, placement, ..ContenderSettings::default() };
        let entry = settings.entry();
        let running = contender.start(settings)?;
        for _ in 0..20 {
            let answer = running.request()?;
            assert!(!answer.contains(&format!("pod={entry}-")), "{}: {answer}", contender.name());
        }
    }
    Ok(())
}

#[test]
fn contenders_that_detect_failures_survive_a_cut_link() -> Result<()> {
    let detecting = [
        Contender::MetallbL2,
        Contender::MetallbBgpBfd,
        Contender::ResilientEcmp,
        Contender::FairleadL2,
        Contender::FairleadBgpBfd,
    ];
    for contender in detecting {
        let mut running = contender.start(ContenderSettings::default())?;
        let victim = running.settings().entry();
        running.cut_link(&victim, true)?;
        let begun = Instant::now();
        wait(RECOVERS_WITHIN, || served(&running, 20)).with_context(|| contender.name())?;
        eprintln!("{}: served again {:.1?} after the cut", contender.name(), begun.elapsed());
        running.check()?;
    }
    Ok(())
}

#[test]
fn machines_join_and_nodes_drain() -> Result<()> {
    for contender in Contender::ALL {
        let settings = ContenderSettings { machines: 1, ..ContenderSettings::default() };
        let mut running = contender.start(settings)?;
        running.set_member("n4", true)?;
        wait(RECOVERS_WITHIN, || served(&running, 20)).with_context(|| contender.name())?;
        if contender != Contender::ResilientEcmp {
            running.wait_routed(&running.attracting(), RECOVERS_WITHIN)?;
        }
        let entry = running.settings().entry();
        running.drain(&entry, true)?;
        // The announcer of a layer-2 address hands it over with its next frames.
        sleep(Duration::from_secs(2));
        for _ in 0..20 {
            let answer = running.request().with_context(|| contender.name())?;
            assert!(!answer.contains(&format!("pod={entry}-")), "{}: {answer}", contender.name());
        }
        running.check()?;
    }
    Ok(())
}

/// Sends requests, of which each must be served.
fn served(running: &RunningContender, requests: u32) -> Result<()> {
    (0..requests).try_for_each(|_| running.request().map(drop))
}
