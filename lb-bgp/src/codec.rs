//! Messages to and from bytes (RFC 4271 section 4).
//!
//! | module | holds |
//! | --- | --- |
//! | `open`, `capability` | OPEN |
//! | `update`, `judgement` | a received UPDATE, and what RFC 7606 makes of it |
//! | `writer` | UPDATEs to be sent, each as full as it gets |
//! | `attribute`, `as_path`, `multiprotocol`, `prefix` | the parts of an UPDATE |
//! | `error` | why a message cannot be taken, and what its sender is told |
//! | `reader` | a cursor that cannot read past the end |
//!
//! ```text
//!   0        16     18   19
//!   +---------+------+----+------…
//!   | 16 × ff | len  |type| body          len counts from the first ff
//!   +---------+------+----+------…
//! ```

mod as_path;
mod attribute;
pub(crate) mod capability;
mod error;
mod multiprotocol;
mod open;
mod prefix;
mod reader;
mod rfc7606;
mod update;
mod writer;

pub use attribute::code as attribute_code;
pub use capability::MAX_HOST_NAME;
pub use error::{MessageError, MessageTooLong, UpdateFault};
pub use prefix::{family_of, max_nlri_len, nlri_len};
pub use writer::UpdateWriter;

use crate::message::{HEADER_LEN, MAX_MESSAGE, Message, Notification};
use crate::value::Family;
use reader::OctetReader;

/// What the header begins with.
const MARKER: [u8; 16] = [0xff; 16];

/// Types of messages.
mod kind {
    pub(super) const OPEN: u8 = 1;
    pub(super) const UPDATE: u8 = super::writer::UPDATE;
    pub(super) const NOTIFICATION: u8 = 3;
    pub(super) const KEEPALIVE: u8 = 4;
    pub(super) const ROUTE_REFRESH: u8 = 5;
}

/// What a message that is to be sent depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// The neighbour is of the same AS.
    pub internal: bool,
    /// Both sides have AS numbers of four octets (RFC 6793).
    pub four_octet_asn: bool,
    /// Octets that a message may have: [`MAX_MESSAGE`], or [`MAX_EXTENDED_MESSAGE`](crate::message::LONGEST_EXTENDED)
    /// where both sides can.
    pub max_length: usize,
}

/// What the reading of a message depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoding<'a> {
    /// The neighbour is of the same AS.
    pub internal: bool,
    /// Both sides have AS numbers of four octets (RFC 6793).
    pub four_octet_asn: bool,
    /// IPv4 routes may have IPv6 next hops (RFC 8950).
    pub extended_next_hop: bool,
    /// Families that both sides speak.
    pub families: &'a [Family],
    /// As in [`Encoding`].
    pub max_length: usize,
}

/// The length in octets of the first message in a buffer; `None` if it is not whole yet.
///
/// # Errors
///
/// If its header cannot be right (RFC 4271 section 6.1): then nothing behind it can be read either.
pub fn frame(buffer: &[u8], max_length: usize) -> Result<Option<usize>, MessageError> {
    let Some((length, kind)) = header(OctetReader::new(buffer))? else { return Ok(None) };
    let whole = usize::from(length);
    let fits = match kind {
        // RFC 8654 section 4: these two stay short.
        kind::OPEN => (HEADER_LEN + 10..=MAX_MESSAGE.min(max_length)).contains(&whole),
        kind::KEEPALIVE => whole == HEADER_LEN,
        kind::UPDATE | kind::ROUTE_REFRESH => (HEADER_LEN + 4..=max_length).contains(&whole),
        kind::NOTIFICATION => (HEADER_LEN + 2..=max_length).contains(&whole),
        _ if whole < HEADER_LEN || whole > max_length => false,
        unknown => return Err(MessageError::BadType(unknown)),
    };
    if !fits {
        return Err(MessageError::BadLength(length));
    }
    Ok((whole <= buffer.len()).then_some(whole))
}

