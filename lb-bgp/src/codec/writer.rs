//! Encoding of UPDATEs (RFC 4271, section 4.3): as many prefixes per message as fit.

use ipnet::IpNet;

use super::as_path;
use super::attribute::{self, MAX_ATTRIBUTE_HEADER, OPTIONAL, TRANSITIVE, code};
use super::context::Encoding;
use super::error::MessageTooLong;
use super::header::{kind, write_message};
use super::multiprotocol::{family_head, reach_head};
use super::prefix::{self, family_of, max_nlri_len, nlri_len};
use crate::message::{HEADER_LEN, Reach, Update};
use crate::value::{AddressFamily, Asn, Attributes, RouteNextHop};

/// Length of an empty UPDATE: the header and two lengths.
const EMPTY: usize = HEADER_LEN + 4;
/// The default sent to internal peers (RFC 4271, section 5.1.5).
pub(crate) const DEFAULT_LOCAL_PREF: u32 = 100;

/// Packs prefixes of one family into UPDATEs of one kind only (RFC 7606, section 5.1), each filled to
/// capacity: either all advertise with the same attributes, or all withdraw.
#[derive(Clone, Debug)]
pub struct UpdateWriter {
    family: AddressFamily,
    kind: UpdateKind,
    nlri: Vec<u8>,
    /// Octets left for prefixes.
    remaining: usize,
    /// Octets for prefixes in an empty message.
    capacity: usize,
}

#[derive(Clone, Debug)]
enum UpdateKind {
    Withdraw,
    Advertise {
        /// MP_REACH_NLRI up to its prefixes; `None` if they go into the NLRI field.
        multiprotocol: Option<Vec<u8>>,
        /// All other attributes.
        attributes: Vec<u8>,
    },
}

impl UpdateWriter {
    /// Returns a writer that advertises prefixes with the same next hop, path and attributes.
    ///
    /// # Errors
    ///
    /// If the attributes leave no room for a prefix of the family.
    pub fn advertise(
        family: AddressFamily,
        next_hop: RouteNextHop,
        as_path: &[Asn],
        attributes: &Attributes,
        context: &Encoding,
    ) -> Result<Self, MessageTooLong> {
        let is_plain = is_plain(family, next_hop);
        let multiprotocol = (!is_plain).then(|| reach_head(family, next_hop));
        let attributes = attribute_list(is_plain.then_some(next_hop), as_path, attributes, context);
        let kind = UpdateKind::Advertise { multiprotocol, attributes };
        Self::new(family, kind, context.max_length)
    }

    /// Returns a writer that withdraws prefixes.
    ///
    /// # Errors
    ///
    /// If the maximum length leaves no room for a prefix; no length that BGP allows is that small.
    pub fn withdraw(family: AddressFamily, context: &Encoding) -> Result<Self, MessageTooLong> {
        Self::new(family, UpdateKind::Withdraw, context.max_length)
    }

    fn new(family: AddressFamily, kind: UpdateKind, max_length: usize) -> Result<Self, MessageTooLong> {
        let fixed = EMPTY + kind.octets(family);
        let remaining = max_length
            .checked_sub(fixed)
            .filter(|&remaining| remaining >= max_nlri_len(family))
            .ok_or(MessageTooLong)?;
        Ok(Self { family, kind, nlri: Vec::new(), remaining, capacity: remaining })
    }

    /// Adds a prefix; false if it is of another family, or if the message is full and must be
    /// [taken](Self::take) first.
    #[must_use = "a prefix that was not added is not announced"]
    pub fn add(&mut self, prefix: IpNet) -> bool {
        if family_of(prefix) != self.family {
            return false;
        }
        let Some(remaining) = self.remaining.checked_sub(nlri_len(prefix)) else { return false };
        self.remaining = remaining;
        prefix::write(prefix, &mut self.nlri);
        true
    }

    /// Returns the whole message with the prefixes added since the last one; `None` without any.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        if self.nlri.is_empty() {
            return None;
        }
        self.remaining = self.capacity;
        let nlri = std::mem::take(&mut self.nlri);
        let mut sections = Sections::default();
        match (&self.kind, self.family) {
            (UpdateKind::Withdraw, AddressFamily::Ipv4) => sections.withdrawn = nlri,
            (UpdateKind::Withdraw, family) => sections.unreach = Some([family_head(family), nlri].concat()),
            (UpdateKind::Advertise { multiprotocol, attributes }, _) => {
                sections.attributes.clone_from(attributes);
                match multiprotocol {
                    Some(head) => sections.reach = Some([head.as_slice(), &nlri].concat()),
                    None => sections.nlri = nlri,
                }
            }
        }
        let mut out = Vec::new();
        sections.write(usize::MAX, &mut out).ok()?;
        Some(out)
    }

    /// Packs all prefixes of the family into as few messages as possible. Skips other families.
    pub fn messages(mut self, prefixes: impl IntoIterator<Item = IpNet>) -> impl Iterator<Item = Vec<u8>> {
        let family = self.family;
        let mut prefixes = prefixes.into_iter().filter(move |&prefix| family_of(prefix) == family).peekable();
        std::iter::from_fn(move || {
            while prefixes.next_if(|&prefix| self.add(prefix)).is_some() {}
            self.take()
        })
    }
}

impl UpdateKind {
    /// Returns the maximum number of octets besides the prefixes.
    fn octets(&self, family: AddressFamily) -> usize {
        match self {
            Self::Withdraw if family == AddressFamily::Ipv4 => 0,
            Self::Withdraw => MAX_ATTRIBUTE_HEADER + family_head(family).len(),
            Self::Advertise { multiprotocol, attributes } => {
                let reach = multiprotocol.as_ref().map_or(0, |head| MAX_ATTRIBUTE_HEADER + head.len());
                reach + attributes.len()
            }
        }
    }
}

