//! Capabilities that the peer has refused, and the OPEN without them (RFC 5492 section 3).
//!
//! A refusal counts for the OPENs of the next [`LASTS`], then the whole is offered again: by then the router may
//! have been upgraded. It is looked at only when a connection begins, so it never ends a session.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::codec::capability::code;
use crate::message::{Capabilities, Notification};
use crate::notification::code::OPEN;
use crate::value::{Asn, Family};

/// How long a refusal counts. One attempt more in that time costs an outage of the router a second at most.
pub(super) const LASTS: Duration = Duration::from_secs(600);

/// Subcodes of errors in OPEN: RFC 4271 section 6.2, RFC 5492 section 5.
const UNSUPPORTED_PARAMETER: u8 = 4;
const UNSUPPORTED_CAPABILITY: u8 = 7;

/// What is left out of our OPEN because the peer refused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusedCapabilities {
    /// All capabilities: the peer takes no optional parameter. What is left is IPv4 unicast.
    All,
    /// Some of them.
    Some {
        /// Families (RFC 4760).
        families: BTreeSet<Family>,
        /// Codes of the other ones.
        codes: BTreeSet<u8>,
    },
}

impl RefusedCapabilities {
    /// Nothing yet.
    const NOTHING: Self = Self::Some { families: BTreeSet::new(), codes: BTreeSet::new() };

    /// What is to be left out after a NOTIFICATION that answers an OPEN with `offered`; `None` where that would
    /// not be less. A peer that still names what was left out before minds the parameter itself: it gets none.
    pub(super) fn after(before: Option<&Self>, said: &Notification, offered: &Capabilities) -> Option<Self> {
        if !is_one(said) || *offered == Capabilities::default() {
            return None;
        }
        match said.subcode {
            UNSUPPORTED_PARAMETER => Some(Self::All),
            UNSUPPORTED_CAPABILITY => {
                let less = before.unwrap_or(&Self::NOTHING).and(&said.data, offered);
                less.or_else(|| before.is_some().then_some(Self::All))
            }
            _ => None,
        }
    }

    /// With those of a list that were offered. One that was not is one that the peer wants: leaving others out does
    /// not give it that.
    fn and(&self, list: &[u8], offered: &Capabilities) -> Option<Self> {
        let Self::Some { families, codes } = self else { return None };
        let (mut families, mut codes) = (families.clone(), codes.clone());
        for (code, value) in capabilities(list) {
            match (code, multiprotocol(value)) {
                (code::MULTIPROTOCOL, Some(listed)) => families.extend(listed),
                (code::MULTIPROTOCOL, None) => families.extend(&offered.families),
                (other, _) => drop(codes.insert(other)),
            }
        }
        let now = Self::Some { families, codes };
        let mut left = offered.clone();
        now.apply(&mut left);
        (left != *offered).then_some(now)
    }

    /// Leaves out what was refused.
    pub(super) fn apply(&self, capabilities: &mut Capabilities) {
        let Self::Some { families, codes } = self else {
            *capabilities = Capabilities::default();
            return;
        };
        capabilities.families.retain(|family| !families.contains(family));
        for code in codes {
            match *code {
                code::ROUTE_REFRESH => capabilities.route_refresh = false,
                code::EXTENDED_NEXT_HOP => capabilities.extended_next_hop = false,
                code::EXTENDED_MESSAGE => capabilities.extended_message = false,
                code::GRACEFUL_RESTART => capabilities.graceful_restart = None,
                code::FOUR_OCTET_ASN => capabilities.four_octet_asn = false,
                code::FQDN => capabilities.host_name = None,
                _ => {}
            }
        }
        let spoken = capabilities.offered_families().to_vec();
        if let Some(restart) = &mut capabilities.graceful_restart {
            restart.families.retain(|(family, _)| spoken.contains(family));
        }
    }

    /// What the peer does not get because of it, without a full stop; `asn` is the AS number that it is to see.
    pub fn consequences(&self, asn: Asn) -> String {
        let (is_all, codes, families) = match self {
            Self::All => (true, &BTreeSet::new(), &BTreeSet::new()),
            Self::Some { families, codes } => (false, codes, families),
        };
        let mut words = match self {
            Self::All => "the router refuses capabilities (RFC 5492): it is sent IPv4 routes only".to_owned(),
            Self::Some { .. } => {
                format!("the router refuses capabilities (RFC 5492): {}", self.names().join(", "))
            }
        };
        if families.contains(&Family::Ipv6) {
            words += "; it is sent no IPv6 routes";
        }
        if (is_all || codes.contains(&code::FOUR_OCTET_ASN)) && asn.get() > u32::from(u16::MAX) {
            words += &format!("; it sees AS {} (AS_TRANS) instead of AS {asn}", asn.two_octets());
        }
        words
    }

    /// Their names.
    pub fn names(&self) -> Vec<&'static str> {
        let Self::Some { families, codes } = self else { return vec!["all capabilities"] };
        let families = families.iter().map(|family| family_name(*family));
        families.chain(codes.iter().map(|code| name(*code))).collect()
    }
}

/// Whether a NOTIFICATION refuses capabilities.
pub(super) fn is_one(said: &Notification) -> bool {
    said.code == OPEN && [UNSUPPORTED_PARAMETER, UNSUPPORTED_CAPABILITY].contains(&said.subcode)
}

/// The name of a capability (IANA, "Capability Codes").
const fn name(code: u8) -> &'static str {
    match code {
        code::MULTIPROTOCOL => "multiprotocol",
        code::ROUTE_REFRESH => "route refresh",
        code::EXTENDED_NEXT_HOP => "extended next hop encoding",
        code::EXTENDED_MESSAGE => "extended message",
        code::GRACEFUL_RESTART => "graceful restart",
        code::FOUR_OCTET_ASN => "four-octet AS numbers",
        code::FQDN => "FQDN",
        9 => "BGP role",
        69 => "ADD-PATH",
        70 => "enhanced route refresh",
        71 => "long-lived graceful restart",
        _ => "a capability that this speaker does not have",
    }
}

/// The names of the capabilities in the data of a NOTIFICATION 2/7 (RFC 5492 section 5).
pub(super) fn listed(data: &[u8]) -> Vec<&'static str> {
    let names = capabilities(data).map(|(code, value)| match (code, multiprotocol(value).flatten()) {
        (code::MULTIPROTOCOL, Some(family)) => family_name(family),
        (code, _) => name(code),
    });
    names.collect()
}

/// Whether a list names families alone, or nothing.
pub(super) fn is_about_families(data: &[u8]) -> bool {
    capabilities(data).all(|(code, _)| code == code::MULTIPROTOCOL)
}

const fn family_name(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "multiprotocol IPv4 unicast",
        Family::Ipv6 => "multiprotocol IPv6 unicast",
    }
}

/// Type, length and value of each, as far as the list can be read.
fn capabilities(mut list: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[code, length], rest) = list.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(length.into())?;
        list = rest;
        Some((code, value))
    })
}

/// The family of a multiprotocol capability; the outer `None` where the value is none, the inner where the family
/// is not spoken here.
fn multiprotocol(value: &[u8]) -> Option<Option<Family>> {
    let &[high, low, _reserved, safi] = value.first_chunk()?;
    Some(Family::new(u16::from_be_bytes([high, low]), safi))
}
