//! The Services advertised to BGP peers, as one screen: counts of those advertised, a line for each that is
//! not.

use std::collections::BTreeMap;
use std::fmt::Write;

use lb_speaker::status::AdvertisedService;

use crate::table::table;

/// The maximum number of lines; `-o json` has all.
const LISTED: usize = 20;

/// Renders the Services.
pub(super) fn services(services: &[AdvertisedService]) -> String {
    let mut by_peers: BTreeMap<usize, usize> = BTreeMap::new();
    for service in services.iter().filter(|service| service.silent.is_none()) {
        *by_peers.entry(service.peers.len()).or_default() += 1;
    }
    let silent: Vec<_> = services.iter().filter(|service| service.silent.is_some()).collect();
    let parts: Vec<_> = by_peers
        .into_iter()
        .rev()
        .map(|(peers, count)| format!("{count} to {peers} peer{}", if peers == 1 { "" } else { "s" }))
        .collect();
    let advertised = if parts.is_empty() { "none".to_owned() } else { parts.join(", ") };
    let mut screen = format!("Services advertised: {advertised}; not advertised: {}\n", silent.len());
    if silent.is_empty() {
        return screen;
    }
    let mut table = table(["NOT ADVERTISED", "REASON", "MESSAGE"], &[]);
    for service in silent.iter().take(LISTED) {
        table.add_row([
            format!("{}/{}", service.namespace, service.name),
            service.silent.clone().unwrap_or_default().into(),
            service.reason.clone().unwrap_or_default(),
        ]);
    }
    let _ = writeln!(screen, "\n{table}");
    if let Some(more @ 1..) = silent.len().checked_sub(LISTED) {
        let _ = writeln!(screen, "and {more} more: -o json");
    }
    screen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advertised(peers: &[&str]) -> AdvertisedService {
        let peers = peers.iter().map(|peer| (*peer).to_owned()).collect();
        let (namespace, name) = ("shop".into(), "web".into());
        AdvertisedService { namespace, name, peers, addresses: Vec::new(), silent: None, reason: None }
    }

    fn silent(number: usize) -> AdvertisedService {
        let (silent, reason) = (Some("noEndpoints".into()), Some("no endpoint is serving".into()));
        AdvertisedService { name: format!("s{number}"), silent, reason, ..advertised(&[]) }
    }

    #[test]
    fn advertised_services_are_counted_and_the_others_are_listed_with_their_reason() {
        let screen =
            services(&[advertised(&["a", "b"]), advertised(&["a"]), advertised(&["b", "a"]), silent(1)]);
        assert!(
            screen.starts_with("Services advertised: 2 to 2 peers, 1 to 1 peer; not advertised: 1\n"),
            "{screen}"
        );
        assert!(screen.contains("shop/s1") && screen.contains("no endpoint is serving"), "{screen}");
        assert_eq!(services(&[]), "Services advertised: none; not advertised: 0\n");
    }

    #[test]
    fn a_thousand_services_that_are_not_advertised_fit_on_one_screen() {
        let screen = services(&(0..1000).map(silent).collect::<Vec<_>>());
        assert!(screen.lines().count() < 30 && screen.ends_with("and 980 more: -o json\n"), "{screen}");
    }
}
