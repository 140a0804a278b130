//! The cells of `lb_agent`: signs of life, each one 64-bit word in nanoseconds of `CLOCK_MONOTONIC`; zero:
//! none yet.
//!
//! An agent that is gone for longer than its bound ([`Config::agent_limit`]) can update nothing any more. Its
//! node then attracts no traffic that others could take: it announces no address, as long as other nodes show
//! by their probes that they are there.

use super::{Config, capacity};

/// Indices of the cells.
pub mod agent_cell {
    use super::capacity;

    /// When an agent was last alive.
    pub const ALIVE: u32 = 0;
    /// When another node last probed this one.
    pub const PROBED: u32 = 1;

    /// When the agent last sent a packet of the BFD session with this number.
    #[inline(always)]
    pub const fn bfd_sent(number: u16) -> u32 {
        2 + number as u32
    }

    /// Their number.
    pub const COUNT: usize = 2 + capacity::BFD;
}

/// Nanoseconds of a millisecond.
const MILLISECOND: u64 = 1_000_000;

impl Config {
    /// Returns whether the agent is gone and other nodes are to take over what this node announces: `alive`
    /// and `probed` are the cells, `now` is the time. Probes count in half of the limit only: if all agents
    /// end together, the last probe may be later than the last sign of life.
    #[inline(always)]
    pub const fn is_abandoned(&self, alive: u64, probed: u64, now: u64) -> bool {
        let limit = self.agent_limit as u64 * MILLISECOND;
        limit != 0
            && alive != 0
            && now.saturating_sub(alive) >= limit
            && now.saturating_sub(probed) < limit / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_abandoned_when_its_agent_is_gone_and_others_probe_it() {
        let config = Config { agent_limit: 10, ..Config::ZERO };
        let at = |milliseconds: u64| milliseconds * MILLISECOND;
        assert!(config.is_abandoned(at(1), at(7), at(11)));
        assert!(!config.is_abandoned(at(2), at(7), at(11)), "not yet");
        assert!(!config.is_abandoned(at(1), at(2), at(11)), "all agents have ended together");
        assert!(!config.is_abandoned(0, at(11), at(100)), "no agent has started yet");
        assert!(!Config::ZERO.is_abandoned(at(1), at(11), at(11)), "no bound");
        assert!(!config.is_abandoned(at(12), at(11), at(11)), "a cell may be newer than the time");
    }
}
