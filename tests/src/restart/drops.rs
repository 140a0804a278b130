//! Packets that this machine drops because its processors are busy: no fault of an agent's.

use std::fs;

use anyhow::{Context, Result};

use crate::lab::{Lab, LabHost};

/// Numbers of drops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OverloadDrops {
    /// By full queues of processors (`softnet_stat`, of the whole machine).
    pub backlog: u64,
    /// By full rings of virtual links in the lab: a sender found no room at the other end.
    pub rings: u64,
    /// By full sockets of the stream's receivers.
    pub sockets: u64,
}

impl OverloadDrops {
    /// Returns all drops so far, of sockets at `port`.
    ///
    /// # Errors
    /// When the kernel does not report them.
    pub fn read(lab: &Lab, port: u16) -> Result<Self> {
        let mut drops =
            Self { backlog: backlog(&fs::read_to_string("/proc/net/softnet_stat")?), ..Self::default() };
        for host in hosts(lab)? {
            // One program per host: the files show the namespace of the process that opens them.
            let text = host.command("cat").args(["/proc/net/dev", "/proc/net/udp6"]).text()?;
            drops.rings += rings(&text);
            drops.sockets += sockets(&text, port);
        }
        Ok(drops)
    }

    /// Returns the drops since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            backlog: self.backlog.saturating_sub(before.backlog),
            rings: self.rings.saturating_sub(before.rings),
            sockets: self.sockets.saturating_sub(before.sockets),
        }
    }

    /// Returns their sum.
    #[must_use]
    pub fn total(self) -> u64 {
        self.backlog + self.rings + self.sockets
    }
}

/// Returns the hosts on the stream's path.
fn hosts(lab: &Lab) -> Result<Vec<LabHost>> {
    let mut names = vec!["client-1".to_owned(), "router".into(), "switch-a".into(), "switch-clients".into()];
    let topology = lab.topology().clone();
    names.extend(topology.nodes.into_iter().map(|node| node.name));
    names.extend(topology.pods.into_iter().map(|pod| pod.name));
    names.iter().map(|name| Ok(lab.host(name).context("no such host")?.clone())).collect()
}

/// The second column of each line, in hexadecimal, is of packets dropped because the queue was full.
fn backlog(text: &str) -> u64 {
    let column = |line: &str| u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok();
    text.lines().filter_map(column).sum()
}

/// In `/proc/net/dev`, the twelfth column after the name is of packets dropped while sending.
fn rings(text: &str) -> u64 {
    let column = |line: &str| {
        let (name, numbers) = line.trim_start().split_once(": ")?;
        let is_link = !name.contains(' ') && name != "lo";
        numbers.split_whitespace().nth(11).filter(|_| is_link)?.parse::<u64>().ok()
    };
    text.lines().filter_map(column).sum()
}

/// In `/proc/net/udp6`, the last column is of datagrams dropped because the socket was full.
fn sockets(text: &str, port: u16) -> u64 {
    let suffix = format!(":{port:04X}");
    let column = |line: &str| {
        let mut words = line.split_whitespace();
        words.nth(1).filter(|local| local.len() > 32 && local.ends_with(&suffix))?;
        words.next_back()?.parse::<u64>().ok()
    };
    text.lines().filter_map(column).sum()
}

#[cfg(test)]
mod tests {
    use super::{backlog, rings, sockets};

    #[test]
    fn drops_are_found_in_the_kernels_tables() {
        assert_eq!(backlog("0000272d 0000000a 00000000\n000034d9 00000001 0"), 11);
        let links = "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop fifo frame compressed \
                     multicast|bytes packets errs drop\n    lo:  1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n\
                     pod-2@if3: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n  eth0: 1 2 3 4 5 6 7 8 9 10 11 30 13 14 15 16\n";
        assert_eq!(rings(links), 42);
        let udp = "  sl  local_address remote_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode ref pointer drops\n  \
                   42: 00000000000000000000000000000000:1B5A 00000000000000000000000000000000:0000 07 \
                   00000000:00000000 00:00000000 00000000 0 0 9 2 ffff8880 17\n";
        assert_eq!((sockets(udp, 7002), sockets(udp, 7001)), (17, 0));
    }
}
