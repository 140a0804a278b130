//! Network interfaces: index, MAC address, MTU, kind, master, and XDP program.

use futures::{Stream, TryStreamExt};
use netlink_packet_route::link::{
    BondMode as KernelBondMode, BondXmitHashPolicy, InfoBond, InfoData, InfoKind, InfoVlan, InfoVrf,
    LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp, XdpAttached,
};
use rtnetlink::Handle;

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its MAC address, if it has one.
    pub mac: Option<[u8; 6]>,
    /// Its MTU in bytes.
    pub mtu: u16,
    /// Whether it is up and has a carrier.
    pub has_carrier: bool,
    /// Its kind.
    pub kind: DeviceKind,
    /// Index of the device that it is on: the parent of a VLAN device. The peer of a veth has one, too.
    pub lower: Option<u32>,
    /// Index of its master: a bond, a bridge or a VRF.
    pub master: Option<u32>,
    /// The XDP program attached to it.
    pub program: Option<DeviceProgram>,
}

/// The kind of an interface, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceKind {
    /// A veth device.
    Veth,
    /// A bond: a native program on it runs on its members.
    Bond(BondSettings),
    /// A VLAN device with this VLAN ID: its driver runs no program.
    Vlan(u16),
    /// A VRF with this routing table.
    Vrf(u32),
    /// Anything else.
    #[default]
    Other,
}

/// The settings of a bond, as far as they matter for XDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BondSettings {
    /// How it uses its members.
    pub mode: BondMode,
    /// Whether it chooses a member by VLAN ID and source MAC address, which the kernel cannot do for XDP.
    pub hashes_vlan_and_source: bool,
}

/// How a bond uses its members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BondMode {
    /// One after the other.
    #[default]
    RoundRobin,
    /// One at a time.
    ActiveBackup,
    /// By a hash.
    Xor,
    /// All at once.
    Broadcast,
    /// By a hash, those that the switch agrees to (LACP).
    Lacp,
    /// By load, when sending.
    TransmitLoad,
    /// By load, in both directions.
    AdaptiveLoad,
}

impl BondMode {
    /// Returns its name in `ip link`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RoundRobin => "balance-rr",
            Self::ActiveBackup => "active-backup",
            Self::Xor => "balance-xor",
            Self::Broadcast => "broadcast",
            Self::Lacp => "802.3ad",
            Self::TransmitLoad => "balance-tlb",
            Self::AdaptiveLoad => "balance-alb",
        }
    }
}

/// The XDP program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceProgram {
    /// Its ID.
    pub id: u32,
    /// Whether it runs in generic mode.
    pub is_generic: bool,
}

/// Looks up an interface by name; `None` if there is none.
///
/// # Errors
/// When the netlink request fails.
pub(crate) async fn by_name(handle: &Handle, name: &str) -> Result<Option<Device>, rtnetlink::Error> {
    one(handle.link().get().match_name(name.to_owned()).execute()).await
}

/// Looks up an interface by index; `None` if there is none.
///
/// # Errors
/// When the netlink request fails.
pub(crate) async fn by_index(handle: &Handle, index: u32) -> Result<Option<Device>, rtnetlink::Error> {
    one(handle.link().get().match_index(index).execute()).await
}

/// Lists all interfaces, in a temporary runtime; none if the netlink request fails.
pub fn all_blocking() -> Vec<Device> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else {
        return Vec::new();
    };
    let listed = runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().ok()?;
        tokio::spawn(connection);
        all(&handle).await.ok()
    });
    listed.unwrap_or_default()
}

/// Lists all interfaces.
///
/// # Errors
/// When the netlink request fails.
pub(crate) async fn all(handle: &Handle) -> Result<Vec<Device>, rtnetlink::Error> {
    handle.link().get().execute().map_ok(|link| describe(&link)).try_collect().await
}

/// Lists the indices of a bond's members.
///
/// # Errors
/// When the netlink request fails.
pub(crate) async fn members(handle: &Handle, bond: u32) -> Result<Vec<u32>, rtnetlink::Error> {
    let mut request = handle.link().get();
    // Kernels without this filter return all interfaces.
    request.message_mut().attributes.push(LinkAttribute::Controller(bond));
    let links: Vec<LinkMessage> = request.execute().try_collect().await?;
    Ok(links.iter().filter(|link| master(link) == Some(bond)).map(|link| link.header.index).collect())
}

async fn one(
    mut links: impl Stream<Item = Result<LinkMessage, rtnetlink::Error>> + Unpin,
) -> Result<Option<Device>, rtnetlink::Error> {
    match links.try_next().await {
        Ok(link) => Ok(link.as_ref().map(describe)),
        Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -libc::ENODEV => Ok(None),
        Err(error) => Err(error),
    }
}

fn describe(link: &LinkMessage) -> Device {
    let mut device = Device {
        index: link.header.index,
        has_carrier: link.header.flags.contains(LinkFlags::LowerUp),
        ..Device::default()
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => device.name.clone_from(name),
            LinkAttribute::Address(bytes) => device.mac = <[u8; 6]>::try_from(bytes.as_slice()).ok(),
            LinkAttribute::Mtu(value) => device.mtu = u16::try_from(*value).unwrap_or(u16::MAX),
            LinkAttribute::LinkInfo(info) => device.kind = kind(info),
            LinkAttribute::Xdp(xdp) => device.program = program(xdp),
            LinkAttribute::Link(index) => device.lower = Some(*index),
            LinkAttribute::Controller(index) => device.master = Some(*index),
            _ => {}
        }
    }
    device
}

