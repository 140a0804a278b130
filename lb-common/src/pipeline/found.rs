//! What a packet is, as far as its headers and the table of VIPs say.

use crate::verdict::Refusal;
use crate::wire::bfd as wire_bfd;
use crate::wire::gue;

/// What a look at the IP header and the ports has found. More of it is in the [`super::Packet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Found {
    /// A packet for a VIP.
    Target,
    /// UDP to the port of GUE.
    Gue,
    /// IPv4 or IPv6 right in IP.
    Ipip,
    /// ICMP or ICMPv6 without anything between the headers.
    Icmp,
    /// UDP to the port of the S-BFD reflector.
    Probe,
    /// UDP from that port.
    ProbeAnswer,
    /// UDP to a port of BFD.
    Bfd,
    /// A fragment that is not its packet's first.
    Fragment,
    /// None of our business.
    Nothing,
}

impl Found {
    /// Every one, by its number.
    const ALL: [Self; 9] = [
        Self::Target,
        Self::Gue,
        Self::Ipip,
        Self::Icmp,
        Self::Probe,
        Self::ProbeAnswer,
        Self::Bfd,
        Self::Fragment,
        Self::Nothing,
    ];

    /// As a number, for a function of the kernel; of a refusal, its own and 256.
    #[inline(always)]
    pub const fn to_number(found: Result<Self, Refusal>) -> u32 {
        match found {
            Ok(found) => found as u32,
            Err(refusal) => REFUSED | refusal as u32,
        }
    }

    /// Of [`Found::to_number`].
    ///
    /// # Errors
    /// The refusal of that number.
    #[inline(always)]
    pub fn from_number(number: u32) -> Result<Self, Refusal> {
        if number & REFUSED != 0 {
            return Err(unreadable(number));
        }
        Ok(Self::ALL.get(number as usize).copied().unwrap_or(Self::Nothing))
    }

    /// What UDP is that is for no VIP.
    #[inline(always)]
    pub(super) fn udp(ports: [u8; 4]) -> Self {
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

const REFUSED: u32 = 0x100;

/// The refusals of [`read`].
#[inline(always)]
const fn unreadable(number: u32) -> Refusal {
    const BAD_IP_HEADER: u32 = REFUSED | Refusal::BadIpHeader as u32;
    const TOO_MANY_HEADERS: u32 = REFUSED | Refusal::TooManyHeaders as u32;
    const BAD_LENGTH: u32 = REFUSED | Refusal::BadLength as u32;
    const NOT_CONFIGURED: u32 = REFUSED | Refusal::NotConfigured as u32;
    match number {
        BAD_IP_HEADER => Refusal::BadIpHeader,
        TOO_MANY_HEADERS => Refusal::TooManyHeaders,
        BAD_LENGTH => Refusal::BadLength,
        NOT_CONFIGURED => Refusal::NotConfigured,
        _ => Refusal::Truncated,
    }
}
