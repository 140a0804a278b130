//! The counters of a node at one time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::status::Status;

/// The counters of a node at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Name of the node.
    pub node: String,
    /// When they were read, on any clock that only advances.
    pub at: Duration,
    /// VIPs, by their text, as `192.0.2.1:80/TCP`.
    pub vips: BTreeMap<String, VipSample>,
    /// Packets dropped, by verdict.
    pub dropped: BTreeMap<String, u64>,
}

/// The counters of a VIP.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VipSample {
    /// Its Service, as `namespace/name`.
    pub service: String,
    /// Packets received.
    pub packets: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Flows that began; `None`: the agent does not count them.
    pub new_flows: Option<u64>,
    /// Packets dropped because of the Service's source ranges.
    pub refused: u64,
    /// The nodes of its ring, with their weights.
    pub members: Vec<(String, u64)>,
}

impl Sample {
    /// Returns the counters in a status that was read at a time.
    pub fn new(status: &Status, at: Duration) -> Self {
        let traffic: BTreeMap<_, _> = status.vip_traffic.iter().map(|it| (it.number, it)).collect();
        let mut vips = BTreeMap::new();
        for service in &status.state.services {
            for vip in &service.vips {
                let traffic = vip.number.and_then(|number| traffic.get(&number));
                let members = vip.ring.iter().flat_map(|ring| ring.members.iter());
                let sample = VipSample {
                    service: service.service.to_string(),
                    packets: traffic.map_or(0, |it| it.packets),
                    bytes: traffic.map_or(0, |it| it.bytes),
                    new_flows: traffic.and_then(|it| it.new_flows),
                    refused: traffic.map_or(0, |it| it.source_refused),
                    members: members.map(|it| (it.node.to_string(), it.weight.into())).collect(),
                };
                let address = SocketAddr::new(vip.address, vip.port);
                vips.insert(format!("{address}/{}", vip.protocol.name()), sample);
            }
        }
        let dropped = status.outcomes.iter().filter(|verdict| verdict.dropped);
        Self {
            node: status.state.node.clone(),
            at,
            vips,
            dropped: dropped.map(|verdict| (verdict.name.to_string(), verdict.packets)).collect(),
        }
    }
}
