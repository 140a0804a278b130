use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const AGENT: ConnectionId = ConnectionId(1);
const SUCCESSOR: ConnectionId = ConnectionId(2);
const STREAM: StreamId = StreamId(7);
const KEEPALIVE: Duration = Duration::from_secs(3);
const BOUND: Duration = Duration::from_secs(10);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn hold(restartable: bool) -> Event {
    let terms = Terms { keepalive: Some(KEEPALIVE), restartable };
    Event::Hold { connection: AGENT, id: STREAM, name: "a".to_owned(), terms }
}

fn claim(connection: ConnectionId) -> Event {
    Event::Claim { connection, name: "a".to_owned() }
}

/// An engine whose agent holds one stream.
fn holding(restartable: bool) -> Engine {
    let mut engine = Engine::new(BOUND, false, ms(0));
    assert_eq!(engine.handle(Event::Hello(AGENT), ms(0)), [Action::Reply(AGENT, Reply::Welcome(Vec::new()))]);
    let held = Action::Reply(AGENT, Reply::Held("a".to_owned()));
    assert_eq!(engine.handle(hold(restartable), ms(0)), [held]);
    engine
}

/// An engine whose agent died at time 0.
fn kept() -> Engine {
    let mut engine = holding(false);
    assert_eq!(engine.handle(Event::Disconnected(AGENT), ms(0)), [Action::TakeOver(STREAM)]);
    engine
}

/// Polls at every deadline up to `until`; all writes succeed.
fn run(engine: &mut Engine, until: Duration) -> Vec<(Duration, Action)> {
    let mut log = Vec::new();
    while let Some(at) = engine.deadline().filter(|&at| at <= until) {
        for action in engine.poll(at) {
            let more = match action {
                Action::Write(id) => engine.handle(Event::Written { id, all: true }, at),
                _ => Vec::new(),
            };
            log.push((at, action));
            log.extend(more.into_iter().map(|action| (at, action)));
        }
        if matches!(log.last(), Some((_, Action::Exit))) {
            break;
        }
    }
    log
}

#[test]
fn nothing_is_written_while_the_agent_holds_the_stream() {
    let mut engine = holding(false);
    assert_eq!(run(&mut engine, Duration::from_secs(1000)), []);
    assert!(!engine.is_watched(STREAM));
}

#[test]
fn a_dead_agents_stream_gets_keepalives_and_then_its_farewell() {
    let mut engine = kept();
    let log = run(&mut engine, ms(30_000));
    let keepalives: Vec<_> =
        log.iter().filter(|(_, it)| *it == Action::AppendKeepalive(STREAM)).map(|(at, _)| *at).collect();
    assert_eq!(keepalives, [ms(50), ms(3050), ms(6050), ms(9050)]);
    let rest: Vec<_> = log.into_iter().filter(|(at, _)| *at >= BOUND).collect();
    let expected = [
        (BOUND, Action::AppendFarewell(STREAM, Reason::Bound)),
        (BOUND, Action::Write(STREAM)),
        (BOUND, Action::ShutDown(STREAM)),
        (BOUND + PARTING, Action::Drop(STREAM, Reason::TimedOut)),
    ];
    assert_eq!(rest, expected);
}

#[test]
fn a_connected_agent_may_take_its_time_to_claim() {
    let mut engine = kept();
    run(&mut engine, ms(5000));
    let welcome = engine.handle(Event::Hello(SUCCESSOR), ms(5000));
    assert_eq!(welcome, [Action::Reply(SUCCESSOR, Reply::Welcome(vec!["a".to_owned()]))]);
    let log = run(&mut engine, ms(300_000));
    assert!(log.iter().all(|(_, it)| matches!(it, Action::AppendKeepalive(_) | Action::Write(_))), "{log:?}");
    assert_eq!(log.len(), 2 * 98);
    assert_eq!(engine.handle(claim(SUCCESSOR), ms(300_000)), []);
    assert_eq!(engine.poll(ms(300_000)), [Action::Reply(SUCCESSOR, Reply::Claimed(STREAM))]);
    assert_eq!(run(&mut engine, ms(900_000)), []);
}

#[test]
fn a_claim_waits_until_the_former_agents_last_write_is_over() {
    let mut engine = holding(false);
    let replaced = engine.handle(Event::Hello(SUCCESSOR), ms(100));
    assert_eq!(
        replaced[..3],
        [Action::Reply(AGENT, Reply::Replaced), Action::Disconnect(AGENT), Action::TakeOver(STREAM)]
    );
    engine.handle(claim(SUCCESSOR), ms(101));
    assert_eq!(engine.poll(ms(149)), []);
    assert_eq!(engine.poll(ms(150)), [Action::Reply(SUCCESSOR, Reply::Claimed(STREAM))]);
    // Its connection ends after it was replaced.
    assert_eq!(engine.handle(Event::Disconnected(AGENT), ms(200)), []);
    assert_eq!(engine.handle(claim(AGENT), ms(200)), []);
}

