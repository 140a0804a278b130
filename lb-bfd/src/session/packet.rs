//! Validation of received control packets (RFC 5880, section 6.8.6).

use std::time::Duration;

use lb_common::wire::bfd::{self, Control};

use super::config::SessionConfig;
use crate::state::{BfdState, Diagnostic};

/// A received packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedPacket<'a> {
    /// Payload of the UDP datagram.
    pub bytes: &'a [u8],
    /// TTL or hop limit.
    pub ttl: u8,
    /// Time of arrival, from the driver's origin.
    pub at: Duration,
}

/// Reasons to discard a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Shorter than 24 bytes.
    #[error("packet too short")]
    TooShort,
    /// A version other than 1.
    #[error("unsupported version")]
    Version,
    /// A length field below the minimum or beyond the datagram.
    #[error("bad length field")]
    Length,
    /// Zero detection multiplier.
    #[error("detection multiplier is zero")]
    Multiplier,
    /// Multipoint bit set.
    #[error("multipoint bit is set")]
    Multipoint,
    /// Zero sender discriminator.
    #[error("my discriminator is zero")]
    NoSender,
    /// Zero receiver discriminator in a state that requires one.
    #[error("your discriminator is zero in state Init or Up")]
    NoReceiver,
    /// Discriminator of another session.
    #[error("your discriminator belongs to another session")]
    OtherSession,
    /// Authentication, which is not supported.
    #[error("authentication is not supported: disable it on the peer")]
    Authenticated,
    /// TTL below the minimum.
    #[error("TTL is below the minimum")]
    Ttl,
    /// No session with the sender.
    #[error("no session with the sender")]
    UnknownSession,
}

impl PacketError {
    /// Returns a fixed name, for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::TooShort => "too_short",
            Self::Version => "version",
            Self::Length => "length",
            Self::Multiplier => "multiplier",
            Self::Multipoint => "multipoint",
            Self::NoSender => "no_sender",
            Self::NoReceiver => "no_receiver",
            Self::OtherSession => "other_session",
            Self::Authenticated => "authenticated",
            Self::Ttl => "ttl",
            Self::UnknownSession => "unknown_session",
        }
    }
}

/// The contents of a valid packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ValidPacket {
    pub(super) my_discriminator: u32,
    pub(super) state: BfdState,
    pub(super) diagnostic: Diagnostic,
    pub(super) is_poll: bool,
    pub(super) is_final: bool,
    pub(super) demand: bool,
    pub(super) multiplier: u8,
    pub(super) desired_transmit: Duration,
    pub(super) required_receive: Duration,
    pub(super) required_echo: Duration,
}

/// Parses a control packet and validates it independently of the session.
///
/// # Errors
/// If no session would accept it.
pub(crate) fn parse(bytes: &[u8]) -> Result<Control, PacketError> {
    let head: &[u8; bfd::LENGTH] = bytes.first_chunk().ok_or(PacketError::TooShort)?;
    let packet = Control::from_bytes(head);
    let authenticated = packet.state_and_flags & bfd::AUTHENTICATION != 0;
    let least = if authenticated { bfd::LENGTH + 2 } else { bfd::LENGTH };
    if packet.version_and_diagnostic & bfd::VERSION_MASK != bfd::VERSION {
        return Err(PacketError::Version);
    }
    if usize::from(packet.length) < least || usize::from(packet.length) > bytes.len() {
        return Err(PacketError::Length);
    }
    if packet.multiplier == 0 {
        return Err(PacketError::Multiplier);
    }
    if packet.state_and_flags & bfd::MULTIPOINT != 0 {
        return Err(PacketError::Multipoint);
    }
    if packet.my_discriminator == [0; 4] {
        return Err(PacketError::NoSender);
    }
    let state = BfdState::from_bits(packet.state_and_flags >> 6);
    if packet.your_discriminator == [0; 4] && state >= BfdState::Init {
        return Err(PacketError::NoReceiver);
    }
    Ok(packet)
}

pub(super) fn validate(
    received: &ReceivedPacket<'_>,
    config: &SessionConfig,
) -> Result<ValidPacket, PacketError> {
    let packet = parse(received.bytes)?;
    let receiver = u32::from_be_bytes(packet.your_discriminator);
    if receiver != 0 && receiver != config.local.get() {
        return Err(PacketError::OtherSession);
    }
    if packet.state_and_flags & bfd::AUTHENTICATION != 0 {
        return Err(PacketError::Authenticated);
    }
    if received.ttl < config.hops.minimum_ttl() {
        return Err(PacketError::Ttl);
    }
    let flag = |bit| packet.state_and_flags & bit != 0;
    let [desired_transmit, required_receive, required_echo] = packet.intervals.map(duration);
    Ok(ValidPacket {
        my_discriminator: u32::from_be_bytes(packet.my_discriminator),
        state: BfdState::from_bits(packet.state_and_flags >> 6),
        diagnostic: Diagnostic::from_code(packet.version_and_diagnostic),
        is_poll: flag(bfd::POLL),
        is_final: flag(bfd::FINAL),
        demand: flag(bfd::DEMAND),
        multiplier: packet.multiplier,
        desired_transmit,
        required_receive,
        required_echo,
    })
}

pub(super) fn duration(micros: [u8; 4]) -> Duration {
    Duration::from_micros(u32::from_be_bytes(micros).into())
}

/// Encodes an interval; the maximum if it does not fit.
pub(super) fn micros(duration: Duration) -> [u8; 4] {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX).to_be_bytes()
}
