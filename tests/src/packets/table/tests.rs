//! Every row on the host's model: the kernel lane's check, without a kernel.

use std::collections::HashMap;

use super::*;
use crate::kernel::INGRESS;
use crate::model;

#[test]
fn every_row_has_its_expected_result_on_the_host() {
    let fixtures: HashMap<_, _> = Fixture::ALL.map(|fixture| (fixture, fixture.tables())).into();
    let mut wrong = Vec::new();
    for row in rows() {
        let tables = &fixtures[&row.fixture];
        tables.forget_flows();
        row.fixture.reset(tables);
        for packet in &row.before {
            model::run(tables, packet, INGRESS);
        }
        let (judged, _) = model::run(tables, &row.packet, INGRESS);
        let noted = tables.state().noted();
        if let Err(differs) = row.expect.check(&row.packet, &judged) {
            wrong.push(format!("{}: {differs}", row.name));
        }
        if row.leaves.as_ref().is_some_and(|flows| *flows != noted) {
            wrong.push(format!("{}: left {noted:?}, not {:?}", row.name, row.leaves));
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
