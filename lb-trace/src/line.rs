//! A traced packet in words.

use std::net::IpAddr;

use crate::record::TracedPacket;

/// Returns the line of a packet: time, interface, verdict, flow, and where it went.
pub fn render(packet: &TracedPacket) -> String {
    let TracedPacket { interface, protocol, length, .. } = packet;
    let (from, to) = ends(packet);
    format!(
        "{} {interface} {} {protocol} {from} > {to}{} {length} bytes",
        time_of_day(packet.time_ns),
        verdict(packet),
        details(packet),
    )
}

/// Returns the comment of a packet in a file: what its bytes do not show.
pub fn comment(packet: &TracedPacket) -> String {
    format!("fairlead: {}{}", verdict(packet), details(packet))
}

fn verdict(packet: &TracedPacket) -> String {
    match (&packet.node, packet.dropped) {
        (_, true) => format!("{} (dropped)", packet.verdict),
        (Some(node), false) => format!("{} {node}", packet.verdict),
        (None, false) => packet.verdict.clone(),
    }
}

fn details(packet: &TracedPacket) -> String {
    let part =
        |name: &str, value: Option<String>| value.map_or_else(String::new, |it| format!(" {name} {it}"));
    [
        part("service", packet.service.clone()),
        part("slot", packet.slot.map(|slot| slot.to_string())),
        part("flow", packet.flow.clone()),
        part("in", packet.tunnel.clone()),
    ]
    .concat()
}

fn ends(packet: &TracedPacket) -> (String, String) {
    let end = |address: IpAddr, port: Option<u16>| match (address, port) {
        (address, None) => address.to_string(),
        (IpAddr::V4(address), Some(port)) => format!("{address}:{port}"),
        (IpAddr::V6(address), Some(port)) => format!("[{address}]:{port}"),
    };
    (end(packet.source, packet.source_port), end(packet.destination, packet.destination_port))
}

/// Returns the time of day in UTC, to the microsecond.
fn time_of_day(ns: u64) -> String {
    let (seconds, micros) = (ns / 1_000_000_000 % 86_400, ns % 1_000_000_000 / 1000);
    format!("{:02}:{:02}:{:02}.{micros:06}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn packet() -> TracedPacket {
        TracedPacket {
            time_ns: 1_764_547_200_000_001_000,
            interface: "eth0".into(),
            verdict: "forwarded_l2".into(),
            dropped: false,
            source: "192.0.2.7".parse().unwrap(),
            source_port: Some(40_312),
            destination: "203.0.113.10".parse().unwrap(),
            destination_port: Some(443),
            protocol: "tcp".into(),
            tunnel: None,
            service: Some("shop/web".into()),
            slot: Some(812),
            flow: Some("00000000000000ff".into()),
            node: Some("n2".into()),
            length: 74,
            bytes: "0102030405".into(),
        }
    }

    #[test]
    fn a_line_shows_the_fate_of_the_packet() {
        assert_eq!(
            render(&packet()),
            "00:00:00.000001 eth0 forwarded_l2 n2 tcp 192.0.2.7:40312 > 203.0.113.10:443 service shop/web slot 812 \
             flow 00000000000000ff 74 bytes"
        );
        let dropped = TracedPacket {
            verdict: "no_live_node".into(),
            dropped: true,
            source: "2001:db8::7".parse().unwrap(),
            tunnel: Some("gue".into()),
            service: None,
            slot: None,
            flow: None,
            node: None,
            destination_port: None,
            ..packet()
        };
        assert_eq!(
            render(&dropped),
            "00:00:00.000001 eth0 no_live_node (dropped) tcp [2001:db8::7]:40312 > 203.0.113.10 in gue 74 bytes"
        );
        assert_eq!(comment(&dropped), "fairlead: no_live_node (dropped) in gue");
    }
}
