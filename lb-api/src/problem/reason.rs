//! What can be wrong, and what to do about it.

use std::net::IpAddr;

use super::Severity;

/// What is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Not YAML.
    #[error("this document cannot be read: {words}; as it is now, it does not count")]
    BadDocument {
        /// The parser's words.
        words: String,
    },
    /// YAML of another shape than the kind has.
    #[error("{words}; as it is now, the object does not count")]
    BadField {
        /// The parser's words.
        words: String,
    },
    /// Documents of a file beyond those that are named.
    #[error("{count} more documents of this file do not count; mend those that are named first")]
    MoreDocuments {
        /// How many.
        count: usize,
    },
    /// A file that cannot be read as a whole.
    #[error("{error}; until this is fixed, the file counts as it was last read")]
    UnreadableFile {
        /// What is in the way.
        error: String,
    },
    /// A directory of objects that cannot be read.
    #[error("{error}; everything that was read before stays in force")]
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
    #[error("no apiVersion or no kind; every object needs both")]
    NoKind,
    /// A kind that is not read.
    #[error(
        "unknown kind {api_version} {kind}; these are read: v1 Service, Node and List, discovery.k8s.io/v1 \
         EndpointSlice, metallb.io/v1beta1 IPAddressPool, L2Advertisement, BGPAdvertisement, BFDProfile, \
         Community and BGPPeer (this one also v1beta2), v1 Namespace and Secret"
    )]
    UnknownKind {
        /// As written.
        api_version: String,
        /// As written.
        kind: String,
    },
    /// The same object in two places.
    #[error("already defined at {source_name}:{line}, which counts; remove one of them")]
    Duplicate {
        /// File of the first.
        source_name: String,
        /// Line of the first.
        line: usize,
    },
    /// The name of another object, where others refer to a kind by the name alone.
    #[error("{by} has this name and counts; give this one another, namespaces do not tell them apart")]
    NameTaken {
        /// The other object.
        by: String,
    },
    /// What was right before is not forgotten for something that is wrong.
    #[error("until what is wrong with it is mended, it stays in force as it was before")]
    StaysAsBefore,
    /// A router that this node speaks to already.
    #[error(
        "{by} has the same router on this node and counts; a router takes one session of a node: keep one of them \
         here, or keep them apart by nodeSelectors"
    )]
    RouterTaken {
        /// The peer that has it.
        by: String,
    },
    /// A value that the field cannot have.
    #[error("{written:?} is not one of {allowed}")]
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
    #[error("this kind has no such field; write {instead}")]
    NoSuchField {
        /// What to write.
        instead: &'static str,
    },
    /// Two fields that exclude each other.
    #[error("{other} is written, too; write only one of them")]
    Excludes {
        /// The other field.
        other: &'static str,
    },
    /// None of some fields of which one is needed.
    #[error("one of these is needed: {fields}")]
    OneOf {
        /// The fields.
        fields: &'static str,
    },
    /// A value that the field cannot have.
    #[error("{written} is not allowed here; allowed is {allowed}")]
    OutOfRange {
        /// As written.
        written: String,
        /// What can be written.
        allowed: &'static str,
    },
    /// Not a duration.
    #[error("{written:?} is not a duration; write 90s or 1m30s")]
    NotADuration {
        /// As written.
        written: String,
    },
    /// The same entry twice.
    #[error("{written} is there twice; remove one of them")]
    DuplicateEntry {
        /// As written.
        written: String,
    },
    /// A comparison with nothing.
    #[error(
        "In and NotIn compare with values, and there is none; write some, or operator Exists or DoesNotExist"
    )]
    SelectorWithoutValues,
    /// Values that are compared with nothing.
    #[error("Exists and DoesNotExist take no values; remove them, or write operator In or NotIn")]
    SelectorWithValues,
    /// An object that others need.
    #[error("{by} needs it; change that first")]
    InUse {
        /// Who needs it.
        by: String,
    },
    /// An object that is not there, or not valid.
    #[error("there is no valid {kind} {name}; this waits until there is")]
    UnknownReference {
        /// The kind.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// Not a community.
    #[error("{written:?} is not a community; write 65000:100, or large:65000:100:1")]
    NotACommunity {
        /// As written.
        written: String,
    },
    /// A name of a community that no Community object defines.
    #[error("no Community object defines {written:?}; define it, or write its value, as 65000:100")]
    UnknownCommunity {
        /// As written.
        written: String,
    },
    /// A name that routers know, and that no Community object defines.
    #[error("no Community object defines {written:?}; write its value, {value}, or define the name")]
    WellKnownCommunity {
        /// As written.
        written: String,
        /// What it stands for.
        value: &'static str,
    },
    /// Several hops to a router of our own AS.
    #[error(
        "peerASN is myASN, and ebgpMultiHop is for other ASes only; remove it, internal sessions take any way"
    )]
    MultihopInternal,
    /// A source address of the other IP version.
    #[error("{written} is not of the IP version of peerAddress")]
    SourceFamily {
        /// As written.
        written: String,
    },
    /// A password that TCP-MD5 cannot take.
    #[error("a password has 1 to 80 octets")]
    PasswordLength,
    /// A Secret of another type.
    #[error("Secret {name} must be of type {wanted}")]
    SecretType {
        /// The Secret, as `namespace/name`.
        name: String,
        /// The type.
        wanted: &'static str,
    },
    /// A Secret without a password.
    #[error("Secret {name} has no {key}, or not in base64")]
    SecretWithout {
        /// The Secret, as `namespace/name`.
        name: String,
        /// The key.
        key: &'static str,
    },
    /// Prefixes beyond the pool.
    #[error(
        "a prefix of length {length} would hold addresses that pool {pool} has not; write at least {least}"
    )]
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
        "serviceSelectors need aggregationLength 32 and aggregationLengthV6 128: a longer prefix is of several Services"
    )]
    SelectorsWithAggregation,
    /// Two local preferences for one prefix.
    #[error(
        "{other} announces the same prefixes to the same peers with another localPref; write the same in both"
    )]
    LocalPrefConflict {
        /// Name of the other.
        other: String,
    },
    /// Not an IP address.
    #[error("{written:?} is not an IP address")]
    NotAnAddress {
        /// As written.
        written: String,
    },

    /// Neither a CIDR nor a range.
    #[error(
        "{written:?} is neither a CIDR nor a range; write 192.0.2.0/24, 192.0.2.10-192.0.2.20, or \
         192.0.2.10/32 for one address"
    )]
    NotARange {
        /// As written.
        written: String,
    },
    /// A range between families.
    #[error("the range {start}-{end} begins in one IP version and ends in the other; write two ranges")]
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
    #[error("{start}-{end} stands in this pool twice; remove it from one of its entries")]
    PoolOverlapsItself {
        /// First common address.
        start: IpAddr,
        /// Last common address.
        end: IpAddr,
    },
    /// Overlap with another pool.
    #[error(
        "{start}-{end} is already in pool {other}; this pool is left out until it is in one of them only"
    )]
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
    #[error("pool {pool} has avoidBuggyIPs and so leaves out {address}; choose another address")]
    AvoidedAddress {
        /// The address.
        address: IpAddr,
        /// Its pool, as `namespace/name`.
        pool: String,
    },
    /// More wanted addresses than one of each family.
    #[error("{written:?} is more than one IPv4 and one IPv6 address; write at most one of each")]
    TooManyAddresses {
        /// As written.
        written: String,
    },
    /// An address asked for in two places.
    #[error("spec.loadBalancerIP asks for an address, too; write only the annotation")]
    AddressAskedTwice,
    /// A protocol that is not served.
    #[error("{protocol} is not served, only TCP, UDP and SCTP; port {port} is left out")]
    UnservedProtocol {
        /// As written.
        protocol: String,
        /// The port.
        port: u16,
    },
    /// A port of an address that another Service has.
    #[error(
        "{address} port {port}/{protocol} already belongs to Service {by}; choose another port or address"
    )]
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
    #[error("no endpoint can serve now, so its traffic is not taken; look at the readiness of its pods")]
    NoServingEndpoint,
    /// An endpoint of a Service with policy Local that is on no node.
    #[error("an endpoint has no nodeName, so externalTrafficPolicy Local cannot send anything to it")]
    EndpointWithoutNode,
    /// An endpoint on a node that is not there.
    #[error("an endpoint is on Node {node}, which is not known; add the Node, or correct nodeName")]
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
        "the Node has no usable InternalIP or ExternalIP in status.addresses, so nothing can be sent to it"
    )]
    NodeWithoutAddress,
    /// A Node with another's address.
    #[error(
        "{address} belongs to Node {by}, which is Ready or younger; delete the Node object of the machine that is gone"
    )]
    NodeAddressTaken {
        /// The address.
        address: IpAddr,
        /// Name of the Node that has it.
        by: String,
    },
    /// A Node whose name makes the same number as another's.
    #[error(
        "by its name the Node is the same to other nodes as Node {by}; it is known by another number, which changes \
         when {by} comes or goes; give one of them another name"
    )]
    NodeIdentityTaken {
        /// Name of the Node that has the number.
        by: String,
    },
    /// This machine is not among the Nodes.
    #[error("this machine is Node {node}, which is not known; nothing is changed until it is")]
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
        "the way to {address} leads through interface {ifindex}, which is not an uplink; add it to the uplinks"
    )]
    NotAnUplink {
        /// The node's address.
        address: IpAddr,
        /// The interface.
        ifindex: u32,
    },
    /// A source address of the other family.
    #[error("the way to {address} has {source_address} as its source; both must be of one IP version")]
    WayFamilies {
        /// The node's address.
        address: IpAddr,
        /// The source address.
        source_address: IpAddr,
    },

    /// A table is full.
    #[error("{map} is full with {capacity} entries; this has no place in it")]
    MapFull {
        /// Name of the map.
        map: &'static str,
        /// Entries that it can hold.
        capacity: usize,
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

impl Reason {
    /// A fixed word for a metric.
    pub fn label(&self) -> &'static str {
        match self {
            Self::BadDocument { .. } => "bad_document",
            Self::BadField { .. } => "bad_field",
            Self::MoreDocuments { .. } => "more_documents",
            Self::UnreadableFile { .. } => "unreadable_file",
            Self::UnreadableDirectory { .. } => "unreadable_directory",
            Self::TooManyFiles { .. } => "too_many_files",
            Self::NoKind => "no_kind",
            Self::UnknownKind { .. } => "unknown_kind",
            Self::Duplicate { .. } => "duplicate",
            Self::NameTaken { .. } => "name_taken",
            Self::StaysAsBefore => "stays_as_before",
            Self::RouterTaken { .. } => "router_taken",
            Self::UnknownValue { .. } => "unknown_value",
            Self::NoEffect { .. } => "no_effect",
            Self::NoSuchField { .. } => "no_such_field",
            Self::Excludes { .. } => "excludes",
            Self::OneOf { .. } => "one_of",
            Self::OutOfRange { .. } => "out_of_range",
            Self::NotADuration { .. } => "not_a_duration",
            Self::DuplicateEntry { .. } => "duplicate_entry",
            Self::SelectorWithoutValues => "selector_without_values",
            Self::SelectorWithValues => "selector_with_values",
            Self::InUse { .. } => "in_use",
            Self::UnknownReference { .. } => "unknown_reference",
            Self::NotACommunity { .. } => "not_a_community",
            Self::UnknownCommunity { .. } | Self::WellKnownCommunity { .. } => "unknown_community",
            Self::MultihopInternal => "multihop_internal",
            Self::SourceFamily { .. } => "source_family",
            Self::PasswordLength => "password_length",
            Self::SecretType { .. } => "secret_type",
            Self::SecretWithout { .. } => "secret_without",
            Self::AggregationTooShort { .. } => "aggregation_too_short",
            Self::SelectorsWithAggregation => "selectors_with_aggregation",
            Self::LocalPrefConflict { .. } => "local_pref_conflict",
            Self::NotAnAddress { .. } => "not_an_address",
            Self::NotARange { .. } => "not_a_range",
            Self::RangeFamilies { .. } => "range_families",
            Self::RangeReversed { .. } => "range_reversed",
            Self::EmptyPool => "empty_pool",
            Self::PoolOverlapsItself { .. } => "pool_overlaps_itself",
            Self::PoolOverlap { .. } => "pool_overlap",
            Self::NoAddress => "no_address",
            Self::NotInPool { .. } => "not_in_pool",
            Self::ReservedAddress { .. } => "reserved_address",
            Self::PoolHoldsReserved { .. } => "pool_holds_reserved",
            Self::NotAdmitted { .. } => "not_admitted",
            Self::NotAllocated => "not_allocated",
            Self::AvoidedAddress { .. } => "avoided_address",
            Self::TooManyAddresses { .. } => "too_many_addresses",
            Self::AddressAskedTwice => "address_asked_twice",
            Self::UnservedProtocol { .. } => "unserved_protocol",
            Self::PortTaken { .. } => "port_taken",
            Self::NoServingEndpoint => "no_serving_endpoint",
            Self::EndpointWithoutNode => "endpoint_without_node",
            Self::EndpointNodeUnknown { .. } => "endpoint_node_unknown",
            Self::NoSuchUplink => "no_such_uplink",
            Self::NoNeighborDiscovery { .. } => "no_neighbor_discovery",
            Self::AllNodesExcluded => "all_nodes_excluded",
            Self::EndpointsExcluded => "endpoints_excluded",
            Self::NodeWithoutAddress => "node_without_address",
            Self::NodeAddressTaken { .. } => "node_address_taken",
            Self::NodeIdentityTaken { .. } => "node_identity_taken",
            Self::OwnNodeUnknown { .. } => "own_node_unknown",
            Self::NotOnLink { .. } => "not_on_link",
            Self::NotAnUplink { .. } => "not_an_uplink",
            Self::WayFamilies { .. } => "way_families",
            Self::MapFull { .. } => "map_full",
            Self::NoRingSpace { .. } => "no_ring_space",
        }
    }

    /// Whether somebody must act.
    pub fn severity(&self) -> Severity {
        let explains = matches!(
            self,
            Self::NoAddress
                | Self::NotAllocated
                | Self::NoServingEndpoint
                | Self::StaysAsBefore
                | Self::NoEffect { .. }
                | Self::PoolHoldsReserved { .. }
                | Self::NoNeighborDiscovery { .. }
                | Self::AllNodesExcluded
                | Self::EndpointsExcluded
        );
        if explains { Severity::Notice } else { Severity::Error }
    }
}