#[test]
fn a_claimant_that_dies_leaves_the_stream_to_the_next_one() {
    let mut engine = kept();
    engine.handle(Event::Hello(SUCCESSOR), ms(10));
    engine.handle(claim(SUCCESSOR), ms(11));
    engine.handle(Event::Disconnected(SUCCESSOR), ms(12));
    let log = run(&mut engine, ms(60));
    assert_eq!(log[0], (ms(50), Action::AppendKeepalive(STREAM)));
    let next = ConnectionId(3);
    engine.handle(Event::Hello(next), ms(70));
    engine.handle(claim(next), ms(71));
    assert_eq!(engine.poll(ms(71)), [Action::Reply(next, Reply::Claimed(STREAM))]);
}

#[test]
fn keepalives_do_not_pile_up_before_a_peer_that_does_not_read() {
    let mut engine = kept();
    assert_eq!(engine.poll(ms(50)), [Action::AppendKeepalive(STREAM), Action::Write(STREAM)]);
    engine.handle(Event::Written { id: STREAM, all: false }, ms(50));
    assert!(engine.is_blocked(STREAM));
    assert_eq!(engine.poll(ms(9000)), []);
    assert_eq!(engine.handle(Event::Writable(STREAM), ms(9000)), [Action::Write(STREAM)]);
    engine.handle(Event::Written { id: STREAM, all: true }, ms(9000));
    assert_eq!(engine.poll(ms(9000)), [Action::AppendKeepalive(STREAM), Action::Write(STREAM)]);
}

#[test]
fn an_agent_without_a_common_version_gets_nothing_and_the_streams_part() {
    let mut engine = kept();
    run(&mut engine, ms(100));
    let refused = engine.handle(Event::Foreign(SUCCESSOR), ms(100));
    assert_eq!(refused, [Action::Reply(SUCCESSOR, Reply::Refused), Action::Disconnect(SUCCESSOR)]);
    let parted = engine.poll(ms(100));
    assert_eq!(parted, [Action::AppendFarewell(STREAM, Reason::Version), Action::Write(STREAM)]);
}

#[test]
fn a_stopped_keeper_waits_for_its_agent() {
    let mut engine = holding(false);
    let stop = engine.handle(Event::Stop, ms(100));
    assert_eq!(stop, [Action::StopAccepting, Action::Reply(AGENT, Reply::Leaving)]);
    assert_eq!(engine.poll(ms(100)), []);
    let release = engine.handle(Event::Release { connection: AGENT, name: "a".to_owned() }, ms(200));
    assert_eq!(release, [Action::Drop(STREAM, Reason::Released)]);
    engine.handle(Event::Disconnected(AGENT), ms(300));
    assert_eq!(engine.poll(ms(300)), [Action::Exit]);

    let mut engine = holding(false);
    engine.handle(Event::Stop, ms(100));
    assert_eq!(engine.deadline(), Some(ms(3100)));
    assert_eq!(engine.poll(ms(3100)), [Action::Exit]);
}

#[test]
fn a_stopped_keeper_without_an_agent_parts_unless_the_peer_waits_for_a_restart() {
    let mut engine = kept();
    engine.handle(Event::Stop, ms(10));
    let log = run(&mut engine, ms(10_000));
    assert_eq!(log[0], (ms(50), Action::AppendFarewell(STREAM, Reason::Stopped)));
    assert_eq!(log.last(), Some(&(ms(2050), Action::Exit)));

    let mut engine = holding(true);
    engine.handle(Event::Disconnected(AGENT), ms(0));
    let stop = engine.handle(Event::Stop, ms(10));
    assert_eq!(stop, [Action::StopAccepting, Action::Drop(STREAM, Reason::Stopped)]);
    assert_eq!(engine.poll(ms(10)), [Action::Exit]);
}

#[test]
fn the_end_of_a_stream_is_noticed_unless_its_agent_will() {
    let mut engine = holding(false);
    assert_eq!(engine.handle(Event::Ended(STREAM), ms(1)), []);
    let mut engine = kept();
    let ended = engine.handle(Event::Ended(STREAM), ms(1));
    assert_eq!(ended, [Action::Drop(STREAM, Reason::PeerClosed)]);
}

