//! How a session is configured.

use std::num::NonZeroU32;
use std::time::Duration;

/// What tells a session from the others of this machine; never zero.
pub type Discriminator = NonZeroU32;

/// How fast, and with which roles. Intervals are counted in whole microseconds, from one to what 32 bits hold: what is
/// beyond counts as the nearest that a packet can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionProfile {
    /// Time between two packets that this side would like to send.
    pub transmit: Duration,
    /// Time between two packets that this side can take.
    pub receive: Duration,
    /// Packets that may be missing before the neighbor takes this side for dead; zero counts as one.
    pub multiplier: u8,
    /// Time between two echo packets, if the neighbor takes them; `None`: none are sent.
    pub echo: Option<Duration>,
    /// Whether the neighbor has to begin.
    pub passive: bool,
}

impl Default for SessionProfile {
    /// 300 ms both ways, three times: what routers do if nobody says otherwise.
    fn default() -> Self {
        let interval = Duration::from_millis(300);
        Self { transmit: interval, receive: interval, multiplier: 3, echo: None, passive: false }
    }
}

/// How far the neighbor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hops {
    /// On the same link: packets arrive with a TTL of 255 (RFC 5881 section 5).
    Single,
    /// Somewhere: packets arrive with at least this TTL (RFC 5883 section 5).
    Multi {
        /// The lowest TTL that is taken.
        minimum_ttl: u8,
    },
}

impl Hops {
    /// The lowest TTL that is taken.
    pub const fn minimum_ttl(self) -> u8 {
        match self {
            Self::Single => 255,
            Self::Multi { minimum_ttl } => minimum_ttl,
        }
    }
}

/// What a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// Its own discriminator.
    pub local: Discriminator,
    /// How far the neighbor is.
    pub hops: Hops,
    /// How fast.
    pub profile: SessionProfile,
    /// Whether it goes on while the control plane is away (the C bit).
    pub control_plane_independent: bool,
    /// Time between two echo packets of the neighbor that this side can loop; zero: it loops none.
    pub echo_receive: Duration,
}
