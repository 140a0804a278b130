//! Network interfaces: index, MAC address, MTU, kind, master, and XDP program.

use futures::{Stream, TryStreamExt};
use netlink_packet_route::link::{
    InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp, XdpAttached,
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
    /// The XDP program attached to it.
    pub program: Option<DeviceProgram>,
}

/// The kind of an interface, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceKind {
    /// A veth device.
    Veth,
    /// A bond: a native program on it runs on its members.
    Bond,
    /// Anything else.
    #[default]
    Other,
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

/// Looks up an interface by name, in a temporary runtime; `None` also if the netlink request fails.
pub fn by_name_blocking(name: &str) -> Option<Device> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().ok()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().ok()?;
        tokio::spawn(connection);
        by_name(&handle, name).await.ok()?
    })
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
            _ => {}
        }
    }
    device
}

fn kind(info: &[LinkInfo]) -> DeviceKind {
    let known = info.iter().find_map(|part| match part {
        LinkInfo::Kind(InfoKind::Veth) => Some(DeviceKind::Veth),
        LinkInfo::Kind(InfoKind::Bond) => Some(DeviceKind::Bond),
        _ => None,
    });
    known.unwrap_or_default()
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
        let described = describe(&link(vec![
            LinkAttribute::IfName("bond0".into()),
            LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]),
            LinkAttribute::Mtu(70_000),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bond)]),
            LinkAttribute::Xdp(xdp),
        ]));
        let expected = Device {
            index: 7,
            name: "bond0".into(),
            mac: Some([2, 0, 0, 0, 0, 1]),
            mtu: u16::MAX,
            has_carrier: false,
            kind: DeviceKind::Bond,
            program: Some(DeviceProgram { id: 12, is_generic: true }),
        };
        assert_eq!(described, expected);
        let none = vec![LinkAttribute::Xdp(vec![LinkXdp::Attached(XdpAttached::None)])];
        assert_eq!(describe(&link(none)).program, None);
    }

    #[test]
    fn a_bonds_member_has_its_index_as_master() {
        assert_eq!(master(&link(vec![LinkAttribute::Controller(4)])), Some(4));
        assert_eq!(master(&link(vec![])), None);
    }
}
