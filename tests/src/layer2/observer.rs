//! A host of the segment that asks for addresses all the time, and records who claims them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use super::frames::{HostMac, NeighborFrame, NeighborKind, question};
use super::wire::{Wire, WireFrame};
use crate::lab::LabHost;
use crate::lab::addresses::{HostAddresses, IpVersion};

/// How often a test that waits looks into the log.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What to ask.
#[derive(Clone, Debug, Default)]
pub struct Questions {
    /// The addresses, asked one after the other; none: only listen.
    pub addresses: Vec<IpAddr>,
    /// The time from one question to the next.
    pub every: Duration,
}

/// A running observer, stopped on drop.
#[derive(Debug)]
pub struct SegmentObserver {
    stop: Arc<AtomicBool>,
    log: Arc<Mutex<SegmentLog>>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// What an observer has sent and received.
#[derive(Clone, Debug, Default)]
pub struct SegmentLog {
    /// Its questions.
    pub questions: Vec<(Instant, IpAddr)>,
    /// All frames of others, in the order of reception.
    pub frames: Vec<WireFrame>,
    /// Frames that it had no room for.
    pub dropped: u32,
}

/// A time in which one station answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// The station.
    pub mac: HostMac,
    /// Its first answer.
    pub first: Instant,
    /// Its last answer.
    pub last: Instant,
}

impl SegmentObserver {
    /// Starts on an interface of a host with these addresses.
    ///
    /// # Errors
    /// When the host cannot be entered, or has no such interface.
    pub fn start(host: &LabHost, link: &str, own: HostAddresses, questions: Questions) -> Result<Self> {
        let link = link.to_owned();
        let mut wire = host.run(|| Wire::open(&link))?;
        let (stop, log) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(SegmentLog::default())));
        let (stopped, shared) = (Arc::clone(&stop), Arc::clone(&log));
        // A socket belongs to the host in which it was opened, whichever host uses it.
        let thread = thread::spawn(move || {
            let mut targets = questions.addresses.iter().cycle();
            let mut due = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                if Instant::now() >= due {
                    if let Some(target) = targets.next() {
                        // Noted first: an answer may come before this thread runs again.
                        lock(&shared).questions.push((Instant::now(), *target));
                        wire.send(&question(wire.mac(), own.of(IpVersion::of(*target)), *target))?;
                    }
                    // A late question is not made up for: two at once would show no more than one.
                    due = Instant::now() + questions.every.max(Duration::from_micros(100));
                }
                let wait = due.saturating_duration_since(Instant::now()).min(LOOK_EVERY);
                if let Some(frame) = wire.receive(wait)? {
                    let mut log = lock(&shared);
                    log.frames.push(frame);
                    log.dropped = wire.dropped();
                }
            }
            Ok(())
        });
        Ok(Self { stop, log, thread: Some(thread) })
    }

    /// Returns the log so far.
    #[must_use]
    pub fn log(&self) -> SegmentLog {
        lock(&self.log).clone()
    }

    /// Returns how many questions were asked so far.
    #[must_use]
    pub fn questions(&self) -> usize {
        lock(&self.log).questions.len()
    }

    /// Waits until `mac` alone has answered for all of these addresses for some time, each more than once.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn wait_settled(
        &self,
        addresses: &[IpAddr],
        mac: HostMac,
        time: Duration,
        within: Duration,
    ) -> Result<()> {
        let until = Instant::now() + within;
        loop {
            let now = Instant::now();
            let since = now.checked_sub(time).unwrap_or(now);
            let log = lock(&self.log);
            let is_settled = addresses.iter().all(|address| {
                let answers = log.answers(*address).rev().take_while(|it| it.at > since);
                answers.clone().count() > 1 && answers.map(|it| it.frame.mac).all(|it| it == mac)
            });
            if is_settled {
                return Ok(());
            }
            if now > until {
                let last: Vec<_> = addresses.iter().map(|it| (it, log.macs(*it))).collect();
                bail!("{mac} is not the only one that answers after {within:?}: {last:?}");
            }
            drop(log);
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Stops it and returns the log.
    ///
    /// # Errors
    /// When it could not send or receive.
    pub fn finish(mut self) -> Result<SegmentLog> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| anyhow!("the observer panicked"))??;
        }
        Ok(std::mem::take(&mut *lock(&self.log)))
    }
}

impl Drop for SegmentObserver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl SegmentLog {
    /// Iterates over the answers to questions for an address.
    pub fn answers(&self, address: IpAddr) -> impl DoubleEndedIterator<Item = &WireFrame> + Clone {
        self.frames
            .iter()
            .filter(move |it| it.frame.kind == NeighborKind::Answer && it.frame.address == address)
    }

