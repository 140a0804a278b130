//! What the neighbour is told.

use std::time::Duration;

use super::{Peer, Way};
use crate::adj_out::{AdjOut, Terms};
use crate::codec::{self, Encoding};
use crate::message::{LONGEST, Message};
use crate::session::counters::Messages;
use crate::session::link::Link;
use crate::session::table::State;

/// Octets after which no further message is added to those that are given to the driver at once.
const PIECE: usize = 65_536;

impl Peer {
    /// What is owed to the neighbour, if it has taken what it was given before.
    pub(super) fn send(&mut self, way: Way, now: Duration) -> Option<Vec<u8>> {
        let machine = match way {
            Way::Opened => &mut self.opened,
            Way::Accepted => &mut self.accepted,
        };
        let is_up = machine.state == State::Established;
        let link = machine.link.as_mut().filter(|link| link.unsent_since.is_none())?;
        let mut piece = Piece { out: Vec::new(), sent: &mut self.counters.sent };
        if std::mem::take(&mut link.owes_open) {
            piece.add(&Message::Open(link.ours.clone()), &Encoding::FIRST);
        }
        if std::mem::take(&mut link.owes_keepalive) {
            piece.add(&Message::Keepalive, &Encoding::FIRST);
        }
        if is_up {
            piece.add_updates(&mut self.adj_out, link);
        }
        let out = piece.out;
        (!out.is_empty()).then(|| {
            link.unsent_since = Some(now);
            out
        })
    }

    /// One message, counted.
    pub(super) fn encode_one(&mut self, message: &Message, longest: usize) -> Option<Vec<u8>> {
        let mut piece = Piece { out: Vec::new(), sent: &mut self.counters.sent };
        piece.add(message, &Encoding { longest, ..Encoding::FIRST });
        Some(piece.out).filter(|out| !out.is_empty())
    }
}

impl Encoding {
    /// Before anything was agreed.
    const FIRST: Self = Self { internal: false, four_octet_asn: true, longest: LONGEST };
}

/// Messages for the driver.
struct Piece<'a> {
    out: Vec<u8>,
    sent: &'a mut Messages,
}

impl Piece<'_> {
    fn add(&mut self, message: &Message, context: &Encoding) {
        // The only ones that can be too long are UPDATEs, and those are packed by the writer.
        if codec::encode(message, context, &mut self.out).is_ok() {
            self.sent.count(message);
        }
    }

    fn add_updates(&mut self, adj_out: &mut AdjOut, link: &Link) {
        let Some(negotiated) = &link.negotiated else { return };
        let encoding = Encoding {
            internal: negotiated.internal,
            four_octet_asn: negotiated.four_octet_asn,
            longest: link.longest_sent(),
        };
        let path = [negotiated.shown_asn];
        let as_path = if negotiated.internal { &[][..] } else { &path };
        let terms = Terms { encoding, next_hops: &negotiated.next_hops, as_path };
        while self.out.len() < PIECE
            && let Some(update) = adj_out.poll_update(&terms)
        {
            self.out.extend(update);
            self.sent.update += 1;
        }
    }
}
