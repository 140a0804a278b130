//! The agent and the program.

use crate::facts::{AgentFacts, WhyFacts};
use crate::link::{Cause, ChainLink, LinkName};

/// Returns the link of the agent.
pub(super) fn links(facts: &WhyFacts<'_>) -> Vec<ChainLink> {
    let agent = facts.agent;
    let link = if agent.clock_runs == Some(false) {
        ChainLink::broken(
            LinkName::Agent,
            Cause::ClockFrozen,
            "the probe clock stands still: the agent's liveness thread does not run, so no dead node is detected",
            "restart the agent; if it recurs, check the node for CPU starvation and the agent's log for its watchdog",
        )
    } else if agent.is_stale {
        stale(agent)
    } else {
        let AgentFacts { version, passes, .. } = agent;
        ChainLink::ok(LinkName::Agent, format!("{} runs fairlead {version}, pass {passes}", facts.node))
    };
    vec![link]
}

fn stale(agent: &AgentFacts) -> ChainLink {
    let errors = agent.read_errors.join("; ");
    let fact = if errors.is_empty() {
        "the objects cannot be read: the agent works with what it has read before".to_owned()
    } else {
        format!("the agent works with a last-known-good configuration: {errors}")
    };
    let advice = "correct the object or make the source readable; `fairlead status` lists all errors";
    ChainLink::broken(LinkName::Agent, Cause::StaleConfiguration, fact, advice).degraded()
}

/// Returns the link of the program on the uplinks.
pub(super) fn program(facts: &WhyFacts<'_>) -> ChainLink {
    let agent = facts.agent;
    let uplinks: Vec<_> = agent.uplinks.iter().map(|(name, mode)| format!("{name} ({mode})")).collect();
    let uplinks = uplinks.join(", ");
    if let Some(other) = agent.other_programs.first() {
        let advice = "remove it (`ip link set dev IF xdp off`, `bpftool net detach xdp dev IF`), or use another uplink";
        return ChainLink::broken(LinkName::Program, Cause::OtherProgram, other.clone(), advice);
    }
    if let Some(problem) = agent.uplink_problems.first() {
        let advice = "see `fairlead status` and the agent's log; `fairlead doctor` checks the node";
        return ChainLink::broken(LinkName::Program, Cause::NotAttached, problem.clone(), advice);
    }
    if agent.is_ready {
        ChainLink::ok(LinkName::Program, format!("on {uplinks}"))
    } else {
        let fact = format!("on {uplinks}, but the node is not ready: it withdraws its routes");
        let advice =
            "check the carrier of the uplinks, and the next hops of the other nodes in `fairlead status`";
        ChainLink::broken(LinkName::Program, Cause::NotReady, fact, advice)
    }
}
