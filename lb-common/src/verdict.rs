//! The outcomes and refusals of packets. Each has a number, a name and a fate, so every packet is counted by
//! name.

use crate::maps::capacity;

/// What happens to a refused packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes to this node's stack unmodified: it may not be for a VIP.
    Pass,
    /// It is dropped.
    Drop,
}

/// Defines both enums and their tables from one list.
macro_rules! outcomes {
    (
        outcomes { $($(#[doc = $odoc:literal])* $outcome:ident = $onum:literal, $oname:literal;)* }
        refusals { $($(#[doc = $rdoc:literal])* $refusal:ident = $rnum:literal, $rname:literal, $fate:ident;)* }
    ) => {
        /// How a packet that is not refused is counted: the index in `lb_verdicts`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Outcome { $($(#[doc = $odoc])* $outcome = $onum,)* }

        impl Outcome {
            /// Every outcome.
            pub const ALL: &'static [Self] = &[$(Self::$outcome),*];

            /// By number.
            const BY_NUMBER: &'static [Option<Self>; capacity::VERDICTS] = {
                let mut outcomes = [None; capacity::VERDICTS];
                $(outcomes[$onum] = Some(Self::$outcome);)*
                &{ outcomes }
            };

            /// Returns the outcome with this number.
            #[inline(always)]
            pub const fn from_number(number: u64) -> Option<Self> {
                // A table: the verifier would follow every arm of a `match`. The index is masked: after a
                // comparison the compiler may add another register than the one compared, which the verifier
                // rejects.
                Self::BY_NUMBER[number as usize % capacity::VERDICTS]
            }
        }

        /// Why a packet is refused: the index in `lb_verdicts`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Refusal { $($(#[doc = $rdoc])* $refusal = $rnum,)* }

        impl Refusal {
            /// Every refusal.
            pub const ALL: &'static [Self] = &[$(Self::$refusal),*];

            /// By number.
            const BY_NUMBER: &'static [Option<Self>; capacity::VERDICTS] = {
                let mut refusals = [None; capacity::VERDICTS];
                $(refusals[$rnum] = Some(Self::$refusal);)*
                &{ refusals }
            };

            /// Returns the refusal with this number.
            #[inline(always)]
            pub const fn from_number(number: u64) -> Option<Self> {
                Self::BY_NUMBER[number as usize % capacity::VERDICTS]
            }

            /// Returns what happens to the packet.
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

        /// The meaning of each, in the same order, for the reference page.
        pub const MEANINGS: &[&str] = &[$(concat!($($odoc),*),)* $(concat!($($rdoc),*),)*];
    };
}

outcomes! {
    outcomes {
        /// Not for a VIP; untouched.
        NotOurs = 0, "not_ours";
        /// For a VIP, and this node owns the flow.
        Local = 1, "local";
        /// For a VIP, forwarded to this node by a MAC rewrite, and this node owns the flow.
        LocalFromNode = 2, "local_from_peer";
        /// For a VIP, forwarded to this node in GUE or in IP and decapsulated; this node owns the flow.
        Decapsulated = 3, "decapsulated";
        /// Forwarded to a node by a MAC rewrite.
        ForwardedL2 = 4, "forwarded_l2";
        /// Forwarded to a node in GUE.
        ForwardedGue = 5, "forwarded_gue";
        /// ARP request for a VIP, answered.
        ArpAnswered = 6, "arp_answered";
        /// ICMP echo request for a VIP, answered.
        EchoAnswered = 7, "echo_answered";
        /// Forwarded to the next candidate in GUE, because this node does not know the flow: a second chance.
        AskedGue = 8, "asked_gue";
        /// Forwarded to the next candidate by a MAC rewrite, because GUE would not fit.
        AskedL2 = 9, "asked_l2";
        /// No node knows the flow; this node's stack answers the client (TCP: RST).
        Unowned = 10, "unowned";
        /// S-BFD probe of a node, answered.
        ProbeReflected = 11, "probe_reflected";
        /// Answer of a node to this node's S-BFD probe, recorded.
        ProbeAnswered = 12, "probe_answered";
        /// TTL or hop limit expired on the way to a node; answered with ICMP time exceeded.
        TimeExceededSent = 13, "time_exceeded_sent";
        /// Too large for the path to its node; answered with ICMP packet too big.
        TooBigSent = 14, "too_big_sent";
        /// Forwarded to a node in IP.
        ForwardedIpip = 15, "forwarded_ipip";
        /// BFD of a router with a session here; recorded, and passed to the agent.
        BfdHeard = 16, "bfd_heard";
        /// BFD echo packet of such a router, returned.
        BfdEchoReturned = 17, "bfd_echo_returned";
        /// For a VIP; the flow table does not know the flow, but this node's kernel has its connection.
        LocalByKernel = 18, "local_by_kernel";
        /// For a VIP, but for no port of its Services; answered with ICMP port unreachable.
        PortUnreachableSent = 19, "port_unreachable_sent";
        /// Neighbor Solicitation for a VIP, answered.
        NdpAnswered = 20, "ndp_answered";
        /// BFD of a router with a session here, answered because the agent sends nothing.
        BfdAnswered = 21, "bfd_answered";
    }
    refusals {
        /// Shorter than its headers announce; not certain to be for a VIP.
        Truncated = 24, "truncated", Pass;
        /// Invalid IP version or header length.
        BadIpHeader = 25, "bad_ip_header", Pass;
        /// More IPv6 extension headers than the program parses.
        TooManyHeaders = 26, "too_many_headers", Pass;
        /// ICMP echo request that is not answered, to a VIP whose undeclared ports pass (`--undeclared-ports
        /// pass`).
        EchoNotAnswered = 28, "echo_not_answered", Pass;
        /// The agent has not written its configuration yet.
        NotConfigured = 29, "not_configured", Pass;
        /// ICMP error about a packet from a VIP, but addressed to another host.
        ForeignIcmpError = 30, "foreign_icmp_error", Pass;
        /// For a VIP, but its lengths contradict each other or the frame.
        BadLength = 32, "bad_length", Drop;
        /// For a VIP, but the ring names a slot outside the map.
        NoSlot = 33, "no_slot", Drop;
        /// For a VIP, but no live node serves it.
        NoLiveNode = 34, "no_live_node", Drop;
        /// For a VIP, but the next hop to its node is not resolved.
        NoNextHop = 35, "no_way", Drop;
        /// TTL or hop limit expired on the way to a node, and no ICMP error is due.
        TtlExpired = 36, "ttl_expired", Drop;
        /// Too large for the path to its node once encapsulated, and no ICMP error is due.
        TooBig = 37, "too_big", Drop;
        /// The driver left no headroom to encapsulate, or could not shorten the packet.
        NoHeadroom = 38, "no_headroom", Drop;
        /// GUE from a node with an invalid header.
        BadGue = 40, "bad_gue", Drop;
        /// GUE from a node, whose inner packet is for no VIP of this node.
        InnerNotVip = 41, "inner_not_vip", Drop;
        /// ARP request for a VIP that another node answers.
        ArpNotAnswered = 42, "arp_not_answered", Drop;
        /// No node knows the flow, and a node of its slot died recently: held until its successors are known.
        Hold = 43, "orphaned", Drop;
        /// S-BFD from a node that is no valid probe and answers none of this node's.
        BadProbe = 44, "bad_probe", Drop;
        /// S-BFD or GUE from a node's address without a valid tag of the cluster.
        BadTag = 48, "bad_tag", Drop;
        /// Answer of a node to a probe that is too old, or older than one already answered.
        StaleProbe = 49, "stale_probe", Drop;
        /// For a VIP, but for no port of its Services.
        UndeclaredPort = 50, "undeclared_port", Drop;
        /// BFD to a port of the agent, from no peer of its sessions, or from farther away than that peer.
        BfdUnknownPeer = 51, "bfd_stranger", Drop;
        /// ICMP echo request to a VIP that exceeds the rate or cannot be answered; the stack would only
        /// forward it again.
        EchoDropped = 52, "echo_dropped", Drop;
        /// No candidate in this part of the slot knows the flow; the client's next packet reaches further
        /// ones.
        Searching = 53, "searching", Drop;
        /// No node knows the flow, and its home, which would decide, cannot be reached.
        NoHome = 54, "no_home", Drop;
        /// For a VIP, from a client outside the source ranges of its Service.
        SourceRefused = 55, "source_refused", Drop;
        /// Neighbor Solicitation for a VIP that another node answers.
        NdpNotAnswered = 56, "ndp_not_answered", Drop;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique_and_fit_the_map() {
        for (i, (number, name, _)) in COUNTERS.iter().enumerate() {
            assert!((*number as usize) < capacity::VERDICTS, "{name}");
            for (other, other_name, _) in &COUNTERS[..i] {
                assert!(other < number, "{name} is out of order or shares its number");
                assert_ne!(name, other_name);
            }
        }
    }

    #[test]
    fn each_refusal_has_the_fate_of_its_row() {
        for refusal in Refusal::ALL {
            let row = COUNTERS.iter().find(|(n, ..)| *n == *refusal as u32).unwrap();
            assert_eq!(row.2, refusal.fate());
        }
    }
}
