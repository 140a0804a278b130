//! The addresses that nodes announce on the local network as one screen: this node's standing, the addresses
//! with their announcers, then hosts outside the cluster that claim one.

use std::fmt::Write;

use lb_dataplane::layer2::RankState;

use crate::layer2::Layer2Status;
use crate::table::table;
use crate::text::{dash, first_few, time};

/// Renders the addresses.
pub fn render(status: &Layer2Status) -> String {
    let mut screen = format!(
        "node {}   standing {}   announcements {}, {} in defense of an address\n\n",
        status.node,
        standing(&status.standing),
        status.announcements,
        status.defended,
    );
    let _ = writeln!(screen, "{}", addresses(status));
    if let Some(strangers) = strangers(status) {
        let _ = write!(
            screen,
            "\nother hosts claim addresses: find each by its MAC address, or remove the address from its pool\n\n\
             {strangers}\n"
        );
    }
    screen
}

/// Returns a standing with what it means.
fn standing(name: &str) -> String {
    match name {
        "stable" => "stable: announces what ranks this node first".into(),
        "returned" => "returned: announces what no stable node can".into(),
        "ready" => "ready: becomes stable with the nodes that returned with it".into(),
        "absent" => "absent: announces nothing".into(),
        other => other.into(),
    }
}

fn addresses(status: &Layer2Status) -> comfy_table::Table {
    let header = [
        "ADDRESS",
        "SERVICES",
        "ANNOUNCER",
        "THIS NODE",
        "RANKS",
        "SINCE",
        "TAKEOVERS",
        "ANSWERED",
        "LAST ANNOUNCEMENT",
    ];
    let mut table = table(header, &[5, 6, 7, 8]);
    for address in &status.addresses {
        let view = &address.view;
        table.add_row([
            view.address.to_string(),
            first_few(view.services.iter().cloned(), ", "),
            view.announcer.clone().unwrap_or_else(dash),
            view.phase.to_string(),
            first_few(view.ranks.iter().map(rank), ", "),
            view.since_ms.map_or_else(dash, |it| time(it / 1000)),
            view.takeovers.to_string(),
            address.answered.to_string(),
            view.last_announcement_ms.map_or_else(dash, ago),
        ]);
    }
    table
}

/// Returns a node with its state, and with its standing unless that is stable.
fn rank(rank: &RankState) -> String {
    let RankState { node, state, standing } = rank;
    match &**standing {
        "stable" => format!("{node} {state}"),
        standing => format!("{node} {state} ({standing})"),
    }
}

fn strangers(status: &Layer2Status) -> Option<comfy_table::Table> {
    let mut table = table(["ADDRESS", "MAC", "INTERFACE", "CLAIMS", "LAST CLAIM", "POOL"], &[3, 4]);
    for view in status.addresses.iter().map(|it| &it.view) {
        for stranger in &view.strangers {
            table.add_row([
                view.address.to_string(),
                stranger.mac.clone(),
                stranger.interface.clone(),
                stranger.claims.to_string(),
                ago(stranger.last_ms),
                view.pool.clone(),
            ]);
        }
    }
    (table.row_count() > 0).then_some(table)
}

fn ago(milliseconds: u64) -> String {
    format!("{} ago", time(milliseconds / 1000))
}

#[cfg(test)]
mod tests {
    use crate::samples::{address, layer2_status, stranger};

    use super::*;

    #[test]
    fn an_address_is_a_line_with_its_announcer_and_ranks() {
        let mut taken = address(1, Some("n1"), "announcing");
        taken.ranks[0].standing = "returned".into();
        taken.ranks[1].state = "dead".into();
        let mut lost = address(2, None, "standby");
        (lost.since_ms, lost.last_announcement_ms) = (None, None);
        let screen = render(&layer2_status(vec![taken, lost]));
        assert!(screen.starts_with("node n1   standing stable: announces "), "{screen}");
        let words =
            |line: usize| screen.lines().nth(line).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        let expected =
            "192.0.2.1 shop/web n1 announcing n1 alive (returned), n2 dead 1 min 1 s 3 100 5 s ago";
        assert_eq!(words(3), expected);
        assert_eq!(words(4), "192.0.2.2 shop/web - standby n1 alive, n2 alive - 3 200 -");
        assert!(!screen.contains("MAC"), "{screen}");
    }

    #[test]
    fn other_hosts_that_claim_an_address_follow() {
        let mut claimed = address(1, Some("n1"), "announcing");
        claimed.strangers.push(stranger(7, 61_000));
        let screen = render(&layer2_status(vec![claimed]));
        let line = screen.lines().last().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(line, "192.0.2.1 02:00:00:00:00:07 eth0 2 1 min 1 s ago metallb-system/lan");
        assert!(screen.contains("find each by its MAC address"), "{screen}");
    }
}
