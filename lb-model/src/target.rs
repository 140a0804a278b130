//! Targets: the nodes that may get new flows and may announce.
//!
//! Rings, announcers and BGP share these rules. A node that stops being a target keeps the flows that it
//! owns, as a draining node does. A ring without targets is served by the best of its other nodes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::node::Node;

/// Label that excludes a node from load balancing, whatever its value (KEP-1143). kubeadm sets it on control
/// planes.
const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// Why a node is excluded from load balancing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exclusion {
    /// Its condition NetworkUnavailable is True: its pods may be unreachable.
    NetworkUnavailable,
    /// It has the label `node.kubernetes.io/exclude-from-external-load-balancers`.
    Labeled,
}

impl Exclusion {
    /// Returns the name that users see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NetworkUnavailable => "condition NetworkUnavailable",
            Self::Labeled => "label node.kubernetes.io/exclude-from-external-load-balancers",
        }
    }
}

/// The rank of a ring member as a target. The best members of a ring, which sort first, get its new flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tier {
    /// The node is excluded from load balancing.
    pub excluded: bool,
    /// All its endpoints are terminating: they still serve, but not for long (KEP-1669).
    pub terminating: bool,
    /// The node drains.
    pub draining: bool,
}

/// Returns why a node is excluded, if it is. `ignore_label` is `--ignore-exclude-lb`.
pub fn exclusion(node: &Node, ignore_label: bool) -> Option<Exclusion> {
    if node.network_unavailable {
        Some(Exclusion::NetworkUnavailable)
    } else if !ignore_label && is_labeled(&node.labels) {
        Some(Exclusion::Labeled)
    } else {
        None
    }
}

fn is_labeled(labels: &BTreeMap<String, String>) -> bool {
    labels.contains_key(EXCLUDE_LABEL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_excluded_by_its_label_or_its_network() {
        let labels = |label: &str| BTreeMap::from([(label.to_owned(), "false".to_owned())]);
        let node = |label, network_unavailable| {
            let mut node = Node::new(vec!["10.0.0.1".parse().unwrap()], labels(label)).unwrap();
            node.network_unavailable = network_unavailable;
            node
        };
        let (labeled, plain) = (node(EXCLUDE_LABEL, false), node("other", false));
        assert_eq!(exclusion(&labeled, false), Some(Exclusion::Labeled));
        assert_eq!(exclusion(&labeled, true), None);
        assert_eq!(exclusion(&plain, false), None);
        let down = node(EXCLUDE_LABEL, true);
        assert_eq!(
            [false, true].map(|ignore| exclusion(&down, ignore)),
            [Some(Exclusion::NetworkUnavailable); 2]
        );
    }

    #[test]
    fn tiers_are_ordered_by_preference() {
        let tier =
            |bits: u8| Tier { excluded: bits & 4 != 0, terminating: bits & 2 != 0, draining: bits & 1 != 0 };
        let tiers: Vec<_> = (0..8).map(tier).collect();
        assert!(tiers.is_sorted());
        assert_eq!(tiers[0], Tier::default());
    }
}
