//! Configuration of a session.

use std::num::NonZeroU32;
use std::time::Duration;

/// Identifies a session on this node; never zero.
pub type Discriminator = NonZeroU32;

/// Timers and role. Intervals are rounded to whole microseconds and limited to what a packet can encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionProfile {
    /// Desired minimum transmit interval.
    pub transmit: Duration,
    /// Required minimum receive interval.
    pub receive: Duration,
    /// Detection multiplier: packets the peer may miss before it declares this side down; zero counts as one.
    pub multiplier: u8,
    /// Echo interval, if the peer supports echoes; `None` sends none.
    pub echo: Option<Duration>,
    /// Waits for the peer to start.
    pub passive: bool,
}

impl Default for SessionProfile {
    /// Returns the defaults of most routers: 300 ms both ways, multiplier 3.
    fn default() -> Self {
        let interval = Duration::from_millis(300);
        Self { transmit: interval, receive: interval, multiplier: 3, echo: None, passive: false }
    }
}

/// Distance of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hops {
    /// On the same link: packets arrive with a TTL of 255 (RFC 5881, section 5).
    Single,
    /// Several hops away: packets arrive with at least this TTL (RFC 5883, section 5).
    Multi {
        /// Minimum TTL.
        minimum_ttl: u8,
    },
}

impl Hops {
    /// Returns the minimum TTL.
    pub const fn minimum_ttl(self) -> u8 {
        match self {
            Self::Single => 255,
            Self::Multi { minimum_ttl } => minimum_ttl,
        }
    }
}

/// Configuration of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// Local discriminator.
    pub local: Discriminator,
    /// Distance of the peer.
    pub hops: Hops,
    /// Timers and role.
    pub profile: SessionProfile,
    /// Continues while the control plane is down (the C bit).
    pub control_plane_independent: bool,
    /// Required minimum echo receive interval: the fastest echoes of the peer that this side can loop; zero
    /// for none.
    pub echo_receive: Duration,
}
