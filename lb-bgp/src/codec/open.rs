//! OPEN (RFC 4271, section 4.2).

use std::net::Ipv4Addr;

use super::capability::{self, ParsedCapabilities};
use super::error::{MessageError, VERSION};
use super::reader::OctetReader;
use crate::message::Open;
use crate::value::{Asn, HoldTime, RouterId};

/// Parameter type of capabilities (RFC 5492).
const CAPABILITIES: u8 = 2;
/// In place of the first parameter's type: lengths have two octets (RFC 9072).
const EXTENDED: u8 = 255;
/// Length of a parameter's header in octets.
const PARAMETER: usize = 2;

/// Decodes the message body.
pub(super) fn decode(mut body: OctetReader<'_>) -> Result<Open, MessageError> {
    let mut fields = || Some((body.u8()?, body.u16()?, body.u16()?, body.u32()?, body.u8()?));
    let (version, asn, hold_time, router_id, length) = fields().ok_or(MessageError::MalformedOpen)?;
    if version != VERSION {
        return Err(MessageError::UnsupportedVersion(version));
    }
    // RFC 7607: zero is an error in the two-octet field, too, whatever the capability contains.
    let asn = Asn::new(asn.into()).ok_or(MessageError::BadPeerAs)?;
    let router_id = RouterId::new(Ipv4Addr::from_bits(router_id)).ok_or(MessageError::BadIdentifier)?;
    let hold_time = HoldTime::new(hold_time).ok_or(MessageError::UnacceptableHoldTime(hold_time))?;
    let ParsedCapabilities { capabilities, asn: parsed } = parameters(body, length)?;
    let asn = match parsed {
        Some(number) => Asn::new(number).ok_or(MessageError::BadPeerAs)?,
        None => asn,
    };
    Ok(Open { asn, hold_time, router_id, capabilities })
}

fn parameters(mut rest: OctetReader<'_>, length: u8) -> Result<ParsedCapabilities, MessageError> {
    let is_extended = length != 0 && rest.rest().first() == Some(&EXTENDED);
    let length = if is_extended {
        rest.u8().and_then(|_| rest.u16()).ok_or(MessageError::MalformedOpen)?
    } else {
        length.into()
    };
    if usize::from(length) != rest.rest().len() {
        return Err(MessageError::MalformedOpen);
    }
    let mut parsed = ParsedCapabilities::default();
    while !rest.is_empty() {
        let kind = rest.u8().ok_or(MessageError::MalformedOpen)?;
        let length = if is_extended { rest.u16() } else { rest.u8().map(u16::from) };
        let value = length.and_then(|length| rest.part(length.into())).ok_or(MessageError::MalformedOpen)?;
        if kind != CAPABILITIES {
            return Err(MessageError::UnsupportedParameter(kind));
        }
        parsed.read(value).ok_or(MessageError::MalformedOpen)?;
    }
    Ok(parsed)
}

/// Appends the message body.
pub(super) fn encode(open: &Open, out: &mut Vec<u8>) {
    out.push(VERSION);
    out.extend(open.asn.two_octets().to_be_bytes());
    out.extend(open.hold_time.seconds().to_be_bytes());
    out.extend(open.router_id.address().octets());
    let mut capabilities = Vec::new();
    capability::write(&open.capabilities, open.asn, &mut capabilities);
    match (u8::try_from(capabilities.len()), u8::try_from(capabilities.len() + PARAMETER)) {
        (Ok(0), _) => out.push(0),
        (Ok(value), Ok(parameters)) => out.extend([parameters, CAPABILITIES, value]),
        // RFC 9072 only if needed: not every router supports it.
        _ => {
            let value = u16::try_from(capabilities.len()).unwrap_or(u16::MAX);
            out.extend([EXTENDED, EXTENDED]);
            out.extend(value.saturating_add(3).to_be_bytes());
            out.push(CAPABILITIES);
            out.extend(value.to_be_bytes());
        }
    }
    out.extend(capabilities);
}
