//! An Established session as another process continues it, on the same TCP connection.
//!
//! ```text
//!   Peer::handover ──► SessionRecord ─────────────┐
//!   Peer::sent_snapshot ──► UPDATEs ──┐           ├─► Peer::adopt
//!   Peer::poll_bytes ──► messages ────┴─► "sent" ─┘
//! ```
//!
//! The messages themselves are the record of what the peer has: there is no second representation that could
//! disagree with them.

use std::time::Duration;

use super::direction::ConnectionDirection;
use super::refused_capabilities::RefusedCapabilities;
use crate::adj_out::SentRoutes;
use crate::codec::{self, Decoding, MessageError};
use crate::message::{Message, Open, Reach, Update};
use crate::value::AddressFamily;

use super::connection::PeerConnection;

/// What keeps an Established session alive without this process, and lets another one continue it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// For [`Peer::adopt`](super::Peer::adopt).
    pub session: SessionRecord,
    /// Interval at which KEEPALIVEs are due; `None` without a hold time.
    pub keepalive: Option<Duration>,
    /// A KEEPALIVE.
    pub keepalive_message: Vec<u8>,
    /// A NOTIFICATION that makes the peer remove our routes at once.
    pub farewell: Vec<u8>,
    /// The peer keeps our routes for a while if the connection closes without a NOTIFICATION.
    pub is_restartable: bool,
}

/// The parameters of an Established session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// The direction in which the connection was opened.
    pub direction: ConnectionDirection,
    /// Our OPEN, encoded.
    pub ours: Vec<u8>,
    /// The peer's OPEN, encoded by us.
    pub theirs: Vec<u8>,
    /// Capabilities that our OPEN omits because the peer has refused them.
    pub refused: Option<RefusedCapabilities>,
    /// Families whose routes the peer has requested again and not received completely.
    pub refreshing: Vec<AddressFamily>,
    /// How long the session has been up.
    pub lasted: Duration,
}

/// Reasons why a session cannot be adopted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdoptError {
    /// One of the OPENs is malformed, or not an OPEN.
    #[error("the record of the session has no valid OPEN of {0}")]
    Open(&'static str),
    /// One of the sent messages is malformed.
    #[error("a message of the record cannot be read: {0}")]
    Message(#[from] MessageError),
    /// The sent messages end within one.
    #[error("the record of the session ends within a message")]
    Incomplete,
    /// A sent message is neither UPDATE nor KEEPALIVE.
    #[error("the record of the session has a message that ends it")]
    Unexpected,
    /// A sent UPDATE has an error, so that what the peer has made of it is unknown.
    #[error("an UPDATE of the record has an error in attribute {0}")]
    Flawed(u8),
}

/// Decodes an OPEN of a record; `whose` names it in errors.
pub(super) fn open(message: &[u8], whose: &'static str) -> Result<Open, AdoptError> {
    let context = Decoding {
        internal: false,
        four_octet_asn: true,
        extended_next_hop: false,
        families: &[],
        max_length: crate::message::MAX_MESSAGE,
    };
    match codec::decode(message, &context) {
        Ok(Message::Open(open)) => Ok(open),
        Ok(_) | Err(_) => Err(AdoptError::Open(whose)),
    }
}

/// Reads the messages sent in a session back. Routes with another next hop or path than the session would
/// send now, and those of the families `refreshing`, are uncertain.
pub(super) fn read_sent(
    connection: &PeerConnection,
    refreshing: &[AddressFamily],
    mut sent: &[u8],
) -> Result<SentRoutes, AdoptError> {
    let families = connection.families();
    let context = connection.decoding(&families, connection.max_sent());
    let mut routes = SentRoutes::default();
    while !sent.is_empty() {
        let length = codec::frame(sent, context.max_length)?.ok_or(AdoptError::Incomplete)?;
        let (message, rest) = sent.split_at_checked(length).ok_or(AdoptError::Incomplete)?;
        sent = rest;
        match codec::decode(message, &context)? {
            Message::Update(update) => routes.apply(update, connection)?,
            Message::Keepalive => {}
            Message::Open(_) | Message::Notification(_) | Message::RouteRefresh(_) => {
                return Err(AdoptError::Unexpected);
            }
        }
    }
    let again = routes.routes.keys().filter(|prefix| refreshing.contains(&codec::family_of(**prefix)));
    routes.uncertain.extend(again.copied());
    Ok(routes)
}

impl SentRoutes {
    fn apply(&mut self, update: Update, connection: &PeerConnection) -> Result<(), AdoptError> {
        if let Some(flaw) = update.flaws.first() {
            return Err(AdoptError::Flawed(flaw.attribute));
        }
        for prefix in update.withdrawn {
            self.routes.remove(&prefix);
            self.uncertain.remove(&prefix);
        }
        if let Some(reach) = update.reach {
            let is_current = is_current(&reach, connection);
            for prefix in reach.prefixes {
                self.routes.insert(prefix, reach.attributes.clone());
                if is_current {
                    self.uncertain.remove(&prefix);
                } else {
                    self.uncertain.insert(prefix);
                }
            }
        }
        self.ended.extend(update.end_of_rib);
        Ok(())
    }
}

/// Returns whether the session would send next hop and path of these routes as they are.
fn is_current(reach: &Reach, connection: &PeerConnection) -> bool {
    let family = reach.prefixes.first().map(|prefix| codec::family_of(*prefix));
    connection.terms().zip(family).is_some_and(|(terms, family)| {
        terms.next_hops.get(&family) == Some(&reach.next_hop) && terms.as_path == reach.as_path
    })
}
