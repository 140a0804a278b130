//! Values for tests.

use std::net::Ipv4Addr;

use lb_dataplane::layer2::{AddressState, RankState, StrangerState};

use crate::layer2::{AddressStatus, Layer2Status};

/// Returns an address that n1 and n2 may announce, as seen by n1.
pub fn address(last: u8, announcer: Option<&str>, phase: &'static str) -> AddressState {
    let rank = |node: &str| RankState { node: node.into(), state: "alive".into(), standing: "stable".into() };
    AddressState {
        address: Ipv4Addr::new(192, 0, 2, last).into(),
        pool: "metallb-system/lan".into(),
        services: vec!["shop/web".into()],
        announcer: announcer.map(str::to_owned),
        is_self: announcer == Some("n1"),
        phase: phase.into(),
        ranks: vec![rank("n1"), rank("n2")],
        interfaces: vec!["eth0".into()],
        number: last.into(),
        since_ms: Some(61_000),
        takeovers: 3,
        announcements: 8,
        last_announcement_ms: Some(5_000),
        strangers: Vec::new(),
    }
}

/// Returns a host that claims an address.
pub fn stranger(last: u8, last_ms: u64) -> StrangerState {
    let mac = format!("02:00:00:00:00:{last:02x}");
    StrangerState { mac, interface: "eth0".into(), claims: 2, last_ms }
}

/// Returns the status of these addresses, each with a hundred times its number of answers.
pub fn layer2_status(addresses: Vec<AddressState>) -> Layer2Status {
    let with_answers = |view: AddressState| AddressStatus { answered: 100 * u64::from(view.number), view };
    Layer2Status {
        node: "n1".to_owned(),
        standing: "stable".into(),
        addresses: addresses.into_iter().map(with_answers).collect(),
        announcements: 16,
        defended: 1,
    }
}
