use std::net::IpAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::time::timeout;

use super::{SocketError, connect, listen, set_md5_key};
use crate::address::unspecified;
use crate::desired::{Md5Key, Transport};

const LOOPBACKS: [&str; 2] = ["127.0.0.1", "::1"];
/// Unsigned segments are dropped silently: a connection not established by then never will be.
const NO_ANSWER: Duration = Duration::from_millis(500);

fn key(text: &str) -> Option<Md5Key> {
    Md5Key::new(text.as_bytes())
}

fn transport(address: IpAddr, port: u16, key: Option<Md5Key>) -> Transport {
    Transport { address, port, source: Some(address), device: None, key, minimum_ttl: None }
}

#[tokio::test]
async fn only_the_right_key_connects() {
    for loopback in LOOPBACKS {
        let address: IpAddr = loopback.parse().unwrap();
        let listener = listen(unspecified(address), 0, None).unwrap();
        let port = listener.local_addr().unwrap().port();
        set_md5_key(&listener, address, key("secret").as_ref(), None).unwrap();
        for (ours, connects) in [("secret", true), ("other", false), ("", false)] {
            let attempt = timeout(NO_ANSWER, connect(&transport(address, port, key(ours)))).await;
            assert_eq!(matches!(attempt, Ok(Ok(_))), connects, "{loopback} {ours:?}: {attempt:?}");
        }
    }
}

#[tokio::test]
async fn a_listener_without_a_key_accepts_unsigned_segments_again() {
    let address: IpAddr = "127.0.0.1".parse().unwrap();
    let listener = listen(unspecified(address), 0, None).unwrap();
    let port = listener.local_addr().unwrap().port();
    set_md5_key(&listener, address, key("secret").as_ref(), None).unwrap();
    set_md5_key(&listener, address, None, None).unwrap();
    set_md5_key(&listener, address, None, None).unwrap();
    timeout(NO_ANSWER, connect(&transport(address, port, None))).await.unwrap().unwrap();
}

#[tokio::test]
async fn segments_are_sent_with_ttl_255() {
    for loopback in LOOPBACKS {
        let address: IpAddr = loopback.parse().unwrap();
        let listener = listen(unspecified(address), 0, None).unwrap();
        let port = listener.local_addr().unwrap().port();
        let near = Transport { minimum_ttl: Some(255), ..transport(address, port, None) };
        let ours = timeout(NO_ANSWER, connect(&near)).await.unwrap().unwrap();
        let (theirs, _) = listener.accept().await.unwrap();
        for stream in [&ours, &theirs] {
            let socket = SockRef::from(stream);
            let hops = if address.is_ipv4() { socket.ttl_v4() } else { socket.unicast_hops_v6() };
            assert_eq!(hops.unwrap(), 255);
            assert!(socket.tcp_nodelay().unwrap());
        }
    }
}

#[tokio::test]
async fn sockets_of_a_vrf_are_bound_to_it() {
    for loopback in LOOPBACKS {
        let address: IpAddr = loopback.parse().unwrap();
        let listener = listen(unspecified(address), 0, Some("lo")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let inside = Transport { device: Some("lo".into()), ..transport(address, port, None) };
        let ours = timeout(NO_ANSWER, connect(&inside)).await.unwrap().unwrap();
        for bound in [SockRef::from(&listener), SockRef::from(&ours)] {
            assert_eq!(bound.device().unwrap().as_deref(), Some(&b"lo"[..]));
        }
    }
}

#[tokio::test]
async fn an_error_names_the_unavailable_address_or_device() {
    let address: IpAddr = "127.0.0.1".parse().unwrap();
    let foreign = Transport { source: Some("192.0.2.1".parse().unwrap()), ..transport(address, 1, None) };
    let error = connect(&foreign).await.unwrap_err();
    assert!(matches!(error, SocketError::Bind { .. }) && error.to_string().contains("192.0.2.1"), "{error}");
    let nowhere = Transport { device: Some("nosuchvrf".into()), ..transport(address, 1, None) };
    let error = connect(&nowhere).await.unwrap_err();
    assert!(matches!(error, SocketError::Device { .. }), "{error}");
}

#[test]
fn a_key_is_never_displayed_and_of_limited_length() {
    assert_eq!(format!("{:?}", key("secret").unwrap()), "Key(…)");
    assert!(key("").is_none() && key(&"x".repeat(81)).is_none() && key(&"x".repeat(80)).is_some());
}
