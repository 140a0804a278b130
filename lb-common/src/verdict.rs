//! What can come of a packet. Each outcome has a number, a name and a fate, so nothing is done to a packet
//! without being counted by name.

use crate::maps::capacity;

/// What happens to a packet that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes to this node's stack as it came: it is not certain to be ours.
    Pass,
    /// It is dropped: it is ours, and can do no good.
    Drop,
}

/// Defines both enums from one list, so that a number, a name and a fate cannot be forgotten or disagree.
macro_rules! outcomes {
    (
        outcomes { $($(#[$odoc:meta])* $outcome:ident = $onum:literal, $oname:literal;)* }
        refusals { $($(#[$rdoc:meta])* $refusal:ident = $rnum:literal, $rname:literal, $fate:ident;)* }
    ) => {
        /// How a packet that goes on is counted: the index in `lb_verdicts`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Outcome { $($(#[$odoc])* $outcome = $onum,)* }

        impl Outcome {
            /// Every outcome.
            pub const ALL: &'static [Self] = &[$(Self::$outcome),*];

            /// By number.
            const BY_NUMBER: &'static [Option<Self>; capacity::VERDICTS] = {
                let mut outcomes = [None; capacity::VERDICTS];
                $(outcomes[$onum] = Some(Self::$outcome);)*
                &{ outcomes }
            };

            /// The outcome with this number.
            #[inline(always)]
            pub const fn from_number(number: u64) -> Option<Self> {
                // A look-up in memory: the verifier would follow every arm of a `match`. Masked, not compared: the compiler
                // may compare another register than the one that it adds, which the verifier does not accept.
                Self::BY_NUMBER[number as usize % capacity::VERDICTS]
            }
        }

        /// Why a packet was refused: the index in `lb_verdicts`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Refusal { $($(#[$rdoc])* $refusal = $rnum,)* }

        impl Refusal {
            /// Every refusal.
            pub const ALL: &'static [Self] = &[$(Self::$refusal),*];

            /// By number.
            const BY_NUMBER: &'static [Option<Self>; capacity::VERDICTS] = {
                let mut refusals = [None; capacity::VERDICTS];
                $(refusals[$rnum] = Some(Self::$refusal);)*
                &{ refusals }
            };

            /// The refusal with this number.
            #[inline(always)]
            pub const fn from_number(number: u64) -> Option<Self> {
                Self::BY_NUMBER[number as usize % capacity::VERDICTS]
            }

            /// What happens to the packet.
            #[inline(always)]
            pub const fn fate(self) -> Fate {
                match self { $(Self::$refusal => Fate::$fate,)* }
            }
        }

        /// Number, name and fate of all outcomes and refusals, in order of their numbers.
        pub const COUNTERS: &[(u32, &str, Fate)] = &[
            $(($onum, $oname, Fate::Pass),)*
            $(($rnum, $rname, Fate::$fate),)*
        ];
    };
}

outcomes! {
    outcomes {
        /// Not for a VIP; untouched.
        NotOurs = 0, "not_ours";
        /// For a VIP, and this node owns the flow.
        Local = 1, "local";
        /// The same, sent here by a peer by a MAC rewrite.
        LocalFromPeer = 2, "local_from_peer";
        /// The same, sent here by a peer in GUE or in IP, now without it.
        Decapsulated = 3, "decapsulated";
        /// Sent to a node by a MAC rewrite.
        ForwardedL2 = 4, "forwarded_l2";
        /// Sent to a node in GUE.
        ForwardedGue = 5, "forwarded_gue";
        /// ARP request for a VIP, answered.
        ArpAnswered = 6, "arp_answered";
        /// ICMP echo request for a VIP, answered.
        EchoAnswered = 7, "echo_answered";
        /// Sent on in GUE, because the flow is not this node's: a second chance.
        AskedGue = 8, "asked_gue";
        /// The same by a MAC rewrite, because GUE would not fit.
        AskedL2 = 9, "asked_l2";
        /// Nobody knows the flow; this node's stack says so to the client.
        Unowned = 10, "unowned";
        /// S-BFD probe of a peer, answered.
        ProbeReflected = 11, "probe_reflected";
        /// Answer of a peer to this node's S-BFD probe, noted.
        ProbeAnswered = 12, "probe_answered";
        /// To be forwarded with its TTL used up; its sender has been told.
        TimeExceededSent = 13, "time_exceeded_sent";
        /// Too large for the way to its node; its sender has been told.
        TooBigSent = 14, "too_big_sent";
        /// Sent to a node in IP.
        ForwardedIpip = 15, "forwarded_ipip";
        /// BFD of a router that this node has a session with; noted, and up to the agent.
        BfdHeard = 16, "bfd_heard";
        /// BFD echo of such a router, sent back.
        BfdEchoReturned = 17, "bfd_echo_returned";
        /// For a VIP; no node is noted for the flow, but this node's kernel has its connection.
        LocalByKernel = 18, "local_by_kernel";
        /// For a VIP, but for no port of its Services; its sender has been answered by port unreachable.
        PortUnreachableSent = 19, "port_unreachable_sent";
    }
    refusals {
        /// Too short for the header that it announces; not certain to be ours.
        Truncated = 24, "truncated", Pass;
        /// The IP version or header length is not possible.
        BadIpHeader = 25, "bad_ip_header", Pass;
        /// More IPv6 extension headers than are followed.
        TooManyHeaders = 26, "too_many_headers", Pass;
        /// An ICMP echo request to a VIP that is open, not ours to answer or over the rate.
        EchoNotAnswered = 28, "echo_not_answered", Pass;
        /// The agent has not written its configuration yet.
        NotConfigured = 29, "not_configured", Pass;
        /// An ICMP error about a packet from a VIP, but addressed to somebody else.
        ForeignIcmpError = 30, "foreign_icmp_error", Pass;
        /// For a VIP, but its lengths contradict each other or the frame.
        BadLength = 32, "bad_length", Drop;
        /// For a VIP, but the ring names a slot outside the map.
        NoSlot = 33, "no_slot", Drop;
        /// For a VIP, but nobody can serve it.
        NoLiveNode = 34, "no_live_node", Drop;
        /// For a VIP, but there is no way to its node: the next hop is not resolved.
        NoWay = 35, "no_way", Drop;
        /// To be forwarded, but its TTL or hop limit is used up.
        TtlExpired = 36, "ttl_expired", Drop;
        /// To be forwarded, but too large for the way to its node once encapsulated.
        TooBig = 37, "too_big", Drop;
        /// The driver left no room to encapsulate or could not cut.
        NoHeadroom = 38, "no_headroom", Drop;
        /// GUE from a peer that cannot be read.
        BadGue = 40, "bad_gue", Drop;
        /// GUE from a peer with a packet inside that is for no VIP here.
        InnerNotVip = 41, "inner_not_vip", Drop;
        /// ARP request for a VIP that another node answers.
        ArpNotAnswered = 42, "arp_not_answered", Drop;
        /// Nobody knows the flow, and a node that may own it has just gone silent.
        Orphaned = 43, "orphaned", Drop;
        /// S-BFD from a peer that is not what was sent or asked for.
        BadProbe = 44, "bad_probe", Drop;
        /// S-BFD or GUE from a node's address without a valid tag of the cluster.
        BadTag = 48, "bad_tag", Drop;
        /// Answer of a peer to a probe that is too old, or older than one that was answered.
        StaleProbe = 49, "stale_probe", Drop;
        /// For a VIP, but for no port of its Services.
        UndeclaredPort = 50, "undeclared_port", Drop;
        /// BFD to a port that the agent receives, from no peer of its sessions, or from farther away than that peer.
        BfdStranger = 51, "bfd_stranger", Drop;
        /// An ICMP echo request to a VIP over the rate, or that nobody could be answered: in the stack it would go round.
        EchoDropped = 52, "echo_dropped", Drop;
        /// Nobody in this part of the slot knows the flow; the client's next packet is asked further on.
        Searching = 53, "searching", Drop;
        /// Nobody knows the flow, and its home, which would decide, cannot be told.
        NoHome = 54, "no_home", Drop;
        /// For a VIP, from a client outside the source ranges of its Service.
        SourceRefused = 55, "source_refused", Drop;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_have_their_own_numbers_and_names_and_fit_the_map() {
        for (i, (number, name, _)) in COUNTERS.iter().enumerate() {
            assert!((*number as usize) < capacity::VERDICTS, "{name}");
            for (other, other_name, _) in &COUNTERS[..i] {
                assert!(other < number, "{name} is out of order or not alone with its number");
                assert_ne!(name, other_name);
            }
        }
    }

    #[test]
    fn a_refusal_is_its_row() {
        for refusal in Refusal::ALL {
            let row = COUNTERS.iter().find(|(n, ..)| *n == *refusal as u32).unwrap();
            assert_eq!(row.2, refusal.fate());
        }
    }
}
