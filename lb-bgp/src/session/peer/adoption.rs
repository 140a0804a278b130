//! Handing a session over to another process, and continuing one.

use std::net::SocketAddr;
use std::time::Duration;

use super::{ConnectionDirection, Peer, PeerAction};
use crate::codec::{self, Encoding, MessageTooLong};
use crate::message::{Message, Open};
use crate::session::close_reason::CloseReason;
use crate::session::config::PeerConfig;
use crate::session::connection::PeerConnection;
use crate::session::handover::{self, AdoptError, Handover, SessionRecord};
use crate::session::negotiation;
use crate::session::shutdown::Shutdown;
use crate::session::state_table::BgpState;
use crate::value::Asn;

/// The text of the farewell, for the peer's operator (RFC 9003).
const FAREWELL: &str = "the load balancer's agent on this node has stopped";

impl Peer {
    /// Returns what continues the Established session without this process; `None` if there is none.
    pub fn handover(&self, now: Duration) -> Option<Handover> {
        let (direction, connection) = self.established()?;
        let negotiated = connection.negotiated.as_ref()?;
        let text = FAREWELL.to_owned();
        let farewell = CloseReason::Stopped(Shutdown::Administrative { text });
        let farewell = Message::Notification(farewell.notification(Some(negotiated))?);
        let session = SessionRecord {
            direction,
            ours: encoded(&Message::Open(connection.ours.clone())).ok()?,
            theirs: encoded(&Message::Open(connection.theirs.clone()?)).ok()?,
            refused: self.refused.as_ref().map(|(refused, _)| refused.clone()),
            refreshing: self.adj_out.refreshing().into_iter().collect(),
            lasted: connection.lasted(now).unwrap_or_default(),
        };
        Some(Handover {
            session,
            keepalive: negotiated.keepalive,
            keepalive_message: encoded(&Message::Keepalive).ok()?,
            farewell: encoded(&farewell).ok()?,
            is_restartable: negotiated.graceful_restart.is_some(),
        })
    }

    /// Returns UPDATEs that describe what the peer of the Established session has been sent, up to the last
    /// [`poll_bytes`](Self::poll_bytes): its routes, and the End-of-RIB markers.
    pub fn sent_snapshot(&self) -> Vec<u8> {
        let terms = self.established().and_then(|(_, connection)| connection.terms());
        terms.map(|terms| self.adj_out.snapshot(&terms)).unwrap_or_default()
    }

    /// Returns a peer that continues the session of another process. `sent` is its
    /// [`sent_snapshot`](Self::sent_snapshot), followed by all whole messages that it has sent since. If
    /// `config` does not allow the session, the first action closes it. Until
    /// [`set_routes`](Self::set_routes), the routes that the peer has stay; then only the difference is sent.
    ///
    /// # Errors
    /// If `record` or `sent` cannot be read. The connection is then to be closed.
    pub fn adopt(
        config: PeerConfig,
        record: &SessionRecord,
        addresses: (SocketAddr, SocketAddr),
        sent: &[u8],
        seed: u64,
        now: Duration,
    ) -> Result<Self, AdoptError> {
        let direction = record.direction;
        let mut peer = Self::idle(config, seed, now);
        peer.refused = record.refused.clone().map(|refused| (refused, now));
        let connection = peer.adopted_connection(record, addresses, now)?;
        peer.running = true;
        peer.was_established = true;
        peer.reported_state = BgpState::Established;
        peer.counters.adopted += 1;
        peer.incoming.state = BgpState::Active;
        peer.fsm_mut(direction).state = BgpState::Established;
        peer.fsm_mut(direction).connection = Some(connection);
        peer.actions.push_back(PeerAction::Adopted(direction));
        peer.reconsider(direction, now);
        let Some((_, connection)) = peer.established() else { return Ok(peer) };
        let sent = handover::read_sent(connection, &record.refreshing, sent)?;
        let families = connection.families().into_iter().collect();
        let is_internal = connection.negotiated.as_ref().is_some_and(|negotiated| negotiated.internal);
        peer.adj_out.adopt_session(families, is_internal, sent);
        // The last KEEPALIVE may have been sent two intervals ago.
        peer.schedule_keepalive(direction, now);
        Ok(peer)
    }

    /// Returns the length of the whole messages at the start of `bytes`; all of it if the next one is
    /// malformed. A driver that passes only these to [`handle_bytes`](Self::handle_bytes) leaves every
    /// incomplete message in the socket, for another process.
    pub fn complete_messages(&self, direction: ConnectionDirection, bytes: &[u8]) -> usize {
        let Some(connection) = &self.fsm(direction).connection else { return bytes.len() };
        let mut rest = bytes;
        loop {
            match codec::frame(rest, connection.max_received()) {
                Ok(Some(length)) => rest = rest.get(length..).unwrap_or_default(),
                Ok(None) => return bytes.len() - rest.len(),
                Err(_) => return bytes.len(),
            }
        }
    }

    fn established(&self) -> Option<(ConnectionDirection, &PeerConnection)> {
        let direction = self.most_advanced()?;
        let fsm = self.fsm(direction);
        fsm.connection.as_ref().filter(|_| fsm.state == BgpState::Established).map(|it| (direction, it))
    }

    /// Returns the connection of a record; without negotiated parameters if the configuration rules them out.
    fn adopted_connection(
        &self,
        record: &SessionRecord,
        (local, remote): (SocketAddr, SocketAddr),
        now: Duration,
    ) -> Result<PeerConnection, AdoptError> {
        let mut ours = handover::open(&record.ours, "this node")?;
        let theirs = handover::open(&record.theirs, "the router")?;
        restore_asn(&mut ours, self.config.presented_asn());
        let negotiated = negotiation::negotiate(&self.config, local.ip(), &ours, &theirs).ok();
        let mut connection = PeerConnection::new(local, remote, ours, now);
        connection.open_pending = false;
        connection.theirs = Some(theirs);
        connection.negotiated = negotiated;
        connection.established_at = Some(now);
        connection.age_at_adoption = Some(record.lasted);
        connection.restart_hold_timer(now);
        Ok(connection)
    }
}

/// An OPEN without the four-octet capability does not have the AS number that it stands for.
fn restore_asn(ours: &mut Open, presented: Asn) {
    let is_placeholder = ours.asn.get() == u32::from(Asn::TRANS) && !ours.capabilities.four_octet_asn;
    if is_placeholder && presented.two_octets() == Asn::TRANS {
        ours.asn = presented;
    }
}

fn encoded(message: &Message) -> Result<Vec<u8>, MessageTooLong> {
    let mut out = Vec::new();
    codec::encode(message, &Encoding::FIRST, &mut out).map(|()| out)
}
