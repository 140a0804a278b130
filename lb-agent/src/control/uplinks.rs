//! The uplinks in the loop: looked at, and put right.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{Control, Memory};
use crate::control::readiness::{Look, Ready};
use lb_dataplane::attach::{AttachMode, AttachedUplink};
use lb_dataplane::attachment::{XdpInterface, XdpProgram};
use lb_dataplane::net::link::{Device, DeviceKind};
use lb_dataplane::net::observe::NetworkState;

/// For so long after an uplink is another one, others are asked for every second: its addresses and routes come after
/// it.
const GREET_FOR: Duration = Duration::from_secs(3);

/// What is known of the uplinks beside the facts of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Standing {
    /// The uplinks, to be shown.
    pub(super) attached: Vec<AttachedUplink>,
    /// What is wrong with them.
    pub(super) problems: Vec<String>,
    /// Interface and MAC of those that have the program.
    carried: BTreeSet<(u32, Option<[u8; 6]>)>,
    has_carrier: bool,
    /// A veth on which the program runs in native mode.
    native_veth: Option<String>,
}

impl Standing {
    /// These uplinks, which have not been looked at yet.
    pub(super) fn of(attached: Vec<AttachedUplink>) -> Self {
        Self { attached, ..Self::default() }
    }

    /// Why no other node answers, where the uplink may be the reason. `answers` says of each whether it does.
    pub(super) fn deaf_veth(&self, mut answers: impl Iterator<Item = bool>) -> Option<String> {
        let name = self.native_veth.as_ref()?;
        let is_alone = answers.next() == Some(false) && !answers.any(|answers| answers);
        is_alone.then(|| {
            format!(
                "no other node answers, and uplink {name} is a veth in native mode: what the program sends is lost unless \
                 the other end of the veth has an XDP program or GRO. Start the agent with --xdp-mode auto"
            )
        })
    }
}

/// The device as the attachment sees it.
pub fn interface(device: &Device) -> XdpInterface {
    let program = device.program.map(|program| XdpProgram {
        id: program.id,
        mode: if program.is_generic { AttachMode::Generic } else { AttachMode::Native },
    });
    let is_veth = device.kind == DeviceKind::Veth;
    XdpInterface { index: device.index, name: device.name.clone(), is_veth, program }
}

fn native_veth(devices: &[Device]) -> Option<&Device> {
    let is_native = |device: &&Device| device.program.is_some_and(|program| !program.is_generic);
    devices.iter().filter(|device| device.kind == DeviceKind::Veth).find(is_native)
}

impl Control {
    /// Looks at the uplinks, puts right what is not as it should be, and returns those that have the program.
    pub(super) async fn watch(&mut self, memory: &mut Memory) -> Result<Vec<Device>, rtnetlink::Error> {
        let mut devices = self.network.devices(self.attachment.names(), self.attachment.indices()).await?;
        let interfaces: Vec<XdpInterface> = devices.iter().map(interface).collect();
        self.attachment.reconcile(&interfaces);
        devices.retain(|device| self.attachment.carries(device.index));
        let carried: BTreeSet<_> = devices.iter().map(|device| (device.index, device.mac)).collect();
        if !carried.is_subset(&memory.standing.carried) {
            memory.greet_until = Some(Instant::now() + GREET_FOR);
        }
        memory.standing = Standing {
            attached: self.attachment.status(),
            problems: self.attachment.problems(),
            has_carrier: devices.iter().any(|device| device.has_carrier),
            native_veth: native_veth(&devices).map(|device| device.name.clone()),
            carried,
        };
        Ok(devices)
    }

    /// Looks at the uplinks alone; true where something is different.
    pub(super) async fn watch_alone(&mut self, memory: &mut Memory) -> bool {
        let before = memory.standing.clone();
        match self.watch(memory).await {
            Ok(_) => memory.standing != before,
            Err(error) => {
                tracing::error!(%error, "the kernel does not say what the uplinks are");
                false
            }
        }
    }

    /// Looks at uplinks and network.
    pub(super) async fn observation(
        &mut self,
        memory: &mut Memory,
    ) -> Result<NetworkState, rtnetlink::Error> {
        let devices = self.watch(memory).await?;
        let wanted = self.wanted(memory);
        let observation = self.network.observe(&wanted, &devices.iter().collect::<Vec<_>>()).await?;
        Ok(observation)
    }

    /// Has others learn of an uplink that is another one.
    pub(super) async fn greet(&self, memory: &mut Memory) {
        if let Some(until) = memory.greet_until {
            self.network.greet(&self.wanted(memory)).await;
            memory.greet_until = Some(until).filter(|until| Instant::now() < *until);
        }
    }

    /// Whether packets for VIPs get to their nodes.
    pub(super) fn judge(&self, memory: &mut Memory) -> Ready {
        let uplinks = memory.standing.carried.iter().map(|(index, _)| *index).collect();
        let look = Look {
            now: Instant::now(),
            is_whole: self.attachment.is_whole(),
            uplinks: &uplinks,
            has_carrier: memory.standing.has_carrier,
            unresolved: &memory.observation.unresolved,
            is_installed: memory.installed.config.is_some(),
        };
        memory.readiness.judge(&look)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_native_veth_is_named_where_nobody_answers() {
        let standing = Standing { native_veth: Some("eth0".into()), ..Standing::default() };
        let says = |answers: &[bool]| standing.deaf_veth(answers.iter().copied()).is_some();
        assert!(says(&[false]) && says(&[false, false]));
        assert!(!says(&[]) && !says(&[true]) && !says(&[false, true]));
        assert_eq!(Standing::default().deaf_veth([false].into_iter()), None);
    }
}