fn kind(info: &[LinkInfo]) -> DeviceKind {
    let is_veth = info.iter().any(|part| matches!(part, LinkInfo::Kind(InfoKind::Veth)));
    let known = info.iter().find_map(|part| match part {
        LinkInfo::Data(InfoData::Bond(settings)) => Some(DeviceKind::Bond(bond(settings))),
        LinkInfo::Data(InfoData::Vlan(settings)) => settings.iter().find_map(|it| match it {
            InfoVlan::Id(tag) => Some(DeviceKind::Vlan(*tag)),
            _ => None,
        }),
        LinkInfo::Data(InfoData::Vrf(settings)) => settings.iter().find_map(|it| match it {
            InfoVrf::TableId(table) => Some(DeviceKind::Vrf(*table)),
            _ => None,
        }),
        _ => None,
    });
    known.unwrap_or(if is_veth { DeviceKind::Veth } else { DeviceKind::Other })
}

fn bond(settings: &[InfoBond]) -> BondSettings {
    let mut bond = BondSettings::default();
    for setting in settings {
        match setting {
            InfoBond::Mode(mode) => bond.mode = bond_mode(*mode),
            InfoBond::XmitHashPolicy(policy) => {
                bond.hashes_vlan_and_source = *policy == BondXmitHashPolicy::VlanSrcMac;
            }
            _ => {}
        }
    }
    bond
}

fn bond_mode(mode: KernelBondMode) -> BondMode {
    match mode {
        KernelBondMode::ActiveBackup => BondMode::ActiveBackup,
        KernelBondMode::BalanceXor => BondMode::Xor,
        KernelBondMode::Broadcast => BondMode::Broadcast,
        KernelBondMode::Ieee8023Ad => BondMode::Lacp,
        KernelBondMode::BalanceTlb => BondMode::TransmitLoad,
        KernelBondMode::BalanceAlb => BondMode::AdaptiveLoad,
        _ => BondMode::RoundRobin,
    }
}

fn master(link: &LinkMessage) -> Option<u32> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Controller(index) => Some(*index),
        _ => None,
    })
}

fn program(xdp: &[LinkXdp]) -> Option<DeviceProgram> {
    let is_generic = xdp.iter().any(|part| matches!(part, LinkXdp::Attached(XdpAttached::SocketBuffer)));
    let id = xdp.iter().find_map(|part| match part {
        LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) | LinkXdp::HwProgId(id) => {
            Some(*id)
        }
        _ => None,
    })?;
    Some(DeviceProgram { id, is_generic })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(attributes: Vec<LinkAttribute>) -> LinkMessage {
        let mut link = LinkMessage::default();
        link.header.index = 7;
        link.attributes = attributes;
        link
    }

    #[test]
    fn a_message_yields_the_interfaces_program_and_kind() {
        let xdp = vec![LinkXdp::Attached(XdpAttached::SocketBuffer), LinkXdp::ProgId(12)];
        let settings = vec![
            InfoBond::Mode(KernelBondMode::Ieee8023Ad),
            InfoBond::XmitHashPolicy(BondXmitHashPolicy::VlanSrcMac),
        ];
        let data = InfoData::Bond(settings);
        let described = describe(&link(vec![
            LinkAttribute::IfName("bond0".into()),
            LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]),
            LinkAttribute::Mtu(70_000),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bond), LinkInfo::Data(data)]),
            LinkAttribute::Xdp(xdp),
        ]));
        let expected = Device {
            index: 7,
            name: "bond0".into(),
            mac: Some([2, 0, 0, 0, 0, 1]),
            mtu: u16::MAX,
            has_carrier: false,
            kind: DeviceKind::Bond(BondSettings { mode: BondMode::Lacp, hashes_vlan_and_source: true }),
            program: Some(DeviceProgram { id: 12, is_generic: true }),
            ..Device::default()
        };
        assert_eq!(described, expected);
        let none = vec![LinkAttribute::Xdp(vec![LinkXdp::Attached(XdpAttached::None)])];
        assert_eq!(describe(&link(none)).program, None);
    }

    #[test]
    fn a_vlan_device_has_its_id_and_what_it_is_on() {
        let info =
            vec![LinkInfo::Kind(InfoKind::Vlan), LinkInfo::Data(InfoData::Vlan(vec![InfoVlan::Id(100)]))];
        let described = describe(&link(vec![
            LinkAttribute::LinkInfo(info),
            LinkAttribute::Link(3),
            LinkAttribute::Controller(9),
        ]));
        assert_eq!(
            (described.kind, described.lower, described.master),
            (DeviceKind::Vlan(100), Some(3), Some(9))
        );
        let vrf =
            vec![LinkInfo::Kind(InfoKind::Vrf), LinkInfo::Data(InfoData::Vrf(vec![InfoVrf::TableId(7)]))];
        assert_eq!(describe(&link(vec![LinkAttribute::LinkInfo(vrf)])).kind, DeviceKind::Vrf(7));
    }

    #[test]
    fn a_bonds_member_has_its_index_as_master() {
        assert_eq!(master(&link(vec![LinkAttribute::Controller(4)])), Some(4));
        assert_eq!(master(&link(vec![])), None);
    }
}
