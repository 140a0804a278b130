//! Whether what configures the load balancer is right.

use lb_api::problem::{Problem, Severity};

/// The kinds that configure the load balancer, and the Secrets that they name.
const KINDS: [&str; 7] =
    ["IPAddressPool", "L2Advertisement", "BGPAdvertisement", "BGPPeer", "BFDProfile", "Community", "Secret"];

/// What is wrong with what configures the load balancer. Services, their endpoints and Nodes do not: what is
/// wrong with one of them is its own matter.
pub fn faults(problems: &[Problem]) -> impl Iterator<Item = &Problem> {
    problems.iter().filter(|problem| {
        let kind = problem.object.as_ref().map(|object| object.kind.as_str());
        problem.severity() == Severity::Error && kind.is_some_and(|kind| KINDS.contains(&kind))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_api::problem::{ObjectRef, Reason};

    fn problem(kind: &str, reason: Reason) -> Problem {
        Problem::about(ObjectRef { kind: kind.into(), namespace: None, name: "a".into() }, reason)
    }

    #[test]
    fn faults_are_errors_of_what_configures() {
        let problems = [
            problem("BGPPeer", Reason::NoKind),
            problem("Service", Reason::NoKind),
            problem("IPAddressPool", Reason::NoServingEndpoint),
            Problem::general(Reason::NoKind),
        ];
        assert_eq!(faults(&problems).collect::<Vec<_>>(), [&problems[0]]);
    }
}
