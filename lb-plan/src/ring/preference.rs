//! The order in which each slot prefers the members.

use std::collections::BTreeMap;
use std::sync::Arc;

use lb_common::ring::NO_NODE;

use super::RingMember;
use super::score::{self, Score};

/// Choices of each slot that are stored. Few slots are rejected by so many members, and for those the rest is
/// computed on demand; so this number affects the cost of a ring, and nothing else.
pub(super) const CHOICES: usize = 8;

/// The members of a ring, and the order in which each slot prefers them: by score, then by name.
///
/// Members are numbered in the order of their names. Members without weight take no part, and neither do
/// those after the first 65,535.
#[derive(Clone, Debug)]
pub struct Preferences {
    pub(super) contenders: Vec<Contender>,
    /// The best of each slot, best first, padded with [`NO_NODE`].
    choices: Vec<[u16; CHOICES]>,
}

#[derive(Clone, Debug)]
pub(super) struct Contender {
    name: Arc<str>,
    pub(super) seed: u64,
    pub(super) weight: u32,
}

impl Preferences {
    /// Computes the preferences of `slots` slots between members with distinct names.
    pub fn new(members: &[RingMember<'_>], slots: usize) -> Self {
        let contenders = contenders(members);
        let is_equal = contenders.iter().all(|it| it.weight == contenders[0].weight);
        let choices = if is_equal {
            let seeds: Vec<u64> = contenders.iter().map(|contender| contender.seed).collect();
            (0..slots).map(|slot| rank_by_draws(&seeds, slot)).collect()
        } else {
            (0..slots).map(|slot| rank(&contenders, slot)).collect()
        };
        Self { contenders, choices }
    }

    /// Computes what [`Self::new`] returns for other members and as many slots, reusing unchanged scores
    /// where that is less work.
    pub fn adapted(&self, members: &[RingMember<'_>]) -> Self {
        let contenders = contenders(members);
        let change = Change::between(&self.contenders, &contenders);
        // A removed member leaves gaps in a part of the slots, each of which costs as much as in a new ring.
        if change.extent() * CHOICES / 2 > contenders.len() {
            return Self::new(members, self.slots());
        }
        let was_complete = self.contenders.len() <= CHOICES;
        let adapt = |(slot, before)| change.adapted(&contenders, slot, before, was_complete);
        let choices = self.choices.iter().enumerate().map(adapt).collect();
        Self { contenders, choices }
    }

    /// Returns the number of slots.
    pub fn slots(&self) -> usize {
        self.choices.len()
    }

    /// Returns the number of members that take part.
    pub fn members(&self) -> usize {
        self.contenders.len()
    }

    /// Returns for each slot its choice number `first` and the following ones, as far as they are stored.
    pub fn choices(&self, first: usize) -> impl Iterator<Item = &[u16]> {
        self.choices.iter().map(move |choices| {
            let kept = choices.iter().position(|number| *number == NO_NODE).unwrap_or(CHOICES);
            choices.get(first..kept).unwrap_or_default()
        })
    }

    /// Returns the draw of a member for a slot.
    pub(super) fn draw(&self, number: u16, slot: usize) -> u64 {
        let seed = self.contenders.get(usize::from(number)).map_or(0, |contender| contender.seed);
        score::draw(seed, score::slot_key(slot as u64))
    }

    /// Returns a reader of the preferences.
    pub(crate) fn reader(&self) -> PreferenceReader<'_> {
        PreferenceReader { preferences: self, complete: BTreeMap::new() }
    }
}

fn contenders(members: &[RingMember<'_>]) -> Vec<Contender> {
    let mut able: Vec<_> = members.iter().filter(|member| member.weight > 0).collect();
    able.sort_unstable_by_key(|member| member.name);
    able.truncate(usize::from(NO_NODE));
    let contender = |member: &&RingMember<'_>| Contender {
        name: member.name.into(),
        seed: score::seed(member.name.as_bytes()),
        weight: member.weight,
    };
    able.iter().map(contender).collect()
}

fn rank(contenders: &[Contender], slot: usize) -> [u16; CHOICES] {
    let mut best = Best::of(slot);
    for (number, contender) in (0..).zip(contenders) {
        best.offer(number, contender);
    }
    best.numbers
}

/// Returns what [`rank`] returns for members with equal weights, whose draws alone decide. Most rings are of
/// such members, and building rings is the most expensive part of a first plan.
fn rank_by_draws(seeds: &[u64], slot: usize) -> [u16; CHOICES] {
    let slot_key = score::slot_key(slot as u64);
    let (mut numbers, mut draws) = ([NO_NODE; CHOICES], [0; CHOICES]);
    let mut count = 0;
    for (number, seed) in (0..).zip(seeds) {
        let draw = score::draw(*seed, slot_key);
        // The first name wins a tie, and comes first.
        if count == CHOICES && draw <= draws[CHOICES - 1] {
            continue;
        }
        let mut place = count.min(CHOICES - 1);
        while place > 0 && draws[place - 1] < draw {
            (numbers[place], draws[place]) = (numbers[place - 1], draws[place - 1]);
            place -= 1;
        }
        (numbers[place], draws[place]) = (number, draw);
        count = (count + 1).min(CHOICES);
    }
    numbers
}

/// The best members for a slot, found by insertion: nearly all fail at the first comparison.
struct Best {
    slot_key: u64,
    numbers: [u16; CHOICES],
    scores: [Score; CHOICES],
}

impl Best {
    fn of(slot: usize) -> Self {
        let slot_key = score::slot_key(slot as u64);
        Self { slot_key, numbers: [NO_NODE; CHOICES], scores: [Score::LEAST; CHOICES] }
    }

