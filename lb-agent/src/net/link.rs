//! Interfaces: index, MAC, MTU, and what XDP program they carry.

use futures::TryStreamExt;
use lb_plan::plan::Uplink;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage, LinkXdp};
use rtnetlink::Handle;

/// An uplink by its name, and whether it has a carrier; `None` where there is none of that name, or it has no Ethernet address.
///
/// # Errors
/// When the kernel does not answer.
pub async fn uplink(handle: &Handle, name: &str) -> Result<Option<(u32, Uplink, bool)>, rtnetlink::Error> {
    let mut links = handle.link().get().match_name(name.to_owned()).execute();
    match links.try_next().await {
        Ok(link) => Ok(link.and_then(|link| {
            let has_carrier = link.header.flags.contains(LinkFlags::LowerUp);
            Some((link.header.index, describe(name, &link)?, has_carrier))
        })),
        Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -libc::ENODEV => Ok(None),
        Err(error) => Err(error),
    }
}

fn describe(name: &str, link: &LinkMessage) -> Option<Uplink> {
    let mut mac = None;
    let mut mtu = None;
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::Address(bytes) => mac = <[u8; 6]>::try_from(bytes.as_slice()).ok(),
            LinkAttribute::Mtu(value) => mtu = Some(u16::try_from(*value).unwrap_or(u16::MAX)),
            _ => {}
        }
    }
    Some(Uplink { name: name.to_owned(), mac: mac?, mtu: mtu? })
}

/// Id of the XDP program on an interface, asked in its own small runtime: this is for a message on the way
/// out, where no runtime runs.
pub fn xdp_program_of(name: &str) -> Option<u32> {
    let name = name.to_owned();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().ok()?;
        runtime.block_on(async {
            let (connection, handle, _) = rtnetlink::new_connection().ok()?;
            tokio::spawn(connection);
            let link = handle.link().get().match_name(name).execute().try_next().await.ok()??;
            link.attributes.iter().find_map(program_id)
        })
    })
    .join()
    .ok()?
}

fn program_id(attribute: &LinkAttribute) -> Option<u32> {
    let LinkAttribute::Xdp(xdp) = attribute else { return None };
    xdp.iter().find_map(|part| match part {
        LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) | LinkXdp::HwProgId(id) => {
            Some(*id)
        }
        _ => None,
    })
}
