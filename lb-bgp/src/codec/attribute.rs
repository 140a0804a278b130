//! Path attributes: framing and validation rules (RFC 4271, section 4.3; RFC 7606, section 7).

use super::reader::OctetReader;
use crate::message::ErrorHandling;

/// Type codes.
pub mod code {
    /// ORIGIN (RFC 4271).
    pub const ORIGIN: u8 = 1;
    /// AS_PATH (RFC 4271).
    pub const AS_PATH: u8 = 2;
    /// NEXT_HOP (RFC 4271).
    pub const NEXT_HOP: u8 = 3;
    /// MULTI_EXIT_DISC (RFC 4271).
    pub const MULTI_EXIT_DISC: u8 = 4;
    /// LOCAL_PREF (RFC 4271).
    pub const LOCAL_PREF: u8 = 5;
    /// ATOMIC_AGGREGATE (RFC 4271).
    pub const ATOMIC_AGGREGATE: u8 = 6;
    /// AGGREGATOR (RFC 4271).
    pub const AGGREGATOR: u8 = 7;
    /// COMMUNITIES (RFC 1997).
    pub const COMMUNITIES: u8 = 8;
    /// ORIGINATOR_ID (RFC 4456).
    pub const ORIGINATOR_ID: u8 = 9;
    /// CLUSTER_LIST (RFC 4456).
    pub const CLUSTER_LIST: u8 = 10;
    /// MP_REACH_NLRI (RFC 4760).
    pub const MP_REACH_NLRI: u8 = 14;
    /// MP_UNREACH_NLRI (RFC 4760).
    pub const MP_UNREACH_NLRI: u8 = 15;
    /// Extended communities (RFC 4360).
    pub const EXTENDED_COMMUNITIES: u8 = 16;
    /// AS4_PATH (RFC 6793).
    pub const AS4_PATH: u8 = 17;
    /// AS4_AGGREGATOR (RFC 6793).
    pub const AS4_AGGREGATOR: u8 = 18;
    /// Traffic engineering (RFC 5543).
    pub const TRAFFIC_ENGINEERING: u8 = 24;
    /// Extended communities with an IPv6 address (RFC 5701).
    pub const IPV6_EXTENDED_COMMUNITIES: u8 = 25;
    /// LARGE_COMMUNITY (RFC 8092).
    pub const LARGE_COMMUNITY: u8 = 32;
    /// ATTR_SET (RFC 6368).
    pub const ATTR_SET: u8 = 128;
}

/// Flag: optional, not well-known.
pub(super) const OPTIONAL: u8 = 0x80;
/// Flag: transitive.
pub(super) const TRANSITIVE: u8 = 0x40;
/// Flag: the length has two octets.
const EXTENDED_LENGTH: u8 = 0x10;

/// An undecoded attribute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute<'a> {
    pub(super) flags: u8,
    pub(super) code: u8,
    pub(super) value: &'a [u8],
    /// From the flags to the end of the value.
    pub(super) whole: &'a [u8],
}

/// An attribute that exceeds the end of the list (RFC 7606, section 4).
#[derive(Clone, Copy, Debug)]
pub(super) struct Overrun {
    /// Its type code, if present.
    pub(super) code: Option<u8>,
}

impl<'a> Attribute<'a> {
    /// Reads the next attribute of a nonempty list.
    pub(super) fn read(list: &mut OctetReader<'a>) -> Result<Self, Overrun> {
        let start = list.rest();
        let flags = list.u8().ok_or(Overrun { code: None })?;
        let code = list.u8().ok_or(Overrun { code: None })?;
        let length = if flags & EXTENDED_LENGTH == 0 { list.u8().map(u16::from) } else { list.u16() };
        let value = length.and_then(|length| list.take(length.into())).ok_or(Overrun { code: Some(code) })?;
        let whole = start.get(..start.len() - list.rest().len()).unwrap_or(start);
        Ok(Self { flags, code, value, whole })
    }

    /// Returns whether the optional and transitive flags match. The partial bit is ignored (RFC 7606, section
    /// 3).
    pub(super) fn has_flags(&self, flags: u8) -> bool {
        self.flags & (OPTIONAL | TRANSITIVE) == flags
    }
}

