//! The search for duplicates of a new address, before the cluster first announces it.
//!
//! Three probes 200 ms apart, and 200 ms for answers to the last one. RFC 5227 section 2.1.1 has probes 1 to
//! 2 seconds apart, and RFC 4862 section 5.4 waits a second, because hosts and networks of any speed take
//! part; a host on a data center's network answers within milliseconds, and a new Service waits meanwhile.
//! Three probes cover the loss of two.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// Probes for an address on each link.
pub const PROBES: u8 = 3;
/// Time between probes, and after the last one.
pub const PROBE_INTERVAL: Duration = Duration::from_millis(200);
/// Time after which an address with a duplicate is checked again.
pub const RECHECK_AFTER: Duration = Duration::from_secs(30);

/// Which node announces an address by its rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstLive {
    /// No node.
    None,
    /// This node.
    Own,
    /// Another one.
    Other,
}

/// A host that is no node and uses an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Its MAC address.
    pub mac: [u8; 6],
    /// Interface index of the link.
    pub link: u32,
}

/// The checks of all addresses.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// Addresses that were checked, or need not be.
    free: BTreeSet<IpAddr>,
    running: BTreeMap<IpAddr, Check>,
    /// When each running check has to do something.
    due: BTreeSet<(Duration, IpAddr)>,
}

/// The check of an address.
#[derive(Clone, Debug)]
struct Check {
    links: Vec<u32>,
    /// Probes sent on each link.
    sent: u8,
    /// Links on which the next probe has been sent already.
    links_done: usize,
    due: Duration,
    duplicate: Option<Duplicate>,
}

impl Check {
    const fn new(links: Vec<u32>, now: Duration) -> Self {
        Self { links, sent: 0, links_done: 0, due: now, duplicate: None }
    }

    /// Returns whether probes are being sent and answers awaited, rather than the time of the next check.
    const fn is_probing(&self) -> bool {
        self.sent <= PROBES
    }
}

/// [`Check::sent`] between two checks.
const WAITS: u8 = u8::MAX;

impl Checks {
    /// Declares an address free: it is known, checks are off, or another node has announced it.
    pub fn set_free(&mut self, address: IpAddr) {
        self.stop(&address);
        self.free.insert(address);
    }

    /// Begins, continues or ends the check of an address by who announces it.
    pub fn set_first_live(&mut self, address: IpAddr, first: FirstLive, links: &[u32], now: Duration) {
        if self.free.contains(&address) {
            return;
        }
        match first {
            FirstLive::None => self.stop(&address),
            // That node may still be searching, or may have found a duplicate: see `set_free`.
            FirstLive::Other => self.stop(&address),
            FirstLive::Own if links.is_empty() => self.set_free(address),
            FirstLive::Own if self.running.get(&address).is_some_and(|check| check.links == links) => {}
            FirstLive::Own => {
                self.stop(&address);
                self.running.insert(address, Check::new(links.to_vec(), now));
                self.due.insert((now, address));
            }
        }
    }

    /// Forgets addresses.
    pub fn retain(&mut self, is_known: impl Fn(&IpAddr) -> bool) {
        self.free.retain(|address| is_known(address));
        self.running.retain(|address, _| is_known(address));
        self.due.retain(|(_, address)| is_known(address));
    }

    fn stop(&mut self, address: &IpAddr) {
        if let Some(check) = self.running.remove(address) {
            self.due.remove(&(check.due, *address));
        }
    }

    /// Notes that a host that is no node claims an address. Returns whether it is a new conflict.
    pub fn handle_claim(&mut self, address: IpAddr, found: Duplicate, now: Duration) -> bool {
        let Some(check) = self.running.get_mut(&address) else { return false };
        if !check.is_probing() || !check.links.contains(&found.link) {
            return false;
        }
        self.due.remove(&(check.due, address));
        let is_new = check.duplicate.is_none_or(|known| known.mac != found.mac);
        (check.sent, check.duplicate) = (WAITS, Some(found));
        check.due = now + RECHECK_AFTER;
        self.due.insert((check.due, address));
        is_new
    }

    /// Returns an address that is free from now on; call it until it returns `None`.
    pub fn poll_free(&mut self, now: Duration) -> Option<IpAddr> {
        let mut due = self.due.iter().take_while(|(due, _)| *due <= now);
        let address = due.find(|(_, address)| self.is_over(address))?.1;
        self.set_free(address);
        Some(address)
    }

    fn is_over(&self, address: &IpAddr) -> bool {
        self.running.get(address).is_some_and(|check| check.sent == PROBES)
    }

    /// Returns when the next probe is due, if it is by now.
    pub fn due_probe(&self, now: Duration) -> Option<Duration> {
        let mut due = self.due.iter().take_while(|(due, _)| *due <= now);
        due.find(|(_, address)| !self.is_over(address)).map(|(due, _)| *due)
    }

