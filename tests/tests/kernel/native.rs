//! What the kernel says of a driver that cannot run XDP programs.

use std::os::fd::AsFd;

use anyhow::{Context, Result, ensure};
use aya::programs::Xdp;
use aya::{Ebpf, EbpfLoader};
use lb_common::map_table::name;
use lb_dataplane::net::driver_error;
use lb_dataplane::object::{EMPTY_PROGRAM, OBJECT};

/// The loopback, whose driver has no XDP.
const LOOPBACK: u32 = 1;

#[test]
fn a_driver_without_xdp_is_named_as_such() -> Result<()> {
    let mut object: Ebpf = EbpfLoader::new().map_max_entries(name::RINGS, 1).load(OBJECT)?;
    let program: &mut Xdp = object.program_mut(EMPTY_PROGRAM).context("no such program")?.try_into()?;
    program.load()?;
    let reason = driver_error::of(LOOPBACK, program.fd()?.as_fd()).context("the kernel gives no reason")?;
    ensure!(reason.contains("driver does not support XDP in native mode"), "{reason}");
    Ok(())
}

#[test]
fn an_interface_that_is_gone_has_no_reason_of_a_driver() -> Result<()> {
    let null = std::fs::File::open("/dev/null")?;
    let reason = driver_error::of(u32::MAX >> 1, null.as_fd()).unwrap_or_default();
    ensure!(!reason.contains("driver"), "{reason}");
    Ok(())
}
