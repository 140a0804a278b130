//! What routers are told of Services, as one screen: those that are told in a line, the silent ones one by one.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;

use super::table::table;

/// Silent Services that are listed; all of them are in `-o json`.
const LISTED: usize = 20;

/// What the screen shows of a Service.
#[derive(Debug, Deserialize)]
pub(super) struct Service {
    namespace: String,
    name: String,
    peers: Vec<String>,
    silent: Option<String>,
    reason: Option<String>,
}

/// The Services.
pub(super) fn services(shown: &[Service]) -> String {
    let mut by_peers: BTreeMap<usize, usize> = BTreeMap::new();
    for service in shown.iter().filter(|service| service.silent.is_none()) {
        *by_peers.entry(service.peers.len()).or_default() += 1;
    }
    let silent: Vec<_> = shown.iter().filter(|service| service.silent.is_some()).collect();
    let parts: Vec<_> = by_peers
        .into_iter()
        .rev()
        .map(|(peers, services)| format!("{services} to {peers} peer{}", if peers == 1 { "" } else { "s" }))
        .collect();
    let announced = if parts.is_empty() { "none".to_owned() } else { parts.join(", ") };
    let mut screen = format!("Services announced: {announced}; silent: {}\n", silent.len());
    if silent.is_empty() {
        return screen;
    }
    let mut table = table(["SILENT SERVICE", "REASON", "BECAUSE"], &[]);
    for service in silent.iter().take(LISTED) {
        table.add_row([
            format!("{}/{}", service.namespace, service.name),
            service.silent.clone().unwrap_or_default(),
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

    fn told(peers: &[&str]) -> Service {
        let peers = peers.iter().map(|peer| (*peer).to_owned()).collect();
        Service { namespace: "shop".into(), name: "web".into(), peers, silent: None, reason: None }
    }

    fn silent(number: usize) -> Service {
        let (silent, reason) = (Some("noEndpoints".into()), Some("no endpoint serves".into()));
        Service { name: format!("s{number}"), silent, reason, ..told(&[]) }
    }

    #[test]
    fn those_that_are_told_are_counted_and_those_that_are_not_say_why() {
        let screen = services(&[told(&["a", "b"]), told(&["a"]), told(&["b", "a"]), silent(1)]);
        assert!(screen.starts_with("Services announced: 2 to 2 peers, 1 to 1 peer; silent: 1\n"), "{screen}");
        assert!(screen.contains("shop/s1") && screen.contains("no endpoint serves"), "{screen}");
        assert_eq!(services(&[]), "Services announced: none; silent: 0\n");
    }

    #[test]
    fn a_thousand_silent_services_are_one_screen() {
        let screen = services(&(0..1000).map(silent).collect::<Vec<_>>());
        assert!(screen.lines().count() < 30 && screen.ends_with("and 980 more: -o json\n"), "{screen}");
    }
}
