//! The S-BFD initiator (RFC 7880, section 7.3): probes each target once per interval. The targets are spread
//! over the interval to avoid bursts.
//!
//! A probe carries its time and a tag that only nodes of the cluster can compute. The answer repeats both, so
//! a recorded answer cannot be replayed later.

use std::collections::BTreeMap;
use std::time::Duration;

use lb_common::tag::{self, ProbeWords, TagKey};
use lb_common::wire::bfd::{self, Control};

/// A node to probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeTarget {
    /// Discriminator of the node's reflector.
    pub discriminator: u32,
    /// Our discriminator, which identifies the answer.
    pub own_discriminator: u32,
}

/// A probe that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbePacket<K> {
    /// The target's key.
    pub key: K,
    /// The packet to send.
    pub packet: [u8; bfd::TAGGED_LENGTH],
}

/// The schedule of probes.
#[derive(Clone, Debug)]
pub struct Initiator<K> {
    interval: Duration,
    multiplier: u8,
    key: TagKey,
    targets: BTreeMap<K, Scheduled>,
}

#[derive(Clone, Copy, Debug)]
struct Scheduled {
    target: ProbeTarget,
    due: Duration,
}

impl<K: Ord + Copy> Initiator<K> {
    /// Returns an initiator without targets that authenticates probes with `key`.
    pub const fn new(interval: Duration, multiplier: u8, key: TagKey) -> Self {
        Self { interval, multiplier, key, targets: BTreeMap::new() }
    }

    /// Replaces the tag key.
    pub const fn set_key(&mut self, key: TagKey) {
        self.key = key;
    }

    /// Sets all targets: new ones are probed soon, removed ones never again, the others as before.
    pub fn set_targets(&mut self, targets: &BTreeMap<K, ProbeTarget>, now: Duration) {
        self.targets.retain(|key, _| targets.contains_key(key));
        let count = targets.len().max(1) as u32;
        for (place, (key, target)) in (0..).zip(targets) {
            let first = now + self.interval * place / count;
            self.targets.entry(*key).or_insert(Scheduled { target: *target, due: first }).target = *target;
        }
    }

    /// Returns when the next probe is due; `None` without targets.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.targets.values().map(|scheduled| scheduled.due).min()
    }

    /// Returns a probe that is due; call it until it returns `None`. `sequence` is the value of the probe
    /// clock ([`crate::clock::ProbeClock`]), by which the XDP program computes the answer's age.
    pub fn poll_probe(&mut self, now: Duration, sequence: u32) -> Option<ProbePacket<K>> {
        let (interval, multiplier, key) = (self.interval, self.multiplier, self.key);
        let (target, scheduled) = self.targets.iter_mut().find(|(_, scheduled)| scheduled.due <= now)?;
        // Late by more than an interval: continue from now. A burst of probes would count as one.
        scheduled.due =
            if now < scheduled.due + interval { scheduled.due + interval } else { now + interval };
        let control = control(scheduled.target, interval, multiplier);
        Some(ProbePacket { key: *target, packet: tagged(control, key, sequence) })
    }
}

/// Builds a probe in state Up with demand and poll bits (RFC 7880, sections 7.3.1 and 7.3.2: the reflector
/// answers polls).
fn control(target: ProbeTarget, interval: Duration, multiplier: u8) -> Control {
    let micros = u32::try_from(interval.as_micros()).unwrap_or(u32::MAX).to_be_bytes();
    Control {
        version_and_diagnostic: bfd::VERSION,
        state_and_flags: bfd::UP | bfd::POLL | bfd::DEMAND | bfd::AUTHENTICATION,
        multiplier,
        length: bfd::TAGGED_LENGTH as u8,
        my_discriminator: target.own_discriminator.to_be_bytes(),
        your_discriminator: target.discriminator.to_be_bytes(),
        intervals: [micros, [0; 4], [0; 4]],
    }
}

