//! The one trace of an agent: begun, read and ended by requests, and ended by itself.
//!
//! A trace lives on a lease that each request renews. The program has the end of the lease as well, so it
//! records nothing from then on, whatever has become of the agent.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use lb_common::trace::TraceSettings;
use lb_dataplane::attach::{AttachError, MapSizes};
use lb_dataplane::attachment::TracingProgram;
use lb_dataplane::pins::Pins;
use lb_dataplane::tracing_program::{self, TraceError, TraceMaps, TracedFrame};
use nix::net::if_::if_nameindex;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::record::{RequestError, TraceBatch, TraceNames, TraceRequest, TraceStarted};

/// How long a trace lives without a request.
pub const LEASE: Duration = Duration::from_secs(3);
/// The most packets in one answer.
const BATCH: usize = 1000;
/// How long a request waits for the first packet, and how often it looks.
const WAIT: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(50);
/// How long the control loop may take to switch the program.
const SWITCH: Duration = Duration::from_secs(5);

/// Why there is no trace, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum TracerError {
    /// The request is invalid.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Another trace runs.
    #[error("another trace runs on this node and ends in {} s at the latest; only one can run at a time", .0.as_secs())]
    Busy(Duration),
    /// The trace has ended.
    #[error("the trace has ended: it reached its maximum time, or was not read for {} s", LEASE.as_secs())]
    Ended,
    /// The program cannot be loaded or read.
    #[error(transparent)]
    Program(#[from] TraceError),
    /// The program cannot be put on the uplinks.
    #[error("cannot put the tracing program on the uplinks: {0}")]
    Attach(#[from] AttachError),
    /// The control loop is busy or has not begun.
    #[error("the agent did not switch the program within {} s; try again when the node is ready", SWITCH.as_secs())]
    NoSwitch,
    /// A thread or a clock failed.
    #[error("cannot begin the trace: {0}")]
    System(io::Error),
}

/// A request to the control loop.
pub enum TraceSwitch {
    /// Put this program on the uplinks, unless the request is not waited for any more.
    On(TracingProgram, oneshot::Sender<Result<(), AttachError>>),
    /// Put the agent's own program back.
    Off,
}

/// What the tracing program is loaded from.
pub struct TracerSource {
    /// The XDP object, prepared for this kernel.
    pub object: Cow<'static, [u8]>,
    /// The pins of the maps.
    pub pins: Pins,
    /// The sizes of the maps.
    pub sizes: MapSizes,
    /// Returns the names at present; those of interfaces are added.
    pub names: Box<dyn Fn() -> TraceNames + Send + Sync>,
}

/// The traces of an agent.
#[derive(Clone)]
pub struct Tracer(Arc<Inner>);

struct Inner {
    source: TracerSource,
    switch: mpsc::Sender<TraceSwitch>,
    trace: Mutex<Option<Trace>>,
}

/// A running trace.
struct Trace {
    id: u64,
    maps: TraceMaps,
    settings: TraceSettings,
    /// When it ends, however often it is read.
    end: Instant,
    /// When it ends unless it is read.
    lease: Instant,
    interfaces: BTreeMap<u32, String>,
}

impl Tracer {
    /// Creates it, and the control loop's end of its requests.
    pub fn new(source: TracerSource) -> (Self, mpsc::Receiver<TraceSwitch>) {
        let (switch, switches) = mpsc::channel(4);
        (Self(Arc::new(Inner { source, switch, trace: Mutex::new(None) })), switches)
    }

    /// Begins a trace.
    ///
    /// # Errors
    /// See [`TracerError`].
    pub async fn begin(&self, request: &TraceRequest) -> Result<TraceStarted, TracerError> {
        let settings = request.settings()?;
        let mut running = self.0.trace.lock().await;
        if let Some(trace) = running.as_ref().filter(|trace| trace.is_alive(Instant::now())) {
            return Err(TracerError::Busy(trace.end.saturating_duration_since(Instant::now())));
        }
        if running.take().is_some() {
            self.switch_off().await;
        }
        let tracer = self.clone();
        let load = move || {
            let TracerSource { object, pins, sizes, .. } = &tracer.0.source;
            tracing_program::load(object, pins, *sizes)
        };
        let loaded = tokio::task::spawn_blocking(load).await.map_err(|e| TracerError::System(e.into()))?;
        let (program, maps) = loaded?;
        self.switch_on(program).await?;
        let now = Instant::now();
        let id = random_id().map_err(TracerError::System)?;
        // The command ends it a moment earlier.
        let end = now + Duration::from_secs(request.seconds) + LEASE;
        let mut trace = Trace { id, maps, settings, end, lease: now, interfaces: interfaces() };
        if let Err(error) = trace.renew(now) {
            self.switch_off().await;
            return Err(error);
        }
        *running = Some(trace);
        drop(running);
        tracing::info!(id, ?request, "began a trace");
        tokio::spawn(self.clone().watch(id));
        Ok(TraceStarted { id, lease_ms: LEASE.as_millis() as u64 })
    }

    /// Renews the lease and returns the packets since the last call; waits for the first one, but not long.
    ///
    /// # Errors
    /// When there is no such trace any more.
    pub async fn read(&self, id: u64) -> Result<TraceBatch, TracerError> {
        let start = Instant::now();
        loop {
            let mut running = self.0.trace.lock().await;
            let now = Instant::now();
            let trace = running.as_mut().filter(|trace| trace.id == id && trace.is_alive(now));
            let trace = trace.ok_or(TracerError::Ended)?;
            trace.renew(now)?;
            let frames = trace.maps.take_frames(BATCH);
            if !frames.is_empty() || start.elapsed() >= WAIT {
                return self.batch(trace, &frames);
            }
            drop(running);
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ends a trace, and returns its last packets.
    ///
    /// # Errors
    /// When there is no such trace any more.
    pub async fn end(&self, id: u64) -> Result<TraceBatch, TracerError> {
        let mut running = self.0.trace.lock().await;
        let mut trace = running.take_if(|trace| trace.id == id).ok_or(TracerError::Ended)?;
        let settings = TraceSettings { until: 0, ..trace.settings };
        trace.maps.set(&settings)?;
        self.switch_off().await;
        let frames = trace.maps.take_frames(BATCH);
        self.batch(&trace, &frames)
    }

    fn batch(&self, trace: &Trace, frames: &[TracedFrame]) -> Result<TraceBatch, TracerError> {
        let named = |names| TraceNames { interfaces: trace.interfaces.clone(), ..names };
        let names = if frames.is_empty() { TraceNames::default() } else { named((self.0.source.names)()) };
        let boot = boot_ns()?;
        let counts = trace.maps.counts()?;
        Ok(TraceBatch {
            packets: frames.iter().map(|frame| names.describe(frame, boot)).collect(),
            matched: counts.matched,
            lost: counts.lost,
        })
    }

    /// Ends the trace when its lease or its time is over.
    async fn watch(self, id: u64) {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let mut running = self.0.trace.lock().await;
            let Some(trace) = running.as_ref().filter(|trace| trace.id == id) else { return };
            if !trace.is_alive(Instant::now()) {
                tracing::info!(id, "the trace was not ended by its command: its time or its lease is over");
                *running = None;
                self.switch_off().await;
                return;
            }
        }
    }

    async fn switch_on(&self, program: TracingProgram) -> Result<(), TracerError> {
        let (reply, switched) = oneshot::channel();
        let request = self.0.switch.send(TraceSwitch::On(program, reply));
        let switched = tokio::time::timeout(SWITCH, async {
            request.await.ok()?;
            switched.await.ok()
        });
        match switched.await {
            Ok(Some(result)) => Ok(result?),
            Ok(None) | Err(_) => Err(TracerError::NoSwitch),
        }
    }

    async fn switch_off(&self) {
        // The loop ends with the agent, whose successor puts its own program on the uplinks.
        let _ = self.0.switch.send(TraceSwitch::Off).await;
    }
}

impl Trace {
    fn is_alive(&self, now: Instant) -> bool {
        now < self.end && now < self.lease
    }

    fn renew(&mut self, now: Instant) -> Result<(), TracerError> {
        self.lease = now + LEASE;
        let left = LEASE.min(self.end.saturating_duration_since(now));
        self.settings.until = tracing_program::now()? + left.as_nanos() as u64;
        Ok(self.maps.set(&self.settings)?)
    }
}

/// Returns the nanoseconds since 1970 at which the monotonic clock began.
fn boot_ns() -> Result<u64, TracerError> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok((since.as_nanos() as u64).saturating_sub(tracing_program::now()?))
}

/// Returns a name for a trace that no other client guesses by chance.
fn random_id() -> io::Result<u64> {
    // JSON numbers are exact up to 2^53.
    Ok(u64::from_ne_bytes(lb_runtime::random::bytes()?) >> 11)
}

fn interfaces() -> BTreeMap<u32, String> {
    let Ok(all) = if_nameindex() else { return BTreeMap::new() };
    all.iter().map(|it| (it.index(), it.name().to_string_lossy().into_owned())).collect()
}
