//! Capabilities (RFC 5492): a type-length-value list.

use super::reader::OctetReader;
use crate::message::{Capabilities, GracefulRestartCapability};
use crate::value::{AddressFamily, Asn};

/// Capability codes.
pub(crate) mod code {
    pub(crate) const MULTIPROTOCOL: u8 = 1;
    pub(crate) const ROUTE_REFRESH: u8 = 2;
    pub(crate) const EXTENDED_NEXT_HOP: u8 = 5;
    pub(crate) const EXTENDED_MESSAGE: u8 = 6;
    pub(crate) const GRACEFUL_RESTART: u8 = 64;
    pub(crate) const FOUR_OCTET_ASN: u8 = 65;
    pub(crate) const FQDN: u8 = 73;
}

/// Graceful restart, first field: restart state bit (RFC 4724, section 3).
const RESTARTED: u16 = 0x8000;
/// Graceful restart, first field: N bit (RFC 8538, section 2).
const NOTIFICATION: u16 = 0x4000;
/// Graceful restart, first field: mask of the restart time.
const RESTART_TIME: u16 = 0x0fff;
/// Graceful restart, family flags: forwarding state preserved.
const FORWARDING: u8 = 0x80;

/// Maximum length of a host name in octets.
pub const MAX_HOST_NAME: usize = 64;
/// Maximum number of families in the graceful restart capability.
const MAX_FAMILIES: usize = (u8::MAX as usize - 2) / 4;

/// The parsed list.
#[derive(Debug, Default)]
pub(super) struct ParsedCapabilities {
    pub(super) capabilities: Capabilities,
    /// The AS number of the four-octet capability; unchecked, may be zero.
    pub(super) asn: Option<u32>,
}

impl ParsedCapabilities {
    /// Adds all capabilities of one parameter; `None` if one is truncated or has an invalid length.
    pub(super) fn read(&mut self, mut parameter: OctetReader<'_>) -> Option<()> {
        while !parameter.is_empty() {
            let code = parameter.u8()?;
            let length = parameter.u8()?;
            self.add(code, parameter.part(length.into())?)?;
        }
        Some(())
    }

    fn add(&mut self, code: u8, value: OctetReader<'_>) -> Option<()> {
        let known = &mut self.capabilities;
        match code {
            code::MULTIPROTOCOL => match multiprotocol(value)? {
                Some(family) if known.families.contains(&family) => {}
                Some(family) => known.families.push(family),
                // Its presence distinguishes "unsupported families only" from "no multiprotocol capability",
                // which means IPv4.
                None => known.others.push(code),
            },
            code::ROUTE_REFRESH => known.route_refresh = true,
            code::EXTENDED_NEXT_HOP => known.extended_next_hop |= extended_next_hop(value)?,
            code::EXTENDED_MESSAGE => known.extended_message = true,
            // RFC 4724, section 3: the last one counts.
            code::GRACEFUL_RESTART => known.graceful_restart = Some(graceful_restart(value)?),
            code::FOUR_OCTET_ASN => {
                known.four_octet_asn = true;
                self.asn = Some(u32::from_be_bytes(value.all()?));
            }
            // Informational: an invalid name is no reason to reject the session.
            code::FQDN => known.host_name = host_name(value),
            other => known.others.push(other),
        }
        Some(())
    }
}

/// RFC 4760, section 8. The inner `None` is an unsupported family.
fn multiprotocol(value: OctetReader<'_>) -> Option<Option<AddressFamily>> {
    let [afi @ .., _reserved, safi] = value.all::<4>()?;
    Some(AddressFamily::new(u16::from_be_bytes(afi), safi))
}

/// RFC 8950, section 4: triples of AFI, SAFI and next hop AFI, two octets each.
fn extended_next_hop(mut value: OctetReader<'_>) -> Option<bool> {
    let mut is_taken = false;
    while !value.is_empty() {
        is_taken |= value.array()? == V4_BY_V6;
    }
    Some(is_taken)
}

/// IPv4 unicast with an IPv6 next hop.
const V4_BY_V6: [u8; 6] = [0, 1, 0, 1, 0, 2];

fn graceful_restart(mut value: OctetReader<'_>) -> Option<GracefulRestartCapability> {
    let first = value.u16()?;
    let mut families = Vec::new();
    while !value.is_empty() {
        let [afi @ .., safi, flags] = value.array::<4>()?;
        let family = AddressFamily::new(u16::from_be_bytes(afi), safi);
        families.extend(family.map(|family| (family, flags & FORWARDING != 0)));
    }
    Some(GracefulRestartCapability {
        restarted: first & RESTARTED != 0,
        notification: first & NOTIFICATION != 0,
        restart_time: first & RESTART_TIME,
        families,
    })
}

fn host_name(mut value: OctetReader<'_>) -> Option<String> {
    let length = value.u8()?;
    let text = String::from_utf8_lossy(value.take(length.into())?);
    Some(printable(&text)).filter(|name| !name.is_empty())
}

/// Reduces a name to its printable characters: no blanks, no terminal control characters, no excess length.
fn printable(name: &str) -> String {
    let mut printable = String::new();
    for character in
        name.chars().filter(|character| character.is_ascii_graphic() || character.is_alphanumeric())
    {
        if printable.len() + character.len_utf8() > MAX_HOST_NAME {
            break;
        }
        printable.push(character);
    }
    printable
}

/// Appends all capabilities.
pub(super) fn write(capabilities: &Capabilities, asn: Asn, out: &mut Vec<u8>) {
    for family in &capabilities.families {
        let [high, low] = family.afi().to_be_bytes();
        put(code::MULTIPROTOCOL, &[high, low, 0, AddressFamily::SAFI], out);
    }
    if capabilities.route_refresh {
        put(code::ROUTE_REFRESH, &[], out);
    }
    if capabilities.extended_next_hop {
        put(code::EXTENDED_NEXT_HOP, &V4_BY_V6, out);
    }
    if capabilities.extended_message {
        put(code::EXTENDED_MESSAGE, &[], out);
    }
    if let Some(restart) = &capabilities.graceful_restart {
        put(code::GRACEFUL_RESTART, &graceful_restart_value(restart), out);
    }
    if capabilities.four_octet_asn {
        put(code::FOUR_OCTET_ASN, &asn.get().to_be_bytes(), out);
    }
    if let Some(name) = &capabilities.host_name {
        let name = printable(name);
        let mut value = vec![octet(name.len())];
        value.extend(name.as_bytes());
        value.push(0);
        put(code::FQDN, &value, out);
    }
    for &code in &capabilities.others {
        // The multiprotocol capability of an unsupported family still has its fixed length.
        put(code, if code == code::MULTIPROTOCOL { &[0; 4] } else { &[] }, out);
    }
}

fn graceful_restart_value(restart: &GracefulRestartCapability) -> Vec<u8> {
    let mut first = restart.restart_time & RESTART_TIME;
    first |= if restart.restarted { RESTARTED } else { 0 };
    first |= if restart.notification { NOTIFICATION } else { 0 };
    let mut value = first.to_be_bytes().to_vec();
    for (family, is_forwarding) in restart.families.iter().take(MAX_FAMILIES) {
        value.extend(family.afi().to_be_bytes());
        value.extend([AddressFamily::SAFI, if *is_forwarding { FORWARDING } else { 0 }]);
    }
    value
}

fn put(code: u8, value: &[u8], out: &mut Vec<u8>) {
    out.extend([code, octet(value.len())]);
    out.extend(value);
}

/// Converts a length that is known to fit.
fn octet(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}