/// Returns whether the prefixes go into the NLRI field (RFC 4271).
fn is_plain(family: AddressFamily, next_hop: RouteNextHop) -> bool {
    family == AddressFamily::Ipv4 && matches!(next_hop, RouteNextHop::V4(_))
}

/// Appends a whole UPDATE.
pub(super) fn encode(update: &Update, context: &Encoding, out: &mut Vec<u8>) -> Result<(), MessageTooLong> {
    let mut sections =
        Sections { withdrawn: nlri(&update.withdrawn, AddressFamily::Ipv4), ..Sections::default() };
    let unreach = nlri(&update.withdrawn, AddressFamily::Ipv6);
    if !unreach.is_empty() {
        sections.unreach = Some([family_head(AddressFamily::Ipv6), unreach].concat());
    }
    if let Some(reach) = &update.reach {
        sections.add_reach(reach, context);
    }
    if update.end_of_rib == Some(AddressFamily::Ipv6) && sections.is_empty() {
        sections.unreach = Some(family_head(AddressFamily::Ipv6));
    }
    sections.write(context.max_length, out)
}

fn nlri(prefixes: &[IpNet], family: AddressFamily) -> Vec<u8> {
    let mut nlri = Vec::new();
    for &prefix in prefixes.iter().filter(|&&prefix| family_of(prefix) == family) {
        prefix::write(prefix, &mut nlri);
    }
    nlri
}

/// The parts of an UPDATE, in wire order.
#[derive(Debug, Default)]
struct Sections {
    withdrawn: Vec<u8>,
    unreach: Option<Vec<u8>>,
    reach: Option<Vec<u8>>,
    attributes: Vec<u8>,
    nlri: Vec<u8>,
}

impl Sections {
    fn is_empty(&self) -> bool {
        self.withdrawn.is_empty() && self.unreach.is_none() && self.reach.is_none() && self.nlri.is_empty()
    }

    fn add_reach(&mut self, reach: &Reach, context: &Encoding) {
        let Some(family) = reach.prefixes.first().copied().map(family_of) else { return };
        let nlri = nlri(&reach.prefixes, family);
        let is_plain = is_plain(family, reach.next_hop);
        self.attributes =
            attribute_list(is_plain.then_some(reach.next_hop), &reach.as_path, &reach.attributes, context);
        if is_plain {
            self.nlri = nlri;
        } else {
            self.reach = Some([reach_head(family, reach.next_hop), nlri].concat());
        }
    }

    fn write(self, max_length: usize, out: &mut Vec<u8>) -> Result<(), MessageTooLong> {
        // RFC 7606, section 5.1: the attributes with prefixes come first.
        let mut attributes = Vec::new();
        for (code, value) in [(code::MP_REACH_NLRI, self.reach), (code::MP_UNREACH_NLRI, self.unreach)] {
            if let Some(value) = value {
                u16::try_from(value.len()).map_err(|_| MessageTooLong)?;
                attribute::write(OPTIONAL, code, &value, &mut attributes);
            }
        }
        attributes.extend(self.attributes);
        let mut body = Vec::new();
        for section in [self.withdrawn, attributes] {
            body.extend(u16::try_from(section.len()).map_err(|_| MessageTooLong)?.to_be_bytes());
            body.extend(section);
        }
        body.extend(self.nlri);
        write_message(kind::UPDATE, &body, max_length, out)
    }
}

/// Encodes all attributes without prefixes, ordered by type code; NEXT_HOP only if given.
fn attribute_list(
    next_hop: Option<RouteNextHop>,
    path: &[Asn],
    attributes: &Attributes,
    context: &Encoding,
) -> Vec<u8> {
    const WELL_KNOWN: u8 = TRANSITIVE;
    const PASSED_ON: u8 = OPTIONAL | TRANSITIVE;
    let mut list = Vec::new();
    let mut put = |flags, code, value: &[u8]| attribute::write(flags, code, value, &mut list);
    put(WELL_KNOWN, code::ORIGIN, &[ORIGIN_IGP]);
    put(WELL_KNOWN, code::AS_PATH, &as_path::value(path, context.four_octet_asn));
    if let Some(RouteNextHop::V4(address)) = next_hop {
        put(WELL_KNOWN, code::NEXT_HOP, &address.octets());
    }
    if context.internal {
        let local_pref = attributes.local_pref.unwrap_or(DEFAULT_LOCAL_PREF);
        put(WELL_KNOWN, code::LOCAL_PREF, &local_pref.to_be_bytes());
    }
    if !attributes.communities.is_empty() {
        let value: Vec<u8> =
            attributes.communities.iter().flat_map(|community| community.0.to_be_bytes()).collect();
        put(PASSED_ON, code::COMMUNITIES, &value);
    }
    if !context.four_octet_asn && as_path::needs_as4_path(path) {
        put(PASSED_ON, code::AS4_PATH, &as_path::value(path, true));
    }
    if !attributes.large_communities.is_empty() {
        let numbers = attributes.large_communities.iter().flat_map(|community| community.0);
        let value: Vec<u8> = numbers.flat_map(u32::to_be_bytes).collect();
        put(PASSED_ON, code::LARGE_COMMUNITY, &value);
    }
    list
}

/// IGP: the route originates in this AS. Routers balance flows only over routes of equal origin, so all nodes
/// send the same.
const ORIGIN_IGP: u8 = 0;
