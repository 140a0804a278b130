//! The limit on answered ICMP echo requests, against the kernel's clock.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use fairlead_tests::kernel::Kernel;
use fairlead_tests::model::Action;
use fairlead_tests::packets::build::Frame;
use fairlead_tests::packets::fixture::{CLIENT4, Fixture, VIP4};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

const RATE: u32 = 10;
const BURST: usize = 100;
/// A second of the program's is 1,024 ticks, 10.24 s on a kernel with 100 Hz.
const LONGEST_SECOND: Duration = Duration::from_secs(11);

fn answered(kernel: &mut Kernel) -> Result<usize> {
    let request = Frame::v4(CLIENT4, VIP4).icmp(8, 0).packet();
    let mut answered = 0;
    for _ in 0..BURST {
        answered += usize::from(kernel.run(&request)?.0 == Action::Transmit);
    }
    Ok(answered)
}

#[test]
fn echo_requests_are_answered_at_the_configured_rate() -> Result<()> {
    // The budget is each CPU's own.
    let mut cpu = CpuSet::new();
    cpu.set(0)?;
    sched_setaffinity(Pid::from_raw(0), &cpu)?;
    let mut tables = Fixture::Standard.tables();
    tables.config.echo_rate = RATE;
    let mut kernel = Kernel::load(&tables)?;
    let rate = RATE as usize;

    // A burst that begins in one second and ends in the next may get both budgets.
    let first = answered(&mut kernel)?;
    assert!(first == rate || first == 2 * rate, "{first} answers to the first burst");
    let start = Instant::now();
    while start.elapsed() < LONGEST_SECOND {
        sleep(Duration::from_millis(20));
        match answered(&mut kernel)? {
            0 => {}
            next => {
                assert_eq!(next, rate, "answers in the next second");
                return Ok(());
            }
        }
    }
    bail!("no answer for {LONGEST_SECOND:?}, {first} before");
}
