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
mod judgement;
mod multiprotocol;
mod open;
mod prefix;
mod reader;
mod update;
mod writer;

pub use attribute::code as attribute_code;
pub use capability::LONGEST_HOST_NAME;
pub use error::{MessageError, TooLong, UpdateFault};
pub use prefix::{family_of, longest_nlri, nlri_len};
pub use writer::UpdateWriter;

use crate::message::{HEADER, LONGEST, Message, Notification};
use crate::value::Family;
use reader::Reader;

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
    /// Octets that a message may have: [`LONGEST`], or [`LONGEST_EXTENDED`](crate::message::LONGEST_EXTENDED)
    /// where both sides can.
    pub longest: usize,
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
    pub longest: usize,
}

/// The length in octets of the first message in a buffer; `None` if it is not whole yet.
///
/// # Errors
///
/// If its header cannot be right (RFC 4271 section 6.1): then nothing behind it can be read either.
pub fn frame(buffer: &[u8], longest: usize) -> Result<Option<usize>, MessageError> {
    let Some((length, kind)) = header(Reader::new(buffer))? else { return Ok(None) };
    let whole = usize::from(length);
    let fits = match kind {
        // RFC 8654 section 4: these two stay short.
        kind::OPEN => (HEADER + 10..=LONGEST.min(longest)).contains(&whole),
        kind::KEEPALIVE => whole == HEADER,
        kind::UPDATE | kind::ROUTE_REFRESH => (HEADER + 4..=longest).contains(&whole),
        kind::NOTIFICATION => (HEADER + 2..=longest).contains(&whole),
        _ if whole < HEADER || whole > longest => false,
        unknown => return Err(MessageError::BadType(unknown)),
    };
    if !fits {
        return Err(MessageError::BadLength(length));
    }
    Ok((whole <= buffer.len()).then_some(whole))
}

/// Length and type.
fn header(mut reader: Reader<'_>) -> Result<Option<(u16, u8)>, MessageError> {
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
/// [`Flaw`](crate::message::Flaw) of the UPDATE.
pub fn decode(message: &[u8], context: &Decoding<'_>) -> Result<Message, MessageError> {
    let mut reader = Reader::new(message);
    let length = frame(message, context.longest)?;
    let too_short = || MessageError::BadLength(u16::try_from(message.len()).unwrap_or(u16::MAX));
    if length != Some(message.len()) {
        return Err(too_short());
    }
    let [.., kind] = reader.array::<HEADER>().ok_or_else(too_short)?;
    match kind {
        kind::OPEN => open::decode(reader).map(Message::Open),
        kind::UPDATE => update::decode(reader, context).map(Message::Update),
        kind::NOTIFICATION => notification(reader).ok_or_else(too_short),
        kind::KEEPALIVE => Ok(Message::Keepalive),
        kind::ROUTE_REFRESH => route_refresh(reader, context.families).ok_or_else(too_short),
        unknown => Err(MessageError::BadType(unknown)),
    }
}

fn notification(mut body: Reader<'_>) -> Option<Message> {
    let (code, subcode) = (body.u8()?, body.u8()?);
    Some(Message::Notification(Notification { code, subcode, data: body.rest().to_vec() }))
}

fn route_refresh(mut body: Reader<'_>, families: &[Family]) -> Option<Message> {
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
pub fn encode(message: &Message, context: &Encoding, out: &mut Vec<u8>) -> Result<(), TooLong> {
    match message {
        Message::Open(open) => {
            let mut body = Vec::new();
            open::encode(open, &mut body);
            whole(kind::OPEN, &body, LONGEST.min(context.longest), out)
        }
        Message::Update(update) => writer::encode(update, context, out),
        Message::Notification(Notification { code, subcode, data }) => {
            let mut body = vec![*code, *subcode];
            body.extend(data.iter().take(context.longest.saturating_sub(HEADER + 2)));
            whole(kind::NOTIFICATION, &body, context.longest, out)
        }
        Message::Keepalive => whole(kind::KEEPALIVE, &[], context.longest, out),
        Message::RouteRefresh(family) => {
            // Reserved numbers where there is no family: they ask for nothing.
            let [high, low] = family.map_or(0, Family::afi).to_be_bytes();
            let safi = if family.is_some() { Family::SAFI } else { 0 };
            whole(kind::ROUTE_REFRESH, &[high, low, 0, safi], context.longest, out)
        }
    }
}

/// Appends a header and what follows it.
fn whole(kind: u8, body: &[u8], longest: usize, out: &mut Vec<u8>) -> Result<(), TooLong> {
    let length = HEADER + body.len();
    if length > longest {
        return Err(TooLong);
    }
    let length = u16::try_from(length).map_err(|_| TooLong)?;
    out.extend(MARKER);
    out.extend(length.to_be_bytes());
    out.push(kind);
    out.extend(body);
    Ok(())
}
