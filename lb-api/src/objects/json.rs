//! Objects as JSON, as an API server has them.

use serde_json::Value;

use super::object::Object;

impl Object {
    /// Returns the object as JSON, which [`from_json`](super::from_json) converts back to an equal object.
    /// `None` for kinds that do not configure the load balancer: those are never written, Secrets in
    /// particular.
    ///
    /// It contains the password of a BGPPeer.
    pub fn to_json(&self) -> Option<Value> {
        let mut value = match self {
            Self::IpAddressPool(pool) => serde_json::to_value(pool),
            Self::L2Advertisement(advertisement) => serde_json::to_value(advertisement),
            Self::BgpPeer(peer) => serde_json::to_value(peer),
            Self::BgpAdvertisement(advertisement) => serde_json::to_value(advertisement),
            Self::BfdProfile(profile) => serde_json::to_value(profile),
            Self::Community(community) => serde_json::to_value(community),
            Self::Service(_)
            | Self::EndpointSlice(_)
            | Self::Node(_)
            | Self::Namespace(_)
            | Self::Secret(_) => return None,
        }
        .ok()?;
        value["apiVersion"] = self.kind().api_version().into();
        value["kind"] = self.kind().name.into();
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use crate::kind::ObjectKind;
    use crate::objects::{from_json, parse};

    /// An object of each kind that configures the load balancer, with all fields.
    const WHOLE: &str = r"
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata:
  name: p
  namespace: lb
  labels: {a: b}
  annotations: {c: d}
  creationTimestamp: '2026-01-01T00:00:00Z'
  uid: u
  resourceVersion: '7'
spec:
  addresses: [10.0.0.0/24]
  autoAssign: false
  avoidBuggyIPs: true
  serviceAllocation:
    priority: 3
    namespaces: [ns]
    namespaceSelectors: [{matchLabels: {a: b}}]
    serviceSelectors: [{matchExpressions: [{key: a, operator: NotIn, values: [b]}, {key: c, operator: Exists}]}]
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: l}
spec:
  ipAddressPools: [p]
  ipAddressPoolSelectors: [{matchLabels: {a: b}}]
  nodeSelectors: [{matchLabels: {a: b}}]
  interfaces: [eth0]
  serviceSelectors: [{matchLabels: {a: b}}]
  preferredNodeSelectors: [{weight: 5, preference: {matchLabels: {a: b}}}]
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: r}
spec:
  myASN: 1
  peerASN: 2
  dynamicASN: external
  localASN: 3
  peerAddress: 10.0.0.1
  interface: eth1
  sourceAddress: 10.0.0.2
  peerPort: 1790
  holdTime: 9s
  keepaliveTime: 3s
  connectTime: 1s
  routerID: 10.0.0.3
  nodeSelectors: [{matchLabels: {a: b}}]
  password: secret
  passwordSecret: {name: s, namespace: m}
  bfdProfile: f
  enableGracefulRestart: true
  ebgpMultiHop: true
  vrf: red
  dualStackAddressFamily: true
  disableMP: true
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: a}
spec:
  aggregationLength: 30
  aggregationLengthV6: 127
  localPref: 7
  communities: [vpn]
  ipAddressPools: [p]
  ipAddressPoolSelectors: [{matchLabels: {a: b}}]
  nodeSelectors: [{matchLabels: {a: b}}]
  peers: [r]
  serviceSelectors: [{matchLabels: {a: b}}]
---
apiVersion: metallb.io/v1beta1
kind: BFDProfile
metadata: {name: f}
spec: {receiveInterval: 10, transmitInterval: 20, detectMultiplier: 4, echoInterval: 30, echoMode: true, passiveMode: true, minimumTtl: 250}
---
apiVersion: metallb.io/v1beta1
kind: Community
metadata: {name: c}
spec: {communities: [{name: vpn, value: '1:2'}]}
";

    #[test]
    fn objects_round_trip() {
        let least = ObjectKind::CONFIGURATION.map(|kind| {
            let (kind, version) = (kind.name, kind.versions[0]);
            format!(
                "{{apiVersion: metallb.io/{version}, kind: {kind}, metadata: {{name: x}}, spec: {{{}}}}}",
                match kind {
                    "IPAddressPool" => "addresses: []",
                    "BGPPeer" => "myASN: 1",
                    _ => "",
                }
            )
        });
        for text in [WHOLE.to_owned(), least.join("\n---\n")] {
            let (objects, problems) = parse("", &text);
            assert_eq!((objects.len(), problems), (6, vec![]));
            for object in objects {
                let (again, problems) = from_json(object.value.to_json().unwrap());
                assert_eq!(problems, []);
                assert_eq!(again[0].value, object.value);
            }
        }
    }

    #[test]
    fn no_other_kind_is_serialized() {
        let text = ["Service", "Node", "Namespace", "Secret"]
            .map(|kind| format!("{{apiVersion: v1, kind: {kind}, metadata: {{name: x}}}}"))
            .join("\n---\n");
        let (objects, problems) = parse("", &text);
        assert_eq!((objects.len(), problems), (4, vec![]));
        assert!(objects.iter().all(|object| object.value.to_json().is_none()));
    }
}
