//! The subcommand `fairlead flow`.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use form_urlencoded::Serializer;
use hyper::Method;
use lb_explain::flow::{FlowView, RankedNode, SlotView};

use crate::client::{self, AdminClientError};
use crate::common::SocketArgs;
use lb_status::output::{self, OutputError, OutputFormat};

/// The arguments of `fairlead flow`.
#[derive(Debug, Args)]
pub struct FlowArgs {
    /// Client: an address, or an address and port. Without the port, the nodes of all its flows are shown.
    #[arg(value_name = "CLIENT[:PORT]", value_parser = endpoint)]
    client: Endpoint,
    /// VIP: an address, or an address and port. The port may be left out if the address has only one.
    #[arg(value_name = "VIP[:PORT]", value_parser = endpoint)]
    vip: Endpoint,
    /// Protocol of the VIP's port; by default, the one that it has, or TCP.
    #[arg(value_enum)]
    protocol: Option<FlowProtocol>,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "table")]
    output: OutputFormat,
    #[command(flatten)]
    socket: SocketArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FlowProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// An address with or without a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Endpoint {
    address: IpAddr,
    port: Option<u16>,
}

/// The reason why a flow cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum FlowCommandError {
    /// The agent does not answer, or knows no such VIP.
    #[error(transparent)]
    Client(#[from] AdminClientError),
    /// The output cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    if let Ok(endpoint) = text.parse::<SocketAddr>() {
        return Ok(Endpoint { address: endpoint.ip(), port: Some(endpoint.port()) });
    }
    let address = text.trim_matches(['[', ']']).parse();
    let error = |_| format!("{text} is no address; write 192.0.2.1, 192.0.2.1:80 or [2001:db8::1]:80");
    address.map(|address| Endpoint { address, port: None }).map_err(error)
}

/// Asks the agent for the nodes of a flow, and prints them.
///
/// # Errors
/// When the request fails, or the output cannot be written.
pub fn run(args: &FlowArgs) -> Result<ExitCode, FlowCommandError> {
    let mut query = Serializer::new(String::new());
    query.append_pair("client", &args.client.address.to_string());
    query.append_pair("vip", &args.vip.address.to_string());
    let protocol = args.protocol.and_then(|it| Some(it.to_possible_value()?.get_name().to_owned()));
    let optional = [
        ("client_port", args.client.port.map(|port| port.to_string())),
        ("port", args.vip.port.map(|port| port.to_string())),
        ("protocol", protocol),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    }
    let path = format!("/flow?{}", query.finish());
    let body = client::request(&args.socket.socket, &Method::GET, &path)?;
    let view: FlowView = serde_json::from_slice(&body).map_err(AdminClientError::from)?;
    let text = match args.output.document(&view)? {
        Some(document) => document,
        None => render(&view),
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn render(view: &FlowView) -> String {
    let mut screen = String::new();
    let _ = writeln!(screen, "{} → {}, as seen by {}\n", view.client, view.vip, view.node);
    match &view.slot {
        Some(slot) => slot_lines(&mut screen, slot),
        None => {
            let _ =
                writeln!(screen, "its flows spread over the nodes: name the client's port to see one flow\n");
        }
    }
    for verdict in &view.verdicts {
        let node = verdict.node.as_ref().map(|node| format!(" → {node}")).unwrap_or_default();
        let dropped = if verdict.dropped { " (dropped)" } else { "" };
        let packet = if verdict.packet == "first" { "new flow" } else { "open flow" };
        let _ = writeln!(screen, "{packet:<11} {}{node}{dropped}", verdict.verdict);
    }
    if view.slot.is_some() {
        let entry = view.entry.as_ref().map_or_else(
            || "no entry".to_owned(),
            |it| {
                format!(
                    "{}, owned by {}, last seen {} s ago or less",
                    it.state,
                    it.node,
                    (u32::from(it.age_units) + 1) * 18
                )
            },
        );
        let _ = writeln!(screen, "{:<11} {entry}", "flow table");
    }
    let total: usize = view.distribution.values().sum();
    let shares = view
        .distribution
        .iter()
        .map(|(node, slots)| format!("{node} {:.1} %", 100.0 * *slots as f64 / total.max(1) as f64));
    let what = if view.slot.is_some() { "ring" } else { "new flows" };
    let _ = writeln!(screen, "{what:<11} {}", shares.collect::<Vec<_>>().join(", "));
    screen
}

fn slot_lines(screen: &mut String, slot: &SlotView) {
    let place = slot.number.saturating_sub(slot.first);
    let _ = writeln!(screen, "{:<11} {place} of {} (lb_rings {})", "slot", slot.of, slot.number);
    let one = |node: &Option<RankedNode>| node.as_ref().map_or_else(|| "none".to_owned(), ranked);
    let many = |nodes: &[RankedNode]| nodes.iter().map(ranked).collect::<Vec<_>>().join(", ");
    let _ = writeln!(screen, "{:<11} {}", "leader", one(&slot.leader));
    for (name, nodes) in [("successors", &slot.successors), ("former", &slot.former)] {
        if !nodes.is_empty() {
            let _ = writeln!(screen, "{name:<11} {}", many(nodes));
        }
    }
    let _ = writeln!(screen, "{:<11} {}", "served by", one(&slot.candidate));
    if let Some(mac) = slot.candidate.as_ref().and_then(|node| node.next_hop.as_ref()) {
        let _ = writeln!(screen, "{:<11} {mac}", "next hop");
    }
}

fn ranked(node: &RankedNode) -> String {
    format!("{} ({}, {})", node.name, node.state, node.forwarding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_may_have_a_port() {
        let parsed = |text: &str| endpoint(text).map(|it| (it.address.to_string(), it.port));
        assert_eq!(parsed("192.0.2.1:80"), Ok(("192.0.2.1".into(), Some(80))));
        assert_eq!(parsed("[2001:db8::1]:80"), Ok(("2001:db8::1".into(), Some(80))));
        assert_eq!(parsed("2001:db8::1"), Ok(("2001:db8::1".into(), None)));
        assert!(parsed("web").is_err());
    }
}
