//! BGP messages (RFC 4271, section 4), as values.

use ipnet::IpNet;

use crate::value::{AddressFamily, Asn, Attributes, HoldTime, RouteNextHop, RouterId};

/// Length of the header in octets: marker, length, type.
pub const HEADER_LEN: usize = 19;
/// Maximum message length.
pub const MAX_MESSAGE: usize = 4096;
/// Maximum message length if both sides support it (RFC 8654); OPEN and KEEPALIVE are limited to
/// [`MAX_MESSAGE`].
pub const MAX_EXTENDED_MESSAGE: usize = 65_535;

/// A message, sent or received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Opens a session.
    Open(Open),
    /// Advertises or withdraws routes.
    Update(Update),
    /// Closes a session.
    Notification(Notification),
    /// Keeps the session alive.
    Keepalive,
    /// Requests all routes again (RFC 2918). `None` for a family that was not negotiated, and for the markers
    /// around an answer (RFC 7313), which this speaker does not request.
    RouteRefresh(Option<AddressFamily>),
}

/// OPEN (RFC 4271, section 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The sender's AS number, from the capability if present.
    pub asn: Asn,
    /// Proposed hold time.
    pub hold_time: HoldTime,
    /// The sender's BGP identifier.
    pub router_id: RouterId,
    /// The sender's capabilities.
    pub capabilities: Capabilities,
}

/// Capabilities (RFC 5492). Unknown ones are listed and otherwise ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Families (RFC 4760), in order of appearance; [`offered_families`](Self::offered_families) covers the
    /// empty case.
    pub families: Vec<AddressFamily>,
    /// Supports ROUTE-REFRESH (RFC 2918).
    pub route_refresh: bool,
    /// Supports messages longer than [`MAX_MESSAGE`] (RFC 8654).
    pub extended_message: bool,
    /// Supports four-octet AS numbers (RFC 6793).
    pub four_octet_asn: bool,
    /// Supports IPv4 routes with IPv6 next hops (RFC 8950).
    pub extended_next_hop: bool,
    /// Preserves forwarding over a restart (RFC 4724).
    pub graceful_restart: Option<GracefulRestartCapability>,
    /// The sender's host name (draft-walton-bgp-hostname-capability), reduced to printable characters.
    pub host_name: Option<String>,
    /// Codes of other capabilities, in order of appearance. Multiprotocol (RFC 4760) appears once for each
    /// unsupported family.
    pub others: Vec<u8>,
}

impl Capabilities {
    /// Multiprotocol (RFC 4760).
    const MULTIPROTOCOL: u8 = 1;

    /// Returns the families the sender offers: IPv4 if it has no multiprotocol capability (RFC 4760, section
    /// 8).
    pub fn offered_families(&self) -> &[AddressFamily] {
        if self.families.is_empty() && !self.others.contains(&Self::MULTIPROTOCOL) {
            &[AddressFamily::Ipv4]
        } else {
            &self.families
        }
    }
}

/// The graceful restart capability (RFC 4724, section 3; RFC 8538, section 2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GracefulRestartCapability {
    /// The sender has just restarted.
    pub restarted: bool,
    /// A NOTIFICATION other than a hard reset also triggers a graceful restart.
    pub notification: bool,
    /// Seconds after which the routes of a sender that has not come back are removed; at most 4095.
    pub restart_time: u16,
    /// Families, each with the forwarding-state-preserved flag.
    pub families: Vec<(AddressFamily, bool)>,
}

/// UPDATE: one to send, or the readable part of a received one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// Withdrawn prefixes, of one family or both.
    pub withdrawn: Vec<IpNet>,
    /// Advertised prefixes, all with the same attributes. `None` in a received UPDATE under
    /// treat-as-withdraw, whose prefixes are in `withdrawn`.
    pub reach: Option<Reach>,
    /// Received only: the routes of MP_REACH_NLRI if the NLRI field has routes, too.
    pub second_reach: Option<Box<Reach>>,
    /// End-of-RIB (RFC 4724, section 2): all routes of the family have been sent.
    pub end_of_rib: Option<AddressFamily>,
    /// Received only: the errors found by RFC 7606, most severe first. Empty in one to send.
    pub flaws: Vec<UpdateFlaw>,
}

/// Advertised prefixes of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Prefixes.
    pub prefixes: Vec<IpNet>,
    /// Next hop.
    pub next_hop: RouteNextHop,
    /// AS_PATH: one sequence of four-octet numbers, including those of a confederation.
    pub as_path: Vec<Asn>,
    /// All other attributes.
    pub attributes: Attributes,
}

/// An error in a received attribute, and how it is handled (RFC 7606, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpdateFlaw {
    /// The attribute's type code; zero for the attribute list itself.
    pub attribute: u8,
    /// The family of a multiprotocol attribute, if negotiated.
    pub family: Option<AddressFamily>,
    /// Error handling.
    pub handling: ErrorHandling,
}

/// Error handling of RFC 7606, section 2, in order of severity. A session reset is a decoding error instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorHandling {
    /// Ignore the attribute.
    AttributeDiscard,
    /// Treat the routes as withdrawn.
    TreatAsWithdraw,
    /// Ignore the family from now on (RFC 4760, section 7).
    AfiSafiDisable,
}

/// NOTIFICATION (RFC 4271, section 4.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Error code.
    pub code: u8,
    /// Error subcode; zero if there is none.
    pub subcode: u8,
    /// Diagnostic data.
    pub data: Vec<u8>,
}