    /// Returns the address and the link of a probe that is due.
    pub fn poll_probe(&mut self, now: Duration) -> Option<(IpAddr, u32)> {
        let mut due = self.due.iter().take_while(|(due, _)| *due <= now);
        let (_, address) = *due.find(|(_, address)| !self.is_over(address))?;
        let check = self.running.get_mut(&address)?;
        if check.sent == WAITS {
            (check.sent, check.links_done) = (0, 0);
        }
        let link = *check.links.get(check.links_done)?;
        check.links_done += 1;
        if check.links_done == check.links.len() {
            (check.sent, check.links_done) = (check.sent + 1, 0);
            self.due.remove(&(check.due, address));
            check.due = now + PROBE_INTERVAL;
            self.due.insert((check.due, address));
        }
        Some((address, link))
    }

    /// Returns when the next check has to do something.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Returns the addresses that are free.
    pub const fn free(&self) -> &BTreeSet<IpAddr> {
        &self.free
    }

    /// Returns the duplicate of an address, if one was found.
    pub fn duplicate(&self, address: &IpAddr) -> Option<Duplicate> {
        self.running.get(address).and_then(|check| check.duplicate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: Duplicate = Duplicate { mac: [2, 0, 0, 0, 0, 9], link: 1 };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn address() -> IpAddr {
        "192.0.2.1".parse().unwrap()
    }

    fn started(links: &[u32]) -> Checks {
        let mut checks = Checks::default();
        checks.set_first_live(address(), FirstLive::Own, links, ms(0));
        checks
    }

    /// Returns the times and links of probes, and when the address was free.
    fn run(checks: &mut Checks, from: u64, to: u64) -> (Vec<(u64, u32)>, Option<u64>) {
        let (mut probes, mut free) = (Vec::new(), None);
        for at in from..to {
            while checks.poll_free(ms(at)).is_some() {
                free = Some(at);
            }
            while checks.due_probe(ms(at)).is_some() {
                probes.push((at, checks.poll_probe(ms(at)).unwrap().1));
            }
        }
        (probes, free)
    }

    #[test]
    fn a_new_address_is_probed_three_times_on_each_link_and_is_free_then() {
        let mut checks = started(&[1, 2]);
        let expected = vec![(0, 1), (0, 2), (200, 1), (200, 2), (400, 1), (400, 2)];
        assert_eq!(run(&mut checks, 0, 2000), (expected, Some(600)));
        assert!(checks.free().contains(&address()));
        assert_eq!(checks.next_deadline(), None);
    }

    #[test]
    fn a_claim_meanwhile_is_a_conflict_and_the_address_is_checked_again_later() {
        let mut checks = started(&[1]);
        run(&mut checks, 0, 450);
        assert!(!checks.handle_claim(address(), Duplicate { link: 7, ..STRANGER }, ms(450)));
        assert!(checks.handle_claim(address(), STRANGER, ms(450)));
        assert!(!checks.handle_claim(address(), STRANGER, ms(451)));
        assert_eq!(checks.duplicate(&address()), Some(STRANGER));
        assert_eq!(run(&mut checks, 451, 30_450), (vec![], None));
        run(&mut checks, 30_450, 30_500);
        assert!(!checks.handle_claim(address(), STRANGER, ms(30_500)), "it has been reported");
        let (probes, free) = run(&mut checks, 30_500, 70_000);
        assert_eq!((probes.len(), free), (3, Some(61_100)));
    }

    #[test]
    fn an_address_of_another_node_is_free_once_that_node_announces_it() {
        let mut checks = Checks::default();
        checks.set_first_live(address(), FirstLive::None, &[1], ms(0));
        assert!(checks.free().is_empty());
        checks.set_first_live(address(), FirstLive::Other, &[1], ms(0));
        assert!(checks.free().is_empty(), "it may find a duplicate");
        checks.set_free(address());
        checks.set_first_live(address(), FirstLive::Own, &[1], ms(0));
        assert_eq!(checks.due_probe(ms(0)), None);
    }

    #[test]
    fn an_address_is_free_until_it_leaves_the_table() {
        let mut checks = started(&[1]);
        run(&mut checks, 0, 700);
        checks.retain(|_| true);
        assert!(checks.free().contains(&address()));
        checks.retain(|_| false);
        assert!(checks.free().is_empty());
        checks.set_first_live(address(), FirstLive::Own, &[1], ms(700));
        assert_eq!(checks.due_probe(ms(700)), Some(ms(700)));
    }

    #[test]
    fn the_same_announcer_does_not_start_the_check_again() {
        let mut checks = started(&[1]);
        run(&mut checks, 0, 300);
        checks.set_first_live(address(), FirstLive::Own, &[1], ms(300));
        assert_eq!(run(&mut checks, 300, 700), (vec![(400, 1)], Some(600)));
    }
}
