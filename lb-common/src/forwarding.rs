//! Forwarding modes: how a packet is carried to another node.

use core::fmt;
use core::str::FromStr;

/// How a packet is carried to another node. The number is [`crate::maps::Node::mode`], where 0 says that
/// there is no next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ForwardingMode {
    /// New MAC addresses; the node is on-link.
    L2 = 1,
    /// GUE.
    Gue = 2,
    /// IP in IP (RFC 2003, RFC 4213; RFC 2473). It has no room for the list of nodes asked, so second chances
    /// go in GUE.
    Ipip = 3,
}

impl ForwardingMode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::L2, Self::Gue, Self::Ipip];

    /// The mode of a number; `None` where there is no next hop.
    #[inline(always)]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::L2,
            2 => Self::Gue,
            3 => Self::Ipip,
            _ => return None,
        })
    }

    /// Its name, in options, status and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::L2 => "l2",
            Self::Gue => "gue",
            Self::Ipip => "ipip",
        }
    }
}

impl fmt::Display for ForwardingMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// There is no forwarding mode of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownForwardingMode;

impl fmt::Display for UnknownForwardingMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown forwarding mode; expected one of")?;
        ForwardingMode::ALL.iter().try_for_each(|mode| write!(f, " {mode}"))
    }
}

impl core::error::Error for UnknownForwardingMode {}

impl FromStr for ForwardingMode {
    type Err = UnknownForwardingMode;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name).ok_or(UnknownForwardingMode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_its_number_and_its_name() {
        for number in 0..=u8::MAX {
            let mode = ForwardingMode::from_number(number);
            assert!(mode.is_none_or(|mode| mode as u8 == number && ForwardingMode::ALL.contains(&mode)));
        }
        for mode in ForwardingMode::ALL {
            assert_eq!(ForwardingMode::from_number(mode as u8), Some(mode));
            assert_eq!(mode.as_str().parse(), Ok(mode));
        }
        assert_eq!("gre".parse::<ForwardingMode>(), Err(UnknownForwardingMode));
    }
}
