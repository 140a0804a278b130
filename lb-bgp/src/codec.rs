//! Encoder and decoder of BGP messages (RFC 4271, section 4).
//!
//! | module | contents |
//! | --- | --- |
//! | `header` | the message header, framing |
//! | `open`, `capability` | OPEN |
//! | `update`, `rfc7606` | received UPDATEs and their error handling |
//! | `writer` | UPDATEs to send, each filled to capacity |
//! | `attribute`, `as_path`, `multiprotocol`, `prefix` | the parts of an UPDATE |
//! | `error` | decoding errors and the NOTIFICATIONs they cause |
//! | `reader` | a bounds-checked cursor |
//! | `context` | the negotiated properties that encoding and decoding depend on |

mod as_path;
mod attribute;
pub(crate) mod capability;
mod context;
mod error;
mod header;
mod multiprotocol;
mod open;
mod prefix;
mod reader;
mod rfc7606;
mod update;
mod writer;

pub use attribute::code as attribute_code;
pub use capability::MAX_HOST_NAME;
pub use context::{Decoding, Encoding};
pub use error::{MessageError, MessageTooLong, UpdateFault};
pub use header::frame;
pub use prefix::{family_of, nlri_len};
pub(crate) use writer::DEFAULT_LOCAL_PREF;
pub use writer::UpdateWriter;

use crate::message::{HEADER_LEN, MAX_MESSAGE, Message, Notification};
use crate::value::AddressFamily;
use header::{kind, write_message};
use reader::OctetReader;

/// Decodes one whole message, as delimited by [`frame`].
///
/// # Errors
///
/// If the error requires a session reset. An error with a milder handling (RFC 7606) is an
/// [`UpdateFlaw`](crate::message::UpdateFlaw) of the UPDATE.
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

fn route_refresh(mut body: OctetReader<'_>, families: &[AddressFamily]) -> Option<Message> {
    let (afi, subtype, safi) = (body.u16()?, body.u8()?, body.u8()?);
    // RFC 7313: other subtypes delimit an answer.
    let family = AddressFamily::new(afi, safi).filter(|family| subtype == 0 && families.contains(family));
    Some(Message::RouteRefresh(family))
}

/// Appends one whole message. The data of a NOTIFICATION is cut to fit.
///
/// # Errors
///
/// If the message exceeds the maximum length; then nothing is appended.
pub fn encode(message: &Message, context: &Encoding, out: &mut Vec<u8>) -> Result<(), MessageTooLong> {
    match message {
        Message::Open(open) => {
            let mut body = Vec::new();
            open::encode(open, &mut body);
            write_message(kind::OPEN, &body, MAX_MESSAGE.min(context.max_length), out)
        }
        Message::Update(update) => writer::encode(update, context, out),
        Message::Notification(Notification { code, subcode, data }) => {
            let mut body = vec![*code, *subcode];
            body.extend(data.iter().take(context.max_length.saturating_sub(HEADER_LEN + 2)));
            write_message(kind::NOTIFICATION, &body, context.max_length, out)
        }
        Message::Keepalive => write_message(kind::KEEPALIVE, &[], context.max_length, out),
        Message::RouteRefresh(family) => {
            // Reserved numbers without a family: they request nothing.
            let [high, low] = family.map_or(0, AddressFamily::afi).to_be_bytes();
            let safi = if family.is_some() { AddressFamily::SAFI } else { 0 };
            write_message(kind::ROUTE_REFRESH, &[high, low, 0, safi], context.max_length, out)
        }
    }
}
