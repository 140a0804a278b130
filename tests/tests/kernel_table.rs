//! Every row of the table of packets, on the host and in the kernel.

use std::collections::{BTreeSet, HashMap};

use anyhow::Result;
use fairlead_tests::kernel::{INGRESS, Kernel};
use fairlead_tests::model::{self, Action, HostTables, counter_name};
use fairlead_tests::packets::fixture::Fixture;
use fairlead_tests::packets::oracle::is_stranger;
use fairlead_tests::packets::table::{self, Row};
use lb_common::verdict::COUNTERS;

/// One cluster, on the host and in the kernel.
struct Pair {
    tables: HostTables,
    kernel: Kernel,
}

impl Pair {
    fn new(fixture: Fixture) -> Result<Self> {
        let tables = fixture.tables();
        let kernel = Kernel::load(&tables)?;
        Ok(Self { tables, kernel })
    }

    /// What is wrong with a row, one line for each.
    fn judge(&mut self, row: &Row) -> Result<Vec<String>> {
        let (host, redirected_to) = model::run(&self.tables, &row.packet, INGRESS);
        let kernel = self.kernel.judge(&row.packet)?;
        let mut wrong = Vec::new();
        if host != kernel {
            wrong.push(format!("host {host:02x?}\n  kernel {kernel:02x?}"));
        }
        wrong.extend(row.expect.check(&row.packet, &host).err());
        if (host.action == Action::Redirect) != redirected_to.is_some_and(|link| link != INGRESS) {
            wrong.push(format!("{:?} to {redirected_to:?}", host.action));
        }
        let untouched = host.action == Action::Pass && host.bytes == row.packet.bytes;
        if is_stranger(&self.tables, &row.packet) && !untouched {
            wrong.push(format!("a stranger was touched: {host:02x?}"));
        }
        Ok(wrong)
    }
}

#[test]
fn host_kernel_and_table_agree() -> Result<()> {
    let mut pairs = HashMap::new();
    for fixture in Fixture::ALL {
        pairs.insert(fixture, Pair::new(fixture)?);
    }
    let mut rows = table::rows();
    if !Kernel::load(&Fixture::Standard.tables())?.splits() {
        let all = rows.len();
        rows.retain(|row| row.packet.is_whole());
        println!("{} rows left out: this kernel runs no test on split packets", all - rows.len());
    }
    let mut wrong = Vec::new();
    for row in &rows {
        let pair = pairs.get_mut(&row.fixture).expect("a pair for each fixture");
        wrong.extend(pair.judge(row)?.into_iter().map(|what| format!("{}: {what}", row.name)));
    }
    for (fixture, pair) in &pairs {
        let (host, kernel) = (pair.tables.totals(), pair.kernel.totals()?);
        if host != kernel {
            wrong.push(format!("{fixture:?}: host counted {host:?}\n  kernel {kernel:?}"));
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
    let reached: BTreeSet<u32> = table::written().iter().map(|row| row.expect.counter()).collect();
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
