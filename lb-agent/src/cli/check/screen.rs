//! What was found, as one screen: what is wrong first, then what would come of it.

use std::fmt::Write;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use lb_api::problem::Problem;
use lb_plan::forecast::{Forecast, ServiceForecast};
use lb_plan::model::NodeName;

/// For programs.
pub(super) fn json(found: &Forecast) -> String {
    serde_json::to_string_pretty(found).unwrap_or_default()
}

/// For people.
pub(super) fn render(found: &Forecast) -> String {
    let mut screen = String::new();
    for (mark, problems) in [("error", &found.errors), ("warning", &found.warnings)] {
        for problem in problems {
            tell(&mut screen, mark, problem);
        }
    }
    if !screen.is_empty() {
        screen.push('\n');
    }
    for (table, is_empty) in [
        (pools(found), found.pools.is_empty()),
        (peers(found), found.peers.is_empty()),
        (services(found), found.services.is_empty()),
    ] {
        if !is_empty {
            let _ = writeln!(screen, "{table}\n");
        }
    }
    for assumption in &found.assumptions {
        let _ = writeln!(screen, "note: {assumption}");
    }
    let _ = writeln!(screen, "{}", verdict(found));
    screen
}

/// Place and object on one line, what to do below it.
fn tell(screen: &mut String, mark: &str, problem: &Problem) {
    let place = match (&problem.source, problem.line) {
        (Some(source), Some(line)) => format!("{source}:{line}: "),
        (Some(source), None) => format!("{source}: "),
        _ => String::new(),
    };
    let object = problem.object.as_ref().map(|object| format!(": {object}")).unwrap_or_default();
    let field = problem.field.as_ref().map(|field| format!(": {field}")).unwrap_or_default();
    let reason = problem.reason.to_string().replace(['\n', '\r'], " ");
    let _ = writeln!(screen, "{place}{mark}{object}{field}\n    {reason}");
}

fn verdict(found: &Forecast) -> String {
    let count = |number: usize, word: &str| match number {
        0 => format!("no {word}s"),
        1 => format!("1 {word}"),
        number => format!("{number} {word}s"),
    };
    format!(
        "{}, {}: {}, {}, {}, {}",
        count(found.errors.len(), "error"),
        count(found.warnings.len(), "warning"),
        count(found.pools.len(), "pool"),
        count(found.peers.len(), "router"),
        count(found.services.len(), "Service"),
        count(found.nodes, "Node"),
    )
}

fn pools(found: &Forecast) -> Table {
    let mut table = table(["POOL", "ADDRESSES", "USED", "FREE", "AUTO", "ANNOUNCED BY"], &[2, 3]);
    for pool in &found.pools {
        let usage = &pool.usage;
        let mut by: Vec<String> = pool.by_bgp.iter().map(|name| format!("BGP {name}")).collect();
        if pool.by_l2 {
            by.insert(0, "L2".to_owned());
        }
        table.add_row([
            pool.name.name.clone(),
            few(&pool.ranges),
            usage.assigned_ipv4.saturating_add(usage.assigned_ipv6).to_string(),
            usage.available_ipv4.saturating_add(usage.available_ipv6).to_string(),
            (if pool.auto_assign { "yes" } else { "no" }).to_owned(),
            if by.is_empty() { "nobody".to_owned() } else { few(&by) },
        ]);
    }
    table
}

fn peers(found: &Forecast) -> Table {
    let mut table = table(["ROUTER", "AT", "OUR AS", "ITS AS", "BFD", "NODES"], &[2, 3]);
    for peer in &found.peers {
        table.add_row([
            peer.name.clone(),
            peer.router.clone(),
            peer.my_asn.to_string(),
            peer.peer_asn.clone(),
            (if peer.bfd { "yes" } else { "no" }).to_owned(),
            nodes(&peer.nodes, found),
        ]);
    }
    table
}

fn services(found: &Forecast) -> Table {
    let mut table = table(["SERVICE", "ADDRESS", "POOL", "L2 FROM ONE OF", "BGP TO (FROM)"], &[]);
    for service in &found.services {
        let addresses: Vec<String> = service.addresses.iter().map(ToString::to_string).collect();
        table.add_row([
            service.name.to_string(),
            if addresses.is_empty() { "none".to_owned() } else { addresses.join("\n") },
            service.pool.as_ref().map_or_else(|| "-".to_owned(), |pool| pool.name.clone()),
            if service.by_l2 { nodes(&service.l2, found) } else { "-".to_owned() },
            told(service, found),
        ]);
    }
    table
}

fn told(service: &ServiceForecast, found: &Forecast) -> String {
    if service.bgp.is_empty() {
        let silences: Vec<_> = service.silence.iter().map(|silence| silence.label()).collect();
        // That there is no advertisement is no reason where L2 carries it.
        let is_told = silences.is_empty() || (service.by_l2 && silences == ["notOwner"]);
        return if is_told { "-".to_owned() } else { format!("nobody: {}", silences.join(", ")) };
    }
    let lines: Vec<_> =
        service.bgp.iter().map(|(peer, from)| format!("{peer} ({})", nodes(from, found))).collect();
    lines.join("\n")
}

/// The first few, or that it is all.
fn nodes(names: &[NodeName], found: &Forecast) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    match (names.len(), found.nodes) {
        (_, 0) => "?".to_owned(),
        (0, _) => "none".to_owned(),
        (some, all) if some == all && all > 3 => format!("all {all}"),
        _ => few(&names),
    }
}

/// A hundred of them are for `-o json`.
fn few(words: &[String]) -> String {
    const SHOWN: usize = 3;
    let mut shown: Vec<String> = words.iter().take(SHOWN).cloned().collect();
    if words.len() > SHOWN {
        shown.push(format!("and {} more", words.len() - SHOWN));
    }
    shown.join(" ")
}

fn table<const N: usize>(header: [&str; N], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
