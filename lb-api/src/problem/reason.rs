//! The reasons of problems, with the messages that users read in Events, conditions, logs and `fairlead
//! check`.
//!
//! A message says what failed, on what and why, and then what to do.

mod bgp;
mod label;
mod plan;
mod read;

pub use bgp::BgpReason;
pub use plan::PlanReason;
pub use read::ReadReason;

use std::net::IpAddr;

use super::excerpt::{bare, named, quoted};

/// Why an object is invalid or without effect, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The object cannot be read.
    #[error(transparent)]
    Read(#[from] ReadReason),
    /// It is an invalid BGP object.
    #[error(transparent)]
    Bgp(#[from] BgpReason),
    /// The object is valid, but this node cannot do what it asks for.
    #[error(transparent)]
    Plan(#[from] PlanReason),
    /// The same object in two places.
    #[error(
        "{}:{line} defines this object, too, and takes precedence; remove one of them",
        named(.source_name)
    )]
    Duplicate {
        /// File of the first.
        source_name: String,
        /// Line of the first.
        line: usize,
    },
    /// A name that another object has, where references have no namespace.
    #[error(
        "{} has the same name and takes precedence, because references have no namespace; rename one of \
         them",
        named(.by)
    )]
    NameTaken {
        /// The other object.
        by: String,
    },
    /// An invalid object whose last-known-good configuration stays in force.
    #[error("the object is invalid; its last-known-good configuration stays in force until this is fixed")]
    StaysAsBefore,
    /// An invalid label key.
    #[error(
        "{} is not a valid label key; write letters, digits, -, _ and ., optionally after a DNS name and \
         a slash",
        quoted(.written)
    )]
    NotALabelKey {
        /// The written value.
        written: String,
    },
    /// An invalid label value.
    #[error("{} is not a valid label value; write up to 63 letters, digits, -, _ and .", quoted(.written))]
    NotALabelValue {
        /// The written value.
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
    /// A selector that matches no object.
    #[error("this selects no {kind}; correct the selector, or set the labels")]
    SelectsNothing {
        /// The kind.
        kind: &'static str,
    },
    /// An object in a namespace that is not read.
    #[error(
        "Fairlead reads objects of metallb.io in namespace {} only, so this object has no effect; create \
         it there",
        named(.read)
    )]
    OtherNamespace {
        /// The namespace that is read.
        read: String,
    },
    /// A value outside of an enumeration.
    #[error("{} is not one of {allowed}; write one of them", quoted(.written))]
    UnknownValue {
        /// The written value.
        written: String,
        /// The allowed values.
        allowed: &'static str,
    },
    /// A value without effect in a valid object.
    #[error("this has no effect: {why}")]
    NoEffect {
        /// The reason, and what to do.
        why: &'static str,
    },
    /// Two mutually exclusive fields.
    #[error("this field and {other} exclude each other, and both are set; remove one of them")]
    Excludes {
        /// The other field.
        other: &'static str,
    },
    /// None of several fields of which one is required.
    #[error("none of {fields} is set; set one of them")]
    OneOf {
        /// The fields.
        fields: &'static str,
    },
    /// A value out of range.
    #[error("{} is out of range; write {allowed}", bare(.written))]
    OutOfRange {
        /// The written value.
        written: String,
        /// The allowed values.
        allowed: &'static str,
    },
    /// An invalid duration.
    #[error("{} is not a duration; write 90s or 1m30s", quoted(.written))]
    NotADuration {
        /// The written value.
        written: String,
    },
    /// A duplicate entry of a list.
    #[error("{} is listed twice; remove one of them", bare(.written))]
    DuplicateEntry {
        /// The written value.
        written: String,
    },
    /// An operator that needs values.
    #[error(
        "operators In and NotIn need values, and there are none; add some, or write operator Exists or \
         DoesNotExist"
    )]
    SelectorWithoutValues,
    /// An operator that takes no values.
    #[error("operators Exists and DoesNotExist take no values; remove them, or write operator In or NotIn")]
    SelectorWithValues,
    /// An object that another one refers to.
    #[error("{} refers to this object; change that one first", named(.by))]
    InUse {
        /// Who needs it.
        by: String,
    },
    /// A reference to a missing or invalid object.
    #[error(
        "there is no valid {kind} {}, so this object is ignored; create it, or correct the name",
        named(.name)
    )]
    UnknownReference {
        /// The kind.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// An invalid IP address.
    #[error(
        "{} is not an IP address; write one without leading zeros, blanks or a prefix length",
        quoted(.written)
    )]
    NotAnAddress {
        /// The written value.
        written: String,
    },
    /// An invalid address range.
    #[error(
        "{} is neither a CIDR nor a range; write 192.0.2.0/24, 192.0.2.10-192.0.2.20, or 192.0.2.10/32 \
         for one address",
        quoted(.written)
    )]
    NotARange {
        /// The written value.
        written: String,
    },
    /// An invalid CIDR.
    #[error("{} is not a CIDR; write 192.0.2.0/24 or 2001:db8::/32", quoted(.written))]
    NotACidr {
        /// The written value.
        written: String,
    },
    /// Source ranges of one family only.
    #[error(
        "there is no {family} range, so all {family} clients are admitted, as by kube-proxy; add the \
         {family} ranges, or {all} if this is intended"
    )]
    NoSourceRange {
        /// The family.
        family: &'static str,
        /// The range of all its addresses.
        all: &'static str,
    },
    /// A special-purpose address.
    #[error("{address} is {what}, so no host can have it; write another address")]
    SpecialAddress {
        /// The address.
        address: IpAddr,
        /// Its description.
        what: &'static str,
    },
    /// A range across families.
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
    /// An overlap within a pool.
    #[error("{start}-{end} is in two entries of this pool; remove it from one of them")]
    PoolOverlapsItself {
        /// First common address.
        start: IpAddr,
        /// Last common address.
        end: IpAddr,
    },
    /// An overlap with another pool.
    #[error(
        "{start}-{end} is already in pool {}, which takes precedence; remove it from one of them",
        named(.other)
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
        "the Service has no address yet; write annotation metallb.io/loadBalancerIPs or \
         spec.loadBalancerIP, or let a controller fill in status.loadBalancer.ingress"
    )]
    NoAddress,
    /// An address outside of all pools.
    #[error("{address} is in no valid IPAddressPool; add it to one, or choose another address")]
    NotInPool {
        /// The address.
        address: IpAddr,
    },
    /// An address of a Node or BGP peer.
    #[error(
        "{address} of pool {pool} is the address of {owner}, so it is neither announced nor served for a \
         Service; choose another address, and remove this one from the pool"
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
    #[error("the pool contains {addresses}, which no Service gets; remove them from spec.addresses")]
    PoolHoldsReserved {
        /// The first of them, with their owners, and how many more there are.
        addresses: String,
    },
    /// An address of a pool reserved for other Services.
    #[error(
        "serviceAllocation of pool {pool} does not admit this Service to {address}; choose another \
         address, or change the namespaces and selectors of the pool"
    )]
    NotAdmitted {
        /// The address.
        address: IpAddr,
        /// Its pool, as `namespace/name`.
        pool: String,
    },
    /// A Service that the controller has allocated no address to.
    #[error(
        "the Service has no address yet: status.loadBalancer.ingress is empty; the controller fills it \
         in, and its Events say why it has not"
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
    /// More requested addresses than one of each family.
    #[error("{} is more than one IPv4 and one IPv6 address; write at most one of each", quoted(.written))]
    TooManyAddresses {
        /// The written value.
        written: String,
    },
    /// Two requests for addresses.
    #[error("spec.loadBalancerIP requests an address, too; write only the annotation")]
    AddressAskedTwice,
    /// An unsupported protocol.
    #[error("protocol {} of port {port} is not supported; use TCP, UDP or SCTP", quoted(.protocol))]
    UnservedProtocol {
        /// As written.
        protocol: String,
        /// The port.
        port: u16,
    },
    /// A port of an address that another Service has.
    #[error(
        "{address} port {port}/{protocol} already belongs to Service {}; choose another port or address",
        named(.by)
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
    /// A Service without serving endpoints.
    #[error("no endpoint is ready, so traffic is not accepted; check the readiness of the pods")]
    NoServingEndpoint,
    /// An endpoint without a node, of a Service with policy Local.
    #[error("an endpoint has no nodeName, so externalTrafficPolicy Local sends it nothing; set nodeName")]
    EndpointWithoutNode,
    /// An endpoint on an unknown node.
    #[error(
        "an endpoint is on Node {}, which does not exist; add the Node, or correct nodeName",
        named(.node)
    )]
    EndpointNodeUnknown {
        /// The node's name.
        node: String,
    },
    /// A Node without an address.
    #[error(
        "the Node has no usable InternalIP or ExternalIP in status.addresses, so no packet is forwarded \
         to it; add one"
    )]
    NodeWithoutAddress,
    /// An address that another Node has.
    #[error(
        "{address} belongs to Node {}, which is Ready or younger; delete the Node object of the machine \
         that no longer exists",
        named(.by)
    )]
    NodeAddressTaken {
        /// The address.
        address: IpAddr,
        /// Name of the Node that has it.
        by: String,
    },
}
