//! What is reported of the announcement on the local network: the Services that this node announces, and
//! warnings about those that it cannot announce or that another host claims.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use lb_dataplane::layer2::{AddressState, Layer2View, StrangerState};
use lb_kube::event_reason::EventReason;
use lb_kube::status::{DesiredStatus, ServiceWarning};

/// Interval of warnings about the same stranger.
const WARN_EVERY: Duration = Duration::from_secs(3600);
/// Strangers about which there are warnings at a time: a host may claim addresses with any number of MACs.
const MAX_STRANGERS: usize = 100;

/// The report.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Layer2Report {
    /// The Services that this node announces, as `namespace/name`, and the interfaces; none for all.
    announced: BTreeMap<String, BTreeSet<String>>,
    warnings: BTreeSet<ServiceWarning>,
}

/// The strangers that have been reported of late.
#[derive(Debug, Default)]
pub(super) struct ReportedStrangers(BTreeMap<StrangerKey, Reported>);

/// A host that claims an address: its MAC and interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct StrangerKey {
    address: IpAddr,
    mac: String,
    interface: String,
}

/// When a stranger was last reported, and how often.
#[derive(Clone, Copy, Debug)]
struct Reported {
    at: Duration,
    occurrence: u64,
}

impl Layer2Report {
    /// Returns the report of a node with these uplinks. `now` is a time that never decreases.
    pub(super) fn of(
        view: &Layer2View,
        node: &str,
        uplinks: &BTreeSet<&str>,
        strangers: &mut ReportedStrangers,
        now: Duration,
    ) -> Self {
        strangers.update(view, node, now);
        let mut report = Self::default();
        for address in &view.addresses {
            if address.is_self && address.phase == "announcing" {
                for service in &address.services {
                    let interfaces = report.announced.entry(service.clone()).or_default();
                    interfaces.extend(address.interfaces.iter().cloned());
                }
            }
            if has_no_interface(address, node) {
                let note = no_interface(address, node);
                report.warn(address, EventReason::AnnounceFailed, &note, 0);
            }
            for (key, reported) in strangers.of(address.address) {
                let note = conflict(address, key);
                report.warn(address, EventReason::AddressConflict, &note, reported.occurrence);
            }
        }
        for interfaces in report.announced.values_mut() {
            if uplinks.iter().all(|uplink| interfaces.contains(*uplink)) {
                interfaces.clear();
            }
        }
        report
    }

    fn warn(&mut self, address: &AddressState, reason: EventReason, note: &str, occurrence: u64) {
        for (namespace, service) in address.services.iter().filter_map(|it| it.split_once('/')) {
            let (namespace, service) = (namespace.to_owned(), service.to_owned());
            self.warnings.insert(ServiceWarning {
                namespace,
                service,
                reason,
                note: note.to_owned(),
                occurrence,
            });
        }
    }

    /// Adds what is reported to the desired status.
    pub(super) fn add_to(&self, desired: &mut DesiredStatus, node: &str) {
        for (service, interfaces) in &self.announced {
            if let Some((namespace, service)) = service.split_once('/') {
                desired.set_service_l2(node, namespace, service, interfaces);
            }
        }
        self.warnings.iter().cloned().for_each(|warning| desired.warn(warning));
    }
}

impl ReportedStrangers {
    /// Adds the strangers that claim an address of this node, each at most once an hour, and forgets those
    /// that have not claimed one for an hour.
    fn update(&mut self, view: &Layer2View, node: &str, now: Duration) {
        let mut current = BTreeMap::new();
        for address in view.addresses.iter().filter(|it| is_own(it, node)) {
            current.extend(address.strangers.iter().map(|it| (key(address, it), it.last_ms)));
        }
        for (key, reported) in &mut self.0 {
            let since = now.saturating_sub(reported.at);
            let claimed_again = |last_ms: &u64| Duration::from_millis(*last_ms) < since;
            if since >= WARN_EVERY && current.get(key).is_some_and(claimed_again) {
                *reported = Reported { at: now, occurrence: reported.occurrence + 1 };
            }
        }
        self.0.retain(|key, it| now.saturating_sub(it.at) < WARN_EVERY || current.contains_key(key));
        for key in current.into_keys() {
            if self.0.len() < MAX_STRANGERS {
                self.0.entry(key).or_insert(Reported { at: now, occurrence: 0 });
            }
        }
    }

    fn of(&self, address: IpAddr) -> impl Iterator<Item = (&StrangerKey, &Reported)> {
        let first = StrangerKey { address, mac: String::new(), interface: String::new() };
        self.0.range(first..).take_while(move |(key, _)| key.address == address)
    }
}

/// Returns whether this node is the one to report about an address: it announces it, or should.
fn is_own(address: &AddressState, node: &str) -> bool {
    address.is_self || address.phase == "conflict" || address.announcer.is_none() && is_first(address, node)
}

/// Returns whether this node is the announcer of an address, and has no interface for it.
fn has_no_interface(address: &AddressState, node: &str) -> bool {
    address.phase == "off" && address.interfaces.is_empty() && (address.is_self || is_first(address, node))
}

/// Returns whether a node is the first that lives.
fn is_first(address: &AddressState, node: &str) -> bool {
    let first = |state| address.ranks.iter().find(|rank| rank.state == state);
    first("alive").or_else(|| first("draining")).is_some_and(|rank| rank.node == node)
}

fn no_interface(AddressState { address, .. }: &AddressState, node: &str) -> String {
    format!(
        "cannot announce {address} from node {node:?} with protocol \"layer2\": the node has no uplink among the \
         interfaces of the L2Advertisements; correct interfaces or nodeSelectors"
    )
}

