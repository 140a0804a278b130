//! The limits on the program's own packets, against the kernel's clock.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fairlead_tests::kernel::Kernel;
use fairlead_tests::model::Action;
use fairlead_tests::packets::build::Frame;
use fairlead_tests::packets::fixture::{CLIENT4, Fixture, VIP4, port};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

const RATE: u32 = 10;
const BURST: usize = 100;
/// How long rates are looked at.
const SECONDS: usize = 4;

/// A kernel with these rates. Budgets are each CPU's own: the test stays on one.
fn kernel(echo_rate: u32, icmp_error_rate: u32) -> Result<Kernel> {
    let mut cpu = CpuSet::new();
    cpu.set(0)?;
    sched_setaffinity(Pid::from_raw(0), &cpu)?;
    let mut tables = Fixture::Standard.tables();
    (tables.config.echo_rate, tables.config.icmp_error_rate) = (echo_rate, icmp_error_rate);
    Kernel::load(&tables)
}

fn echo() -> Frame {
    Frame::v4(CLIENT4, VIP4).icmp(8, 0)
}

fn too_big() -> Frame {
    Frame::v4(CLIENT4, VIP4).tcp(4000, port::FAR4).sized(1500)
}

fn last_hop() -> Frame {
    Frame::v4(CLIENT4, VIP4).tcp(4000, port::NEAR).ttl(1)
}

fn undeclared() -> Frame {
    Frame::v4(CLIENT4, VIP4).udp(4000, port::UNUSED)
}

/// How many packets of a burst are answered.
fn answered(kernel: &mut Kernel, frame: &Frame) -> Result<usize> {
    let packet = frame.packet();
    let mut answered = 0;
    for _ in 0..BURST {
        answered += usize::from(kernel.run(&packet)?.0 == Action::Transmit);
    }
    Ok(answered)
}

/// Whatever the kernel's tick is.
#[test]
fn a_second_of_a_rate_is_a_second() -> Result<()> {
    for frame in [echo(), too_big(), undeclared()] {
        let mut kernel = kernel(RATE, RATE)?;
        let (start, mut sum) = (Instant::now(), 0);
        while start.elapsed() < Duration::from_secs(SECONDS as u64) {
            sum += answered(&mut kernel, &frame)?;
            sleep(Duration::from_millis(20));
        }
        // The first and the last second may be parts of one.
        let seconds = sum as f64 / f64::from(RATE);
        let is_so =
            (SECONDS..=SECONDS + 1).contains(&(sum / RATE as usize)) && sum.is_multiple_of(RATE as usize);
        ensure!(is_so, "answers of {seconds} seconds in {SECONDS}");
    }
    Ok(())
}

/// Of one kind, as many as anybody likes to ask for.
fn exhaust(kernel: &mut Kernel, frame: &Frame) -> Result<()> {
    while answered(kernel, frame)? > 0 {}
    Ok(())
}

/// Pings, scans and short TTLs must not stop path MTU discovery.
#[test]
fn what_anybody_can_ask_for_uses_up_its_own_budget_only() -> Result<()> {
    let kinds = [("echo", echo()), ("too big", too_big()), ("undeclared port", undeclared())];
    for (used, exhausting) in &kinds {
        for (other, frame) in kinds.iter().filter(|(name, _)| name != used) {
            let mut kernel = kernel(RATE, RATE)?;
            exhaust(&mut kernel, exhausting)?;
            let left = answered(&mut kernel, frame)?;
            ensure!(left >= RATE as usize, "{left} answers to {other} after {used} was used up");
        }
    }
    let mut kernel = kernel(RATE, RATE)?;
    exhaust(&mut kernel, &undeclared())?;
    let first = answered(&mut kernel, &last_hop())?;
    ensure!(first == 0 || first == RATE as usize, "time exceeded shares with undeclared ports: {first}");
    Ok(())
}

#[test]
fn a_rate_of_zero_answers_nothing() -> Result<()> {
    for (echo_rate, error_rate, expected) in [(0, RATE, [false, true]), (RATE, 0, [true, false])] {
        let mut kernel = kernel(echo_rate, error_rate)?;
        for frame in [too_big(), undeclared()] {
            let errors = answered(&mut kernel, &frame)? > 0;
            ensure!(errors == expected[1], "{frame:?} at rates {echo_rate}, {error_rate}");
        }
        ensure!(
            (answered(&mut kernel, &echo())? > 0) == expected[0],
            "echo at rates {echo_rate}, {error_rate}"
        );
    }
    Ok(())
}
