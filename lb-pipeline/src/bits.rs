//! The encoding of subprogram results. A subprogram can return nothing but a number, so each result type has
//! one encoding, which both sides of a call use.

use lb_common::kernel::KernelAnswer;
use lb_common::verdict::{Outcome, Refusal};

use crate::class::PacketClass;
use crate::owner::LivenessState;
use crate::verdict::{Forward, NextStep};

/// A type with an encoding in 64 bits, of which bit 30 is zero.
pub trait Bits: Sized {
    /// Encodes the value.
    fn to_bits(self) -> u64;
    /// Decodes a value; `None` if the bits encode none.
    fn from_bits(bits: u64) -> Option<Self>;
}

/// The flag of a refusal, whose number is in the other bits. Immediate operands of BPF have 32 bits, with
/// sign.
const REFUSED: u64 = 1 << 30;

impl<T: Bits> Bits for Result<T, Refusal> {
    #[inline(always)]
    fn to_bits(self) -> u64 {
        match self {
            Ok(value) => value.to_bits(),
            Err(refusal) => REFUSED | refusal.to_bits(),
        }
    }

    #[inline(always)]
    fn from_bits(bits: u64) -> Option<Self> {
        if bits & REFUSED == 0 {
            T::from_bits(bits).map(Ok)
        } else {
            Refusal::from_bits(bits ^ REFUSED).map(Err)
        }
    }
}

impl Bits for Refusal {
    #[inline(always)]
    fn to_bits(self) -> u64 {
        self as u64
    }

    #[inline(always)]
    fn from_bits(bits: u64) -> Option<Self> {
        Self::from_number(bits)
    }
}

impl Bits for Outcome {
    #[inline(always)]
    fn to_bits(self) -> u64 {
        self as u64
    }

    #[inline(always)]
    fn from_bits(bits: u64) -> Option<Self> {
        Self::from_number(bits)
    }
}

/// ```text
/// | interface index 32 | 0 | kind 15 | number of the outcome or refusal 16 |
/// ```
const KIND_SHIFT: u32 = 16;
const IFINDEX_SHIFT: u32 = 32;

const PASS: u64 = 0;
const TRANSMIT: u64 = 1;
const REDIRECT: u64 = 2;
const CONSUME: u64 = 3;
const SERVE: u64 = 4;
const ECHO: u64 = 5;
const PROBE: u64 = 6;
const PROBE_REPLY: u64 = 7;
const BFD: u64 = 8;
const ICMP_ERROR: u64 = 9;
const ARP: u64 = 10;
const NDP: u64 = 11;
const NDP_ANSWER: u64 = 12;

impl Bits for Forward {
    #[inline(always)]
    fn to_bits(self) -> u64 {
        let (kind, number, ifindex) = match self {
            Self::Pass(outcome) => (PASS, outcome.to_bits(), 0),
            Self::Transmit(outcome) => (TRANSMIT, outcome.to_bits(), 0),
            Self::Redirect(outcome, ifindex) => (REDIRECT, outcome.to_bits(), ifindex),
            Self::Consume(outcome) => (CONSUME, outcome.to_bits(), 0),
            Self::Next(NextStep::Serve) => (SERVE, 0, 0),
            Self::Next(NextStep::Arp) => (ARP, 0, 0),
            Self::Next(NextStep::Ndp) => (NDP, 0, 0),
            Self::Next(NextStep::NdpAnswer) => (NDP_ANSWER, 0, 0),
            Self::Next(NextStep::Echo) => (ECHO, 0, 0),
            Self::Next(NextStep::Probe) => (PROBE, 0, 0),
            Self::Next(NextStep::ProbeReply) => (PROBE_REPLY, 0, 0),
            Self::Next(NextStep::Bfd) => (BFD, 0, 0),
            Self::Next(NextStep::IcmpError(refusal)) => (ICMP_ERROR, refusal.to_bits(), 0),
        };
        u64::from(ifindex) << IFINDEX_SHIFT | kind << KIND_SHIFT | number
    }

    #[inline(always)]
    fn from_bits(bits: u64) -> Option<Self> {
        let (number, ifindex) = (bits & 0xffff, (bits >> IFINDEX_SHIFT) as u32);
        Some(match bits as u32 as u64 >> KIND_SHIFT {
            PASS => Self::Pass(Outcome::from_bits(number)?),
            TRANSMIT => Self::Transmit(Outcome::from_bits(number)?),
            REDIRECT => Self::Redirect(Outcome::from_bits(number)?, ifindex),
            CONSUME => Self::Consume(Outcome::from_bits(number)?),
            SERVE => Self::Next(NextStep::Serve),
            ARP => Self::Next(NextStep::Arp),
            NDP => Self::Next(NextStep::Ndp),
            NDP_ANSWER => Self::Next(NextStep::NdpAnswer),
            ECHO => Self::Next(NextStep::Echo),
            PROBE => Self::Next(NextStep::Probe),
            PROBE_REPLY => Self::Next(NextStep::ProbeReply),
            BFD => Self::Next(NextStep::Bfd),
            ICMP_ERROR => Self::Next(NextStep::IcmpError(Refusal::from_bits(number)?)),
            _ => return None,
        })
    }
}

impl Bits for PacketClass {
    #[inline(always)]
    fn to_bits(self) -> u64 {
        self as u64
    }

    #[inline(always)]
    fn from_bits(bits: u64) -> Option<Self> {
        Self::BY_NUMBER[bits as usize % Self::BY_NUMBER.len()]
    }
}

impl Bits for KernelAnswer {
    #[inline(always)]
    fn to_bits(self) -> u64 {
        self as u64
    }

    #[inline(always)]
    fn from_bits(bits: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|answer| *answer as u64 == bits)
    }
}

impl Bits for LivenessState {
    #[inline(always)]
    fn to_bits(self) -> u64 {
        self as u64
    }

    #[inline(always)]
    fn from_bits(bits: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as u64 == bits)
    }
}

impl Bits for bool {
    #[inline(always)]
    fn to_bits(self) -> u64 {
        self.into()
    }

    #[inline(always)]
    fn from_bits(bits: u64) -> Option<Self> {
        Some(bits != 0)
    }
}

impl Bits for () {
    #[inline(always)]
    fn to_bits(self) -> u64 {
        0
    }

    #[inline(always)]
    fn from_bits(_bits: u64) -> Option<Self> {
        Some(())
    }
}

#[cfg(test)]
mod tests;
