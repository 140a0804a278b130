use lb_common::ring::NO_NODE;
use lb_common::trace::TraceRecord;
use lb_common::verdict::Refusal;

use super::*;

fn request() -> TraceRequest {
    TraceRequest { rate: 100, snap: 128, seconds: 60, ..TraceRequest::default() }
}

fn key(source: &str, destination: &str, port: u16) -> TraceKey {
    let words = |text: &str| match text.parse().unwrap() {
        IpAddr::V4(address) => address_words(address.to_ipv6_mapped().octets()),
        IpAddr::V6(address) => address_words(address.octets()),
    };
    let [high, low] = port.to_be_bytes();
    let ports = [0x9c, 0x40, high, low];
    TraceKey { source: words(source), destination: words(destination), ports, protocol: 6, ..TraceKey::EMPTY }
}

#[test]
fn a_filter_is_a_prefix_of_either_family_with_a_port() {
    let of = |vip: &str, client: &str, port| {
        let request = TraceRequest {
            vip: Some(vip.parse().unwrap()),
            client: Some(client.parse().unwrap()),
            port,
            ..request()
        };
        request.settings().unwrap()
    };
    let v4 = of("203.0.113.10/32", "192.0.2.0/24", Some(80));
    assert!(v4.matches(&key("192.0.2.7", "203.0.113.10", 80)));
    for other in [
        key("192.0.3.7", "203.0.113.10", 80),
        key("192.0.2.7", "203.0.113.11", 80),
        key("192.0.2.7", "203.0.113.10", 81),
    ] {
        assert!(!v4.matches(&other), "{other:?}");
    }
    let v6 = of("2001:db8::/32", "::/0", None);
    assert!(v6.matches(&key("2001:db8::7", "2001:db8:1::1", 443)));
    assert!(!v6.matches(&key("2001:db8::7", "2001:db9::1", 443)));
    assert!(request().settings().unwrap().matches(&key("192.0.2.7", "2001:db9::1", 443)));
}

#[test]
fn verdicts_are_chosen_by_name_or_by_their_fate() {
    let bits = |verdicts: &[&str], drops| {
        let verdicts = verdicts.iter().map(|name| (*name).to_owned()).collect();
        TraceRequest { verdicts, drops, ..request() }.settings().map(|settings| settings.verdicts)
    };
    assert_eq!(bits(&["local"], false), Ok(verdict_bit(Outcome::Local as u32)));
    let drops = bits(&[], true).unwrap();
    assert!(drops & verdict_bit(Refusal::NoLiveNode as u32) != 0);
    assert_eq!(drops & verdict_bit(Refusal::Truncated as u32), 0, "it goes to the stack");
    assert_eq!(bits(&["local"], true), Ok(drops | verdict_bit(Outcome::Local as u32)));
    assert_eq!(bits(&["elsewhere"], false), Err(RequestError::NoVerdict("elsewhere".into())));
}

#[test]
fn requests_out_of_bounds_are_refused() {
    for (request, error) in [
        (TraceRequest { rate: 0, ..request() }, RequestError::Rate(0)),
        (TraceRequest { rate: MAX_RATE + 1, ..request() }, RequestError::Rate(MAX_RATE + 1)),
        (TraceRequest { snap: 0, ..request() }, RequestError::Snap(0)),
        (TraceRequest { snap: 1 << 20, ..request() }, RequestError::Snap(1 << 20)),
        (TraceRequest { seconds: MAX_SECONDS + 1, ..request() }, RequestError::Seconds(MAX_SECONDS + 1)),
    ] {
        assert_eq!(request.settings(), Err(error));
    }
}

#[test]
fn a_record_names_interface_and_verdict_and_hides_what_it_lacks() {
    let record = TraceRecord {
        time: 5,
        flow: 0,
        key: key("192.0.2.7", "203.0.113.10", 80),
        ifindex: 3,
        verdict: Refusal::NoLiveNode as u32,
        slot: u32::MAX,
        vip: u32::MAX,
        length: 60,
        captured: 2,
        node: NO_NODE,
        pad: [0; 3],
    };
    let interfaces = BTreeMap::from([(3, "eth0".to_owned())]);
    let names = TraceNames { interfaces, ..TraceNames::default() };
    let packet = names.describe(&TracedFrame { record, bytes: vec![0xab, 0x01] }, 1_000);
    assert_eq!(packet.time_ns, 1_005);
    assert_eq!((packet.interface.as_str(), packet.verdict.as_str()), ("eth0", "no_live_node"));
    assert_eq!((packet.dropped, packet.slot, packet.flow, packet.node), (true, None, None, None));
    assert_eq!((packet.source_port, packet.destination_port), (Some(40_000), Some(80)));
    assert_eq!((packet.source.to_string().as_str(), packet.bytes.as_str()), ("192.0.2.7", "ab01"));
    let unknown = TraceRecord { ifindex: 9, verdict: 63, ..record };
    let packet = names.describe(&TracedFrame { record: unknown, bytes: Vec::new() }, 0);
    assert_eq!((packet.interface.as_str(), packet.verdict.as_str()), ("#9", "#63"));
}
