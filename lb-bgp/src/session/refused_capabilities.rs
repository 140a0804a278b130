//! Capabilities that the peer has refused, and the OPEN without them (RFC 5492, section 3).
//!
//! A refusal applies to the OPENs of the next [`LIFETIME`]; then all are offered again, as the router may
//! have been upgraded. It is checked only when a connection begins, so it never ends a session.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::codec::capability::code;
use crate::message::{Capabilities, Notification};
use crate::notification::code::OPEN;
use crate::value::{AddressFamily, Asn};

/// Lifetime of a refusal. One extra attempt in that time prolongs an outage of the router by a second at
/// most.
pub(super) const LIFETIME: Duration = Duration::from_secs(600);

/// OPEN error subcodes (RFC 4271, section 6.2; RFC 5492, section 5).
const UNSUPPORTED_PARAMETER: u8 = 4;
const UNSUPPORTED_CAPABILITY: u8 = 7;

/// The capabilities omitted from our OPEN because the peer refused them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusedCapabilities {
    /// All: the peer rejects any optional parameter. IPv4 unicast is left.
    All,
    /// Some of them.
    Some {
        /// Families (RFC 4760).
        families: BTreeSet<AddressFamily>,
        /// Codes of other capabilities.
        codes: BTreeSet<u8>,
    },
}

impl RefusedCapabilities {
    /// None yet.
    const NOTHING: Self = Self::Some { families: BTreeSet::new(), codes: BTreeSet::new() };

    /// Returns what to omit after a NOTIFICATION that answers an OPEN with `offered`; `None` if that would
    /// not be less. A peer that still lists an omitted capability rejects the parameter itself: it gets none.
    pub(super) fn after(
        before: Option<&Self>,
        notification: &Notification,
        offered: &Capabilities,
    ) -> Option<Self> {
        if !is_refusal(notification) || *offered == Capabilities::default() {
            return None;
        }
        match notification.subcode {
            UNSUPPORTED_PARAMETER => Some(Self::All),
            UNSUPPORTED_CAPABILITY => {
                let less = before.unwrap_or(&Self::NOTHING).extended_with(&notification.data, offered);
                less.or_else(|| before.is_some().then_some(Self::All))
            }
            _ => None,
        }
    }

    /// Adds the listed capabilities that were offered. One that was not offered is one the peer requires:
    /// omitting others does not help.
    fn extended_with(&self, list: &[u8], offered: &Capabilities) -> Option<Self> {
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

    /// Removes the refused capabilities.
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
        let offered = capabilities.offered_families().to_vec();
        if let Some(restart) = &mut capabilities.graceful_restart {
            restart.families.retain(|(family, _)| offered.contains(family));
        }
    }

    /// Returns the effects on the peer, without a full stop; `asn` is the AS number presented to it.
    pub fn consequences(&self, asn: Asn) -> String {
        let (is_all, codes, families) = match self {
            Self::All => (true, &BTreeSet::new(), &BTreeSet::new()),
            Self::Some { families, codes } => (false, codes, families),
        };
        let mut text = match self {
            Self::All => {
                "the router refuses capabilities (RFC 5492): only IPv4 routes are advertised".to_owned()
            }
            Self::Some { .. } => {
                format!("the router refuses capabilities (RFC 5492): {}", self.names().join(", "))
            }
        };
        if families.contains(&AddressFamily::Ipv6) {
            text += "; no IPv6 routes are advertised";
        }
        if (is_all || codes.contains(&code::FOUR_OCTET_ASN)) && asn.get() > u32::from(u16::MAX) {
            text += &format!("; it sees AS {} (AS_TRANS) instead of AS {asn}", asn.two_octets());
        }
        text
    }

    /// Returns the names of the capabilities.
    pub fn names(&self) -> Vec<&'static str> {
        let Self::Some { families, codes } = self else { return vec!["all capabilities"] };
        let families = families.iter().map(|family| family_name(*family));
        families.chain(codes.iter().map(|code| name(*code))).collect()
    }
}

/// Returns whether a NOTIFICATION refuses capabilities.
pub(super) fn is_refusal(notification: &Notification) -> bool {
    notification.code == OPEN
        && [UNSUPPORTED_PARAMETER, UNSUPPORTED_CAPABILITY].contains(&notification.subcode)
}

/// Returns whether a NOTIFICATION lists unsupported capabilities.
pub(super) fn is_unsupported_capability(notification: &Notification) -> bool {
    notification.code == OPEN && notification.subcode == UNSUPPORTED_CAPABILITY
}

/// Returns the name of a capability (IANA, "Capability Codes").
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
        _ => "a capability unknown to this speaker",
    }
}

/// Returns the names of the capabilities in the data of a NOTIFICATION 2/7 (RFC 5492, section 5).
pub(super) fn listed(data: &[u8]) -> Vec<&'static str> {
    let names = capabilities(data).map(|(code, value)| match (code, multiprotocol(value).flatten()) {
        (code::MULTIPROTOCOL, Some(family)) => family_name(family),
        (code, _) => name(code),
    });
    names.collect()
}

/// Returns whether a list names only families, or nothing.
pub(super) fn is_about_families(data: &[u8]) -> bool {
    capabilities(data).all(|(code, _)| code == code::MULTIPROTOCOL)
}

const fn family_name(family: AddressFamily) -> &'static str {
    match family {
        AddressFamily::Ipv4 => "multiprotocol IPv4 unicast",
        AddressFamily::Ipv6 => "multiprotocol IPv6 unicast",
    }
}

/// Returns code and value of each capability, up to the first malformed one.
fn capabilities(mut list: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[code, length], rest) = list.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(length.into())?;
        list = rest;
        Some((code, value))
    })
}

/// Returns the family of a multiprotocol capability; the outer `None` if malformed, the inner if unsupported.
fn multiprotocol(value: &[u8]) -> Option<Option<AddressFamily>> {
    let &[high, low, _reserved, safi] = value.first_chunk()?;
    Some(AddressFamily::new(u16::from_be_bytes([high, low]), safi))
}