#[test]
fn an_idle_keeper_exits_if_it_may() {
    let mut engine = Engine::new(BOUND, true, ms(0));
    assert_eq!(run(&mut engine, ms(60_000)), [(FIRST_AGENT, Action::Exit)]);
    let mut engine = Engine::new(BOUND, true, ms(0));
    engine.handle(Event::Hello(AGENT), ms(1));
    assert_eq!(engine.deadline(), None);
    engine.handle(hold(false), ms(2));
    engine.handle(Event::Disconnected(AGENT), ms(3));
    let log = run(&mut engine, ms(60_000));
    assert_eq!(log.last(), Some(&(ms(3) + BOUND + PARTING, Action::Exit)));
    let mut engine = Engine::new(BOUND, false, ms(0));
    assert_eq!(run(&mut engine, ms(60_000)), []);
}

#[test]
fn streams_are_bounded_in_number() {
    let mut engine = Engine::new(BOUND, false, ms(0));
    engine.handle(Event::Hello(AGENT), ms(0));
    for nth in 0..=MAX_STREAMS as u64 {
        let (id, name) = (StreamId(nth), nth.to_string());
        let terms = Terms::default();
        let actions = engine.handle(Event::Hold { connection: AGENT, id, name, terms }, ms(0));
        let is_rejected = matches!(actions.last(), Some(Action::Reply(_, Reply::Rejected(_))));
        assert_eq!(is_rejected, nth == MAX_STREAMS as u64);
    }
}

/// The holder of a stream, judged by the actions alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Seen {
    Agent(ConnectionId),
    Keeper { writable_from: Duration },
    Closed,
}

/// Follows all actions, and checks that each is allowed for the holder.
#[derive(Debug, Default)]
struct Observer {
    streams: BTreeMap<StreamId, (String, Seen)>,
    current: Option<ConnectionId>,
    last_keepalive: BTreeMap<StreamId, Duration>,
}

impl Observer {
    fn see(&mut self, action: &Action, now: Duration) {
        match action {
            Action::TakeOver(id) => {
                let seen = &mut self.streams.get_mut(id).unwrap().1;
                assert!(matches!(seen, Seen::Agent(_)), "taken over twice: {seen:?}");
                *seen = Seen::Keeper { writable_from: now + SETTLE };
            }
            Action::AppendKeepalive(id) => {
                self.assert_writable(*id, now);
                if let Some(last) = self.last_keepalive.insert(*id, now) {
                    assert!(now - last >= KEEPALIVE, "{last:?} {now:?}");
                }
            }
            Action::AppendFarewell(id, _) | Action::Write(id) | Action::ShutDown(id) => {
                self.assert_writable(*id, now);
            }
            Action::Drop(id, _) => {
                if let Some((_, seen)) = self.streams.get_mut(id) {
                    assert_ne!(*seen, Seen::Closed, "dropped twice");
                    *seen = Seen::Closed;
                }
            }
            Action::Reply(connection, Reply::Claimed(id)) => {
                self.assert_writable(*id, now);
                assert_eq!(Some(*connection), self.current, "given to an agent that is gone");
                self.last_keepalive.remove(id);
                self.streams.get_mut(id).unwrap().1 = Seen::Agent(*connection);
            }
            _ => {}
        }
    }

    fn assert_writable(&self, id: StreamId, now: Duration) {
        let seen = self.streams[&id].1;
        assert!(
            matches!(seen, Seen::Keeper { writable_from } if now >= writable_from),
            "{seen:?} at {now:?}"
        );
    }

