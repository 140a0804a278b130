//! The reason why a driver refuses an XDP program, from netlink's extended acknowledgement.
//!
//! `BPF_LINK_CREATE` fails with an error number only, the same one for a driver without XDP and for a driver
//! that cannot run it with the interface's current settings. A netlink request returns the reason as text.

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::ErrorMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage, LinkXdp};
use rtnetlink::Handle;
use rtnetlink::sys::AsyncSocket;

/// `XDP_FLAGS_UPDATE_IF_NOEXIST` and `XDP_FLAGS_DRV_MODE`.
const ONLY_NATIVE: u32 = 1 << 0 | 1 << 2;
/// `XDP_FLAGS_DRV_MODE`.
const NATIVE: u32 = 1 << 2;
/// `NLMSGERR_ATTR_MSG`: the reason, a zero-terminated string.
const REASON: u16 = 1;

/// Returns the kernel's reason why the driver of an interface refuses the program. Call it after a link
/// failed. `None` if the kernel gives no reason.
pub fn of(interface: u32, program: BorrowedFd<'_>) -> Option<String> {
    // In a thread of its own: the current one may run a runtime already.
    std::thread::scope(|scope| scope.spawn(|| request(interface, program)).join().ok()).flatten()
}

fn request(interface: u32, program: BorrowedFd<'_>) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().ok()?;
    runtime.block_on(async {
        let (mut connection, handle, _) = rtnetlink::new_connection().ok()?;
        connection.socket_mut().socket_mut().set_ext_ack(true).ok()?;
        tokio::spawn(connection);
        match set(&handle, interface, program.as_raw_fd(), ONLY_NATIVE).await {
            Err(rtnetlink::Error::NetlinkError(error)) => reason(&error),
            Err(_) => None,
            Ok(()) => {
                // The driver accepted it this time. Detach it: it must not stay without a link.
                let _ = set(&handle, interface, -1, NATIVE).await;
                None
            }
        }
    })
}

async fn set(handle: &Handle, interface: u32, program: i32, flags: u32) -> Result<(), rtnetlink::Error> {
    let mut message = LinkMessage::default();
    message.header.index = interface;
    message.attributes.push(LinkAttribute::Xdp(vec![LinkXdp::Fd(program), LinkXdp::Flags(flags)]));
    handle.link().set(message).execute().await
}

/// Parses the reason from an error message: attributes after a copy of the request, whose first four bytes
/// are its length.
fn reason(error: &ErrorMessage) -> Option<String> {
    let message = error.header.as_slice();
    let request = u32::from_ne_bytes(*message.first_chunk()?) as usize;
    let mut rest = message.get(request.next_multiple_of(4)..)?;
    while let Some([l0, l1, k0, k1]) = rest.first_chunk().copied() {
        let (length, kind) = (usize::from(u16::from_ne_bytes([l0, l1])), u16::from_ne_bytes([k0, k1]));
        let value = rest.get(4..length)?;
        if kind == REASON {
            let text = value.split(|byte| *byte == 0).next()?;
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::ErrorMessage;

    use super::reason;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = [(value.len() as u16 + 4).to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn answer(attributes: &[Vec<u8>]) -> ErrorMessage {
        let request = [&18u32.to_ne_bytes()[..], &[0; 16]].concat();
        let mut error = ErrorMessage::default();
        error.header = [request, attributes.concat()].concat();
        error
    }

    #[test]
    fn the_reason_follows_the_request() {
        let reason_attribute = attribute(1, b"disable GRO_HW first\0");
        assert_eq!(
            reason(&answer(&[attribute(2, &[0; 4]), reason_attribute.clone()])).as_deref(),
            Some("disable GRO_HW first")
        );
        assert_eq!(reason(&answer(&[attribute(2, &[0; 4])])), None);
        assert_eq!(reason(&answer(&[])), None);
        let whole = answer(&[reason_attribute]).header;
        for length in 0..whole.len() - 4 {
            let mut cut = ErrorMessage::default();
            cut.header = whole[..length].to_vec();
            assert_eq!(reason(&cut), None, "{length} bytes");
        }
    }
}
