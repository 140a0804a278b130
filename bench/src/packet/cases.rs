//! The list of all cases.

use super::case::{Case, CaseSize};
use super::kinds;

/// Returns all cases in the order of the report.
pub fn all() -> Vec<Case> {
    let mut cases: Vec<Case> =
        kinds::bare().into_iter().map(|kind| Case { kind, size: CaseSize::ONE }).collect();
    for kind in kinds::in_every_size() {
        cases.extend([CaseSize::ONE, CaseSize::MANY].map(|size| Case { kind: kind.clone(), size }));
    }
    cases.extend(kinds::of_one_flow().into_iter().map(|kind| Case { kind, size: CaseSize::ONE }));
    for kind in kinds::of_few_flows() {
        cases.push(Case { kind, size: CaseSize::FEW });
    }
    for kind in kinds::of_many_flows() {
        cases.push(Case { kind, size: CaseSize::MANY });
    }
    for kind in kinds::of_many_rings() {
        cases.push(Case { kind, size: CaseSize::MANY_RINGS });
    }
    cases.push(Case { kind: kinds::owner_udp(), size: CaseSize::OVERFULL });
    // The stable sort keeps cases of a kind adjacent in the report.
    let mut names: Vec<&str> = Vec::new();
    for case in &cases {
        if !names.contains(&case.kind.name) {
            names.push(case.kind.name);
        }
    }
    let names = names.clone();
    cases.sort_by_key(|case| (names.iter().position(|name| *name == case.kind.name), case.size.flows));
    cases
}
