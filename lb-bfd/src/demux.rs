//! Assignment of packets to sessions (RFC 5880, section 6.3; RFC 5881, section 3; RFC 5883, section 4).

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::session::{Discriminator, PacketError, packet};

/// The path of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionPath {
    /// Multihop: another port, and never matched with a single-hop session.
    pub multihop: bool,
    /// The peer's address.
    pub remote: IpAddr,
    /// The local address; `None` for any.
    pub local: Option<IpAddr>,
    /// The interface; `None` for any.
    pub link: Option<u32>,
}

/// Sessions, indexed by discriminator.
#[derive(Clone, Debug)]
pub struct Demultiplexer<K> {
    by_discriminator: BTreeMap<Discriminator, (SessionPath, K)>,
}

impl<K> Default for Demultiplexer<K> {
    fn default() -> Self {
        Self { by_discriminator: BTreeMap::new() }
    }
}

impl<K: Copy> Demultiplexer<K> {
    /// Adds a session.
    pub fn insert(&mut self, discriminator: Discriminator, path: SessionPath, key: K) {
        self.by_discriminator.insert(discriminator, (path, key));
    }

    /// Removes a session.
    pub fn remove(&mut self, discriminator: Discriminator) {
        self.by_discriminator.remove(&discriminator);
    }

    /// Finds the session of a packet that arrived on a path.
    ///
    /// # Errors
    /// If there is none. A packet with a discriminator may arrive on another interface (RFC 5880, section
    /// 6.3), but it must come from the session's peer with the same kind of hops, since discriminators can be
    /// guessed.
    pub fn find(&self, bytes: &[u8], arrived_on: &SessionPath) -> Result<K, PacketError> {
        let packet = packet::parse(bytes)?;
        match Discriminator::new(u32::from_be_bytes(packet.your_discriminator)) {
            Some(receiver) => {
                let (path, key) = self.by_discriminator.get(&receiver).ok_or(PacketError::UnknownSession)?;
                if path.has_same_ends(arrived_on) { Ok(*key) } else { Err(PacketError::UnknownSession) }
            }
            None => {
                let fitting = self.by_discriminator.values().filter(|(path, _)| path.accepts(arrived_on));
                // Most specific path first.
                let closest = fitting.max_by_key(|(path, _)| (path.link.is_some(), path.local.is_some()));
                closest.map(|(_, key)| *key).ok_or(PacketError::UnknownSession)
            }
        }
    }
}

impl SessionPath {
    fn has_same_ends(&self, arrived_on: &Self) -> bool {
        self.multihop == arrived_on.multihop && self.remote == arrived_on.remote
    }

    fn accepts(&self, arrived_on: &Self) -> bool {
        self.has_same_ends(arrived_on)
            && self.local.is_none_or(|local| arrived_on.local == Some(local))
            && self.link.is_none_or(|link| arrived_on.link == Some(link))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_common::wire::bfd::{self, Control};

    fn packet(your_discriminator: u32) -> [u8; 24] {
        Control {
            version_and_diagnostic: bfd::VERSION,
            state_and_flags: bfd::DOWN,
            multiplier: 3,
            length: 24,
            my_discriminator: [0, 0, 0, 9],
            your_discriminator: your_discriminator.to_be_bytes(),
            intervals: [[0; 4]; 3],
        }
        .to_bytes()
    }

    fn path(multihop: bool, remote: u8, link: Option<u32>) -> SessionPath {
        let local = Some(IpAddr::from([10, 0, 0, 1]));
        SessionPath { multihop, remote: IpAddr::from([10, 0, 0, remote]), local, link }
    }

    #[test]
    fn a_packet_is_assigned_by_discriminator_or_else_by_path() {
        let mut sessions = Demultiplexer::default();
        let number = |n| Discriminator::new(n).unwrap();
        sessions.insert(number(1), path(false, 2, Some(7)), 'a');
        sessions.insert(number(2), path(true, 2, None), 'b');
        sessions.insert(number(3), path(false, 2, Some(8)), 'c');
        let find = |your, arrived_on: &SessionPath| sessions.find(&packet(your), arrived_on);
        assert_eq!(find(1, &path(false, 2, Some(7))), Ok('a'));
        assert_eq!(find(0, &path(false, 2, Some(7))), Ok('a'));
        // The same addresses on another link, or over several hops, belong to other sessions.
        assert_eq!(find(0, &path(false, 2, Some(8))), Ok('c'));
        assert_eq!(find(0, &path(true, 2, Some(7))), Ok('b'));
        // A session identified by its discriminator is found on any link.
        assert_eq!(find(1, &path(false, 2, Some(8))), Ok('a'));
        // Guessing a discriminator does not help.
        assert_eq!(find(1, &path(false, 3, Some(7))), Err(PacketError::UnknownSession));
        assert_eq!(find(1, &path(true, 2, Some(7))), Err(PacketError::UnknownSession));
        assert_eq!(find(4, &path(false, 2, Some(7))), Err(PacketError::UnknownSession));
        assert_eq!(find(0, &path(false, 3, Some(7))), Err(PacketError::UnknownSession));
        // The session itself rejects and counts authenticated packets.
        let mut authenticated = [0; 26];
        authenticated[..24].copy_from_slice(&packet(1));
        (authenticated[1], authenticated[3]) = (bfd::DOWN | bfd::AUTHENTICATION, 26);
        assert_eq!(sessions.find(&authenticated, &path(false, 2, Some(7))), Ok('a'));
        sessions.remove(number(1));
        let gone = sessions.find(&packet(1), &path(false, 2, Some(7)));
        assert_eq!(gone, Err(PacketError::UnknownSession));
    }

    #[test]
    fn a_session_bound_to_a_link_takes_precedence() {
        let mut sessions = Demultiplexer::default();
        let number = |n| Discriminator::new(n).unwrap();
        sessions.insert(number(1), SessionPath { local: None, ..path(false, 2, None) }, 'a');
        sessions.insert(number(2), path(false, 2, Some(7)), 'b');
        sessions.insert(number(3), path(false, 2, None), 'c');
        assert_eq!(sessions.find(&packet(0), &path(false, 2, Some(7))), Ok('b'));
        assert_eq!(sessions.find(&packet(0), &path(false, 2, Some(8))), Ok('c'));
        let elsewhere = SessionPath { local: Some(IpAddr::from([10, 0, 0, 9])), ..path(false, 2, None) };
        assert_eq!(sessions.find(&packet(0), &elsewhere), Ok('a'));
    }
}
