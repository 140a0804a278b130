//! Changes of sessions as the routers log them.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Result;

use crate::failover::ObserverKind;
use crate::lab::addresses::HostAddresses;
use crate::peers::both;
use crate::routers::{Bird, Frr};

/// A protocol, and words of which one is in each line about a session that changed. FRR's
/// BGP lines are of its state machine; all but those to and from Established are retries.
const WORDS: [(&str, ObserverKind, &[&str]); 4] = [
    ("BGP", ObserverKind::Frr, &["went from Established to ", " to Established"]),
    ("BFD", ObserverKind::Frr, &["up -> down", "down -> up", "init -> up"]),
    ("BGP", ObserverKind::Bird, &["BGP session established", "BGP session closed"]),
    ("BFD", ObserverKind::Bird, &["changed state from Up to ", " to Up"]),
];

/// The logs of both routers.
#[derive(Debug)]
pub struct RouterLog {
    /// The files: bgpd's, bfdd's, BIRD's for BGP and again for BFD.
    files: [PathBuf; 4],
    /// The peers: addresses and BIRD's names of protocols.
    peers: BTreeMap<String, IpAddr>,
}

/// A position in all files.
#[derive(Clone, Debug)]
pub struct LogMark([usize; 4]);

/// A change of a session.
#[derive(Clone, Debug)]
pub struct SessionEvent {
    /// The router.
    pub router: ObserverKind,
    /// `BGP` or `BFD`.
    pub protocol: &'static str,
    /// The peer, if the line names it.
    pub peer: Option<IpAddr>,
    /// The line.
    pub line: String,
}

impl RouterLog {
    /// Creates the log of routers whose peers have these addresses.
    #[must_use]
    pub fn new(frr: &Frr, bird: &Bird, nodes: &[HostAddresses]) -> Self {
        let addresses: Vec<IpAddr> = nodes.iter().copied().flat_map(both).collect();
        let named = addresses.iter().map(|address| (address.to_string(), *address));
        // BIRD's protocols are numbered in the order of its configuration.
        let numbered = addresses.iter().enumerate().map(|(number, it)| (format!("b{number}"), *it));
        Self {
            files: [frr.log("bgpd"), frr.log("bfdd"), bird.log(), bird.log()],
            peers: named.chain(numbered).collect(),
        }
    }

    /// Returns the present end of all files.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn mark(&self) -> Result<LogMark> {
        let mut mark = LogMark([0; 4]);
        for (end, file) in mark.0.iter_mut().zip(&self.files) {
            *end = fs::read(file)?.len();
        }
        Ok(mark)
    }

    /// Returns the changes of sessions since `mark`.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn since(&self, mark: &LogMark) -> Result<Vec<SessionEvent>> {
        let mut events = Vec::new();
        for ((file, begin), (protocol, router, words)) in self.files.iter().zip(mark.0).zip(WORDS) {
            let bytes = fs::read(file)?;
            let text = String::from_utf8_lossy(bytes.get(begin..).unwrap_or_default());
            let lines = text.lines().filter(|line| words.iter().any(|word| line.contains(word)));
            events.extend(lines.map(|line| SessionEvent {
                router,
                protocol,
                peer: self.peer(line),
                line: line.to_owned(),
            }));
        }
        Ok(events)
    }

    /// Returns the changes since `mark` of sessions with one host, and of peers that a line does not name.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn of_host(&self, host: HostAddresses, mark: &LogMark) -> Result<Vec<SessionEvent>> {
        let mut events = self.since(mark)?;
        events.retain(|event| event.peer.is_none_or(|peer| host.contains(peer)));
        Ok(events)
    }

    fn peer(&self, line: &str) -> Option<IpAddr> {
        let words = line.split([' ', '[', ']', '(', ')', '%', ',']);
        let mut names = words.map(|word| word.strip_prefix("peer:").unwrap_or(word).trim_end_matches(':'));
        names.find_map(|name| self.peers.get(name).copied())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::{RouterLog, WORDS};

    #[test]
    fn lines_name_their_peers_in_every_format() {
        let peers = [("10.1.0.11", "10.1.0.11"), ("fd00:1::11", "fd00:1::11"), ("b1", "fd00:1::11")];
        let peers: BTreeMap<_, _> =
            peers.into_iter().map(|(name, peer)| (name.to_owned(), peer.parse().unwrap())).collect();
        let log = RouterLog { files: [const { PathBuf::new() }; 4], peers };
        for (line, protocol, peer) in [
            ("2026/11/21 05:10:22.773545 BGP: [X] 10.1.0.11 went from Established to Idle", 0, "10.1.0.11"),
            (
                "2026/11/21 05:10:22.1 BFD: [SEY1D] state-change: [mhop:no peer:fd00:1::11 local:fd00:1::1] up -> down reason:x",
                1,
                "fd00:1::11",
            ),
            ("2026-11-21 05:10:22.1 <TRACE> b1: BGP session closed", 2, "fd00:1::11"),
            (
                "2026-11-21 05:10:22.1 <TRACE> bfd1: Session to 10.1.0.11 changed state from Up to Down",
                3,
                "10.1.0.11",
            ),
        ] {
            assert!(WORDS[protocol].2.iter().any(|word| line.contains(word)), "{line}");
            assert_eq!(log.peer(line), peer.parse().ok(), "{line}");
        }
        assert_eq!(log.peer("10.1.0.111 went from Established to Idle"), None);
    }
}
