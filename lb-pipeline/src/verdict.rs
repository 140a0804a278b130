//! The verdict on a packet.

use lb_common::verdict::{Outcome, Refusal};

/// What is done with a packet, or the reason why it is refused.
pub type Verdict = Result<Forward, Refusal>;

/// The packet is not for a VIP and passes untouched.
pub(crate) const NOT_OURS: Verdict = Ok(Forward::Pass(Outcome::NotOurs));

/// What is done with a packet that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// It goes up to this node's stack.
    Pass(Outcome),
    /// It leaves by the interface that it came in by.
    Transmit(Outcome),
    /// It leaves by another interface, given by its index.
    Redirect(Outcome, u32),
    /// It has served its purpose and ends here.
    Consume(Outcome),
    /// A subprogram decides; nothing has been counted yet. Only in the kernel: see [`crate::subprograms`].
    Next(NextStep),
}

/// A subprogram that runs once the one before has returned, so that their stacks do not add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// [`crate::serve`].
    Serve,
    /// [`crate::judge_arp`].
    Arp,
    /// [`crate::judge_ndp`].
    Ndp,
    /// [`crate::answer_ndp`].
    NdpAnswer,
    /// [`crate::judge_echo`].
    Echo,
    /// [`crate::judge_probe`] of a probe.
    Probe,
    /// [`crate::judge_probe`] of a reply.
    ProbeReply,
    /// [`crate::judge_bfd`].
    Bfd,
    /// [`crate::send_icmp_error`] about a packet that is refused for this reason.
    IcmpError(Refusal),
}

impl Forward {
    /// Returns the outcome that it is counted as; `None` if a subprogram decides.
    #[inline(always)]
    pub const fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Pass(outcome) | Self::Transmit(outcome) | Self::Consume(outcome) => Some(outcome),
            Self::Redirect(outcome, _) => Some(outcome),
            Self::Next(_) => None,
        }
    }
}
