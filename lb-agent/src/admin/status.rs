//! Reading of the status: the agent's state, and what the program counts beside it.

use std::collections::BTreeMap;
use std::sync::Arc;

use aya::maps::MapError;
use lb_common::maps::Liveness;
use lb_dataplane::counters::{Counters, VipCount};
use lb_dataplane::layer2::Layer2View;
use lb_model::NodeName;
use lb_pipeline::owner::LivenessState;
use lb_plan::plan::NodeState;
use lb_speaker::BgpStatus;
use lb_speaker::bfd::BfdStatus;
use lb_status::layer2::{self, Layer2Status};
use lb_status::overview::Overview;
use lb_status::status::{NodeLiveness, NodeTraffic, Status, VipTraffic};

use super::AdminState;
use crate::state::AgentState;

/// Reads everything.
///
/// # Errors
/// When the kernel refuses to read a counter.
pub(super) async fn overview(admin: &AdminState) -> Result<Overview, MapError> {
    let view = admin.speaker.view().await;
    let bgp = BgpStatus::of(&view, &admin.agent.borrow().announced);
    Ok(Overview::new(status(admin)?, bgp, BfdStatus::from(&view.bfd), layer2(admin)?))
}

/// Reads the counters beside the announcer's current view.
///
/// # Errors
/// When the kernel refuses to read a counter.
pub(super) fn layer2(admin: &AdminState) -> Result<Layer2Status, MapError> {
    let view = Arc::clone(&admin.layer2.borrow());
    read_layer2(&admin.agent.borrow().node, &view, &admin.maps.counters)
}

/// Reads the program's counters beside a view of the announcer.
///
/// # Errors
/// When the kernel refuses to read a counter.
pub(super) fn read_layer2(
    node: &str,
    view: &Layer2View,
    counters: &Counters,
) -> Result<Layer2Status, MapError> {
    let answered = counters.layer2_answered(view.addresses.iter().map(|it| it.number))?;
    Ok(Layer2Status::new(node, view, |number| answered.get(number as usize).copied().unwrap_or_default()))
}

/// Reads the counters beside the agent's current state.
///
/// # Errors
/// When the kernel refuses to read a counter.
pub(super) fn status(admin: &AdminState) -> Result<Status, MapError> {
    let mut state = AgentState::clone(&admin.agent.borrow());
    show_announcers(&mut state, &admin.layer2.borrow());
    let counters = &admin.maps.counters;
    let own = state.nodes.iter().find(|node| node.is_self);
    Ok(Status {
        outcomes: counters.outcomes()?,
        vip_traffic: vip_traffic(&state, counters)?,
        node_traffic: node_traffic(&state, counters)?,
        liveness: liveness(&state, admin),
        flows: own.map(|node| admin.maps.flows.count(node.index)).unwrap_or_default(),
        state,
    })
}

/// Shows the node that announces each address, and the problems of addresses that no node announces or
/// another host claims.
fn show_announcers(state: &mut AgentState, view: &Layer2View) {
    let announcers: BTreeMap<_, _> = view.addresses.iter().map(|it| (it.address, &it.announcer)).collect();
    for vip in state.services.iter_mut().flat_map(|service| &mut service.vips) {
        // An address that has just been planned is not in the view yet.
        if let Some(announcer) = announcers.get(&vip.address) {
            vip.announcer = announcer.as_deref().map(NodeName::from);
        }
    }
    state.problems.extend(layer2::problems(view));
}

fn vip_traffic(state: &AgentState, counters: &Counters) -> Result<Vec<VipTraffic>, MapError> {
    let numbers = state.services.iter().flat_map(|service| &service.vips).filter_map(|vip| vip.number);
    let counts = counters.vips(numbers.clone())?;
    let traffic = |number| {
        let VipCount { packets, bytes, new_flows, source_refused } = counts.of(number);
        VipTraffic { number, packets, bytes, new_flows: Some(new_flows), source_refused }
    };
    Ok(numbers.map(traffic).collect())
}

fn node_traffic(state: &AgentState, counters: &Counters) -> Result<Vec<NodeTraffic>, MapError> {
    let counts = counters.nodes()?;
    let traffic = |node: &NodeState| {
        let traffic = counts.get(usize::from(node.index)).copied().unwrap_or_default();
        NodeTraffic { number: node.index.into(), packets: traffic.packets, bytes: traffic.bytes }
    };
    Ok(state.nodes.iter().map(traffic).collect())
}

/// Returns the name of a node's liveness state, by its cell.
pub(super) fn liveness_state(cell: Liveness, clock: u32, limit: u32) -> &'static str {
    LivenessState::of(cell, clock, limit).as_str()
}

fn liveness(state: &AgentState, admin: &AdminState) -> Vec<NodeLiveness> {
    if admin.tick.is_zero() {
        return Vec::new();
    }
    let clock = admin.maps.cells.clock();
    let of = |node: &NodeState| {
        let cell = admin.maps.cells.of(node.index);
        let liveness = liveness_state(cell, clock, state.liveness_limit);
        let silent_ms = (admin.tick * cell.silence(clock)).as_millis() as u64;
        NodeLiveness { number: node.index.into(), state: liveness.into(), silent_ms }
    };
    state.nodes.iter().filter(|node| !node.is_self).map(of).collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use lb_model::{Protocol, ServiceName, TrafficPolicy};
    use lb_plan::plan::{ServiceState, VipState};

    use super::*;
    use lb_status::samples::address;

    #[test]
    fn the_announcer_of_a_vip_is_the_one_that_lives() {
        let vip = |last: u8| VipState {
            address: Ipv4Addr::new(192, 0, 2, last).into(),
            port: 80,
            protocol: Protocol::Tcp,
            number: None,
            ring: None,
            announcer: Some("n1".into()),
            source_ranges: None,
        };
        let service = ServiceName { namespace: "shop".into(), name: "web".into() };
        let vips = vec![vip(1), vip(2), vip(3)];
        let service = ServiceState { service, policy: TrafficPolicy::Cluster, affinity: false, vips };
        let mut state = AgentState { services: vec![service], ..AgentState::default() };
        let addresses = vec![address(1, Some("n2"), "standby"), address(2, None, "standby")];
        show_announcers(&mut state, &Layer2View { addresses, ..Layer2View::default() });
        let shown = state.services[0].vips.iter().map(|vip| vip.announcer.as_ref().map(NodeName::as_str));
        assert_eq!(shown.collect::<Vec<_>>(), [Some("n2"), None, Some("n1")]);
        assert_eq!(state.problems, ["no node announces 192.0.2.2; see `fairlead status l2`"]);
    }
}
