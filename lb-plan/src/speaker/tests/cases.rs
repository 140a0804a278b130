//! The cases, one for every clause.

pub(super) struct Case {
    pub(super) says: &'static str,
    pub(super) world: &'static [&'static str],
    pub(super) expected: &'static [&'static str],
}

const fn case(says: &'static str, world: &'static [&'static str], expected: &'static [&'static str]) -> Case {
    Case { says, world, expected }
}

const P: &str = "peer p 10.0.0.1";
const WEB: &str = "svc web 192.0.2.7";

pub(super) const CASES: &[Case] = &[
    // Peers.
    case("an address goes to the peer", &[P, "ad a", WEB], &["p 192.0.2.7/32"]),
    case("and to every peer", &[P, "peer q 10.0.0.2", "ad a", WEB], &["p 192.0.2.7/32", "q 192.0.2.7/32"]),
    case(
        "but only to those that the advertisement names",
        &[P, "peer q 10.0.0.2", "ad a peers:[q]", WEB],
        &["q 192.0.2.7/32"],
    ),
    case("a peer that is not there is none", &[P, "ad a peers:[none]", WEB], &[]),
    case(
        "a peer of other nodes is none of this node's",
        &["peer p 10.0.0.1 nodeSelectors:[{matchLabels:{a=b}}]", "ad a", WEB],
        &[],
    ),
    case(
        "a peer of this node by its label",
        &["own a=b", "peer p 10.0.0.1 nodeSelectors:[{matchLabels:{a=b}}]", "ad a", WEB],
        &["p 192.0.2.7/32"],
    ),
    case("without an advertisement, nothing", &[P, WEB], &["web notOwner"]),
    case(
        "two peers for one router are one, the first by name",
        &["peer q 10.0.0.1 peerPort:1179", P, "ad a", WEB],
        &["p 192.0.2.7/32", "q router_taken"],
    ),
    case(
        "two peers for one router, each of other nodes",
        &["own a=b", "peer o 10.0.0.1 nodeSelectors:[{matchLabels:{a=c}}]", P, "ad a", WEB],
        &["p 192.0.2.7/32"],
    ),
    case(
        "a router on this node is a peer of the others",
        &[P, "peer self 10.8.0.1", "ad a", WEB],
        &["p 192.0.2.7/32", "self own_address"],
    ),
    case(
        "one address in two VRFs is two routers",
        &[P, "peer q 10.0.0.1 vrf:red", "ad a", WEB],
        &["p 192.0.2.7/32", "q 192.0.2.7/32"],
    ),
    case(
        "two peers on one interface are one",
        &["peer p eth0", "peer q eth0", "ad a", WEB],
        &["p 192.0.2.7/32", "q router_taken"],
    ),
    case(
        "two routers are shown two AS numbers",
        &[P, "peer q 10.0.0.2 localASN:65000", "ad a", WEB],
        &["p 192.0.2.7/32", "q 192.0.2.7/32"],
    ),
    // Pools.
    case("a pool by its name", &[P, "ad a ipAddressPools:[net]", WEB], &["p 192.0.2.7/32"]),
    case("another pool", &[P, "ad a ipAddressPools:[half]", WEB], &["web notOwner"]),
    case("a pool that is not there", &[P, "ad a ipAddressPools:[none]", WEB], &["web notOwner"]),
    case(
        "a pool by its label",
        &[P, "ad a ipAddressPoolSelectors:[{matchLabels:{net='yes'}}]", WEB],
        &["p 192.0.2.7/32"],
    ),
    case(
        "not a pool without the label",
        &[P, "ad a ipAddressPoolSelectors:[{matchLabels:{net='yes'}}]", "svc web 198.51.100.1"],
        &["web notOwner"],
    ),
    case(
        "by name or by label",
        &[
            P,
            "ad a ipAddressPools:[half] ipAddressPoolSelectors:[{matchLabels:{net='yes'}}]",
            WEB,
            "svc x 198.51.100.1",
        ],
        &["p 192.0.2.7/32", "p 198.51.100.1/32"],
    ),
    // Nodes.
    case(
        "an advertisement of other nodes",
        &[P, "ad a nodeSelectors:[{matchLabels:{a=b}}]", WEB],
        &["web notOwner"],
    ),
    case(
        "an advertisement of this node",
        &["own a=b", P, "ad a nodeSelectors:[{matchLabels:{a=b}}]", WEB],
        &["p 192.0.2.7/32"],
    ),
    case(
        "one of several selectors will do",
        &["own a=b", P, "ad a nodeSelectors:[{matchLabels:{x=z}},{matchLabels:{a=b}}]", WEB],
        &["p 192.0.2.7/32"],
    ),
    case("a node without a network", &["own down", P, "ad a", WEB], &["web nodeNetworkUnavailable"]),
    case("a node with unknown network state", &["own unknown", P, "ad a", WEB], &["p 192.0.2.7/32"]),
    case("a node that is excluded", &["own excluded", P, "ad a", WEB], &["web nodeLabeledExcludeBalancers"]),
    case(
        "a node that is excluded, and speaks anyway",
        &["say anyway", "own excluded", P, "ad a", WEB],
        &["p 192.0.2.7/32"],
    ),
    // Services.
    case(
        "a Service by its label",
        &[P, "ad a serviceSelectors:[{matchLabels:{app=web}}]", "svc web 192.0.2.7 app=web"],
        &["p 192.0.2.7/32"],
    ),
    case(
        "a Service without the label",
        &[P, "ad a serviceSelectors:[{matchLabels:{app=web}}]", WEB],
        &["web noMatchingAdvertisement"],
    ),
    case(
        "one advertisement for all, one for some",
        &[
            P,
            "ad a",
            "ad b serviceSelectors:[{matchLabels:{app=web}}] communities:['1:2']",
            "svc web 192.0.2.7 app=web",
            "svc x 192.0.2.8",
        ],
        &["p 192.0.2.7/32 1:2", "p 192.0.2.8/32"],
    ),
    case(
        "two preferences for one Service",
        &[
            P,
            "ad a localPref:1",
            "ad b localPref:2 serviceSelectors:[{matchLabels:{app=web}}]",
            "svc web 192.0.2.7 app=web",
            "svc x 192.0.2.8",
        ],
        &["p 192.0.2.8/32 pref=1", "web conflictingAdvertisements"],
    ),
    case(
        "two preferences for two peers",
        &[P, "peer q 10.0.0.2", "ad a localPref:1 peers:[p]", "ad b localPref:2 peers:[q]", WEB],
        &["p 192.0.2.7/32 pref=1", "q 192.0.2.7/32 pref=2"],
    ),
    // Endpoints.
    case("no endpoint", &[P, "ad a", "svc web 192.0.2.7 on=-"], &["web noEndpoints"]),
    case("an endpoint elsewhere", &[P, "ad a", "svc web 192.0.2.7 on=other"], &["p 192.0.2.7/32"]),
    case(
        "policy Local and an endpoint elsewhere: any node may receive",
        &[P, "ad a", "svc web 192.0.2.7 local on=other"],
        &["p 192.0.2.7/32"],
    ),
    case(
        "policy Local by MetalLB's rule",
        &["say strict", P, "ad a", "svc web 192.0.2.7 local on=other"],
        &["web noLocalEndpoints"],
    ),
    case(
        "policy Local by MetalLB's rule, and an endpoint here",
        &["say strict", P, "ad a", "svc web 192.0.2.7 local on=own"],
        &["p 192.0.2.7/32"],
    ),
    case(
        "policy Local without endpoints",
        &[P, "ad a", "svc web 192.0.2.7 local on=-"],
        &["web noEndpoints"],
    ),
    case(
        "MetalLB's rule is for policy Local",
        &["say strict", P, "ad a", "svc web 192.0.2.7 on=other"],
        &["p 192.0.2.7/32"],
    ),
    // Prefixes.
    case(
        "a shorter prefix",
        &[P, "ad a ipAddressPools:[net] aggregationLength:24", WEB],
        &["p 192.0.2.0/24"],
    ),
    case(
        "two addresses of one prefix",
        &[P, "ad a ipAddressPools:[net] aggregationLength:30", WEB, "svc x 192.0.2.5", "svc y 192.0.2.8"],
        &["p 192.0.2.4/30", "p 192.0.2.8/30"],
    ),
    case(
        "a prefix stays while one of its Services does",
        &[P, "ad a ipAddressPools:[net] aggregationLength:24", WEB, "svc x 192.0.2.5 on=-"],
        &["p 192.0.2.0/24", "x noEndpoints"],
    ),
    case(
        "a prefix and its addresses",
        &[P, "ad a ipAddressPools:[net] aggregationLength:24", "ad b communities:['1:1']", WEB],
        &["p 192.0.2.0/24", "p 192.0.2.7/32 1:1"],
    ),
    case(
        "a shorter prefix of IPv6",
        &["peer p fd00::1", "ad a ipAddressPools:[six] aggregationLengthV6:64", "svc web 2001:db8::7"],
        &["p 2001:db8::/64"],
    ),
    case(
        "a prefix of two pools has the higher preference, whichever Service comes first",
        &[
            P,
            "ad a ipAddressPools:[low] aggregationLength:31 localPref:100",
            "ad b ipAddressPools:[high] aggregationLength:31 localPref:200",
            "svc web 203.0.113.2",
            "svc x 203.0.113.3",
        ],
        &["p 203.0.113.2/31 pref=200"],
    ),
    case(
        "no prefix while none of its Services is",
        &[
            P,
            "ad a ipAddressPools:[net] aggregationLength:24",
            "svc web 192.0.2.7 on=-",
            "svc x 192.0.2.5 on=-",
        ],
        &["web noEndpoints", "x noEndpoints"],
    ),
    // Attributes.
    case(
        "communities",
        &[P, "ad a communities:['65000:100','large:1:2:3']", WEB],
        &["p 192.0.2.7/32 65000:100 large:1:2:3"],
    ),
    case(
        "the communities of all advertisements",
        &[P, "ad a communities:['1:1']", "ad b communities:['1:2']", WEB],
        &["p 192.0.2.7/32 1:1 1:2"],
    ),
    case(
        "each peer hears those of its own",
        &[P, "peer q 10.0.0.2", "ad a communities:['1:1']", "ad b communities:['1:2'] peers:[q]", WEB],
        &["p 192.0.2.7/32 1:1", "q 192.0.2.7/32 1:1 1:2"],
    ),
    case(
        "two advertisements of one name, for two peers",
        &[P, "peer q 10.0.0.2", "ad a communities:['1:1']", "ad other/a communities:['1:2'] peers:[q]", WEB],
        &["p 192.0.2.7/32 1:1", "q 192.0.2.7/32 1:1 1:2"],
    ),
    case(
        "a contradiction about one family keeps both from being announced",
        &[
            "peer p 10.0.0.1 dualStackAddressFamily:true",
            "ad a aggregationLength:31",
            "ad b localPref:2 serviceSelectors:[{matchLabels:{app=web}}]",
            "svc web 192.0.2.7,2001:db8::7 app=web",
            "svc other 192.0.2.8,2001:db8::8",
        ],
        &["p 192.0.2.8/31", "p 2001:db8::8/128", "web conflictingAdvertisements"],
    ),
    case("a local preference", &[P, "ad a localPref:200", WEB], &["p 192.0.2.7/32 pref=200"]),
    case("no local preference", &[P, "ad a localPref:0", WEB], &["p 192.0.2.7/32"]),
    case(
        "a node that drains asks for other ways",
        &["say drain", P, "ad a communities:['1:1']", WEB],
        &["p 192.0.2.7/32 1:1 65535:0"],
    ),
    case(
        "a node that cannot carry packets says nothing",
        &["say withdraw", P, "ad a", WEB],
        &["web notReady"],
    ),
    // Families.
    case(
        "IPv6 goes to a peer of IPv6",
        &[P, "peer q fd00::1", "ad a", "svc web 192.0.2.7,2001:db8::7"],
        &["p 192.0.2.7/32", "q 2001:db8::7/128"],
    ),
    case(
        "both go to a peer of both",
        &["peer p 10.0.0.1 dualStackAddressFamily:true", "ad a", "svc web 192.0.2.7,2001:db8::7"],
        &["p 192.0.2.7/32", "p 2001:db8::7/128"],
    ),
    case(
        "both go to a peer on an interface",
        &["peer p eth0", "ad a", "svc web 192.0.2.7,2001:db8::7"],
        &["p 192.0.2.7/32", "p 2001:db8::7/128"],
    ),
    case("a family that no peer takes is not advertised", &[P, "ad a", "svc web 2001:db8::7"], &[]),
    case(
        "one family is announced though the other's pool is not",
        &[P, "ad a ipAddressPools:[net]", "svc web 192.0.2.7,2001:db8::7"],
        &["p 192.0.2.7/32"],
    ),
];
