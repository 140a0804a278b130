//! Long-lived connections whose every byte is checked: how many survive an event.

use fairlead_tests::traffic::TcpReport;

/// Long-lived connections, and how many of them broke.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionCount {
    /// All connections.
    pub all: u32,
    /// Those that broke.
    pub broken: u32,
    /// Those of nodes that the event does not take.
    pub survivors: u32,
    /// Those of them that broke.
    pub survivors_broken: u32,
}

impl ConnectionCount {
    /// Counts the connections of a load; `node_of` names the node of a pod.
    #[must_use]
    pub fn of(report: &TcpReport, node_of: impl Fn(&str) -> Option<String>, taken: Option<&str>) -> Self {
        let mut count = Self::default();
        for connection in &report.connections {
            let broken = u32::from(connection.failure.is_some());
            let node = connection.pod.as_deref().and_then(&node_of);
            count.all += 1;
            count.broken += broken;
            if taken.is_none() || node.as_deref() != taken {
                count.survivors += 1;
                count.survivors_broken += broken;
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fairlead_tests::traffic::report::TcpConnectionReport;
    use fairlead_tests::traffic::{ConnectionFailure, FailureCause, TcpReport};

    use super::*;

    #[test]
    fn connections_of_the_node_that_is_taken_are_no_survivors() {
        let connection = |pod: &str, is_broken: bool| {
            let failure =
                ConnectionFailure { cause: FailureCause::Reset, at: Duration::ZERO, detail: String::new() };
            TcpConnectionReport {
                pod: Some(pod.to_owned()),
                failure: is_broken.then_some(failure),
                ..TcpConnectionReport::default()
            }
        };
        let connections = vec![connection("n1-2", true), connection("n2-2", true), connection("n2-3", false)];
        let report = TcpReport { connections, elapsed: Duration::ZERO };
        let node_of = |pod: &str| pod.split('-').next().map(str::to_owned);
        let count = ConnectionCount::of(&report, node_of, Some("n1"));
        assert_eq!(count, ConnectionCount { all: 3, broken: 2, survivors: 2, survivors_broken: 1 });
        let count = ConnectionCount::of(&report, node_of, None);
        assert_eq!(count, ConnectionCount { all: 3, broken: 2, survivors: 3, survivors_broken: 2 });
    }
}
