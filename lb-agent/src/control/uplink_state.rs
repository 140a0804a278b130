//! The observed state of the uplinks.

use std::collections::BTreeSet;

use lb_dataplane::attach::AttachedUplink;

/// The state of the uplinks, as far as the facts of a plan do not hold it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct UplinkState {
    /// The uplinks, for the status.
    pub(super) attached: Vec<AttachedUplink>,
    /// Their problems.
    pub(super) problems: Vec<String>,
    /// Interface and MAC of those that run the program.
    pub(super) carried: BTreeSet<(u32, Option<[u8; 6]>)>,
    pub(super) has_carrier: bool,
    /// A veth on which the program runs in native mode.
    pub(super) native_veth: Option<String>,
}

impl UplinkState {
    /// Returns the state of uplinks that have not been observed yet.
    pub(super) fn of(attached: Vec<AttachedUplink>) -> Self {
        Self { attached, ..Self::default() }
    }

    /// Returns a problem if no other node answers and the uplink may be the reason. `answers` has an item per node.
    pub(super) fn silent_veth(&self, mut answers: impl Iterator<Item = bool>) -> Option<String> {
        let name = self.native_veth.as_ref()?;
        let is_alone = answers.next() == Some(false) && !answers.any(|answers| answers);
        is_alone.then(|| {
            format!(
                "no other node answers, and uplink {name} is a veth in native mode: packets that the program sends are lost \
                 unless the other end of the veth has an XDP program or GRO. Start the agent with --xdp-mode auto"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_native_veth_is_a_problem_if_no_node_answers() {
        let uplinks = UplinkState { native_veth: Some("eth0".into()), ..UplinkState::default() };
        let reports = |answers: &[bool]| uplinks.silent_veth(answers.iter().copied()).is_some();
        assert!(reports(&[false]) && reports(&[false, false]));
        assert!(!reports(&[]) && !reports(&[true]) && !reports(&[false, true]));
        assert_eq!(UplinkState::default().silent_veth([false].into_iter()), None);
    }
}
