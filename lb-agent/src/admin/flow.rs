//! The answer to `GET /flow`: the nodes of a flow, by the maps of this node.

use std::net::{IpAddr, SocketAddr};

use lb_dataplane::mapped_tables::FlowTable;
use lb_explain::flow::{self, FlowError, FlowQuestion, FlowView, LiveMaps, NodeNames};
use lb_model::Protocol;

use super::{AdminState, why};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoFlow {
    /// The maps cannot be read.
    #[error("cannot read the maps back; see the agent's log")]
    Maps,
    /// The agent has written no configuration yet.
    #[error("the maps hold no configuration yet: the agent waits for its first read of the objects")]
    NotConfigured,
    /// There is no such VIP.
    #[error(
        "{0} is no VIP on this node; `fairlead status` lists them, and `fairlead why` explains what is missing"
    )]
    NotAVip(SocketAddr),
    /// Client and VIP are of different families.
    #[error("client and VIP are of different IP versions")]
    Families,
    /// Several Services share the address, and no port is given.
    #[error("name a port of {0}: {1}")]
    NoPort(IpAddr, String),
}

/// What is asked: the port may be left out if the address has only one.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlowQuery {
    pub(super) client: IpAddr,
    pub(super) client_port: Option<u16>,
    pub(super) vip: IpAddr,
    pub(super) port: Option<u16>,
    pub(super) protocol: Option<Protocol>,
}

/// Answers a question about a flow.
///
/// # Errors
/// When there is no such VIP, or the maps cannot be read.
pub(super) async fn flow(admin: &AdminState, query: FlowQuery) -> Result<FlowView, NoFlow> {
    let contents = why::read_back(admin).await.ok_or(NoFlow::Maps)?;
    let agent = admin.agent.borrow().clone();
    let names: NodeNames = agent.nodes.iter().map(|node| (node.index, node.name.to_string())).collect();
    let (port, protocol) = port(&agent.services, query)?;
    let vip = SocketAddr::new(query.vip, port);
    let question = FlowQuestion { client: query.client, client_port: query.client_port, vip, protocol };
    let live = LiveMaps {
        liveness: &|node| admin.maps.cells.of(node),
        clock: admin.maps.cells.clock(),
        flow_age: FlowTable::age_clock(),
        flow_set: &|number| admin.maps.flows.set(number),
    };
    flow::flow(&contents, &live, &names, &question).map_err(|error| match error {
        FlowError::NotConfigured => NoFlow::NotConfigured,
        FlowError::NotAVip => NoFlow::NotAVip(vip),
        FlowError::Families => NoFlow::Families,
    })
}

/// Returns the port that is asked about, with its protocol: TCP unless only another has it.
fn port(services: &[lb_plan::plan::ServiceState], query: FlowQuery) -> Result<(u16, Protocol), NoFlow> {
    let vips = services.iter().flat_map(|service| &service.vips).filter(|vip| vip.address == query.vip);
    let fits = |vip: &&lb_plan::plan::VipState| {
        query.port.is_none_or(|port| port == vip.port)
            && query.protocol.is_none_or(|protocol| protocol == vip.protocol)
    };
    let fitting: Vec<_> = vips.filter(fits).map(|vip| (vip.port, vip.protocol)).collect();
    let is_tcp = |it: &&(u16, Protocol)| it.1 == Protocol::Tcp;
    match (&fitting[..], query.port) {
        ([only], _) => Ok(*only),
        ([], port) => Err(NoFlow::NotAVip(SocketAddr::new(query.vip, port.unwrap_or(0)))),
        (several, Some(_)) => {
            Ok(*several.iter().find(is_tcp).or(several.first()).unwrap_or(&(0, Protocol::Tcp)))
        }
        (several, None) => {
            let ports = several.iter().map(|(port, protocol)| format!("{port}/{}", protocol.name()));
            Err(NoFlow::NoPort(query.vip, ports.collect::<Vec<_>>().join(", ")))
        }
    }
}
