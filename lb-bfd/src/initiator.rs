//! The S-BFD initiator (RFC 7880 section 7.3): each target is probed once an interval, and the targets are
//! spread over it, so that a hundred nodes are a trickle and not a burst.

use std::collections::BTreeMap;
use std::time::Duration;

use lb_common::wire::bfd::{self, Control};

/// A node to be probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The discriminator of its reflector.
    pub discriminator: u32,
    /// Ours, by which its answer is recognised.
    pub own_discriminator: u32,
}

/// A probe that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe<K> {
    /// The target.
    pub key: K,
    /// What to send to it.
    pub packet: [u8; bfd::LENGTH],
}

/// Whom to probe, and when next.
#[derive(Clone, Debug)]
pub struct Initiator<K> {
    interval: Duration,
    multiplier: u8,
    targets: BTreeMap<K, Scheduled>,
}

#[derive(Clone, Copy, Debug)]
struct Scheduled {
    target: Target,
    due: Duration,
}

impl<K: Ord + Copy> Initiator<K> {
    /// An initiator without targets.
    pub const fn new(interval: Duration, multiplier: u8) -> Self {
        Self { interval, multiplier, targets: BTreeMap::new() }
    }

    /// The targets, all of them: those that are new are probed soon, those that are not there any more never
    /// again, the others as before.
    pub fn set_targets(&mut self, targets: &BTreeMap<K, Target>, now: Duration) {
        self.targets.retain(|key, _| targets.contains_key(key));
        let count = targets.len().max(1) as u32;
        for (place, (key, target)) in (0..).zip(targets) {
            let first = now + self.interval * place / count;
            self.targets.entry(*key).or_insert(Scheduled { target: *target, due: first }).target = *target;
        }
    }

    /// When the next probe is due; `None` without targets.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.targets.values().map(|scheduled| scheduled.due).min()
    }

    /// A probe that is due now; to be asked until there is none.
    pub fn poll_probe(&mut self, now: Duration) -> Option<Probe<K>> {
        let (interval, multiplier) = (self.interval, self.multiplier);
        let (key, scheduled) = self.targets.iter_mut().find(|(_, scheduled)| scheduled.due <= now)?;
        // Late by more than an interval: go on from now, a burst of probes would be one answer.
        scheduled.due =
            if now < scheduled.due + interval { scheduled.due + interval } else { now + interval };
        Some(Probe { key: *key, packet: packet(scheduled.target, interval, multiplier) })
    }
}

/// A probe: state Up, demand and poll set (RFC 7880 sections 7.3.1 and 7.3.2: the reflector answers a poll).
fn packet(target: Target, interval: Duration, multiplier: u8) -> [u8; bfd::LENGTH] {
    let micros = u32::try_from(interval.as_micros()).unwrap_or(u32::MAX).to_be_bytes();
    Control {
        version_and_diagnostic: bfd::VERSION,
        state_and_flags: bfd::UP | bfd::POLL | bfd::DEMAND,
        multiplier,
        length: bfd::LENGTH as u8,
        my_discriminator: target.own_discriminator.to_be_bytes(),
        your_discriminator: target.discriminator.to_be_bytes(),
        intervals: [micros, [0; 4], [0; 4]],
    }
    .to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(50);

    fn targets(count: u16) -> BTreeMap<u16, Target> {
        (0..count)
            .map(|k| (k, Target { discriminator: 1000 + u32::from(k), own_discriminator: 1 + u32::from(k) }))
            .collect()
    }

    fn drive(initiator: &mut Initiator<u16>, from_ms: u64, to_ms: u64) -> Vec<(u64, u16)> {
        let mut sent = Vec::new();
        for ms in from_ms..to_ms {
            while let Some(probe) = initiator.poll_probe(Duration::from_millis(ms)) {
                sent.push((ms, probe.key));
            }
        }
        sent
    }

    #[test]
    fn each_target_once_an_interval_and_spread_over_it() {
        let mut initiator = Initiator::new(INTERVAL, 3);
        initiator.set_targets(&targets(10), Duration::ZERO);
        let sent = drive(&mut initiator, 0, 1000);
        assert_eq!(sent.len(), 10 * 20);
        for ms in 0..1000 {
            assert!(sent.iter().filter(|(at, _)| *at == ms).count() <= 1);
        }
    }

    #[test]
    fn after_a_stall_one_probe_each() {
        let mut initiator = Initiator::new(INTERVAL, 3);
        initiator.set_targets(&targets(4), Duration::ZERO);
        drive(&mut initiator, 0, 100);
        assert_eq!(drive(&mut initiator, 60_000, 60_001).len(), 4);
    }

    #[test]
    fn targets_come_and_go_without_disturbing_the_others() {
        let mut initiator = Initiator::new(INTERVAL, 3);
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
    fn a_probe_is_a_sound_control_packet() {
        let target = Target { discriminator: 0x0102_0304, own_discriminator: 0x0506_0708 };
        let control = Control::from_bytes(&packet(target, INTERVAL, 3));
        assert!(control.is_sound());
        assert_eq!(control.your_discriminator, [1, 2, 3, 4]);
        assert_eq!(control.my_discriminator, [5, 6, 7, 8]);
        assert_eq!(control.intervals[0], 50_000u32.to_be_bytes());
    }
}
