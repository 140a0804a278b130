//! The message header (RFC 4271, section 4.1): framing a stream, and writing a whole message.
//!
//! ```text
//!   0        16     18   19
//!   +---------+------+----+------…
//!   | 16 × ff | len  |type| body          len counts from the first ff
//!   +---------+------+----+------…
//! ```

use super::error::{MessageError, MessageTooLong};
use super::reader::OctetReader;
use crate::message::{HEADER_LEN, MAX_MESSAGE};

/// The marker that each header begins with.
const MARKER: [u8; 16] = [0xff; 16];

/// Message types.
pub(super) mod kind {
    pub(crate) const OPEN: u8 = 1;
    pub(crate) const UPDATE: u8 = 2;
    pub(crate) const NOTIFICATION: u8 = 3;
    pub(crate) const KEEPALIVE: u8 = 4;
    pub(crate) const ROUTE_REFRESH: u8 = 5;
}

/// Returns the length in octets of the first message in a buffer; `None` if it is incomplete.
///
/// # Errors
///
/// If the header is invalid (RFC 4271, section 6.1); then the rest of the stream is unreadable, too.
pub fn frame(buffer: &[u8], max_length: usize) -> Result<Option<usize>, MessageError> {
    let Some((length, kind)) = header(OctetReader::new(buffer))? else { return Ok(None) };
    let whole = usize::from(length);
    let fits = match kind {
        // RFC 8654, section 4: OPEN and KEEPALIVE are never extended.
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

/// Reads length and type.
fn header(mut reader: OctetReader<'_>) -> Result<Option<(u16, u8)>, MessageError> {
    let Some(marker) = reader.array() else { return Ok(None) };
    if marker != MARKER {
        return Err(MessageError::NotSynchronized);
    }
    Ok(reader.u16().zip(reader.u8()))
}

/// Appends a header and a body.
pub(super) fn write_message(
    kind: u8,
    body: &[u8],
    max_length: usize,
    out: &mut Vec<u8>,
) -> Result<(), MessageTooLong> {
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
