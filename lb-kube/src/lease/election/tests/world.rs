//! Candidates against an adversary: it delays, loses and reorders requests and answers, stops and restarts processes, and
//! lets their clocks run at different speeds.

use super::*;

/// Milliseconds of the world's own time.
type Time = u64;

const RUN: Time = 300_000;
/// Clocks of processes differ by up to this, in thousandths, where real ones differ by less than one.
const CLOCKS_DIFFER_BY: u64 = 20;
/// How long a write of a leader may be under way: the controller gives its writes up after this.
const IN_FLIGHT: Time = 4000;
/// A process gives up a request after this.
const PATIENCE: Time = 4000;

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

/// The server: one Lease, and what is on its way to it or back.
#[derive(Default)]
struct Server {
    lease: Option<Record>,
    version: u32,
    requests: Vec<(Time, Request)>,
    answers: Vec<(Time, Answer)>,
    /// No request is carried out before this.
    stands_until: Time,
}

struct Request {
    process: usize,
    number: u64,
    /// Holder to be and the version that it replaces; `None` to read.
    write: Option<(Record, Option<String>)>,
}

struct Answer {
    process: usize,
    number: u64,
    /// `Err` where the version is another.
    outcome: Result<Option<Record>, ()>,
    is_write: bool,
}

struct Process {
    election: Election,
    /// Its clock runs this many thousandths as fast as the world's.
    speed: u64,
    stopped_until: Time,
    waits_for: Option<(u64, Time, Duration)>,
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
    fn carry_out(&mut self, request: Request) -> Answer {
        let Request { process, number, write } = request;
        let is_write = write.is_some();
        let outcome = match write {
            None => Ok(self.lease.clone()),
            Some((record, version)) if version == self.lease.as_ref().map(|it| it.version.clone()) => {
                self.version += 1;
                self.lease = Some(Record { version: self.version.to_string(), ..record });
                Ok(self.lease.clone())
            }
            Some(_) => Err(()),
        };
        Answer { process, number, outcome, is_write }
    }

    fn pass(&mut self, now: Time, random: &mut Random) {
        if now < self.stands_until {
            return;
        }
        let (due, later) = std::mem::take(&mut self.requests).into_iter().partition(|(at, _)| *at <= now);
        self.requests = later;
        let due: Vec<(Time, Request)> = due;
        for (_, request) in due {
            let answer = self.carry_out(request);
            if !random.one_in(12) {
                self.answers.push((now + delay(random), answer));
            }
        }
    }
}

/// Mostly short, at times longer than any process waits.
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
    numbers: u64,
    /// When each may still have had a write under way that it began as the leader.
    in_flight_until: [Time; 3],
    has_led: [bool; 3],
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let process = |index: usize, random: &mut Random| Process {
            election: Election::new(format!("{index}-0"), TERMS),
            speed: 1000 - CLOCKS_DIFFER_BY + random.below(2 * CLOCKS_DIFFER_BY),
            stopped_until: 0,
            waits_for: None,
            generation: 0,
        };
        let processes = (0..3).map(|index| process(index, &mut random)).collect();
        let (in_flight_until, has_led) = ([0; 3], [false; 3]);
        Self { random, server: Server::default(), processes, numbers: 0, in_flight_until, has_led }
    }

    fn disturb(&mut self, now: Time) {
        if self.random.one_in(2000) {
            self.server.stands_until = now + self.random.below(40_000);
        }
        for (index, process) in self.processes.iter_mut().enumerate() {
            if self.random.one_in(1500) {
                process.stopped_until = now + self.random.below(40_000);
            }
            if self.random.one_in(4000) {
                process.generation += 1;
                let name = format!("{index}-{}", process.generation);
                process.election = Election::new(name, TERMS);
                process.waits_for = None;
            }
        }
    }

    fn turn(&mut self, index: usize, now: Time) {
        let process = &mut self.processes[index];
        if now < process.stopped_until {
            return;
        }
        let clock = process.clock(now);
        if let Some((number, until, sent)) = process.waits_for {
            let arrived = |(at, answer): &(Time, Answer)| {
                *at <= now && answer.process == index && answer.number == number
            };
            if let Some(found) = self.server.answers.iter().position(arrived) {
                let (_, answer) = self.server.answers.swap_remove(found);
                process.waits_for = None;
                match answer.outcome {
                    Ok(record) if answer.is_write => {
                        process.election.handle_taken(record.unwrap_or_default(), sent);
                    }
                    Ok(record) => process.election.handle_read(record, clock),
                    Err(()) => process.election.handle_conflict(),
                }
            } else if now >= until {
                process.waits_for = None;
                process.election.handle_failure(clock);
            }
            return;
        }
        let write = match process.election.step(clock) {
            Step::WaitUntil(_) => return,
            Step::Read => None,
            Step::Take { transitions } => {
                let holder = Some(process.election.identity.clone());
                let record =
                    Record { holder, transitions, duration: Some(TERMS.duration), ..Record::default() };
                Some((record, process.election.record.as_ref().map(|it| it.version.clone())))
            }
        };
        self.numbers += 1;
        process.waits_for = Some((self.numbers, now + PATIENCE, clock));
        if !self.random.one_in(12) {
            let at = now + delay(&mut self.random);
            self.server.requests.push((at, Request { process: index, number: self.numbers, write }));
        }
    }

    /// Nobody leads while another does, or while a write of another leader is under way.
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
fn no_two_candidates_act_at_once_whatever_the_network_the_processes_and_their_clocks_do() {
    let mut led = 0;
    for seed in 0..300 {
        let mut world = World::new(seed);
        for now in (0..RUN).step_by(20) {
            world.disturb(now);
            world.server.pass(now, &mut world.random);
            for index in 0..3 {
                world.turn(index, now);
            }
            world.check(seed, now);
        }
        led += world.has_led.iter().filter(|has_led| **has_led).count();
    }
    assert!(led > 600, "the adversary lets candidates lead: {led} of 900 did");
}
