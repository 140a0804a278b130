//! Log lines about packets whose verdict should be rare: what the XDP program would log itself
//! ([decision 0016](../../docs/decisions/0016-rare-messages.md)).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::counters::Counters;
use lb_common::verdict::{COUNTERS, MEANINGS, Refusal};
use tokio::time::MissedTickBehavior;

/// The interval between two looks at the counters, and so between two lines about one verdict.
const EVERY: Duration = Duration::from_secs(60);

/// Verdicts that say that maps contradict each other, that a driver lacks something, or that packets are
/// forged. Those that follow from a failure in the network are not rare while it lasts.
const RARE: [Refusal; 6] = [
    Refusal::NoSlot,
    Refusal::NoHeadroom,
    Refusal::BadGue,
    Refusal::InnerNotVip,
    Refusal::BadProbe,
    Refusal::BadTag,
];

/// Packets with a rare verdict since the last look.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Occurrence {
    verdict: &'static str,
    meaning: &'static str,
    packets: u64,
}

/// The counts of the last look.
#[derive(Debug, Default)]
struct LastCounts(BTreeMap<String, u64>);

impl LastCounts {
    /// Notes the counts, by the verdicts' names, and returns what has been added. The first counts are those
    /// of earlier agents.
    fn update<'a>(&mut self, counts: impl Iterator<Item = (&'a str, u64)>) -> Vec<Occurrence> {
        let rare: BTreeMap<_, _> = rare().collect();
        let mut added = Vec::new();
        for (name, packets) in counts {
            let Some((verdict, meaning)) = rare.get_key_value(name) else { continue };
            let before = self.0.insert(name.to_owned(), packets).unwrap_or(packets);
            if packets > before {
                added.push(Occurrence { verdict, meaning, packets: packets - before });
            }
        }
        added
    }
}

/// Returns names and meanings of the rare verdicts.
fn rare() -> impl Iterator<Item = (&'static str, &'static str)> {
    let rows = COUNTERS.iter().zip(MEANINGS);
    let is_rare = |number: u32| RARE.iter().any(|refusal| *refusal as u32 == number);
    rows.filter(move |((number, ..), _)| is_rare(*number))
        .map(|((_, name, _), meaning)| (*name, meaning.trim()))
}

/// Logs rare verdicts until the task is cancelled.
pub async fn log(counters: Arc<Counters>) {
    let mut last = LastCounts::default();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Ok(counts) = counters.outcomes() else { continue };
        for it in last.update(counts.iter().map(|count| (count.name.as_ref(), count.packets))) {
            let Occurrence { verdict, meaning, packets } = it;
            tracing::warn!(
                verdict,
                packets,
                "the XDP program dropped packets for a rare reason: {meaning} `fairlead trace --verdict {verdict}` shows more of them"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rare_verdict_has_a_row() {
        assert_eq!(rare().count(), RARE.len());
    }

    #[test]
    fn only_packets_since_the_last_look_are_logged() {
        let mut last = LastCounts::default();
        let mut update = |bad_tag, local| {
            let counts = [("bad_tag", bad_tag), ("local", local), ("no_slot", 0)];
            last.update(counts.into_iter()).into_iter().map(|it| (it.verdict, it.packets)).collect::<Vec<_>>()
        };
        assert_eq!(update(7, 100), [], "an earlier agent's");
        assert_eq!(update(7, 200), []);
        assert_eq!(update(9, 300), [("bad_tag", 2)]);
        assert_eq!(update(9, 300), []);
        assert_eq!(update(1, 300), [], "counters that begin anew");
        assert_eq!(update(2, 300), [("bad_tag", 1)]);
    }
}
