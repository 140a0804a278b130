//! The kinds that agents and controllers watch.

use lb_api::kind::ObjectKind;

/// The kinds that configure the load balancer, and Nodes, with which a configuration may conflict. The
/// Secrets that BGPPeers reference are not included: only agents may read them.
pub const CONFIGURATION_KINDS: [ObjectKind; 7] = {
    let [a, b, c, d, e, f] = ObjectKind::CONFIGURATION;
    [ObjectKind::NODE, a, b, c, d, e, f]
};

/// The kinds that address allocation depends on: addresses of Nodes and BGP peers are never allocated.
pub const ALLOCATION_KINDS: [ObjectKind; 5] = [
    ObjectKind::SERVICE,
    ObjectKind::NAMESPACE,
    ObjectKind::IP_ADDRESS_POOL,
    ObjectKind::NODE,
    ObjectKind::BGP_PEER,
];

/// Returns the kinds that an agent watches.
pub fn agent_kinds() -> Vec<ObjectKind> {
    let served = [ObjectKind::SERVICE, ObjectKind::ENDPOINT_SLICE, ObjectKind::SECRET];
    served.into_iter().chain(CONFIGURATION_KINDS).collect()
}
