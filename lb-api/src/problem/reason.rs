//! What can be wrong, and what to do about it.

mod label;

use std::net::IpAddr;

use super::excerpt::{bare, named, quoted};

/// What is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Not YAML.
    #[error("this document cannot be read: {words}; it is ignored until you correct it")]
    BadDocument {
        /// The parser's words.
        words: String,
    },
    /// YAML of another shape than the kind has.
    #[error("{words}; the object is invalid until you correct it")]
    BadField {
        /// The parser's words.
        words: String,
    },
    /// Documents of a file beyond those that are named.
    #[error("{count} more documents of this file are ignored; correct those that are named first")]
    MoreDocuments {
        /// How many.
        count: usize,
    },
    /// A file that cannot be read as a whole.
    #[error("{error}; the last-known-good content of the file stays in force")]
    UnreadableFile {
        /// What is in the way.
        error: String,
    },
    /// A directory of objects that cannot be read.
    #[error("{error}; the last-known-good configuration stays in force")]
    UnreadableDirectory {
        /// What is in the way, and what to do.
        error: String,
    },
    /// More files than are read.
    #[error(
        "{count} more files than the {limit} that are read are ignored; put objects together into fewer files"
    )]
    TooManyFiles {
        /// How many are ignored.
        count: usize,
        /// How many are read.
        limit: usize,
    },
    /// No `apiVersion` or no `kind`.
    #[error("apiVersion or kind is missing; write both")]
    NoKind,
    /// A kind that is not read.
    #[error("unknown kind {} {}{}", named(.api_version), named(.kind), kinds(.instead.as_deref()))]
    UnknownKind {
        /// As written.
        api_version: String,
        /// As written.
        kind: String,
        /// What was probably meant, with its version.
        instead: Option<String>,
    },
    /// The same object in two places.
    #[error("{}:{line} defines this object, too, and takes precedence; remove one of them", named(.source_name))]
    Duplicate {
        /// File of the first.
        source_name: String,
        /// Line of the first.
        line: usize,
    },
    /// The name of another object, where others refer to a kind by the name alone.
    #[error("{} has the same name and takes precedence; rename one, as namespaces do not distinguish them", named(.by))]
    NameTaken {
        /// The other object.
        by: String,
    },
    /// What was right before is not forgotten for something that is wrong.
    #[error("the object is invalid; its last-known-good configuration stays in force until you correct it")]
    StaysAsBefore,
    /// A router that this node speaks to already.
    #[error(
        "{} is the same BGP peer on this node and takes precedence; a peer accepts one session from a node: remove one \
         of them, or select different nodes by nodeSelectors", named(.by))]
    RouterTaken {
        /// The peer that has it.
        by: String,
    },
    /// No key of a label.
    #[error(
        "{} is no key of a label; write letters, digits, -, _ and ., and a DNS name with / before them if any",
        quoted(.written)
    )]
    NotALabelKey {
        /// As written.
        written: String,
    },
    /// No value of a label.
    #[error("{} is no value of a label; write up to 63 letters, digits, -, _ and .", quoted(.written))]
    NotALabelValue {
        /// As written.
        written: String,
    },
    /// A name that no object has.
    #[error("there is no {kind} {}, so this has no effect; create it, or correct the name", named(.name))]
    NothingNamed {
        /// The kind.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A selector that selects nothing.
    #[error("this selects no {kind}; correct it, or set the labels")]
    SelectsNothing {
        /// The kind.
        kind: &'static str,
    },
    /// An object of a namespace that is not read.
    #[error("Fairlead reads objects of metallb.io in namespace {} only, so this has no effect; create it there", named(.read))]
    OtherNamespace {
        /// The namespace that is read.
        read: String,
    },
    /// A value that the field cannot have.
    #[error("{} is not one of {allowed}; write one of them", quoted(.written))]
    UnknownValue {
        /// As written.
        written: String,
        /// What can be written.
        allowed: &'static str,
    },
    /// A value without effect; the rest of the object counts.
    #[error("this has no effect: {why}")]
    NoEffect {
        /// Why, and what to do.
        why: &'static str,
    },
    /// A field that the kind does not have.
    #[error("unknown field, which has no effect{}", hint(.instead.as_deref()))]
    NoSuchField {
        /// What was probably meant.
        instead: Option<String>,
    },
    /// Fields that the kind does not have, beyond those that are named.
    #[error("{count} more unknown fields, which have no effect; correct those that are named first")]
    MoreFields {
        /// How many.
        count: usize,
    },
    /// An annotation of MetalLB's that nobody reads.
    #[error("unknown annotation, which has no effect{}", hint(.instead.as_deref()))]
    UnknownAnnotation {
        /// What was probably meant.
        instead: Option<String>,
    },
    /// Two fields that exclude each other.
    #[error("this excludes {other}, which is set, too; remove one of them")]
    Excludes {
        /// The other field.
        other: &'static str,
    },
    /// None of some fields of which one is needed.
    #[error("none of {fields} is set; set one of them")]
    OneOf {
        /// The fields.
        fields: &'static str,
    },
    /// A value that the field cannot have.
    #[error("{} is out of range; write {allowed}", bare(.written))]
    OutOfRange {
        /// As written.
        written: String,
        /// What can be written.
        allowed: &'static str,
    },
    /// Not a duration.
    #[error("{} is not a duration; write 90s or 1m30s", quoted(.written))]
    NotADuration {
        /// As written.
        written: String,
    },
    /// The same entry twice.
    #[error("{} is listed twice; remove one of them", bare(.written))]
    DuplicateEntry {
        /// As written.
        written: String,
    },
    /// A comparison with nothing.
    #[error(
        "operators In and NotIn need values, and there is none; add some, or write operator Exists or DoesNotExist"
    )]
    SelectorWithoutValues,
    /// Values that are compared with nothing.
    #[error("operators Exists and DoesNotExist take no values; remove them, or write operator In or NotIn")]
    SelectorWithValues,
    /// An object that others need.
    #[error("{} uses this object; change that one first", named(.by))]
    InUse {
        /// Who needs it.
        by: String,
    },
    /// An object that is not there, or not valid.
    #[error("there is no valid {kind} {}; create it, or correct the name: until then this object has no effect", named(.name))]
    UnknownReference {
        /// The kind.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// Not a community.
    #[error("{} is not a community; write 65000:100, or large:65000:100:1", quoted(.written))]
    NotACommunity {
        /// As written.
        written: String,
    },
    /// A name of a community that no Community object defines.
    #[error("no Community object defines {}; define it, or write its value, as 65000:100", quoted(.written))]
    UnknownCommunity {
        /// As written.
        written: String,
    },
    /// A name that routers know, and that no Community object defines.
    #[error("no Community object defines {}; write its value, {value}, or define the name", quoted(.written))]
    WellKnownCommunity {
        /// As written.
        written: String,
        /// What it stands for.
        value: &'static str,
    },
    /// Several hops to a router of our own AS.
    #[error(
        "peerASN equals myASN, and ebgpMultiHop is for external sessions only; remove it, as internal sessions may cross routers"
    )]
    MultihopInternal,
    /// A source address of the other IP version.
    #[error("{} is of another IP version than peerAddress; write an address of the same version", bare(.written))]
    SourceFamily {
        /// As written.
        written: String,
    },
    /// Something else where the name of a Secret belongs: perhaps the password, so it is not shown.
    #[error("this is no name that a Secret can have; write the name of a Secret, and the password into that")]
    NotASecretName,
    /// A password with a line break.
    #[error(
        "the password contains a line break, so no peer would accept it; create it without one: with `printf`, not `echo`"
    )]
    PasswordLineBreak,
    /// A password that TCP-MD5 cannot take.
    #[error("the password is empty or longer than 80 octets, the limit of TCP-MD5; write another")]
    PasswordLength,
    /// A Secret of another type.
    #[error("Secret {} is of another type than {wanted}; create it with that type", named(.name))]
    SecretType {
        /// The Secret, as `namespace/name`.
        name: String,
        /// The type.
        wanted: &'static str,
    },
    /// A Secret without a password.
    #[error("Secret {} has no {key} in base64; add the key", named(.name))]
    SecretWithout {
        /// The Secret, as `namespace/name`.
        name: String,
        /// The key.
        key: &'static str,
    },
    /// Prefixes beyond the pool.
    #[error(
        "a prefix of length {length} would cover addresses outside pool {}; write at least {least}", named(.pool))]
    AggregationTooShort {
        /// As written.
        length: u8,
        /// The pool, as `namespace/name`.
        pool: String,
        /// The shortest that would do.
        least: u8,
    },
    /// A choice among Services of one prefix.
    #[error(
        "a shorter prefix covers several Services, and serviceSelectors choose among them; write aggregationLength 32 and aggregationLengthV6 128, or remove the selectors"
    )]
    SelectorsWithAggregation,
    /// Two local preferences for one prefix.
    #[error(
        "{} advertises the same prefixes to the same peers with another localPref; write the same value in both", named(.other))]
    LocalPrefConflict {
        /// Name of the other.
        other: String,
    },
    /// Not an IP address.
    #[error("{} is not an IP address; write one without leading zeros, blanks or a prefix length", quoted(.written))]
    NotAnAddress {
        /// As written.
        written: String,
    },

    /// Neither a CIDR nor a range.
    #[error(
        "{} is neither a CIDR nor a range; write 192.0.2.0/24, 192.0.2.10-192.0.2.20, or \
         192.0.2.10/32 for one address", quoted(.written))]
    NotARange {
        /// As written.
        written: String,
    },
    /// Not a CIDR.
    #[error("{} is not a CIDR; write 192.0.2.0/24 or 2001:db8::/32", quoted(.written))]
    NotACidr {
        /// As written.
        written: String,
    },
    /// Source ranges that leave one family of clients out.
    #[error(
        "there is no {family} range, so all {family} clients are admitted, as by kube-proxy; add the {family} ranges, \
         or {all} if this is meant"
    )]
    NoSourceRange {
        /// The family.
        family: &'static str,
        /// All of it.
        all: &'static str,
    },
    /// A router that is this node.
    #[error("peerAddress is an address of this node, so this node opens no session; other nodes do")]
    OwnAddress,
    /// An address that no machine can have.
    #[error("{address} is {what}, so no host can have it; write another")]
    SpecialAddress {
        /// The address.
        address: IpAddr,
        /// What it is.
        what: &'static str,
    },
    /// A link-local address, which is on every link.
    #[error("{address} is link-local, and so ambiguous; write the interface of the peer instead")]
    LinkLocalWithoutInterface {
        /// The address.
        address: IpAddr,
    },
    /// A range between families.
    #[error("the range {start}-{end} mixes IPv4 and IPv6; write two ranges")]
    RangeFamilies {
        /// First address.
        start: IpAddr,
        /// Last address.
        end: IpAddr,
    },
    /// A range that ends before it begins.
    #[error("the range {start}-{end} ends before it begins; write {end}-{start}")]
    RangeReversed {
        /// First address, as written.
        start: IpAddr,
        /// Last address, as written.
        end: IpAddr,
    },
    /// A pool without addresses.
    #[error("the pool has no addresses; write at least one CIDR or range")]
    EmptyPool,
    /// Overlap inside a pool.
    #[error("{start}-{end} is in two entries of this pool; remove it from one of them")]
    PoolOverlapsItself {
        /// First common address.
        start: IpAddr,
        /// Last common address.
        end: IpAddr,
    },
    /// Overlap with another pool.
    #[error(
        "{start}-{end} is already in pool {}, which takes precedence; remove it from one of them", named(.other))]
    PoolOverlap {
        /// The other pool, as `namespace/name`.
        other: String,
        /// First common address.
        start: IpAddr,
        /// Last common address.
        end: IpAddr,
    },

    /// A Service without an address.
    #[error(
        "the Service has no address yet; write annotation metallb.io/loadBalancerIPs or spec.loadBalancerIP, or \
         let a controller fill in status.loadBalancer.ingress"
    )]
    NoAddress,
    /// An address that is in no pool.
    #[error("{address} is in no valid IPAddressPool; add it to one, or choose another address")]
    NotInPool {
        /// The address.
        address: IpAddr,
    },
    /// An address of a Node or of a BGP peer.
    #[error(
        "{address} of pool {pool} is the address of {owner}, so it is neither announced nor served for a Service; \
         choose another address, and take this one out of the pool"
    )]
    ReservedAddress {
        /// The address.
        address: IpAddr,
        /// Its pool, as `namespace/name`.
        pool: String,
        /// The Node or BGPPeer.
        owner: String,
    },
    /// A pool with addresses of Nodes or BGP peers.
    #[error("the pool contains {addresses}: no Service gets them; take them out of spec.addresses")]
    PoolHoldsReserved {
        /// The first of them, with their owners, and how many more there are.
        addresses: String,
    },
    /// An address of a pool that is kept for other Services.
    #[error(
        "serviceAllocation of pool {pool} does not admit this Service to {address}; choose another address, or \
         change the namespaces and selectors of the pool"
    )]
    NotAdmitted {
        /// The address.
        address: IpAddr,
        /// Its pool, as `namespace/name`.
        pool: String,
    },
    /// A Service of a cluster whose controller has given it no address.
    #[error(
        "the Service has no address yet: status.loadBalancer.ingress is empty; the controller fills it in, and its \
         Events say why it has not"
    )]
    NotAllocated,
    /// An address that its pool leaves out.
    #[error("pool {} has avoidBuggyIPs and so leaves out {address}; choose another address", named(.pool))]
    AvoidedAddress {
        /// The address.
        address: IpAddr,
        /// Its pool, as `namespace/name`.
        pool: String,
    },
    /// More wanted addresses than one of each family.
    #[error("{} is more than one IPv4 and one IPv6 address; write at most one of each", quoted(.written))]
    TooManyAddresses {
        /// As written.
        written: String,
    },
    /// An address asked for in two places.
    #[error("spec.loadBalancerIP asks for an address, too; write only the annotation")]
    AddressAskedTwice,
    /// A protocol that is not served.
    #[error("protocol {} of port {port} is not supported; only TCP, UDP and SCTP are", quoted(.protocol))]
    UnservedProtocol {
        /// As written.
        protocol: String,
        /// The port.
        port: u16,
    },
    /// A port of an address that another Service has.
    #[error(
        "{address} port {port}/{protocol} already belongs to Service {}; choose another port or address", named(.by))]
    PortTaken {
        /// The address.
        address: IpAddr,
        /// The port.
        port: u16,
        /// `TCP` or `UDP`.
        protocol: &'static str,
        /// The Service that has it, as `namespace/name`.
        by: String,
    },
    /// No endpoint can serve.
    #[error("no endpoint is ready, so traffic is not accepted; check the readiness of the pods")]
    NoServingEndpoint,
    /// An endpoint of a Service with policy Local that is on no node.
    #[error("an endpoint has no nodeName, so externalTrafficPolicy Local sends it nothing; set nodeName")]
    EndpointWithoutNode,
    /// An endpoint on a node that is not there.
    #[error("an endpoint is on Node {}, which does not exist; add the Node, or correct nodeName", named(.node))]
    EndpointNodeUnknown {
        /// The node's name.
        node: String,
    },

    /// None of the interfaces that advertisements name is an uplink.
    #[error(
        "this node is to announce addresses of the pool, and none of the interfaces that the pool's L2Advertisements name \
         is one of its uplinks: nobody answers ARP for them; add the interface to the uplinks of the agent, or to \
         spec.interfaces"
    )]
    NoSuchUplink,
    /// IPv6 addresses that only an L2Advertisement announces.
    #[error(
        "IPv6 addresses of {pools} are not announced: on the local network only ARP is answered; announce them by a \
         BGPAdvertisement"
    )]
    NoNeighborDiscovery {
        /// Names of the pools.
        pools: String,
    },
    /// Every Node is excluded.
    #[error(
        "every Node is excluded from load balancing, by label node.kubernetes.io/exclude-from-external-load-balancers or \
         condition NetworkUnavailable: no node announces anything, and what arrives is shared among all of them; remove \
         the label, or start with --ignore-exclude-lb"
    )]
    AllNodesExcluded,
    /// A Service with policy Local whose endpoints are on excluded Nodes only.
    #[error(
        "all its endpoints are on Nodes that are excluded from load balancing, which serve it for want of others; \
         schedule its pods on other Nodes"
    )]
    EndpointsExcluded,
    /// A Node without an address.
    #[error(
        "the Node has no usable InternalIP or ExternalIP in status.addresses, so no packet is forwarded to it; add one"
    )]
    NodeWithoutAddress,
    /// A Node with another's address.
    #[error(
        "{address} belongs to Node {}, which is Ready or younger; delete the Node object of the machine that is gone",
        named(.by)
    )]
    NodeAddressTaken {
        /// The address.
        address: IpAddr,
        /// Name of the Node that has it.
        by: String,
    },
    /// A Node whose name makes the same number as another's.
    #[error(
        "the name of this Node has the same hash as that of Node {}, so its number changes when {} comes or goes; rename one of them", named(.by), named(.by))]
    NodeIdentityTaken {
        /// Name of the Node that has the number.
        by: String,
    },
    /// This machine is not among the Nodes.
    #[error("this machine is Node {}, which does not exist; add the Node, or correct --node: until then nothing changes", named(.node))]
    OwnNodeUnknown {
        /// This machine's name.
        node: String,
    },
    /// L2 forwarding to a node that is not on-link.
    #[error("{address} is not on-link, and forwarding is l2 only; set forwarding to auto, gue or ipip")]
    NotOnLink {
        /// The node's address.
        address: IpAddr,
    },
    /// A way through an interface without the program.
    #[error(
        "the route to {address} uses interface {ifindex}, which is not an uplink; add it with --interface"
    )]
    NotAnUplink {
        /// The node's address.
        address: IpAddr,
        /// The interface.
        ifindex: u32,
    },
    /// A source address of the other family.
    #[error(
        "the route to {address} has source address {source_address}, of the other IP version; correct the route"
    )]
    WayFamilies {
        /// The node's address.
        address: IpAddr,
        /// The source address.
        source_address: IpAddr,
    },

    /// A table is full.
    #[error("{map} is full with {capacity} entries, so this is left out; remove others")]
    MapFull {
        /// Name of the map.
        map: &'static str,
        /// Entries that it can hold.
        capacity: usize,
    },
    /// The table of source ranges is full.
    #[error(
        "{map} is full with {capacity} entries, so {lacking} source ranges are left out and their clients are \
         dropped; write fewer or larger ranges"
    )]
    SourcesFull {
        /// Name of the map.
        map: &'static str,
        /// Entries that it can hold.
        capacity: usize,
        /// Entries that found no room.
        lacking: usize,
    },
    /// The array of rings is full.
    #[error(
        "no {slots} consecutive slots are free in {map}, which has {capacity}; lower the slots a node, or raise \
         the capacity"
    )]
    NoRingSpace {
        /// Name of the map.
        map: &'static str,
        /// Slots that are needed.
        slots: usize,
        /// Slots of the array.
        capacity: u32,
    },
}

/// What to do about a name that nobody knows.
fn hint(instead: Option<&str>) -> String {
    instead.map_or_else(|| "; remove it".to_owned(), |instead| format!("; did you mean {instead}?"))
}

/// What to do about a kind that nobody knows.
fn kinds(instead: Option<&str>) -> String {
    match instead {
        Some(_) => hint(instead),
        None => "; write one of v1 Service, Node, Namespace, Secret and List, discovery.k8s.io/v1 EndpointSlice, \
                 metallb.io/v1beta1 IPAddressPool, L2Advertisement, BGPAdvertisement, BFDProfile and Community, \
                 metallb.io/v1beta2 BGPPeer"
            .to_owned(),
    }
}