    /// Iterates over the announcements of an address.
    pub fn announcements(&self, address: IpAddr) -> impl DoubleEndedIterator<Item = &WireFrame> + Clone {
        self.frames
            .iter()
            .filter(move |it| it.frame.kind == NeighborKind::Announcement && it.frame.address == address)
    }

    /// Returns the stations that answered for an address, with their numbers of answers.
    #[must_use]
    pub fn macs(&self, address: IpAddr) -> BTreeMap<HostMac, usize> {
        let mut macs = BTreeMap::new();
        for answer in self.answers(address) {
            *macs.entry(answer.frame.mac).or_default() += 1;
        }
        macs
    }

    /// Returns for each question for an address how many stations answered it before the next one.
    #[must_use]
    pub fn answers_per_question(&self, address: IpAddr) -> Vec<usize> {
        let asked: Vec<Instant> =
            self.questions.iter().filter(|it| it.1 == address).map(|(at, _)| *at).collect();
        let mut counts = vec![0; asked.len()];
        for answer in self.answers(address) {
            // A reception is noted by another clock than a question, with errors of microseconds.
            let place = asked.partition_point(|at| *at <= answer.at + Duration::from_micros(200));
            if let Some(count) = place.checked_sub(1).and_then(|place| counts.get_mut(place)) {
                *count += 1;
            }
        }
        counts
    }

    /// Returns who answered for an address when, in order of the first answers. A pause of more than `pause`
    /// ends a tenure, also if no other node answers meanwhile; two that alternate while they hand over are
    /// two tenures that overlap.
    #[must_use]
    pub fn tenures(&self, address: IpAddr, pause: Duration) -> Vec<Tenure> {
        let macs: BTreeSet<HostMac> = self.macs(address).into_keys().collect();
        let mut tenures: Vec<Tenure> = Vec::new();
        for mac in macs {
            let mut current: Option<Tenure> = None;
            for at in self.answers(address).filter(|it| it.frame.mac == mac).map(|it| it.at) {
                match &mut current {
                    Some(tenure) if at.saturating_duration_since(tenure.last) <= pause => tenure.last = at,
                    _ => tenures.extend(current.replace(Tenure { mac, first: at, last: at })),
                }
            }
            tenures.extend(current);
        }
        tenures.sort_by_key(|tenure| tenure.first);
        tenures
    }

    /// Returns the highest number of frames of a kind in any period of this length.
    #[must_use]
    pub fn busiest(&self, counts: impl Fn(&NeighborFrame) -> bool, period: Duration) -> usize {
        let mut times: Vec<Instant> =
            self.frames.iter().filter(|it| counts(&it.frame)).map(|it| it.at).collect();
        times.sort_unstable();
        let within = |first: usize| times.partition_point(|at| *at < times[first] + period) - first;
        (0..times.len()).map(within).max().unwrap_or_default()
    }
}

fn lock(log: &Mutex<SegmentLog>) -> MutexGuard<'_, SegmentLog> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer2::frames::answer;

    const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 0, 100));

    fn log(answers: &[(u64, u8)]) -> (SegmentLog, Instant) {
        let origin = Instant::now();
        let asker = (HostMac([2, 0, 0, 0, 0, 9]), "10.1.0.201".parse().unwrap());
        let frames = answers.iter().map(|(at, node)| {
            let frame = NeighborFrame::read(&answer(HostMac([2, 0, 0, 0, 0, *node]), VIP, asker)).unwrap();
            WireFrame { at: origin + Duration::from_millis(*at), frame }
        });
        let questions = (0..4).map(|at| (origin + Duration::from_millis(at * 10), VIP)).collect();
        (SegmentLog { questions, frames: frames.collect(), dropped: 0 }, origin)
    }

    #[test]
    fn tenures_overlap_while_two_answer_in_turn() {
        let (log, origin) = log(&[(0, 1), (10, 1), (20, 2), (30, 1), (40, 2), (900, 2), (1000, 1)]);
        let pause = Duration::from_millis(100);
        let tenures = log.tenures(VIP, pause);
        let seen: Vec<_> = tenures
            .iter()
            .map(|it| (it.mac.0[5], (it.first - origin).as_millis(), (it.last - origin).as_millis()))
            .collect();
        assert_eq!(seen, [(1, 0, 30), (2, 20, 40), (2, 900, 900), (1, 1000, 1000)]);
    }

    #[test]
    fn answers_are_counted_by_question() {
        let (log, _) = log(&[(1, 1), (11, 1), (12, 2), (31, 2)]);
        assert_eq!(log.answers_per_question(VIP), [1, 2, 0, 1]);
    }

    #[test]
    fn the_busiest_period_is_found() {
        let (log, _) = log(&[(0, 1), (50, 1), (60, 1), (70, 2), (151, 1)]);
        let is_first = |frame: &NeighborFrame| frame.mac.0[5] == 1;
        assert_eq!(log.busiest(is_first, Duration::from_millis(100)), 3);
    }
}
