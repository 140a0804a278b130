//! Every row of the table of packets, on the host and in the kernel.

use std::collections::{BTreeSet, HashMap};

use anyhow::Result;
use fairlead_tests::kernel::{INGRESS, Kernel};
use fairlead_tests::model::{Action, counter_name};
use fairlead_tests::packets::fixture::Fixture;
use fairlead_tests::packets::oracle::is_foreign;
use fairlead_tests::packets::table::{self, Row};
use fairlead_tests::twin::Twin;
use lb_common::verdict::{COUNTERS, Outcome};

/// Returns the differences of a row, one line for each.
fn judge(pair: &mut Twin, row: &Row) -> Result<Vec<String>> {
    pair.reset()?;
    let heard_before = pair.tables.state().liveness;
    let mut wrong = Vec::new();
    for packet in &row.before {
        wrong.extend(pair.judge(packet)?.2);
    }
    let (host, redirected_to, differs) = pair.judge(&row.packet)?;
    wrong.extend(differs);
    wrong.extend(row.expect.check(&row.packet, &host).err());
    if (host.action == Action::Redirect) != redirected_to.is_some_and(|link| link != INGRESS) {
        wrong.push(format!("{:?} to {redirected_to:?}", host.action));
    }
    let untouched = host.action == Action::Pass && host.bytes == row.packet.bytes;
    if is_foreign(&pair.tables, &row.packet) && !untouched {
        wrong.push(format!("a foreign packet was modified: {host:02x?}"));
    }
    let (state, differs) = pair.state()?;
    wrong.extend(differs);
    let noted = state.noted();
    if row.leaves.as_ref().is_some_and(|flows| *flows != noted) {
        wrong.push(format!("left {noted:?}, not {:?}", row.leaves));
    }
    let routers = row.hears_router;
    if !state.routers_heard.iter().map(|(session, heard)| (*session, *heard)).eq(routers) {
        wrong.push(format!("heard routers {:?}, not {routers:?}", state.routers_heard));
    }
    let mut heard = heard_before;
    if let Some((node, cell)) = row.hears {
        heard[usize::from(node)] = cell;
    }
    if heard != state.liveness {
        wrong.push(format!("heard {:?}, not {heard:?}", state.liveness));
    }
    Ok(wrong)
}

#[test]
fn host_kernel_and_table_agree() -> Result<()> {
    let mut pairs = HashMap::new();
    for fixture in Fixture::ALL {
        pairs.insert(fixture, Twin::new(fixture)?);
    }
    let mut rows = table::rows();
    let mut kernel = Kernel::load(&Fixture::Standard.tables())?;
    let mut leave_out = |runs: bool, what: &str, is_left: &dyn Fn(&Row) -> bool| {
        let all = rows.len();
        rows.retain(|row| runs || is_left(row));
        if rows.len() < all {
            println!("{} rows left out: this kernel runs no test on packets {what}", all - rows.len());
        }
    };
    leave_out(kernel.splits(), "that are split", &|row| row.packet.is_whole());
    leave_out(kernel.crowds(), "without headroom", &|row| row.packet.metadata == 0);
    drop(kernel);
    let mut wrong = Vec::new();
    for row in &rows {
        let pair = pairs.get_mut(&row.fixture).expect("a pair for each fixture");
        wrong.extend(judge(pair, row)?.into_iter().map(|what| format!("{}: {what}", row.name)));
    }
    for (fixture, pair) in &pairs {
        let (host, kernel) = (pair.tables.totals(), pair.kernel.totals()?);
        if host != kernel {
            wrong.push(format!("{fixture:?}: host counted {host:?}\n  kernel {kernel:?}"));
        }
    }
    for (fixture, pair) in &mut pairs {
        pair.reset()?;
        let (host, kernel) = (pair.tables.state(), pair.kernel.whole_state(&pair.tables)?);
        if host != kernel {
            wrong.push(format!("{fixture:?}: left somewhere {kernel:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    println!("{} rows agree, {} of them written by hand:", rows.len(), table::written().len());
    for (number, name, _) in COUNTERS {
        println!("{:>6}  {name}", rows.iter().filter(|row| row.expect.counter() == *number).count());
    }
    Ok(())
}

#[test]
fn every_counter_is_reached() {
    let mut reached: BTreeSet<u32> = table::written().iter().map(|row| row.expect.counter()).collect();
    // Takes a connection that this machine's kernel has: `kernel/ask.rs`.
    reached.insert(Outcome::LocalByKernel as u32);
    let missing: Vec<_> = COUNTERS.iter().map(|row| row.0).filter(|n| !reached.contains(n)).collect();
    assert!(
        missing.is_empty(),
        "no row reaches {:?}",
        missing.into_iter().map(counter_name).collect::<Vec<_>>()
    );
}

#[test]
fn names_are_unique() {
    let mut names = BTreeSet::new();
    for row in table::rows() {
        assert!(names.insert(row.name.clone()), "two rows are named {:?}", row.name);
    }
}
