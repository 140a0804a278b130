//! Interfaces: index, MAC, MTU, kind, master, and the XDP program that they carry.

use futures::{Stream, TryStreamExt};
use netlink_packet_route::link::{
    InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp, XdpAttached,
};
use rtnetlink::Handle;

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its Ethernet address, where it has one.
    pub mac: Option<[u8; 6]>,
    /// Its MTU in bytes.
    pub mtu: u16,
    /// Whether it is up and has a carrier.
    pub has_carrier: bool,
    /// What it is, of what makes a difference.
    pub kind: DeviceKind,
    /// The XDP program on it.
    pub program: Option<DeviceProgram>,
}

/// What an interface is, of what makes a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceKind {
    /// A veth.
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
    /// Its id.
    pub id: u32,
    /// Whether it runs in the stack.
    pub is_generic: bool,
}

/// An interface by its name; `None` where there is none.
///
/// # Errors
/// When the kernel does not answer.
pub async fn by_name(handle: &Handle, name: &str) -> Result<Option<Device>, rtnetlink::Error> {
    one(handle.link().get().match_name(name.to_owned()).execute()).await
}

/// An interface by its index; `None` where there is none.
///
/// # Errors
/// When the kernel does not answer.
pub async fn by_index(handle: &Handle, index: u32) -> Result<Option<Device>, rtnetlink::Error> {
    one(handle.link().get().match_index(index).execute()).await
}

/// An interface by its name, asked in a small runtime of its own; `None` also where the kernel does not answer.
pub fn look(name: &str) -> Option<Device> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().ok()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().ok()?;
        tokio::spawn(connection);
        by_name(&handle, name).await.ok()?
    })
}

/// All interfaces.
///
/// # Errors
/// When the kernel does not answer.
pub async fn all(handle: &Handle) -> Result<Vec<Device>, rtnetlink::Error> {
    handle.link().get().execute().map_ok(|link| describe(&link)).try_collect().await
}

/// Indices of the members of a bond.
///
/// # Errors
/// When the kernel does not answer.
pub async fn members(handle: &Handle, bond: u32) -> Result<Vec<u32>, rtnetlink::Error> {
    let mut request = handle.link().get();
    // Kernels that do not know this filter answer with all.
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
    fn a_link_is_described_with_its_program_and_kind() {
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
    fn a_member_of_a_bond_names_its_master() {
        assert_eq!(master(&link(vec![LinkAttribute::Controller(4)])), Some(4));
        assert_eq!(master(&link(vec![])), None);
    }
}
