//! Times in which this process did not run, for so long that other nodes have taken over what it announces.

use std::time::Duration;

use crate::bfd::{AgentCells, monotonic};

/// Watches for such times.
#[derive(Debug)]
pub(super) struct AbsenceWatch {
    cells: AgentCells,
    /// Time without a sign of life after which this node counts as abandoned.
    limit: Duration,
    last: Duration,
}

impl AbsenceWatch {
    pub(super) fn new(cells: AgentCells, limit: Duration) -> Self {
        Self { cells, limit, last: monotonic() }
    }

    /// Returns whether this process has been away since the last call, for longer than the limit and while
    /// others probed this node.
    pub(super) fn was_away(&mut self) -> bool {
        let now = monotonic();
        let left = std::mem::replace(&mut self.last, now);
        if self.limit.is_zero() || now.saturating_sub(left) < self.limit {
            return false;
        }
        // Others that probed it later than that have heard that it is absent.
        is_abandoned_since(left, self.limit, self.cells.probed())
    }
}

/// Returns whether others have probed this node after it was abandoned.
fn is_abandoned_since(left: Duration, limit: Duration, probed: Duration) -> bool {
    probed >= left.saturating_add(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_abandoned_if_others_are_there_at_the_limit() {
        let at = Duration::from_secs;
        assert!(is_abandoned_since(at(5), at(10), at(16)));
        assert!(!is_abandoned_since(at(5), at(10), at(14)), "they were away, too");
        assert!(!is_abandoned_since(at(5), at(10), at(0)), "there were no others");
    }
}
