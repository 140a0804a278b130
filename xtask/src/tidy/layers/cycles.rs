//! Circles of modules: siblings at any level that use each other, directly or by way of others.
//!
//! An import counts for the two siblings that its ends are in, or are. So a parent may use its children, and
//! a child may use what its parent holds, which is neither sibling's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::modules::{Edge, Modules, Path};

/// Which sibling uses which, with the first import that does.
type Graph<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a Edge>>;

/// One line for each group of siblings in a circle: the shortest circle, and where each of its imports
/// stands.
pub(super) fn of(name: &str, modules: &Modules) -> Vec<String> {
    graphs(modules).iter().flat_map(|(parent, graph)| in_graph(name, parent, graph)).collect()
}

/// Modules that use an item of their parent.
pub(super) fn children_that_use_their_parent(modules: &Modules) -> usize {
    let upward = modules.edges().iter().filter(|edge| {
        edge.from.len() == edge.to.len() + 1 && edge.from.starts_with(&edge.to) && !edge.to.is_empty()
    });
    upward.map(|edge| &edge.from).collect::<BTreeSet<_>>().len()
}

fn graphs(modules: &Modules) -> BTreeMap<&[String], Graph<'_>> {
    let mut graphs: BTreeMap<&[String], Graph<'_>> = BTreeMap::new();
    for edge in modules.edges() {
        let common = edge.from.iter().zip(&edge.to).take_while(|(one, other)| one == other).count();
        if let (Some(from), Some(to)) = (edge.from.get(common), edge.to.get(common)) {
            graphs
                .entry(&edge.from[..common])
                .or_default()
                .entry(from)
                .or_default()
                .entry(to)
                .or_insert(edge);
        }
    }
    graphs
}

fn in_graph(name: &str, parent: &[String], graph: &Graph<'_>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for &start in graph.keys() {
        if seen.contains(start) {
            continue;
        }
        let Some(circle) = shortest(graph, start) else { continue };
        // All that reach this module and are reached by it are one knot, named once.
        let ahead = reachable(graph, start).into_iter();
        let knot: Vec<&str> = ahead.filter(|&other| reachable(graph, other).contains(start)).collect();
        found.push(line(name, parent, graph, &circle, knot.len()));
        seen.extend(knot);
    }
    found
}

/// The shortest way from a module back to it, with both ends.
fn shortest<'a>(graph: &Graph<'a>, start: &'a str) -> Option<Vec<&'a str>> {
    let mut ways = VecDeque::from([vec![start]]);
    let mut visited = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for &next in graph.get(way.last()?).into_iter().flat_map(BTreeMap::keys) {
            let longer: Vec<&str> = way.iter().copied().chain([next]).collect();
            if next == start {
                return Some(longer);
            }
            if visited.insert(next) {
                ways.push_back(longer);
            }
        }
    }
    None
}

fn reachable<'a>(graph: &Graph<'a>, start: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![start];
    while let Some(module) = open.pop() {
        for &next in graph.get(module).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(next) {
                open.push(next);
            }
        }
    }
    found
}

fn line(name: &str, parent: &[String], graph: &Graph<'_>, circle: &[&str], knot: usize) -> String {
    let steps = circle.windows(2).filter_map(|pair| {
        let [from, to] = pair else { return None };
        let edge = graph.get(from)?.get(to)?;
        Some(format!("{from} uses {} ({})", written(&edge.to), edge.place))
    });
    let steps = steps.collect::<Vec<_>>().join(", ");
    let level: String = parent.iter().map(|name| format!("::{name}")).collect();
    let more = if knot > circle.len() - 1 { format!("; {knot} modules in all") } else { String::new() };
    format!("{name}{level}: {steps}{more}")
}

fn written(path: &Path) -> String {
    path.join("::")
}
