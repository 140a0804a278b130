//! The output of `fairlead agent --dry-run`.

use std::fmt::Write;

use comfy_table::Table;
use lb_api::problem::Severity;
use lb_dataplane::attach::AttachMode;

use super::super::table::table;
use lb_status::preview::{AgentPreview, UplinkAction, UplinkPreview};
use lb_status::text::{dash, first_few};

/// The number of routes and addresses that are listed; JSON has all.
const LISTED: usize = 15;

/// Renders the preview; with `is_full`, each map operation.
pub(super) fn render(preview: &AgentPreview, is_full: bool) -> String {
    let mut screen = String::new();
    preview.failed.iter().for_each(|failed| line(&mut screen, &format!("failed  {failed}")));
    for problem in &preview.problems {
        let severity = match problem.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Notice => "note",
        };
        line(&mut screen, &format!("{severity}: {problem}"));
    }
    preview.notes.iter().for_each(|note| line(&mut screen, &format!("note: {note}")));
    line(&mut screen, &format!("dry run of the agent of node {}: nothing was changed", preview.node));
    section(&mut screen, uplinks(preview), 0);
    section(&mut screen, maps(preview), 0);
    if is_full {
        section(&mut screen, operations(preview), 0);
    }
    section(&mut screen, peers(preview), 0);
    section(&mut screen, routes(preview), preview.routes.len().saturating_sub(LISTED));
    section(&mut screen, addresses(preview), preview.addresses.len().saturating_sub(LISTED));
    screen
}

fn line(screen: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(screen, "{text}");
}

/// Adds a table, unless it is empty, and the number of rows that it lacks.
fn section(screen: &mut String, table: Table, more: usize) {
    if table.row_count() > 0 {
        line(screen, &format!("\n{}", table.trim_fmt()));
        if more > 0 {
            line(screen, &format!("and {more} more (-o json)"));
        }
    }
}

fn uplinks(preview: &AgentPreview) -> Table {
    let mut lines = table(["UPLINK", "MODE", "NOW", "ACTION"], &[]);
    for uplink in &preview.uplinks {
        lines.add_row([
            uplink.interface.clone(),
            mode(uplink),
            now(uplink),
            action(uplink.action).to_owned(),
        ]);
    }
    lines
}

fn mode(uplink: &UplinkPreview) -> String {
    let mode = uplink.mode.map(AttachMode::as_str);
    mode.unwrap_or("native, generic if the driver refuses").to_owned()
}

fn now(uplink: &UplinkPreview) -> String {
    match (uplink.action, uplink.program) {
        (UplinkAction::Wait, _) => "no such interface".to_owned(),
        (_, None) => "no XDP program".to_owned(),
        (UplinkAction::Refuse, Some((id, mode))) => format!("another program (ID {id}, {})", mode.as_str()),
        (_, Some((id, mode))) => format!("program of Fairlead (ID {id}, {})", mode.as_str()),
    }
}

fn action(action: UplinkAction) -> &'static str {
    match action {
        UplinkAction::Attach => "attach",
        UplinkAction::Adopt => "adopt",
        UplinkAction::Reattach => "attach again in this mode",
        UplinkAction::Refuse => "none: the agent would not start",
        UplinkAction::Wait => "attach when it appears",
    }
}

fn maps(preview: &AgentPreview) -> Table {
    let mut lines = table(["MAP", "WRITE", "REMOVE", "RESET"], &[1, 2, 3]);
    for (map, changes) in &preview.maps {
        let counts = [changes.written, changes.removed, changes.reset];
        let [written, removed, reset] =
            counts.map(|count| if count == 0 { dash() } else { count.to_string() });
        lines.add_row([(*map).to_owned(), written, removed, reset]);
    }
    if preview.maps.is_empty() {
        lines.add_row(["all as planned".to_owned(), dash(), dash(), dash()]);
    }
    lines
}

fn operations(preview: &AgentPreview) -> Table {
    let mut lines = table(["OPERATION", "MAP", "ENTRY"], &[]);
    for operation in &preview.operations {
        lines.add_row([operation.kind.to_string(), operation.map.to_owned(), operation.entry.clone()]);
    }
    lines
}

fn peers(preview: &AgentPreview) -> Table {
    let mut lines = table(["BGP PEER", "ADDRESS", "ASN", "BFD", "ROUTES"], &[4]);
    for (name, peer) in &preview.peers {
        let bfd = if peer.bfd { "yes".to_owned() } else { dash() };
        lines.add_row([name.clone(), peer.at.clone(), peer.remote_as.clone(), bfd, peer.routes.to_string()]);
    }
    lines
}

fn routes(preview: &AgentPreview) -> Table {
    let mut lines = table(["ROUTE", "COMMUNITIES", "LOCAL PREF", "TO"], &[]);
    for route in preview.routes.iter().take(LISTED) {
        let communities = if route.communities.is_empty() { dash() } else { route.communities.join(" ") };
        lines.add_row([
            route.prefix.clone(),
            communities,
            route.local_pref.map_or_else(dash, |it| it.to_string()),
            first_few(route.peers.iter().cloned(), " "),
        ]);
    }
    lines
}

fn addresses(preview: &AgentPreview) -> Table {
    let mut lines = table(["L2 ADDRESS", "POOL", "RANK", "UPLINKS"], &[]);
    for it in preview.addresses.iter().take(LISTED) {
        let rank = format!("{} of {}", it.rank, it.ranks);
        lines.add_row([it.address.to_string(), it.pool.clone(), rank, it.uplinks.join(" ")]);
    }
    lines
}