/// Length and type.
fn header(mut reader: OctetReader<'_>) -> Result<Option<(u16, u8)>, MessageError> {
    let Some(marker) = reader.array() else { return Ok(None) };
    if marker != MARKER {
        return Err(MessageError::NotSynchronized);
    }
    Ok(reader.u16().zip(reader.u8()))
}

/// Reads one whole message, as [`frame`] has found it.
///
/// # Errors
///
/// If only the end of the session is left as an answer. What RFC 7606 has a milder way for is a
/// [`UpdateFlaw`](crate::message::Flaw) of the UPDATE.
pub fn decode(message: &[u8], context: &Decoding<'_>) -> Result<Message, MessageError> {
    let mut reader = OctetReader::new(message);
    let length = frame(message, context.max_length)?;
    let too_short = || MessageError::BadLength(u16::try_from(message.len()).unwrap_or(u16::MAX));
    if length != Some(message.len()) {
        return Err(too_short());
    }
    let [.., kind] = reader.array::<HEADER_LEN>().ok_or_else(too_short)?;
    match kind {
        kind::OPEN => open::decode(reader).map(Message::Open),
        kind::UPDATE => update::decode(reader, context).map(Message::Update),
        kind::NOTIFICATION => notification(reader).ok_or_else(too_short),
        kind::KEEPALIVE => Ok(Message::Keepalive),
        kind::ROUTE_REFRESH => route_refresh(reader, context.families).ok_or_else(too_short),
        unknown => Err(MessageError::BadType(unknown)),
    }
}

fn notification(mut body: OctetReader<'_>) -> Option<Message> {
    let (code, subcode) = (body.u8()?, body.u8()?);
    Some(Message::Notification(Notification { code, subcode, data: body.rest().to_vec() }))
}

fn route_refresh(mut body: OctetReader<'_>, families: &[Family]) -> Option<Message> {
    let (afi, subtype, safi) = (body.u16()?, body.u8()?, body.u8()?);
    // RFC 7313: other subtypes are marks around an answer.
    let family = Family::new(afi, safi).filter(|family| subtype == 0 && families.contains(family));
    Some(Message::RouteRefresh(family))
}

/// Appends one whole message. The data of a NOTIFICATION is cut to what fits.
///
/// # Errors
///
/// If it would be longer than a message may be; then nothing is appended.
pub fn encode(message: &Message, context: &Encoding, out: &mut Vec<u8>) -> Result<(), MessageTooLong> {
    match message {
        Message::Open(open) => {
            let mut body = Vec::new();
            open::encode(open, &mut body);
            whole(kind::OPEN, &body, MAX_MESSAGE.min(context.max_length), out)
        }
        Message::Update(update) => writer::encode(update, context, out),
        Message::Notification(Notification { code, subcode, data }) => {
            let mut body = vec![*code, *subcode];
            body.extend(data.iter().take(context.max_length.saturating_sub(HEADER_LEN + 2)));
            whole(kind::NOTIFICATION, &body, context.max_length, out)
        }
        Message::Keepalive => whole(kind::KEEPALIVE, &[], context.max_length, out),
        Message::RouteRefresh(family) => {
            // Reserved numbers where there is no family: they ask for nothing.
            let [high, low] = family.map_or(0, Family::afi).to_be_bytes();
            let safi = if family.is_some() { Family::SAFI } else { 0 };
            whole(kind::ROUTE_REFRESH, &[high, low, 0, safi], context.max_length, out)
        }
    }
}

/// Appends a header and what follows it.
fn whole(kind: u8, body: &[u8], max_length: usize, out: &mut Vec<u8>) -> Result<(), MessageTooLong> {
    let length = HEADER_LEN + body.len();
    if length > max_length {
        return Err(MessageTooLong);
    }
    let length = u16::try_from(length).map_err(|_| MessageTooLong)?;
    out.extend(MARKER);
    out.extend(length.to_be_bytes());
    out.push(kind);
    out.extend(body);
    Ok(())
}
