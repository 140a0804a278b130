//! The cells of `lb_flow_events`: changes of the table of flows.

/// Indices of the cells.
pub mod flow_event {
    use crate::flows::FlowState;

    /// A flow was recorded as another node's.
    pub const DELEGATED: u32 = 0;

    /// Their number: one for each state, too.
    pub const COUNT: usize = 8;

    /// The entry of another flow in this state was evicted; [`FlowState::Closed`] also stands for one that
    /// had been idle for [`crate::flows::STALE`] units.
    #[inline(always)]
    pub const fn evicted(state: FlowState) -> u32 {
        state as u32
    }
}

#[cfg(test)]
mod tests {
    use super::flow_event::{COUNT, DELEGATED, evicted};
    use crate::flows::FlowState;

    #[test]
    fn each_event_has_a_cell_of_its_own() {
        for state in FlowState::ALL {
            assert!(evicted(state) != DELEGATED && (evicted(state) as usize) < COUNT);
        }
    }
}
