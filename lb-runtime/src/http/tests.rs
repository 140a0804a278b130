use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Extension;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);
const LIMITS: HttpLimits = HttpLimits {
    connections: 16,
    head: Duration::from_millis(300),
    request: Duration::from_millis(500),
    idle: Duration::from_millis(700),
    body: 1000,
    bytes: 1500,
};

/// Starts a server with these limits and returns its address.
async fn server(limits: HttpLimits) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/health", get(async || "well"))
        .route("/long", get(async || vec![b'x'; 10_000_000]))
        .route("/never", get(async || std::future::pending::<()>().await))
        .route("/length", post(length));
    tokio::spawn(HttpServer::new("a test", limits).serve(listener, router));
    address
}

async fn length(Extension(slot): Extension<ConnectionSlot>, body: Body) -> Result<String, BodyError> {
    Ok(slot.read(body).await?.len().to_string())
}

async fn send(address: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Returns what the server sends until it closes the connection.
async fn receive(mut stream: TcpStream) -> String {
    let mut all = Vec::new();
    // The connection may be reset after an eviction.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut all)).await.expect("the server closes the connection");
    String::from_utf8_lossy(&all).into_owned()
}

async fn get_once(address: SocketAddr, path: &str) -> String {
    receive(send(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await)
        .await
}

fn post_of(length: usize) -> String {
    format!("POST /length HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n")
}

#[tokio::test]
async fn health_is_answered_while_silent_connections_are_open() {
    let address = server(HttpLimits { head: PATIENCE, ..LIMITS }).await;
    let mut silent = Vec::new();
    for number in 0..400 {
        silent.push(send(address, if number % 2 == 0 { "GET /health HTTP/1.1\r\nX: " } else { "" }).await);
        if number % 100 == 99 {
            assert!(get_once(address, "/health").await.ends_with("well"), "after {number}");
        }
    }
}

#[tokio::test]
async fn connections_without_a_complete_head_or_without_requests_are_closed_in_time() {
    let address = server(LIMITS).await;
    for (request, at_least) in [
        ("", LIMITS.head),
        ("GET /health HTTP/1.1\r\nX: ", LIMITS.head),
        ("GET /health HTTP/1.1\r\nHost: x\r\n\r\n", LIMITS.idle),
    ] {
        let start = Instant::now();
        receive(send(address, request).await).await;
        let took = start.elapsed();
        assert!(took >= at_least && took < at_least + PATIENCE / 2, "{request:?}: {took:?}");
    }
}

#[tokio::test]
async fn a_request_that_exceeds_its_time_limit_fails() {
    let address = server(LIMITS).await;
    assert!(get_once(address, "/never").await.starts_with("HTTP/1.1 408"));
    let without_body = send(address, &post_of(10)).await;
    let response = receive(without_body).await;
    assert!(response.is_empty() || response.starts_with("HTTP/1.1 408"), "{response}");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let address = server(LIMITS).await;
    let head = format!("GET /health HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may close the connection before all is written.
    let _ = stream.write_all(head.as_bytes()).await;
    let response = receive(stream).await;
    assert!(response.is_empty() || response.starts_with("HTTP/1.1 431"), "{response}");
}

#[tokio::test]
async fn request_bodies_are_bounded_each_and_in_total() {
    let address = server(HttpLimits { request: PATIENCE, ..LIMITS }).await;
    let whole = |length: usize| post_of(length) + &"x".repeat(length);
    assert!(receive(send(address, &whole(1000)).await).await.ends_with("\r\n1000"));
    assert!(receive(send(address, &whole(1001)).await).await.starts_with("HTTP/1.1 413"));
    // A waiting connection that holds more is evicted for one that holds less.
    let heavy = send(address, &(post_of(1000) + &"x".repeat(999))).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let light = receive(send(address, &whole(900)).await).await;
    assert!(light.ends_with("\r\n900"), "{light}");
    assert_eq!(receive(heavy).await, "");
}

#[tokio::test]
async fn a_long_response_reaches_its_client_and_clients_that_do_not_read_are_evicted() {
    let address = server(LIMITS).await;
    let request = "GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut unread = Vec::new();
    for _ in 0..5 {
        unread.push(send(address, request).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(get_once(address, "/long").await.len() > 10_000_000);
}
