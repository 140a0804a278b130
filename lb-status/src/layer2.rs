//! The answer to `GET /l2`: the announcer's view, and what the program has answered beside it.

use std::borrow::Cow;

use lb_dataplane::layer2::{AddressState, Layer2View};
use serde::{Deserialize, Serialize};

/// The addresses that nodes announce on the local network.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Layer2Status {
    /// Name of this node.
    pub node: String,
    /// What this node says of itself: `stable`, `returned`, `ready` or `absent`.
    pub standing: Cow<'static, str>,
    /// The addresses, in order.
    pub addresses: Vec<AddressStatus>,
    /// Announcements sent: gratuitous ARP and unsolicited Neighbor Advertisements.
    pub announcements: u64,
    /// Announcements sent because another host claimed the address.
    pub defended: u64,
}

/// An address that nodes announce.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AddressStatus {
    /// The announcer's view of it.
    #[serde(flatten)]
    pub view: AddressState,
    /// ARP requests and Neighbor Solicitations that this node has answered.
    pub answered: u64,
}

impl Layer2Status {
    /// Returns the view with the counters beside it, by the number of an address.
    pub fn new(node: &str, view: &Layer2View, answered: impl Fn(u32) -> u64) -> Self {
        let address = |it: &AddressState| AddressStatus { view: it.clone(), answered: answered(it.number) };
        Self {
            node: node.to_owned(),
            standing: view.standing.clone(),
            addresses: view.addresses.iter().map(address).collect(),
            announcements: view.announcements,
            defended: view.defended,
        }
    }
}

/// The most addresses that a problem names; `fairlead status l2` has all.
const NAMED: usize = 5;

/// Returns the problems of the addresses, a sentence each.
pub fn problems(view: &Layer2View) -> Vec<String> {
    let conflicts = view.addresses.iter().filter(|it| !it.strangers.is_empty() || it.phase == "conflict");
    let unannounced = view.addresses.iter().filter(|it| is_unannounced(it));
    let of = |what: &str, addresses: &[&AddressState]| {
        (!addresses.is_empty()).then(|| format!("{what} {}; see `fairlead status l2`", named(addresses)))
    };
    let conflicts = of("another host claims", &conflicts.collect::<Vec<_>>());
    let unannounced = of("no node announces", &unannounced.collect::<Vec<_>>());
    conflicts.into_iter().chain(unannounced).collect()
}

/// Returns whether no node announces an address, although it is not being checked for duplicates.
fn is_unannounced(address: &AddressState) -> bool {
    let is_silent_self = address.is_self && address.phase == "off";
    (address.announcer.is_none() || is_silent_self)
        && address.phase != "checking"
        && address.phase != "conflict"
}

fn named(addresses: &[&AddressState]) -> String {
    let names: Vec<_> = addresses.iter().take(NAMED).map(|it| it.address.to_string()).collect();
    let more = addresses.len().saturating_sub(NAMED);
    names.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{address, layer2_status, stranger};

    #[test]
    fn json_has_the_view_and_the_answers_and_is_read_back() {
        let written = serde_json::to_value(layer2_status(vec![address(1, Some("n2"), "standby")])).unwrap();
        assert_eq!(written["addresses"][0]["announcer"], "n2");
        assert_eq!(written["addresses"][0]["answered"], 100);
        let read: Layer2Status = serde_json::from_value(written).unwrap();
        assert_eq!(read.addresses[0].view, address(1, Some("n2"), "standby"));
    }

    #[test]
    fn addresses_in_conflict_and_those_that_no_node_announces_are_one_line_each() {
        let mut claimed = address(1, Some("n1"), "announcing");
        claimed.strangers.push(stranger(1, 0));
        let addresses = [
            claimed,
            address(2, None, "conflict"),
            address(3, None, "standby"),
            address(4, None, "checking"),
            address(5, Some("n1"), "off"),
            address(6, Some("n2"), "off"),
        ];
        let view = Layer2View { addresses: addresses.into(), ..Layer2View::default() };
        let expected = [
            "another host claims 192.0.2.1, 192.0.2.2; see `fairlead status l2`",
            "no node announces 192.0.2.3, 192.0.2.5; see `fairlead status l2`",
        ];
        assert_eq!(problems(&view), expected);
        let addresses = (0..8).map(|last| address(last, None, "standby")).collect();
        let view = Layer2View { addresses, ..Layer2View::default() };
        assert!(problems(&view)[0].contains("192.0.2.4 and 3 more;"), "{:?}", problems(&view));
    }
}
