//! The table.

/// What is there, the change, and what comes of it.
pub(super) type Case = (&'static [&'static str], &'static str, &'static str);

const A: &str = "IPAddressPool a addresses: [10.0.0.0/24]";
const SIX: &str = "IPAddressPool six addresses: ['2001:db8::/64']";
const FAST: &str = "BFDProfile fast receiveInterval: 50";
const WATCHED: &str = "BGPPeer w myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, bfdProfile: fast";
const PLAIN: &str = "BGPPeer p myASN: 1, peerASN: 2, peerAddress: 10.9.0.2";
const EAST: &str =
    "BGPPeer e myASN: 1, peerASN: 2, peerAddress: 10.9.0.3, nodeSelectors: [{matchLabels: {at: east}}]";
const NODE_EAST: &str = "Node one@at=east 10.8.0.1";
const NODE_WEST: &str = "Node two@at=west 10.8.0.2";
const WIDE: &str = "BGPAdvertisement wide aggregationLength: 24, ipAddressPools: [a]";
const ALIAS: &str = "Community c communities: [{name: vpn, value: '65000:1'}]";
const USER: &str = "BGPAdvertisement user communities: [vpn]";
const SECRET: &str = "Secret s type: kubernetes.io/basic-auth\nstringData: {password: x}";
const OPAQUE: &str = "Secret s type: Opaque\nstringData: {password: x}";