    /// An agent's stream belongs to the agent that is connected, and names are unique.
    fn assert_consistent(&self) {
        let mut names = Vec::new();
        for (name, seen) in self.streams.values() {
            if let Seen::Agent(connection) = seen {
                assert_eq!(Some(*connection), self.current);
                assert!(!names.contains(&name), "{name} has two holders");
                names.push(name);
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Hello(u64),
    Foreign,
    Disconnect(u64),
    Hold(u64, usize),
    Claim(u64, usize),
    Release(u64, usize),
    Dismiss(u64, Option<usize>),
    Ended(usize),
    Writable(usize),
    Broken(usize),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let connection = 0..3_u64;
    let name = 0..3_usize;
    let step = prop_oneof![
        3 => connection.clone().prop_map(Step::Hello),
        1 => Just(Step::Foreign),
        2 => connection.clone().prop_map(Step::Disconnect),
        4 => (connection.clone(), name.clone()).prop_map(|(c, n)| Step::Hold(c, n)),
        4 => (connection.clone(), name.clone()).prop_map(|(c, n)| Step::Claim(c, n)),
        1 => (connection.clone(), name.clone()).prop_map(|(c, n)| Step::Release(c, n)),
        1 => (connection, proptest::option::of(name.clone())).prop_map(|(c, n)| Step::Dismiss(c, n)),
        1 => name.clone().prop_map(Step::Ended),
        1 => name.clone().prop_map(Step::Writable),
        1 => name.prop_map(Step::Broken),
        6 => prop_oneof![0..200_u64, 0..20_000_u64].prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 0..60)
}

/// A run of the engine against the observer. Connections are numbered anew on each hello.
struct Script {
    engine: Engine,
    observer: Observer,
    now: Duration,
    /// The latest connection of each agent.
    connections: [u64; 3],
    next: u64,
    accepts_all: bool,
}

impl Script {
    fn connection(&self, agent: u64) -> ConnectionId {
        ConnectionId(self.connections[agent as usize])
    }

    fn latest(&self, name: usize) -> StreamId {
        let name = name.to_string();
        let found = self.observer.streams.iter().rev().find(|(_, (it, _))| *it == name);
        found.map_or(StreamId(0), |(id, _)| *id)
    }

    fn handle(&mut self, event: Event) {
        let actions = self.engine.handle(event, self.now);
        self.see(actions);
    }

    fn see(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.observer.see(&action, self.now);
            if let Action::Write(id) = action {
                self.accepts_all = !self.accepts_all;
                self.handle(Event::Written { id, all: self.accepts_all });
            }
        }
    }

    fn wait(&mut self, milliseconds: u64) {
        let end = self.now + ms(milliseconds);
        while let Some(at) = self.engine.deadline().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            let actions = self.engine.poll(self.now);
            assert!(!actions.is_empty(), "a deadline without an action: the loop would spin");
            self.see(actions);
        }
        self.now = end;
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Hello(agent) => {
                self.next += 1;
                self.connections[agent as usize] = self.next;
                self.observer.current = Some(ConnectionId(self.next));
                self.handle(Event::Hello(ConnectionId(self.next)));
            }
            Step::Foreign => {
                self.next += 1;
                self.observer.current = None;
                self.handle(Event::Foreign(ConnectionId(self.next)));
            }
            Step::Disconnect(agent) => {
                let connection = self.connection(agent);
                if self.observer.current == Some(connection) {
                    self.observer.current = None;
                }
                self.handle(Event::Disconnected(connection));
            }
            Step::Hold(agent, name) => {
                self.next += 1;
                let (connection, id) = (self.connection(agent), StreamId(self.next));
                let is_current = self.observer.current == Some(connection);
                let holder = if is_current { Seen::Agent(connection) } else { Seen::Closed };
                let terms = Terms { keepalive: Some(KEEPALIVE), restartable: name == 0 };
                let actions = self
                    .engine
                    .handle(Event::Hold { connection, id, name: name.to_string(), terms }, self.now);
                // Only the duplicates of a rejected stream are dropped.
                let rejected = !is_current && actions == [Action::Drop(id, Reason::Replaced)];
                assert_eq!(rejected, !is_current);
                if is_current {
                    self.see(actions);
                }
                self.observer.streams.insert(id, (name.to_string(), holder));
            }
            Step::Claim(agent, name) => {
                self.handle(Event::Claim { connection: self.connection(agent), name: name.to_string() });
            }
            Step::Release(agent, name) => {
                self.handle(Event::Release { connection: self.connection(agent), name: name.to_string() });
            }
            Step::Dismiss(agent, name) => {
                let name = name.map(|name| name.to_string());
                self.handle(Event::Dismiss { connection: self.connection(agent), name });
            }
            Step::Ended(name) => self.handle(Event::Ended(self.latest(name))),
            Step::Writable(name) => self.handle(Event::Writable(self.latest(name))),
            Step::Broken(name) => self.handle(Event::Broken(self.latest(name), "reset".to_owned())),
            Step::Wait(milliseconds) => self.wait(milliseconds),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn each_stream_has_one_writer_at_any_time(steps in steps()) {
        let mut script = Script {
            engine: Engine::new(BOUND, false, ms(0)),
            observer: Observer::default(),
            now: ms(0),
            connections: [1001, 1002, 1003],
            next: 2000,
            accepts_all: false,
        };
        for step in steps {
            script.step(step);
            script.observer.assert_consistent();
        }
        // Without an agent, everything ends.
        if let Some(connection) = script.observer.current.take() {
            script.handle(Event::Disconnected(connection));
        }
        script.wait(60_000);
        for (name, seen) in script.observer.streams.values() {
            prop_assert_eq!(*seen, Seen::Closed, "{}", name);
        }
    }
}