/// Appends the authentication section ([`bfd::TAG_SECTION`]).
fn tagged(control: Control, key: TagKey, sequence: u32) -> [u8; bfd::TAGGED_LENGTH] {
    let [kind, length] = bfd::TAG_SECTION;
    let section = [kind, length, key.id, 0];
    let words = ProbeWords {
        head: [control.version_and_diagnostic, control.state_and_flags, control.multiplier, control.length],
        section,
        mine: u32::from_be_bytes(control.my_discriminator),
        yours: u32::from_be_bytes(control.your_discriminator),
        sequence,
    };
    let mut packet = [0; bfd::TAGGED_LENGTH];
    let (mandatory, behind) = packet.split_at_mut(bfd::LENGTH);
    mandatory.copy_from_slice(&control.to_bytes());
    let (front, tag) = behind.split_at_mut(8);
    let (first, clock) = front.split_at_mut(4);
    first.copy_from_slice(&section);
    clock.copy_from_slice(&sequence.to_be_bytes());
    tag.copy_from_slice(&tag::probe_tag(&key.key, words).to_be_bytes());
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_common::hash::HashKey;

    const INTERVAL: Duration = Duration::from_millis(50);
    const KEY: TagKey = TagKey { id: 3, key: HashKey { k0: 1, k1: 2 } };

    fn targets(count: u16) -> BTreeMap<u16, ProbeTarget> {
        (0..count)
            .map(|k| {
                (k, ProbeTarget { discriminator: 1000 + u32::from(k), own_discriminator: 1 + u32::from(k) })
            })
            .collect()
    }

    fn drive(initiator: &mut Initiator<u16>, from_ms: u64, to_ms: u64) -> Vec<(u64, u16)> {
        let mut sent = Vec::new();
        for ms in from_ms..to_ms {
            while let Some(probe) = initiator.poll_probe(Duration::from_millis(ms), 7) {
                sent.push((ms, probe.key));
            }
        }
        sent
    }

    #[test]
    fn each_target_is_probed_once_per_interval_evenly_spread() {
        let mut initiator = Initiator::new(INTERVAL, 3, KEY);
        initiator.set_targets(&targets(10), Duration::ZERO);
        let sent = drive(&mut initiator, 0, 1000);
        assert_eq!(sent.len(), 10 * 20);
        for ms in 0..1000 {
            assert!(sent.iter().filter(|(at, _)| *at == ms).count() <= 1);
        }
    }

    #[test]
    fn a_stall_is_followed_by_one_probe_per_target() {
        let mut initiator = Initiator::new(INTERVAL, 3, KEY);
        initiator.set_targets(&targets(4), Duration::ZERO);
        drive(&mut initiator, 0, 100);
        assert_eq!(drive(&mut initiator, 60_000, 60_001).len(), 4);
    }

    #[test]
    fn adding_and_removing_targets_keeps_the_schedule_of_others() {
        let mut initiator = Initiator::new(INTERVAL, 3, KEY);
        initiator.set_targets(&targets(2), Duration::ZERO);
        drive(&mut initiator, 0, 60);
        let due = initiator.next_deadline();
        initiator.set_targets(&targets(3), Duration::from_millis(60));
        assert_eq!(initiator.next_deadline(), due);
        initiator.set_targets(&targets(0), Duration::from_millis(60));
        assert_eq!(initiator.next_deadline(), None);
        assert!(drive(&mut initiator, 60, 200).is_empty());
    }

    #[test]
    fn a_probe_is_a_valid_control_packet() {
        let target = ProbeTarget { discriminator: 0x0102_0304, own_discriminator: 0x0506_0708 };
        let packet = tagged(control(target, INTERVAL, 3), KEY, 0x0a0b_0c0d);
        let control = Control::from_bytes(packet.first_chunk().unwrap());
        let head = [control.version_and_diagnostic, control.state_and_flags, 3, control.length];
        assert!(bfd::is_sound_apart_from_tag(head, 1) && !control.is_sound());
        assert_eq!(control.your_discriminator, [1, 2, 3, 4]);
        assert_eq!(control.my_discriminator, [5, 6, 7, 8]);
        assert_eq!(control.intervals[0], 50_000u32.to_be_bytes());
        assert_eq!(usize::from(control.length), packet.len());
        assert_eq!(packet[24..32], [254, 16, 3, 0, 0x0a, 0x0b, 0x0c, 0x0d]);
    }

    #[test]
    fn a_new_key_changes_the_tag() {
        let mut initiator = Initiator::new(INTERVAL, 3, KEY);
        initiator.set_targets(&targets(1), Duration::ZERO);
        let first = initiator.poll_probe(Duration::ZERO, 1).unwrap().packet;
        initiator.set_key(TagKey { id: 4, ..KEY });
        let second = initiator.poll_probe(INTERVAL, 1).unwrap().packet;
        assert_eq!((first[26], second[26]), (3, 4));
        assert_ne!(first[32..], second[32..]);
    }
}