pub(super) const CASES: &[Case] = &[
    // IPAddressPool: addresses.
    (&[], "+ IPAddressPool a addresses: [10.0.0.0/24]", "ok"),
    (&[], "+ IPAddressPool a addresses: [10.0.0.1-10.0.0.9]", "ok"),
    (&[], "+ IPAddressPool a addresses: ['10.0.0.1 - 10.0.0.9']", "ok"),
    (&[], "+ IPAddressPool a addresses: [10.0.0.1/32, '2001:db8::1/128']", "ok"),
    (&[], "+ IPAddressPool a addresses: []", "spec.addresses: empty_pool"),
    (&[], "+ IPAddressPool a addresses: [10.0.0.1]", "spec.addresses[0]: not_a_range"),
    (&[], "+ IPAddressPool a addresses: [10.0.0.0/33]", "spec.addresses[0]: not_a_range"),
    (&[], "+ IPAddressPool a addresses: [10.0.0.1-x]", "spec.addresses[0]: not_a_range"),
    (&[], "+ IPAddressPool a addresses: [10.0.0.9-10.0.0.1]", "spec.addresses[0]: range_reversed"),
    (&[], "+ IPAddressPool a addresses: ['10.0.0.1-2001:db8::1']", "spec.addresses[0]: range_families"),
    (
        &[],
        "+ IPAddressPool a addresses: [10.0.0.0/24, 10.0.0.0/24]",
        "spec.addresses[1]: pool_overlaps_itself",
    ),
    (
        &[],
        "+ IPAddressPool a addresses: [10.0.0.0/24, 10.0.0.9-10.0.1.9]",
        "spec.addresses[1]: pool_overlaps_itself",
    ),
    (&[A], "+ IPAddressPool b addresses: [10.0.1.0/24]", "ok"),
    (&[A], "+ IPAddressPool b addresses: [10.0.0.255/32]", "spec.addresses[0]: pool_overlap"),
    (&[A], "+ IPAddressPool b addresses: [10.0.0.0/8]", "spec.addresses[0]: pool_overlap"),
    (&[SIX], "+ IPAddressPool b addresses: ['2001:db8::ffff/128']", "spec.addresses[0]: pool_overlap"),
    (&[SIX], "+ IPAddressPool b addresses: ['2001:db8:0:1::/64']", "ok"),
    // A pool that changes.
    (&[A], "+ IPAddressPool a addresses: [10.0.0.0/23]", "ok"),
    (&[A], "+ IPAddressPool a addresses: [10.0.0.0/33]", "spec.addresses[0]: not_a_range"),
    (&[A, SIX], "+ IPAddressPool a addresses: ['2001:db8::1/128']", "spec.addresses[0]: pool_overlap"),
    (&[A], "+ IPAddressPool a addresses: [10.0.0.0/24], autoAssign: false, avoidBuggyIPs: true", "ok"),
    (&[A], "+ IPAddressPool other/b addresses: [10.2.0.0/24]", "metadata.namespace: other_namespace"),
    // IPAddressPool: for which Services.
    (&[], "+ IPAddressPool a addresses: [10.0.0.0/24], serviceAllocation: {priority: 5}", "ok"),
    (
        &[],
        "+ IPAddressPool a addresses: [10.0.0.0/24], serviceAllocation: {namespaces: [x, y], namespaceSelectors: [{}], serviceSelectors: [{matchLabels: {a: b}}]}",
        "ok",
    ),
    (
        &[],
        "+ IPAddressPool a addresses: [10.0.0.0/24], serviceAllocation: {namespaces: [x, y, x]}",
        "spec.serviceAllocation.namespaces[2]: duplicate_entry",
    ),
    (
        &[],
        "+ IPAddressPool a addresses: [10.0.0.0/24], serviceAllocation: {namespaceSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]}",
        "spec.serviceAllocation.namespaceSelectors[1]: duplicate_entry",
    ),
    (
        &[],
        "+ IPAddressPool a addresses: [10.0.0.0/24], serviceAllocation: {serviceSelectors: [{}, {}]}",
        "spec.serviceAllocation.serviceSelectors[1]: duplicate_entry",
    ),
    (
        &[],
        "+ IPAddressPool a addresses: [10.0.0.0/24], serviceAllocation: {serviceSelectors: [{matchExpressions: [{key: a, operator: NotIn}]}]}",
        "spec.serviceAllocation.serviceSelectors[0].matchExpressions[0].values: selector_values",
    ),
    // Pools, and the advertisements of them.
    (&[A], "+ BGPAdvertisement wide aggregationLength: 24, ipAddressPools: [a]", "ok"),
    (
        &[A],
        "+ BGPAdvertisement wide aggregationLength: 23, ipAddressPools: [a]",
        "spec.aggregationLength: aggregation_too_short",
    ),
    (
        &[A, WIDE],
        "+ IPAddressPool a addresses: [10.0.0.0/25]",
        "wide spec.aggregationLength: aggregation_too_short",
    ),
    (&[A, WIDE], "+ IPAddressPool a addresses: [10.0.0.0/23]", "ok"),
    (&["IPAddressPool a addresses: [10.0.0.0/25]", WIDE], "+ IPAddressPool a addresses: [10.0.0.0/24]", "ok"),
    (
        &[SIX],
        "+ BGPAdvertisement x aggregationLengthV6: 32",
        "spec.aggregationLengthV6: aggregation_too_short",
    ),
    (&[], "+ BGPAdvertisement x aggregationLength: 8", "ok"),
    (
        &["BGPAdvertisement x aggregationLength: 8"],
        "+ IPAddressPool a addresses: [10.0.0.0/24]",
        "x spec.aggregationLength: aggregation_too_short",
    ),
    // BGPAdvertisement beside others.
    (&[A, WIDE], "+ BGPAdvertisement x aggregationLength: 24, ipAddressPools: [a]", "spec: same_as"),
    (&[A, WIDE], "+ BGPAdvertisement x aggregationLength: 25, ipAddressPools: [a]", "ok"),
    (
        &[A, WIDE],
        "+ BGPAdvertisement wide aggregationLength: 24, ipAddressPools: [a], communities: ['1:1']",
        "ok",
    ),
    (
        &[A, WIDE],
        "+ BGPAdvertisement x aggregationLength: 24, localPref: 5",
        "spec.localPref: local_pref_conflict",
    ),
    (
        &[A, WIDE],
        "+ BGPAdvertisement x aggregationLength: 24, localPref: 5, peers: [p]",
        "spec.localPref: local_pref_conflict, (spec.peers[0]: unknown_reference)",
    ),
    (&[A, WIDE], "+ BGPAdvertisement x localPref: 5", "ok"),
    (
        &[A, WIDE, "BGPAdvertisement x localPref: 5"],
        "+ BGPAdvertisement x localPref: 5, aggregationLength: 24",
        "spec.localPref: local_pref_conflict",
    ),
    (
        &[A, "BGPAdvertisement x nodeSelectors: [{matchLabels: {at: east}}]", NODE_EAST, NODE_WEST],
        "+ BGPAdvertisement y localPref: 5, nodeSelectors: [{matchLabels: {at: west}}]",
        "ok",
    ),
    (
        &[A, "BGPAdvertisement x nodeSelectors: [{matchLabels: {at: east}}]", NODE_EAST, NODE_WEST],
        "+ BGPAdvertisement y localPref: 5, nodeSelectors: [{matchExpressions: [{key: at, operator: Exists}]}]",
        "spec.localPref: local_pref_conflict",
    ),
    // References to what is not there are told, and taken.
    (
        &[],
        "+ BGPAdvertisement x ipAddressPools: [no], peers: [no]",
        "ok, (spec.ipAddressPools[0]: unknown_reference), (spec.peers[0]: unknown_reference)",
    ),
    (&[], "+ L2Advertisement x ipAddressPools: [no]", "ok, (spec.ipAddressPools[0]: unknown_reference)"),
    (&[A], "+ L2Advertisement x ipAddressPools: [a]", "ok"),
    (
        &[A],
        "+ L2Advertisement x ipAddressPoolSelectors: [{matchLabels: {a: b}}]",
        "ok, (spec.ipAddressPoolSelectors: selects_none)",
    ),
    (
        &["IPAddressPool a@a=b addresses: [10.0.0.0/24]"],
        "+ L2Advertisement x ipAddressPoolSelectors: [{matchLabels: {a: b}}]",
        "ok",
    ),
    (&[NODE_EAST], "+ L2Advertisement x nodeSelectors: [{matchLabels: {at: east}}]", "ok"),
    (
        &[NODE_EAST],
        "+ L2Advertisement x nodeSelectors: [{matchLabels: {at: north}}]",
        "ok, (spec.nodeSelectors: selects_none)",
    ),
    (&[], "+ L2Advertisement x nodeSelectors: [{matchLabels: {at: north}}]", "ok"),
    (
        &[NODE_EAST],
        "+ BGPPeer p myASN: 1, peerASN: 2, peerAddress: 10.9.0.2, nodeSelectors: [{matchLabels: {at: north}}]",
        "ok, (spec.nodeSelectors: selects_none)",
    ),
    (
        &[],
        "+ BGPPeer w myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, bfdProfile: fast",
        "ok, (spec.bfdProfile: unknown_reference)",
    ),
    (&[FAST], "+ BGPPeer w myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, bfdProfile: fast", "ok"),
    (
        &[],
        "+ BGPPeer w myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, passwordSecret: {name: s}",
        "ok, (spec.passwordSecret: unknown_reference)",
    ),
    (
        &[OPAQUE],
        "+ BGPPeer w myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, passwordSecret: {name: s}",
        "ok, (spec.passwordSecret: secret_type)",
    ),
    (&[SECRET], "+ BGPPeer w myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, passwordSecret: {name: s}", "ok"),
    (
        &[SECRET],
        "+ BGPPeer w myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, password: x, passwordSecret: {name: s}",
        "spec.passwordSecret: excludes",
    ),
    (&[ALIAS], "+ BGPAdvertisement x communities: [vpn]", "ok"),
    (&[], "+ BGPAdvertisement x communities: [vpn]", "ok, (spec.communities[0]: unknown_community)"),
    (&[], "+ BGPAdvertisement x communities: [no-export]", "ok, (spec.communities[0]: well_known_community)"),
    (&[], "+ BGPAdvertisement x communities: ['1:99999']", "spec.communities[0]: not_a_community"),
    // Community.
    (&[ALIAS], "+ Community d communities: [{name: other, value: '65000:1'}]", "ok"),
    (
        &[ALIAS],
        "+ Community d communities: [{name: vpn, value: '65000:2'}]",
        "spec.communities[0].name: duplicate_entry",
    ),
    (&[ALIAS], "+ Community c communities: [{name: vpn, value: 'large:65000:2:3'}]", "ok"),
    (
        &[ALIAS, USER],
        "+ Community c communities: [{name: lan, value: '65000:2'}]",
        "ok, (user spec.communities[0]: unknown_community)",
    ),
    (
        &[ALIAS],
        "+ Community c communities: [{name: vpn, value: blackhole}]",
        "spec.communities[0].value: not_a_community",
    ),
    // L2Advertisement.
    (&[], "+ L2Advertisement x", "ok"),
    (&[], "+ L2Advertisement x interfaces: [eth0, eth1]", "ok"),
    (&[], "+ L2Advertisement x interfaces: [eth0, eth0]", "spec.interfaces[1]: duplicate_entry"),
    (&[A], "+ L2Advertisement x ipAddressPools: [a, a]", "spec.ipAddressPools[1]: duplicate_entry"),
    (
        &["IPAddressPool a@a=b addresses: [10.0.0.0/24]"],
        "+ L2Advertisement x ipAddressPoolSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]",
        "spec.ipAddressPoolSelectors[1]: duplicate_entry",
    ),
    (
        &[],
        "+ L2Advertisement x nodeSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]",
        "spec.nodeSelectors[1]: duplicate_entry",
    ),
    // Two that say the same are one said twice, not a contradiction.
    (&["L2Advertisement x"], "+ L2Advertisement y", "ok"),
    (&[], "+ L2Advertisement other/x", "metadata.namespace: other_namespace"),
    // Selectors.
    (
        &[],
        "+ L2Advertisement x nodeSelectors: [{matchExpressions: [{key: a, operator: In, values: [b]}, {key: example.com/a, operator: Exists}]}]",
        "ok",
    ),
    (
        &[],
        "+ L2Advertisement x nodeSelectors: [{matchExpressions: [{key: a, operator: In}]}]",
        "spec.nodeSelectors[0].matchExpressions[0].values: selector_values",
    ),
    (
        &[],
        "+ L2Advertisement x nodeSelectors: [{matchExpressions: [{key: a, operator: DoesNotExist, values: [b]}]}]",
        "spec.nodeSelectors[0].matchExpressions[0].values: selector_values",
    ),
    (
        &[],
        "+ L2Advertisement x nodeSelectors: [{matchLabels: {'a b': c}}]",
        "spec.nodeSelectors[0].matchLabels: not_a_label",
    ),
    (
        &[],
        "+ L2Advertisement x nodeSelectors: [{matchLabels: {a: '-c'}}]",
        "spec.nodeSelectors[0].matchLabels: not_a_label",
    ),
    (&[], "+ L2Advertisement x nodeSelectors: [{matchLabels: {node-role.kubernetes.io/worker: ''}}]", "ok"),
    (
        &[],
        "+ L2Advertisement x nodeSelectors: [{matchLabels: {Example.com/a: b}}]",
        "spec.nodeSelectors[0].matchLabels: not_a_label",
    ),
    (
        &[],
        "+ BGPPeer p myASN: 1, peerASN: 2, peerAddress: 10.9.0.2, nodeSelectors: [{matchExpressions: [{key: '', operator: Exists}]}]",
        "spec.nodeSelectors[0].matchExpressions[0]: not_a_label",
    ),
    (
        &[],
        "+ BGPAdvertisement x serviceSelectors: [{matchExpressions: [{key: a, operator: Exists, values: [b]}]}]",
        "spec.serviceSelectors[0].matchExpressions[0].values: selector_values",
    ),
    // BGPPeer beside others.
    (&[PLAIN], "+ BGPPeer q myASN: 1, peerASN: 2, peerAddress: 10.9.0.2", "spec.peerAddress: router_taken"),
    (
        &[PLAIN],
        "+ BGPPeer q myASN: 1, peerASN: 2, peerAddress: 10.9.0.2, peerPort: 1179",
        "spec.peerAddress: router_taken",
    ),
    (&[PLAIN], "+ BGPPeer q myASN: 1, peerASN: 2, peerAddress: 10.9.0.2, vrf: red", "ok"),
    (&[PLAIN], "+ BGPPeer q myASN: 7, peerASN: 2, peerAddress: 10.9.0.9, routerID: 1.1.1.1", "ok"),
    (&[PLAIN], "+ BGPPeer p myASN: 1, peerASN: 3, peerAddress: 10.9.0.2", "ok"),
    (
        &["BGPPeer i myASN: 1, peerASN: 2, interface: eth0"],
        "+ BGPPeer q myASN: 1, peerASN: 2, interface: eth0",
        "spec.interface: router_taken",
    ),
    (
        &[EAST, NODE_EAST, NODE_WEST],
        "+ BGPPeer q myASN: 1, peerASN: 2, peerAddress: 10.9.0.3, nodeSelectors: [{matchLabels: {at: west}}]",
        "ok",
    ),
    (
        &[EAST, NODE_EAST, NODE_WEST],
        "+ BGPPeer q myASN: 1, peerASN: 2, peerAddress: 10.9.0.3",
        "spec.peerAddress: router_taken",
    ),
    (
        &[],
        "+ BGPPeer p myASN: 1, peerASN: 1, peerAddress: 10.9.0.2, ebgpMultiHop: true",
        "spec.ebgpMultiHop: multihop_internal",
    ),
    (
        &["BGPPeer other/p myASN: 1, peerASN: 2, peerAddress: 10.9.0.8"],
        "+ BGPPeer p myASN: 1, peerASN: 2, peerAddress: 10.9.0.9",
        "metadata.name: name_taken",
    ),
    // BFDProfile.
    (&[], "+ BFDProfile fast receiveInterval: 10", "ok"),
    (&[], "+ BFDProfile fast receiveInterval: 5", "spec.receiveInterval: out_of_range"),
    (&[FAST, WATCHED], "+ BFDProfile fast receiveInterval: 60", "ok"),
    (
        &[FAST, WATCHED],
        "+ BFDProfile fast detectMultiplier: 1",
        "spec.detectMultiplier: out_of_range, (w spec.bfdProfile: unknown_reference)",
    ),
    // What goes.
    (&[FAST, WATCHED], "- BFDProfile fast", "in_use, (w spec.bfdProfile: unknown_reference)"),
    (&[FAST, PLAIN], "- BFDProfile fast", "ok"),
    (&[FAST, "BFDProfile slow", WATCHED], "- BFDProfile slow", "ok"),
    (&[], "- BFDProfile never", "ok"),
    (&[A, WIDE], "- IPAddressPool a", "ok"),
    (&[ALIAS, USER], "- Community c", "ok, (user spec.communities[0]: unknown_community)"),
    (&[PLAIN], "- BGPPeer p", "ok"),
    (&[A, WIDE], "- BGPAdvertisement wide", "ok"),
    (&["L2Advertisement x"], "- L2Advertisement x", "ok"),
    // What says nothing new is taken as it is, though it was wrong before.
    (
        &["IPAddressPool a addresses: [10.0.0.0/33]"],
        "+ IPAddressPool a addresses: [10.0.0.0/33]",
        "ok, (spec.addresses[0]: not_a_range)",
    ),
    (
        &["L2Advertisement x interfaces: [eth0, eth0]"],
        "+ L2Advertisement x interfaces: [eth0, eth0]",
        "ok, (spec.interfaces[1]: duplicate_entry)",
    ),
];
