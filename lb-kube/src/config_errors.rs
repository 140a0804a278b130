//! The errors in the load balancer's configuration.

use std::sync::Arc;

use lb_api::kind::ObjectKind;
use lb_api::problem::{ObjectRef, Problem, Severity};

/// The errors in the load balancer's configuration, a sentence each. Services, their endpoints and Nodes are
/// not part of it: an error in one of them concerns that object only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigErrors {
    /// Errors in address pools.
    pub pools: Arc<[String]>,
    /// Errors in all other kinds.
    pub others: Arc<[String]>,
}

impl ConfigErrors {
    /// Selects the configuration errors among problems of all kinds.
    pub fn of<'a>(problems: impl Iterator<Item = &'a Problem> + Clone) -> Self {
        let errors = || problems.clone().filter(|problem| problem.severity() == Severity::Error);
        let is_pool = |it: &&Problem| is_of(it, ObjectKind::IP_ADDRESS_POOL);
        let is_other = |it: &&Problem| !is_pool(it) && is_configuration(it);
        Self {
            pools: errors().filter(is_pool).map(ToString::to_string).collect(),
            others: errors().filter(is_other).map(ToString::to_string).collect(),
        }
    }
}

/// Returns whether a problem is about an object that configures the load balancer.
pub fn is_configuration(problem: &Problem) -> bool {
    problem.object.as_ref().is_some_and(ObjectRef::is_configuration) || is_of(problem, ObjectKind::SECRET)
}

fn is_of(problem: &Problem, kind: ObjectKind) -> bool {
    problem.object.as_ref().is_some_and(|object| object.is(kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_api::problem::{ReadReason, Reason};

    fn problem(kind: &str, reason: impl Into<Reason>) -> Problem {
        Problem::about(ObjectRef { kind: kind.into(), namespace: None, name: "a".into() }, reason)
    }

    #[test]
    fn config_errors_are_errors_in_configuration_kinds() {
        let problems = [
            problem("BGPPeer", ReadReason::NoKind),
            problem("Service", ReadReason::NoKind),
            problem("IPAddressPool", Reason::NoServingEndpoint),
            problem("IPAddressPool", Reason::EmptyPool),
            Problem::general(ReadReason::NoKind),
        ];
        let expected = ConfigErrors {
            pools: Arc::new([problems[3].to_string()]),
            others: Arc::new([problems[0].to_string()]),
        };
        assert_eq!(ConfigErrors::of(problems.iter()), expected);
    }
}
