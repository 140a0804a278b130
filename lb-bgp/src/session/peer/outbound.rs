//! Messages to send.

use std::time::Duration;

use super::{ConnectionDirection, Peer};
use crate::adj_out::AdjOut;
use crate::codec::{self, Encoding};
use crate::message::{MAX_MESSAGE, Message};
use crate::session::connection::PeerConnection;
use crate::session::counters::MessageCounters;
use crate::session::state_table::BgpState;

/// Size in octets from which no further message is added to a chunk for the driver.
const PIECE: usize = 65_536;

impl Peer {
    /// Returns the pending messages, once the driver has sent the previous chunk.
    pub(super) fn send(&mut self, direction: ConnectionDirection, now: Duration) -> Option<Vec<u8>> {
        let fsm = match direction {
            ConnectionDirection::Outgoing => &mut self.outgoing,
            ConnectionDirection::Incoming => &mut self.incoming,
        };
        let is_up = fsm.state == BgpState::Established;
        let connection = fsm.connection.as_mut().filter(|connection| connection.unsent_since.is_none())?;
        let mut piece = Piece { out: Vec::new(), sent: &mut self.counters.sent };
        if std::mem::take(&mut connection.open_pending) {
            piece.add(&Message::Open(connection.ours.clone()), &Encoding::FIRST);
        }
        if std::mem::take(&mut connection.keepalive_pending) {
            piece.add(&Message::Keepalive, &Encoding::FIRST);
        }
        if is_up {
            piece.add_updates(&mut self.adj_out, connection);
        }
        let out = piece.out;
        (!out.is_empty()).then(|| {
            connection.unsent_since = Some(now);
            out
        })
    }

    /// Encodes and counts one message.
    pub(super) fn encode_one(&mut self, message: &Message, max_length: usize) -> Option<Vec<u8>> {
        let mut piece = Piece { out: Vec::new(), sent: &mut self.counters.sent };
        piece.add(message, &Encoding { max_length, ..Encoding::FIRST });
        Some(piece.out).filter(|out| !out.is_empty())
    }
}

impl Encoding {
    /// Before the negotiation.
    pub(super) const FIRST: Self = Self { internal: false, four_octet_asn: true, max_length: MAX_MESSAGE };
}

/// Messages for the driver.
struct Piece<'a> {
    out: Vec<u8>,
    sent: &'a mut MessageCounters,
}

impl Piece<'_> {
    fn add(&mut self, message: &Message, context: &Encoding) {
        // Only UPDATEs can be too long, and those are packed by the writer.
        if codec::encode(message, context, &mut self.out).is_ok() {
            self.sent.count(message);
        }
    }

    fn add_updates(&mut self, adj_out: &mut AdjOut, connection: &PeerConnection) {
        let Some(terms) = connection.terms() else { return };
        while self.out.len() < PIECE
            && let Some(update) = adj_out.poll_update(&terms)
        {
            self.out.extend(update);
            self.sent.update += 1;
        }
    }
}
