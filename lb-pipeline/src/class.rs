//! The class of a packet, by its headers and the table of VIPs.

use lb_common::wire::bfd as wire_bfd;
use lb_common::wire::gue;

/// The class of a packet; [`crate::PacketInfo`] has the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum PacketClass {
    /// A packet for a VIP.
    Vip,
    /// UDP to the port of GUE.
    Gue,
    /// IPv4 or IPv6 directly in IP.
    Ipip,
    /// ICMP or ICMPv6 directly behind the IP header.
    Icmp,
    /// UDP to the port of the S-BFD reflector.
    Probe,
    /// UDP from the port of the S-BFD reflector.
    ProbeAnswer,
    /// UDP to a port of BFD.
    Bfd,
    /// A fragment that is not the first.
    Fragment,
    /// Anything else.
    Nothing,
}

impl PacketClass {
    /// Every class, by its number.
    pub(crate) const ALL: [Self; 9] = [
        Self::Vip,
        Self::Gue,
        Self::Ipip,
        Self::Icmp,
        Self::Probe,
        Self::ProbeAnswer,
        Self::Bfd,
        Self::Fragment,
        Self::Nothing,
    ];

    /// The classes by number, in a table whose size is a power of two, so that a mask bounds the index.
    pub(crate) const BY_NUMBER: &'static [Option<Self>; 16] = {
        let mut found = [None; 16];
        let mut number = 0;
        while number < Self::ALL.len() {
            found[number] = Some(Self::ALL[number]);
            number += 1;
        }
        &{ found }
    };

    /// Returns the class of UDP that is for no VIP.
    #[inline(always)]
    pub(crate) fn udp(ports: [u8; 4]) -> Self {
        let [source, destination] = [[ports[0], ports[1]], [ports[2], ports[3]]];
        match (source, destination) {
            (_, gue::PORT) => Self::Gue,
            (_, wire_bfd::SBFD_PORT) => Self::Probe,
            (_, wire_bfd::SINGLE_HOP_PORT | wire_bfd::MULTIHOP_PORT | wire_bfd::ECHO_PORT) => Self::Bfd,
            (wire_bfd::SBFD_PORT, _) => Self::ProbeAnswer,
            _ => Self::Nothing,
        }
    }
}
