//! The uplinks in the control loop: observed, and repaired.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::ControlLoop;
use super::readiness::{ReadinessInput, ReadyState};
use super::state::LoopState;
use super::uplink_state::UplinkState;
use lb_dataplane::attach::AttachMode;
use lb_dataplane::attachment::{XdpInterface, XdpProgram};
use lb_dataplane::net::link::{Device, DeviceKind};
use lb_dataplane::net::observe::NetworkState;
use lb_dataplane::net::uplink_path::{UplinkPath, choice};

/// For this long after an uplink appears or changes, other hosts are greeted every second: its addresses and
/// routes follow later.
const GREET_FOR: Duration = Duration::from_secs(3);

/// The interval at which members of bonds are listed, for the status.
const PATHS_EVERY: Duration = Duration::from_secs(1);

/// Returns the device as the attachment needs it.
pub fn interface(device: &Device) -> XdpInterface {
    let program = device.program.map(|program| XdpProgram {
        id: program.id,
        mode: if program.is_generic { AttachMode::Generic } else { AttachMode::Native },
    });
    let requires_generic = choice(device.kind).is_generic();
    XdpInterface { index: device.index, name: device.name.clone(), requires_generic, program }
}

fn native_veth(devices: &[Device]) -> Option<&Device> {
    let is_native = |device: &&Device| device.program.is_some_and(|program| !program.is_generic);
    devices.iter().filter(|device| device.kind == DeviceKind::Veth).find(is_native)
}

impl ControlLoop {
    /// Observes the uplinks, repairs what differs from the desired state, and returns those that run the
    /// program.
    async fn watch(&mut self, state: &mut LoopState) -> Result<Vec<Device>, rtnetlink::Error> {
        let mut devices = self.network.devices(self.attachment.names(), self.attachment.indices()).await?;
        let interfaces: Vec<XdpInterface> = devices.iter().map(interface).collect();
        self.attachment.reconcile(&interfaces);
        devices.retain(|device| self.attachment.carries(device.index));
        let carried: BTreeSet<_> = devices.iter().map(|device| (device.index, device.mac)).collect();
        if !carried.is_subset(&state.uplinks.carried) {
            state.greet_until = Some(Instant::now() + GREET_FOR);
        }
        if carried != state.uplinks.carried || state.paths_due.is_some_and(|due| Instant::now() >= due) {
            self.refresh_paths(state).await?;
        }
        let mut attached = self.attachment.status();
        for uplink in &mut attached {
            uplink.path = state.paths.get(&uplink.interface).cloned();
        }
        state.uplinks = UplinkState {
            attached,
            problems: self.attachment.problems(),
            has_carrier: devices.iter().any(|device| device.has_carrier),
            native_veth: native_veth(&devices).map(|device| device.name.clone()),
            carried,
        };
        Ok(devices)
    }

    /// Reads what is below the uplinks, and logs what has changed.
    async fn refresh_paths(&self, state: &mut LoopState) -> Result<(), rtnetlink::Error> {
        let devices = self.network.all_devices().await?;
        let mut paths = BTreeMap::new();
        for uplink in self.attachment.status() {
            let Some(path) = UplinkPath::find(&uplink.interface, &devices).filter(|it| !it.is_plain()) else {
                continue;
            };
            let text = path.to_string();
            if state.paths.get(&uplink.interface) != Some(&text) {
                tracing::info!(uplink = %path, mode = uplink.mode.as_str(), by_itself = %path.choice(), "uplink");
            }
            paths.insert(uplink.interface, text);
        }
        state.paths_due = (!paths.is_empty()).then(|| Instant::now() + PATHS_EVERY);
        state.paths = paths;
        Ok(())
    }

    /// Observes and repairs the uplinks alone. Returns whether anything differs.
    pub(super) async fn check_uplinks(&mut self, state: &mut LoopState) -> bool {
        let before = state.uplinks.clone();
        match self.watch(state).await {
            Ok(_) => state.uplinks != before,
            Err(error) => {
                tracing::error!(%error, "cannot read the uplinks from the kernel; they stay as they were");
                false
            }
        }
    }

    /// Observes the uplinks and the network.
    pub(super) async fn observation(
        &mut self,
        state: &mut LoopState,
    ) -> Result<NetworkState, rtnetlink::Error> {
        let devices = self.watch(state).await?;
        let targets = self.next_hop_targets(state);
        let observation = self.network.observe(&targets, &devices.iter().collect::<Vec<_>>()).await?;
        Ok(observation)
    }

    /// Sends to other hosts on a new uplink, so that switches and neighbor tables learn it.
    pub(super) async fn greet(&self, state: &mut LoopState) {
        if let Some(until) = state.greet_until {
            self.network.solicit_all(&self.next_hop_targets(state)).await;
            state.greet_until = Some(until).filter(|until| Instant::now() < *until);
        }
    }

    /// Returns whether this node forwards packets for VIPs.
    pub(super) fn readiness(&self, state: &mut LoopState) -> ReadyState {
        let uplinks = state.uplinks.carried.iter().map(|(index, _)| *index).collect();
        let input = ReadinessInput {
            now: Instant::now(),
            is_whole: self.attachment.is_whole(),
            uplinks: &uplinks,
            has_carrier: state.uplinks.has_carrier,
            unresolved: &state.network.unresolved,
            is_installed: state.installed.config.is_some(),
        };
        state.readiness.update(&input)
    }
}