/// Appends an attribute; the length takes two octets only if one is too short (RFC 4271, section 4.3).
pub(super) fn write(flags: u8, code: u8, value: &[u8], out: &mut Vec<u8>) {
    match u8::try_from(value.len()) {
        Ok(length) => out.extend([flags, code, length]),
        Err(_) => {
            out.extend([flags | EXTENDED_LENGTH, code]);
            out.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    out.extend(value);
}

/// Maximum length of an attribute's header in octets.
pub(super) const MAX_ATTRIBUTE_HEADER: usize = 4;

/// Valid lengths of a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum ValueLength {
    Any,
    Exactly(usize),
    /// A nonzero multiple (RFC 7606, section 4).
    MultipleOf(usize),
    AtLeast(usize),
}

impl ValueLength {
    pub(super) const fn fits(self, length: usize) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(exactly) => length == exactly,
            Self::MultipleOf(unit) => length != 0 && length.is_multiple_of(unit),
            Self::AtLeast(least) => length >= least,
        }
    }
}

/// The peers an attribute is accepted from; from others it is discarded unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AcceptFrom {
    Anyone,
    /// RFC 7606, sections 7.5, 7.9 and 7.10.
    Internal,
    /// Peers with two-octet AS numbers (RFC 6793, section 6).
    TwoOctet,
}

/// The validation rule of an attribute, and the handling of a violation.
#[derive(Clone, Copy, Debug)]
pub(super) struct AttributeRule {
    pub(super) flags: u8,
    pub(super) length: ValueLength,
    pub(super) source: AcceptFrom,
    pub(super) handling: ErrorHandling,
}

/// Returns the rule of an attribute; `None` if the attribute is unknown.
pub(super) const fn rule(code: u8, four_octet_asn: bool) -> Option<AttributeRule> {
    use AcceptFrom::{Anyone, Internal, TwoOctet};
    use ErrorHandling::{AfiSafiDisable, AttributeDiscard, TreatAsWithdraw};
    use ValueLength::{Any, AtLeast, Exactly, MultipleOf};
    const WELL_KNOWN: u8 = TRANSITIVE;
    const PASSED_ON: u8 = OPTIONAL | TRANSITIVE;
    let (flags, length, source, handling) = match code {
        code::ORIGIN => (WELL_KNOWN, Exactly(1), Anyone, TreatAsWithdraw),
        code::AS_PATH => (WELL_KNOWN, Any, Anyone, TreatAsWithdraw),
        code::NEXT_HOP => (WELL_KNOWN, Exactly(4), Anyone, TreatAsWithdraw),
        code::MULTI_EXIT_DISC => (OPTIONAL, Exactly(4), Anyone, TreatAsWithdraw),
        code::LOCAL_PREF => (WELL_KNOWN, Exactly(4), Internal, TreatAsWithdraw),
        code::ATOMIC_AGGREGATE => (WELL_KNOWN, Exactly(0), Anyone, AttributeDiscard),
        code::AGGREGATOR => {
            (PASSED_ON, Exactly(if four_octet_asn { 8 } else { 6 }), Anyone, AttributeDiscard)
        }
        code::COMMUNITIES => (PASSED_ON, MultipleOf(4), Anyone, TreatAsWithdraw),
        code::ORIGINATOR_ID => (OPTIONAL, Exactly(4), Internal, TreatAsWithdraw),
        code::CLUSTER_LIST => (OPTIONAL, MultipleOf(4), Internal, TreatAsWithdraw),
        code::MP_REACH_NLRI => (OPTIONAL, AtLeast(5), Anyone, AfiSafiDisable),
        code::MP_UNREACH_NLRI => (OPTIONAL, AtLeast(3), Anyone, AfiSafiDisable),
        code::EXTENDED_COMMUNITIES => (PASSED_ON, MultipleOf(8), Anyone, TreatAsWithdraw),
        code::AS4_PATH => (PASSED_ON, AtLeast(6), TwoOctet, AttributeDiscard),
        code::AS4_AGGREGATOR => (PASSED_ON, Exactly(8), TwoOctet, AttributeDiscard),
        // RFC 5543, section 3: descriptors, each with at least 36 octets.
        code::TRAFFIC_ENGINEERING => (OPTIONAL, AtLeast(36), Anyone, TreatAsWithdraw),
        code::IPV6_EXTENDED_COMMUNITIES => (PASSED_ON, MultipleOf(20), Anyone, TreatAsWithdraw),
        code::LARGE_COMMUNITY => (PASSED_ON, MultipleOf(12), Anyone, TreatAsWithdraw),
        // RFC 6368, section 5: an AS number, followed by attributes.
        code::ATTR_SET => (PASSED_ON, AtLeast(4), Anyone, TreatAsWithdraw),
        _ => return None,
    };
    Some(AttributeRule { flags, length, source, handling })
}
