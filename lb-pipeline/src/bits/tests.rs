extern crate std;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::vec::Vec;

use super::*;
use crate::verdict::Verdict;

/// Every verdict, with some interfaces.
fn verdicts() -> Vec<Verdict> {
    let steps = [
        NextStep::Serve,
        NextStep::Arp,
        NextStep::Ndp,
        NextStep::NdpAnswer,
        NextStep::Echo,
        NextStep::Probe,
        NextStep::ProbeReply,
        NextStep::Bfd,
    ];
    let mut verdicts: Vec<Verdict> = steps.map(|step| Ok(Forward::Next(step))).to_vec();
    for outcome in Outcome::ALL.iter().copied() {
        verdicts.extend([Forward::Pass, Forward::Transmit, Forward::Consume].map(|kind| Ok(kind(outcome))));
        verdicts.extend([1, 0x8000_0000, u32::MAX].map(|ifindex| Ok(Forward::Redirect(outcome, ifindex))));
    }
    for refusal in Refusal::ALL.iter().copied() {
        verdicts.extend([Ok(Forward::Next(NextStep::IcmpError(refusal))), Err(refusal)]);
    }
    verdicts
}

/// Checks that each value has bits of its own and is what they decode to.
fn check<T: Bits + Clone + PartialEq + Debug>(values: &[Result<T, Refusal>]) {
    let mut seen = BTreeSet::new();
    for value in values {
        let bits = value.clone().to_bits();
        assert!(seen.insert(bits), "{value:?} has the bits of another value");
        assert_eq!(Bits::from_bits(bits).as_ref(), Some(value));
    }
}

/// Values, and every refusal.
fn with_refusals<T: Clone>(values: &[T]) -> Vec<Result<T, Refusal>> {
    let values = values.iter().cloned().map(Ok);
    values.chain(Refusal::ALL.iter().copied().map(Err)).collect()
}

#[test]
fn every_result_of_a_subprogram_survives_its_bits() {
    check(&verdicts());
    check(&with_refusals(&PacketClass::ALL));
    check(&with_refusals(&LivenessState::ALL));
    check(&with_refusals(&KernelAnswer::ALL));
    check(&with_refusals(&[false, true]));
    check(&with_refusals(&[()]));
}

#[test]
fn bits_of_no_verdict_decode_to_none() {
    let known: BTreeSet<u64> = verdicts().into_iter().map(Bits::to_bits).collect();
    for bits in (0..16u64).flat_map(|kind| (0..64).map(move |number| kind << KIND_SHIFT | number)) {
        if let Some(verdict) = Verdict::from_bits(bits) {
            let is_step = matches!(verdict, Ok(Forward::Next(_)));
            let is_redirect = matches!(verdict, Ok(Forward::Redirect(..)));
            assert!(known.contains(&bits) || is_redirect || is_step, "{bits:#x} is taken for {verdict:?}");
        }
    }
}
