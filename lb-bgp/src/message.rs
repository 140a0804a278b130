//! Messages (RFC 4271 section 4), as values.

use ipnet::IpNet;

use crate::value::{Asn, Attributes, Family, HoldTime, NextHop, RouterId};

/// Octets of the header: marker, length, type.
pub const HEADER_LEN: usize = 19;
/// Longest message.
pub const MAX_MESSAGE: usize = 4096;
/// Longest message where both sides can (RFC 8654); OPEN and KEEPALIVE stay below [`MAX_MESSAGE`].
pub const MAX_EXTENDED_MESSAGE: usize = 65_535;

/// A message, either way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Opens a session.
    Open(Open),
    /// Says of routes that they are there or gone.
    Update(Update),
    /// Ends a session.
    Notification(Notification),
    /// Nothing new.
    Keepalive,
    /// Asks for all routes again (RFC 2918); `None` for a family that is not spoken on the session, and for the
    /// marks around an answer (RFC 7313), which are not asked for here.
    RouteRefresh(Option<Family>),
}

/// OPEN (RFC 4271 section 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The sender's AS number, from the capability where there is one.
    pub asn: Asn,
    /// What the sender proposes.
    pub hold_time: HoldTime,
    /// The sender.
    pub router_id: RouterId,
    /// What the sender can do.
    pub capabilities: Capabilities,
}

/// Capabilities (RFC 5492). Those that are not known are counted and otherwise ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Families (RFC 4760), in the order of their mention: see [`spoken`](Self::spoken) for what none means.
    pub families: Vec<Family>,
    /// Takes ROUTE-REFRESH (RFC 2918).
    pub route_refresh: bool,
    /// Takes messages longer than [`MAX_MESSAGE`] (RFC 8654).
    pub extended_message: bool,
    /// AS numbers have four octets (RFC 6793).
    pub four_octet_asn: bool,
    /// Takes IPv4 routes with IPv6 next hops (RFC 8950).
    pub extended_next_hop: bool,
    /// Goes on forwarding while it restarts (RFC 4724).
    pub graceful_restart: Option<GracefulRestartCapability>,
    /// Name of the sender (draft-walton-bgp-hostname-capability), cut to what can be shown.
    pub host_name: Option<String>,
    /// Codes of others, in the order of their mention. RFC 4760's own is among them once for each family that
    /// is not spoken here.
    pub others: Vec<u8>,
}

impl Capabilities {
    /// RFC 4760's.
    const MULTIPROTOCOL: u8 = 1;

    /// The families that the sender speaks: IPv4 where it has not heard of families (RFC 4760 section 8).
    pub fn offered_families(&self) -> &[Family] {
        if self.families.is_empty() && !self.others.contains(&Self::MULTIPROTOCOL) {
            &[Family::Ipv4]
        } else {
            &self.families
        }
    }
}

/// The graceful restart capability (RFC 4724 section 3, RFC 8538 section 2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GracefulRestartCapability {
    /// The sender has just restarted.
    pub restarted: bool,
    /// NOTIFICATIONs other than a hard reset restart gracefully, too.
    pub notification: bool,
    /// Seconds after which routes of a sender that has not come back are to be forgotten: at most 4095.
    pub restart_time: u16,
    /// Families, and for each whether the sender has gone on forwarding.
    pub families: Vec<(Family, bool)>,
}

/// UPDATE: what is sent of it, and of a received one what could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// Prefixes that are gone, of one family or both.
    pub withdrawn: Vec<IpNet>,
    /// Prefixes that are there, all with the same attributes. `None` in a received UPDATE that is treated as a
    /// withdrawal: its prefixes are among those withdrawn.
    pub reach: Option<Reach>,
    /// Of a received one only: what MP_REACH_NLRI brought where there are prefixes beside it, too.
    pub second_reach: Option<Box<Reach>>,
    /// End-of-RIB (RFC 4724 section 2): all routes of the family have been sent.
    pub end_of_rib: Option<Family>,
    /// Of a received one only: what RFC 7606 says is wrong with it, gravest first. Empty in one to be sent.
    pub flaws: Vec<UpdateFlaw>,
}

/// Prefixes of one family that are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Prefixes.
    pub prefixes: Vec<IpNet>,
    /// Where they lead to.
    pub next_hop: NextHop,
    /// AS_PATH: one sequence of four-octet numbers, those of a confederation among them.
    pub as_path: Vec<Asn>,
    /// The rest.
    pub attributes: Attributes,
}

/// What is wrong with an attribute that was received, and what is done about it (RFC 7606 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpdateFlaw {
    /// The attribute's type code; zero where it is the list of attributes.
    pub attribute: u8,
    /// The family of a multiprotocol attribute, where it is one that is spoken on the session.
    pub family: Option<Family>,
    /// What is done.
    pub handling: ErrorHandling,
}

/// From the mildest to the gravest. A session reset is no flaw but an error of decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorHandling {
    /// The attribute is ignored.
    AttributeDiscard,
    /// The routes count as withdrawn.
    TreatAsWithdraw,
    /// The family is not listened to any more (RFC 4760 section 7).
    AfiSafiDisable,
}

/// NOTIFICATION (RFC 4271 section 4.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Error code.
    pub code: u8,
    /// Error subcode; zero where there is none.
    pub subcode: u8,
    /// What else it says.
    pub data: Vec<u8>,
}
