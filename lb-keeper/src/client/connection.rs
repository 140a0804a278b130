//! The client's thread.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::super::channel::{Channel, Incoming};
use super::Shared;
use super::spawn::Spawner;
use super::state::{Next, Phase};

/// Pause between two attempts to connect.
const RETRY: Duration = Duration::from_millis(500);
/// The same while a keeper starts.
const STARTING: Duration = Duration::from_millis(20);
/// Attempts to connect while a keeper starts.
const STARTING_ATTEMPTS: u32 = 100;
/// Pause before messages that found no room are sent again: some shortages end without an event.
const RESEND: Duration = Duration::from_millis(20);

/// Connects to the keeper, again and again, until the handle is dropped or another agent takes over.
pub(super) fn run(shared: &Arc<Shared>, woken: &UnixStream) {
    let mut spawner = Spawner::default();
    let mut starting = 0_u32;
    while !has_ended(shared) {
        match Channel::connect(&shared.socket) {
            Ok(channel) => {
                starting = 0;
                serve(shared, woken, Arc::new(channel));
                if shared.lock().is_leaving() {
                    // Another one may wait for its socket.
                    starting = STARTING_ATTEMPTS;
                } else {
                    pause(shared, woken, RETRY);
                }
            }
            Err(error) => {
                if spawn(shared, &mut spawner, &error) {
                    starting = STARTING_ATTEMPTS;
                }
                let interval = if starting > 0 { STARTING } else { RETRY };
                starting = starting.saturating_sub(1);
                pause(shared, woken, interval);
            }
        }
    }
}

fn has_ended(shared: &Shared) -> bool {
    matches!(shared.lock().phase(), Phase::Stopped | Phase::Replaced)
}

/// Starts a keeper if none listens; returns whether it did.
fn spawn(shared: &Shared, spawner: &mut Spawner, error: &io::Error) -> bool {
    let is_absent = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
    let mut text = format!("cannot connect to the keeper on {}: {error}", shared.socket.display());
    let mut is_started = false;
    if let Some(options) = shared.options.spawn.as_ref().filter(|_| is_absent) {
        match spawner.spawn(&shared.socket, options) {
            Ok(started) => is_started = started,
            Err(error) => text = format!("cannot start a keeper: {error}"),
        }
    }
    shared.lock().disconnected(Some(text));
    is_started
}

/// Waits, unless the handle is dropped meanwhile.
fn pause(shared: &Shared, woken: &UnixStream, interval: Duration) {
    let end = std::time::Instant::now() + interval;
    while !has_ended(shared) {
        let left = end.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return;
        }
        wait(&mut [PollFd::new(woken.as_fd(), PollFlags::POLLIN)], Some(left));
        drain(woken);
    }
}

/// Serves a connection until it ends.
fn serve(shared: &Arc<Shared>, woken: &UnixStream, channel: Arc<Channel>) {
    shared.lock().connected(Arc::clone(&channel), &shared.options.release);
    let error = loop {
        let has_output = shared.lock().has_output();
        let writable = if has_output { PollFlags::POLLOUT } else { PollFlags::empty() };
        let mut descriptors = [
            PollFd::new(channel.as_fd(), PollFlags::POLLIN | writable),
            PollFd::new(woken.as_fd(), PollFlags::POLLIN),
        ];
        wait(&mut descriptors, None);
        drain(woken);
        if has_ended(shared) {
            break None;
        }
        match receive_all(shared, &channel) {
            Ok(Next::Continue) => {}
            Ok(Next::Close) => break None,
            Err(error) => break Some(format!("the connection to the keeper is lost: {error}")),
        }
        let mut state = shared.lock();
        state.flush();
        let is_stuck = has_output && state.has_output();
        drop(state);
        if is_stuck {
            std::thread::sleep(RESEND);
        }
    };
    if let Some(error) = &error {
        tracing::warn!("{error}");
    }
    shared.lock().disconnected(error);
    shared.notify();
}

/// Handles all messages that have arrived.
fn receive_all(shared: &Shared, channel: &Channel) -> io::Result<Next> {
    loop {
        match channel.receive()? {
            Incoming::Message(received) => {
                let mut state = shared.lock();
                let before = state.phase();
                let next = state.receive(received);
                let (after, status) = (state.phase(), state.status());
                drop(state);
                shared.notify();
                if before != after {
                    log(after, &status);
                }
                if next == Next::Close {
                    return Ok(next);
                }
            }
            Incoming::Nothing => return Ok(Next::Continue),
            Incoming::End => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn log(phase: Phase, status: &super::KeeperStatus) {
    match phase {
        Phase::Connected => {
            tracing::info!(pid = status.pid, version = status.version, "connected to the keeper");
        }
        Phase::Replaced => tracing::warn!("another agent has taken the streams over"),
        Phase::Disconnected => {
            tracing::warn!(error = status.last_error, "the keeper does not serve this agent")
        }
        Phase::Connecting | Phase::Stopped => {}
    }
}

/// Waits for any descriptor. An error shows in the operations that follow.
fn wait(descriptors: &mut [PollFd<'_>], timeout: Option<Duration>) {
    let milliseconds = timeout.map(|left| left.as_millis() + 1);
    let timeout = milliseconds
        .map_or(PollTimeout::NONE, |left| PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
    if let Err(error) = poll(descriptors, timeout)
        && error != Errno::EINTR
    {
        tracing::warn!(%error, "cannot wait for the keeper");
        std::thread::sleep(RETRY);
    }
}

fn drain(mut woken: &UnixStream) {
    let mut buffer = [0; 64];
    while woken.read(&mut buffer).is_ok_and(|octets| octets == buffer.len()) {}
}
