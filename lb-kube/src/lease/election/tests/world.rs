//! A simulation of candidates against an adversary that delays, loses and reorders requests and responses,
//! stops and restarts processes, and lets their clocks run at different speeds.

use super::*;

/// Milliseconds of simulated time.
type Time = u64;

const RUN: Time = 300_000;
/// Maximum clock drift of a process, in thousandths; real clocks drift by less than one.
const CLOCK_SKEW: u64 = 20;
/// How long a leader's write may be in flight: the timeout of the controller's writes.
const IN_FLIGHT: Time = 4000;
/// Timeout of a process's requests.
const REQUEST_TIMEOUT: Time = 4000;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

/// The server: one Lease, and the requests and responses in transit.
#[derive(Default)]
struct Server {
    lease: Option<LeaseRecord>,
    version: u32,
    requests: Vec<(Time, Request)>,
    responses: Vec<(Time, Response)>,
    /// No request is executed before this.
    paused_until: Time,
}

struct Request {
    process: usize,
    number: u64,
    /// The record to write and the version that it replaces; `None` to read.
    write: Option<(LeaseRecord, Option<String>)>,
}

struct Response {
    process: usize,
    number: u64,
    /// `Err` on a version conflict.
    outcome: Result<Option<LeaseRecord>, ()>,
    is_write: bool,
}

struct Process {
    election: Election,
    /// The speed of its clock, in thousandths of simulated time.
    speed: u64,
    stopped_until: Time,
    awaited: Option<(u64, Time, Duration)>,
    generation: u32,
}

impl Process {
    fn clock(&self, now: Time) -> Duration {
        Duration::from_micros(now * self.speed)
    }

    fn leads(&self, now: Time) -> bool {
        leads(&self.election, self.clock(now))
    }
}

impl Server {
    fn execute(&mut self, request: Request) -> Response {
        let Request { process, number, write } = request;
        let is_write = write.is_some();
        let outcome = match write {
            None => Ok(self.lease.clone()),
            Some((record, version)) if version == self.lease.as_ref().map(|it| it.version.clone()) => {
                self.version += 1;
                self.lease = Some(LeaseRecord { version: self.version.to_string(), ..record });
                Ok(self.lease.clone())
            }
            Some(_) => Err(()),
        };
        Response { process, number, outcome, is_write }
    }

    fn run(&mut self, now: Time, random: &mut Random) {
        if now < self.paused_until {
            return;
        }
        let (due, later) = std::mem::take(&mut self.requests).into_iter().partition(|(at, _)| *at <= now);
        self.requests = later;
        let due: Vec<(Time, Request)> = due;
        for (_, request) in due {
            let response = self.execute(request);
            if !random.one_in(12) {
                self.responses.push((now + delay(random), response));
            }
        }
    }
}

/// Returns a delay: mostly short, sometimes longer than any timeout.
fn delay(random: &mut Random) -> Time {
    match random.below(20) {
        0 => random.below(40_000),
        1..5 => random.below(5_000),
        _ => random.below(60),
    }
}

struct World {
    random: Random,
    server: Server,
    processes: Vec<Process>,
    last_number: u64,
    /// Until when each process may have a write in flight that it began as the leader.
    in_flight_until: [Time; 3],
    has_led: [bool; 3],
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let process = |index: usize, random: &mut Random| Process {
            election: Election::new(format!("{index}-0"), TIMINGS),
            speed: 1000 - CLOCK_SKEW + random.below(2 * CLOCK_SKEW),
            stopped_until: 0,
            awaited: None,
            generation: 0,
        };
        let processes = (0..3).map(|index| process(index, &mut random)).collect();
        let (in_flight_until, has_led) = ([0; 3], [false; 3]);
        Self { random, server: Server::default(), processes, last_number: 0, in_flight_until, has_led }
    }

    fn disturb(&mut self, now: Time) {
        if self.random.one_in(2000) {
            self.server.paused_until = now + self.random.below(40_000);
        }
        for (index, process) in self.processes.iter_mut().enumerate() {
            if self.random.one_in(1500) {
                process.stopped_until = now + self.random.below(40_000);
            }
            if self.random.one_in(4000) {
                process.generation += 1;
                let name = format!("{index}-{}", process.generation);
                process.election = Election::new(name, TIMINGS);
                process.awaited = None;
            }
        }
    }

    fn step(&mut self, index: usize, now: Time) {
        let process = &mut self.processes[index];
        if now < process.stopped_until {
            return;
        }
        let clock = process.clock(now);
        if let Some((number, until, sent)) = process.awaited {
            let arrived = |(at, response): &(Time, Response)| {
                *at <= now && response.process == index && response.number == number
            };
            if let Some(found) = self.server.responses.iter().position(arrived) {
                let (_, response) = self.server.responses.swap_remove(found);
                process.awaited = None;
                match response.outcome {
                    Ok(record) if response.is_write => {
                        process.election.handle_written(record.unwrap_or_default(), sent);
                    }
                    Ok(record) => process.election.handle_read(record, clock),
                    Err(()) => process.election.handle_conflict(),
                }
            } else if now >= until {
                process.awaited = None;
                process.election.handle_failure(clock);
            }
            return;
        }
        let write = match process.election.step(clock) {
            ElectionStep::WaitUntil(_) => return,
            ElectionStep::Read => None,
            ElectionStep::AcquireOrRenew { transitions } => {
                let holder = Some(process.election.identity.clone());
                let record = LeaseRecord {
                    holder,
                    transitions,
                    duration: Some(TIMINGS.lease_duration),
                    ..LeaseRecord::default()
                };
                Some((record, process.election.record.as_ref().map(|it| it.version.clone())))
            }
        };
        self.last_number += 1;
        process.awaited = Some((self.last_number, now + REQUEST_TIMEOUT, clock));
        if !self.random.one_in(12) {
            let at = now + delay(&mut self.random);
            self.server.requests.push((at, Request { process: index, number: self.last_number, write }));
        }
    }

    /// Checks that no process leads while another does, or while a write of another leader is in flight.
    fn check(&mut self, seed: u64, now: Time) {
        let leading: Vec<usize> = (0..3).filter(|index| self.processes[*index].leads(now)).collect();
        assert!(leading.len() < 2, "seed {seed}: {leading:?} lead at {now} ms");
        for index in leading {
            for other in (0..3).filter(|other| *other != index) {
                let until = self.in_flight_until[other];
                assert!(
                    now >= until,
                    "seed {seed}: {index} leads at {now} ms, {other} may write until {until} ms"
                );
            }
            self.in_flight_until[index] = now + IN_FLIGHT;
            self.has_led[index] = true;
        }
    }
}

#[test]
fn two_candidates_never_lead_at_once_whatever_network_processes_and_clocks_do() {
    let mut led = 0;
    for seed in 0..300 {
        let mut world = World::new(seed);
        for now in (0..RUN).step_by(20) {
            world.disturb(now);
            world.server.run(now, &mut world.random);
            for index in 0..3 {
                world.step(index, now);
            }
            world.check(seed, now);
        }
        led += world.has_led.iter().filter(|has_led| **has_led).count();
    }
    assert!(led > 600, "the adversary must let candidates lead: {led} of 900 did");
}