    /// Members may be offered in any order: the order of scores and numbers is total.
    fn offer(&mut self, number: u16, contender: &Contender) {
        let draw = score::draw(contender.seed, self.slot_key);
        if self.scores[CHOICES - 1].could_lose_to(contender.weight, draw) {
            self.insert(number, Score::new(contender.weight, draw));
        }
    }

    fn insert(&mut self, number: u16, score: Score) {
        let mut place = CHOICES;
        while let Some(ahead) = place.checked_sub(1).filter(|ahead| self.is_behind(*ahead, number, score)) {
            if place < CHOICES {
                (self.numbers[place], self.scores[place]) = (self.numbers[ahead], self.scores[ahead]);
            }
            place = ahead;
        }
        if place < CHOICES {
            (self.numbers[place], self.scores[place]) = (number, score);
        }
    }

    fn is_behind(&self, place: usize, number: u16, score: Score) -> bool {
        let other = self.scores[place];
        score.beats(other) || !other.beats(score) && number < self.numbers[place]
    }

    /// Offers members by their numbers; [`NO_NODE`] is none.
    fn offer_all(&mut self, numbers: impl Iterator<Item = u16>, contenders: &[Contender]) {
        for number in numbers {
            if let Some(contender) = contenders.get(usize::from(number)) {
                self.offer(number, contender);
            }
        }
    }
}

/// How the members of a ring have changed.
struct Change {
    /// New number of each old member; [`NO_NODE`] for one that was removed or has another weight.
    renumbered: Vec<u16>,
    /// New numbers of those that are new or have another weight.
    newcomers: Vec<u16>,
    leavers: usize,
}

impl Change {
    fn between(before: &[Contender], after: &[Contender]) -> Self {
        let mut newcomers: BTreeMap<(&str, u32), u16> =
            (0..).zip(after).map(|(number, new)| ((&*new.name, new.weight), number)).collect();
        let renumbered: Vec<u16> =
            before.iter().map(|old| newcomers.remove(&(&*old.name, old.weight)).unwrap_or(NO_NODE)).collect();
        let leavers = renumbered.iter().filter(|number| **number == NO_NODE).count();
        Self { renumbered, newcomers: newcomers.into_values().collect(), leavers }
    }

    fn extent(&self) -> usize {
        self.newcomers.len() + self.leavers
    }

    fn adapted(
        &self,
        contenders: &[Contender],
        slot: usize,
        before: &[u16; CHOICES],
        was_complete: bool,
    ) -> [u16; CHOICES] {
        let renumbered = before.map(|old| self.renumbered.get(usize::from(old)).copied().unwrap_or(NO_NODE));
        let has_gap = self.leavers > 0 && renumbered.contains(&NO_NODE);
        if has_gap && !was_complete {
            // The next choice after the stored ones is unknown.
            return rank(contenders, slot);
        }
        if !has_gap && !self.can_get_in(contenders, slot, renumbered) {
            return renumbered;
        }
        let mut best = Best::of(slot);
        best.offer_all(renumbered.into_iter(), contenders);
        best.offer_all(self.newcomers.iter().copied(), contenders);
        best.numbers
    }

    /// Returns false if no newcomer is better than the last choice.
    fn can_get_in(&self, contenders: &[Contender], slot: usize, choices: [u16; CHOICES]) -> bool {
        let contender = |number: u16| contenders.get(usize::from(number));
        let Some(last) = contender(choices[CHOICES - 1]) else { return true };
        let slot_key = score::slot_key(slot as u64);
        let last = Score::new(last.weight, score::draw(last.seed, slot_key));
        let can_beat = |new: &Contender| last.could_lose_to(new.weight, score::draw(new.seed, slot_key));
        self.newcomers.iter().filter_map(|number| contender(*number)).any(can_beat)
    }
}

/// Reads preferences, and computes the choices that are not stored.
pub(crate) struct PreferenceReader<'a> {
    preferences: &'a Preferences,
    complete: BTreeMap<usize, Vec<u16>>,
}

impl PreferenceReader<'_> {
    /// Returns choice number `nth` of a slot.
    pub(crate) fn choice(&mut self, slot: usize, nth: usize) -> Option<u16> {
        let preferences = self.preferences;
        if nth >= preferences.members() {
            return None;
        }
        if let Some(number) = preferences.choices.get(slot)?.get(nth) {
            return Some(*number);
        }
        let all = self.complete.entry(slot).or_insert_with(|| preferences.all_choices(slot));
        all.get(nth).copied()
    }
}

impl Preferences {
    /// Returns all members in the order of a slot's preference.
    fn all_choices(&self, slot: usize) -> Vec<u16> {
        let slot_key = score::slot_key(slot as u64);
        let scored = (0..).zip(&self.contenders).map(|(number, contender): (u16, _)| {
            (number, Score::new(contender.weight, score::draw(contender.seed, slot_key)))
        });
        let mut scored: Vec<_> = scored.collect();
        // Stable, so the first name wins a tie here too.
        scored.sort_by(|(_, a), (_, b)| b.beats(*a).cmp(&a.beats(*b)));
        scored.into_iter().map(|(number, _)| number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_weights_are_ranked_by_their_draws() {
        let names: Vec<String> = (0..40).map(|number| format!("node-{number:02}")).collect();
        for count in [0, 1, 7, 8, 9, 40] {
            let members: Vec<_> = names[..count].iter().map(|name| RingMember { name, weight: 3 }).collect();
            let mut contenders = contenders(&members);
            if let [first, .., last] = &mut contenders[..] {
                // A tie.
                last.seed = first.seed;
            }
            let seeds: Vec<u64> = contenders.iter().map(|contender| contender.seed).collect();
            for slot in 0..500 {
                assert_eq!(rank_by_draws(&seeds, slot), rank(&contenders, slot), "{count} members");
            }
        }
    }
}
