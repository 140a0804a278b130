//! Random ARP packets and Neighbor Solicitations, most of them for VIPs.

use super::Mutator;
use crate::packets::build::{Arp, BROADCAST, Frame, solicited_node, source_mac};
use crate::packets::fixture::announcers::{ranked, ranked4, ranked6};
use crate::packets::fixture::{
    Mac, OTHER_MAC, OTHER_UPLINK4, OTHER_UPLINK6, PLAIN4, PLAIN6, QUIET4, QUIET6, ROUTER_MAC, SELF_MAC, VIP4,
    VIP6,
};

/// Options of Neighbor Discovery; some are invalid.
const OPTIONS: [&[u8]; 8] = [
    &[1, 1, 2, 0, 0, 0, 0, 0x33],
    &[2, 1, 2, 0, 0, 0, 0, 0x44],
    &[14, 1, 1, 2, 3, 4, 5, 6],
    &[99, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    &[1, 2, 2, 0, 0, 0, 0, 0x33, 0, 0, 0, 0, 0, 0, 0, 0],
    &[14, 0, 1, 2, 3, 4, 5, 6],
    &[14, 9, 1, 2, 3, 4, 5, 6],
    &[14, 1, 1, 2],
];

impl Mutator {
    /// Returns an ARP packet or a solicitation; half of them are valid requests for a VIP.
    pub(super) fn neighbor(&mut self) -> Vec<u8> {
        let mut bytes = if self.below(2) == 0 { self.arp() } else { self.solicitation() };
        if self.below(3) == 0 {
            bytes.resize(bytes.len() + self.below(40), 0x5a);
        }
        if self.below(3) == 0 {
            self.mutate(&mut bytes);
        }
        bytes
    }

    fn arp(&mut self) -> Vec<u8> {
        let number = ranked::FIRST + self.below(usize::from(ranked::COUNT)) as u8;
        let target = match self.below(12) {
            0 => PLAIN4,
            1 => QUIET4,
            2 => OTHER_UPLINK4,
            3 => VIP4,
            _ => ranked4(number),
        };
        let request = if self.below(16) == 0 { Arp::gratuitous(target) } else { Arp::request(target) };
        let operation = if self.below(12) == 0 { 2 } else { 1 };
        let macs = [self.mac(BROADCAST), request.macs[1]];
        Arp { macs, operation, ..request }.bytes(&self.tags())
    }

    fn solicitation(&mut self) -> Vec<u8> {
        let number = ranked::FIRST + self.below(usize::from(ranked::COUNT)) as u8;
        let target = match self.below(12) {
            0 => PLAIN6,
            1 => QUIET6,
            2 => OTHER_UPLINK6,
            3 => VIP6,
            _ => ranked6(number),
        };
        let mut frame = match self.below(6) {
            0 => Frame::duplicate_check(target),
            1 => Frame::bare_solicitation(target),
            _ => Frame::bare_solicitation(target).ndp_options(&source_mac(ROUTER_MAC)),
        };
        frame = match self.below(10) {
            0 => frame.to_destination(solicited_node(VIP6).0),
            1..4 => frame.to_destination(target),
            _ => frame,
        };
        frame.macs[0] = self.mac(frame.macs[0]);
        frame.ttl = if self.below(12) == 0 { self.next() as u8 } else { 255 };
        for _ in 0..[0, 0, 0, 1, 2, 4][self.below(6)] {
            frame = frame.ndp_options(OPTIONS[self.below(OPTIONS.len())]);
        }
        frame.tags = self.tags();
        frame.bytes()
    }

    /// Returns a destination, mostly this one.
    fn mac(&mut self, usual: Mac) -> Mac {
        match self.below(8) {
            0 => OTHER_MAC,
            1 => BROADCAST,
            2 | 3 => SELF_MAC,
            _ => usual,
        }
    }

    fn tags(&mut self) -> Vec<(u16, u16)> {
        let count = [0, 0, 0, 0, 1, 1, 2, 3][self.below(8)];
        vec![(0x8100, 7); count]
    }
}

/// Makes the checksum of an ICMPv6 packet valid, if the frame holds one directly behind an IPv6 header.
pub(super) fn mend(bytes: &mut [u8]) -> Option<()> {
    let mut at = 12;
    while matches!(*bytes.get(at..at + 2)?, [0x81, 0x00] | [0x88, 0xa8]) {
        at += 4;
    }
    let ip = bytes.get_mut(at + 2..)?;
    let length = usize::from(u16::from_be_bytes([*ip.get(4)?, *ip.get(5)?]));
    if *ip.get(6)? != 58 || length < 4 || ip.len() < 40 + length {
        return None;
    }
    ip[42..44].fill(0);
    let words = ip[8..40 + length].chunks(2).map(|word| match word {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        rest => u32::from(rest[0]) << 8,
    });
    let mut sum = words.sum::<u32>() + length as u32 + 58;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    ip[42..44].copy_from_slice(&(!sum as u16).to_be_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn a_mended_checksum_is_that_of_the_builder() {
        let mut mutator = Mutator { random: SeededRandom::new(1), seeds: Vec::new() };
        let mut mended = 0;
        for _ in 0..1000 {
            let frame = mutator.solicitation();
            let mut edited = frame.clone();
            mended += u32::from(mend(&mut edited).is_some());
            assert_eq!(edited, frame);
        }
        assert!(mended > 800, "{mended} frames had a checksum");
    }
}
