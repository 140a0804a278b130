//! A connection between agent and keeper: datagrams in order, with descriptors, and an end that both see.
#![allow(unsafe_code, reason = "no crate of the workspace returns received descriptors as owned ones")]

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use serde::Serialize;
use serde::de::DeserializeOwned;
use socket2::{Domain, SockAddr, Socket, Type};

use super::message::MAX_MESSAGE;

/// Descriptors beside one message at most (`SCM_MAX_FD` in the kernel): no message is cut.
const MAX_DESCRIPTORS: usize = 253;
/// Connections waiting to be accepted.
const BACKLOG: i32 = 16;

/// One end of a connection. It never blocks.
#[derive(Debug)]
pub(crate) struct Channel(Socket);

/// A message with the descriptors beside it.
#[derive(Debug)]
pub(crate) struct Received<M> {
    pub(crate) message: M,
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// The result of [`Channel::receive`].
#[derive(Debug)]
pub(crate) enum Incoming<M> {
    Message(Received<M>),
    /// Nothing more for now.
    Nothing,
    /// The other end is closed, and everything that it sent has been received.
    End,
}

impl Channel {
    /// Connects to the keeper that listens on `path`.
    pub(crate) fn connect(path: &Path) -> io::Result<Self> {
        let socket = open()?;
        socket.connect(&SockAddr::unix(path)?)?;
        Ok(Self(socket))
    }

    /// Sends a message; [`io::ErrorKind::WouldBlock`] if there is no room for it now.
    pub(crate) fn send(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let octets = serde_json::to_vec(message)?;
        if octets.len() > MAX_MESSAGE {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the message is too long"));
        }
        let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let control = if raw.is_empty() { &[][..] } else { &rights[..] };
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        match sendmsg::<()>(self.0.as_raw_fd(), &[IoSlice::new(&octets)], control, flags, None) {
            Ok(_) => Ok(()),
            // Too many descriptors, or too much memory, is on its way.
            Err(Errno::ETOOMANYREFS | Errno::ENOBUFS | Errno::EINTR) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Receives a message.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if it is malformed.
    pub(crate) fn receive<M: DeserializeOwned>(&self) -> io::Result<Incoming<M>> {
        let received = match self.receive_octets() {
            // The other end was closed before it received everything. What it sent before is still here.
            Err(Errno::ECONNRESET) => self.receive_octets(),
            other => other,
        };
        match received {
            Ok((octets, descriptors)) if octets.is_empty() && descriptors.is_empty() => Ok(Incoming::End),
            Ok((octets, descriptors)) => {
                let message = serde_json::from_slice(&octets)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                Ok(Incoming::Message(Received { message, descriptors }))
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(Incoming::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    /// Closes the connection for both ends, even while another thread uses it.
    pub(crate) fn shut_down(&self) {
        // The other end may have closed it before.
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }

    /// Returns a message and its descriptors. A truncated message cannot be decoded, so it is malformed.
    fn receive_octets(&self) -> nix::Result<(Vec<u8>, Vec<OwnedFd>)> {
        let mut octets = vec![0; MAX_MESSAGE];
        let mut control = cmsg_space!([RawFd; MAX_DESCRIPTORS]);
        let mut slices = [IoSliceMut::new(&mut octets)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let (length, descriptors) = {
            let received = recvmsg::<()>(self.0.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
            // An error means that this process may open no more files. The message then misses descriptors.
            let messages = received.cmsgs().map(|messages| messages.collect()).unwrap_or_default();
            (received.bytes, owned(messages))
        };
        octets.truncate(length);
        Ok((octets, descriptors))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn owned(messages: Vec<ControlMessageOwned>) -> Vec<OwnedFd> {
    let rights = messages.into_iter().filter_map(|message| match message {
        ControlMessageOwned::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let own = |descriptor| {
        // SAFETY: the kernel has just opened it for this process, and nothing else has seen it.
        unsafe { OwnedFd::from_raw_fd(descriptor) }
    };
    rights.flatten().map(own).collect()
}

/// A socket that accepts connections.
#[derive(Debug)]
pub(crate) struct Listener(Socket);

impl Listener {
    /// Listens on `path`, for this user only.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        let socket = open()?;
        socket.bind(&SockAddr::unix(path)?)?;
        // No connection is accepted before listen(), so no other user gets in before this.
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        socket.listen(BACKLOG)?;
        Ok(Self(socket))
    }

    /// Accepts a connection; [`io::ErrorKind::WouldBlock`] if there is none.
    pub(crate) fn accept(&self) -> io::Result<Channel> {
        let (socket, _) = self.0.accept()?;
        Ok(Channel(socket))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn open() -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Channel, Channel) {
        let (one, other) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        (Channel(one), Channel(other))
    }

    #[test]
    fn messages_of_an_end_that_died_before_it_read_everything_arrive() {
        let (agent, keeper) = pair();
        keeper.send(&"unread", &[]).unwrap();
        let file = tempfile::tempfile().unwrap();
        agent.send(&"hold", &[file.as_fd(), file.as_fd()]).unwrap();
        agent.send(&"release", &[]).unwrap();
        drop(agent);
        for (expected, descriptors) in [("hold", 2), ("release", 0)] {
            let Incoming::Message(received) = keeper.receive::<String>().unwrap() else {
                panic!("{expected}")
            };
            assert_eq!((received.message.as_str(), received.descriptors.len()), (expected, descriptors));
        }
        assert!(matches!(keeper.receive::<String>().unwrap(), Incoming::End));
    }

    #[test]
    fn a_malformed_message_is_an_error_and_leaks_no_descriptor() {
        let (one, other) = pair();
        let (kept, passed) = std::os::unix::net::UnixStream::pair().unwrap();
        one.send(&17, &[passed.as_fd(), passed.as_fd()]).unwrap();
        drop(passed);
        assert_eq!(other.receive::<String>().unwrap_err().kind(), io::ErrorKind::InvalidData);
        let mut kept = kept;
        assert_eq!(io::Read::read(&mut kept, &mut [0]).unwrap(), 0, "all duplicates are closed");
    }

    #[test]
    fn a_full_channel_would_block() {
        let (one, other) = pair();
        let long = "x".repeat(MAX_MESSAGE - 2);
        let sent =
            std::iter::repeat_with(|| one.send(&long, &[])).take(100).take_while(Result::is_ok).count();
        assert!((1..100).contains(&sent));
        assert_eq!(one.send(&long, &[]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let Incoming::Message(received) = other.receive::<String>().unwrap() else { panic!("none") };
        assert_eq!(received.message, long);
    }
}