fn conflict(AddressState { address, pool, .. }: &AddressState, key: &StrangerKey) -> String {
    let StrangerKey { mac, interface, .. } = key;
    format!(
        "the host with MAC {mac} on interface {interface} claims {address}: find the host by its MAC address, or remove \
         the address from pool {pool}"
    )
}

fn key(address: &AddressState, stranger: &StrangerState) -> StrangerKey {
    let StrangerState { mac, interface, .. } = stranger.clone();
    StrangerKey { address: address.address, mac, interface }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_status::samples::{address, stranger};

    const HOUR: u64 = 3600;

    fn report(addresses: &[AddressState]) -> Layer2Report {
        let view = Layer2View { addresses: addresses.to_vec(), ..Layer2View::default() };
        let uplinks = ["eth0", "eth1"].into();
        Layer2Report::of(&view, "n1", &uplinks, &mut ReportedStrangers::default(), Duration::ZERO)
    }

    fn notes(report: &Layer2Report) -> Vec<&str> {
        report.warnings.iter().map(|warning| warning.note.as_str()).collect()
    }

    #[test]
    fn a_service_is_reported_by_the_node_that_announces_it() {
        let of = |phase, announcer| report(&[address(1, announcer, phase)]).announced;
        assert_eq!(of("announcing", Some("n1")), [("shop/web".into(), ["eth0".into()].into())].into());
        for (phase, announcer) in
            [("standby", Some("n2")), ("checking", Some("n1")), ("conflict", None), ("off", Some("n1"))]
        {
            assert_eq!(of(phase, announcer), [].into(), "{phase}");
        }
    }

    #[test]
    fn interfaces_of_all_addresses_are_listed_unless_they_are_all_uplinks() {
        let other = |interface: &str| AddressState {
            interfaces: vec![interface.into()],
            ..address(2, Some("n1"), "announcing")
        };
        let first = address(1, Some("n1"), "announcing");
        let of = |addresses: &[AddressState]| report(addresses).announced["shop/web"].clone();
        assert_eq!(of(&[first.clone(), other("eth2")]), ["eth0".into(), "eth2".into()].into());
        assert_eq!(of(&[first, other("eth1")]), [].into());
    }

    #[test]
    fn the_first_live_node_warns_that_it_has_no_interface() {
        let off = AddressState { interfaces: Vec::new(), ..address(1, None, "off") };
        let expected = "cannot announce 192.0.2.1 from node \"n1\" with protocol \"layer2\": ";
        assert!(notes(&report(std::slice::from_ref(&off)))[0].starts_with(expected));
        let announcer = AddressState { announcer: Some("n1".into()), is_self: true, ..off.clone() };
        assert_eq!(notes(&report(&[announcer])).len(), 1);
        let mut second = off.clone();
        second.ranks.reverse();
        assert_eq!(notes(&report(&[second.clone()])), [] as [&str; 0]);
        second.ranks[0].state = "dead".into();
        assert_eq!(notes(&report(&[second])).len(), 1);
        let with_interface = address(1, None, "off");
        assert_eq!(notes(&report(&[with_interface])), [] as [&str; 0]);
    }

    #[test]
    fn a_stranger_is_reported_by_the_announcer_with_advice() {
        let claimed = |phase, announcer| AddressState {
            strangers: vec![stranger(7, 0)],
            ..address(1, announcer, phase)
        };
        let report_of = report(&[claimed("announcing", Some("n1"))]);
        let expected = "the host with MAC 02:00:00:00:00:07 on interface eth0 claims 192.0.2.1: find the host by its \
                        MAC address, or remove the address from pool metallb-system/lan";
        assert_eq!(notes(&report_of), [expected]);
        assert_eq!(notes(&report(&[claimed("conflict", None)])), [expected]);
        assert_eq!(notes(&report(&[claimed("standby", Some("n2"))])), [] as [&str; 0]);
    }

    #[test]
    fn a_stranger_is_reported_once_an_hour_while_it_claims_the_address() {
        let mut reported = ReportedStrangers::default();
        let mut occurrences = |seconds: u64, strangers: &[StrangerState]| {
            let address =
                AddressState { strangers: strangers.to_vec(), ..address(1, Some("n1"), "announcing") };
            let view = Layer2View { addresses: vec![address], ..Layer2View::default() };
            let now = Duration::from_secs(seconds);
            let report = Layer2Report::of(&view, "n1", &BTreeSet::new(), &mut reported, now);
            report.warnings.iter().map(|warning| warning.occurrence).collect::<Vec<_>>()
        };
        assert_eq!(occurrences(0, &[stranger(1, 0)]), [0]);
        assert_eq!(occurrences(10, &[]), [0], "the warning stays, so that a second claim is no other Event");
        assert_eq!(occurrences(20, &[stranger(1, 0), stranger(2, 0)]), [0, 0]);
        let silent = (HOUR - 20) * 1000;
        assert_eq!(occurrences(HOUR, &[stranger(1, 0), stranger(2, silent)]), [1, 0]);
        let silent = (HOUR + 10) * 1000;
        assert_eq!(occurrences(HOUR + 30, &[stranger(1, 0), stranger(2, silent)]), [1, 0], "silent since");
        assert_eq!(occurrences(2 * HOUR, &[]), [] as [u64; 0]);
        let many: Vec<_> = (0..=255).map(|last| stranger(last, 0)).collect();
        assert_eq!(occurrences(2 * HOUR, &many).len(), MAX_STRANGERS);
    }
}
