use std::net::{Ipv4Addr, SocketAddr};

use axum::body::Body;
use axum::extract::Extension;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);
const LIMITS: Limits = Limits {
    connections: 16,
    head: Duration::from_millis(300),
    request: Duration::from_millis(500),
    idle: Duration::from_millis(700),
    body: 1000,
    bytes: 1500,
};

/// Where a server with these limits is.
async fn server(limits: Limits) -> SocketAddr {
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

async fn say(address: SocketAddr, words: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(words.as_bytes()).await.unwrap();
    stream
}

/// What comes until the server hangs up.
async fn hear(mut stream: TcpStream) -> String {
    let mut all = Vec::new();
    // A connection that lost its place may be reset.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut all)).await.expect("the server hangs up");
    String::from_utf8_lossy(&all).into_owned()
}

async fn get_once(address: SocketAddr, path: &str) -> String {
    hear(say(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await).await
}

fn post_of(length: usize) -> String {
    format!("POST /length HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n")
}

#[tokio::test]
async fn health_is_answered_while_thousands_say_nothing() {
    let address = server(Limits { head: PATIENCE, ..LIMITS }).await;
    let mut silent = Vec::new();
    for number in 0..400 {
        silent.push(say(address, if number % 2 == 0 { "GET /health HTTP/1.1\r\nX: " } else { "" }).await);
        if number % 100 == 99 {
            assert!(get_once(address, "/health").await.ends_with("well"), "after {number}");
        }
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_and_a_connection_without_requests_are_closed_in_time() {
    let address = server(LIMITS).await;
    for (words, at_least) in [
        ("", LIMITS.head),
        ("GET /health HTTP/1.1\r\nX: ", LIMITS.head),
        ("GET /health HTTP/1.1\r\nHost: x\r\n\r\n", LIMITS.idle),
    ] {
        let begun = Instant::now();
        hear(say(address, words).await).await;
        let took = begun.elapsed();
        assert!(took >= at_least && took < at_least + PATIENCE / 2, "{words:?}: {took:?}");
    }
}

#[tokio::test]
async fn a_request_that_is_not_answered_in_time_fails() {
    let address = server(LIMITS).await;
    assert!(get_once(address, "/never").await.starts_with("HTTP/1.1 408"));
    let never_comes = say(address, &post_of(10)).await;
    let heard = hear(never_comes).await;
    assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 408"), "{heard}");
}

#[tokio::test]
async fn a_head_has_an_end() {
    let address = server(LIMITS).await;
    let head = format!("GET /health HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may hang up before all is written.
    let _ = stream.write_all(head.as_bytes()).await;
    let heard = hear(stream).await;
    assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 431"), "{heard}");
}

#[tokio::test]
async fn bodies_are_bounded_one_by_one_and_together() {
    let address = server(Limits { request: PATIENCE, ..LIMITS }).await;
    let whole = |length: usize| post_of(length) + &"x".repeat(length);
    assert!(hear(say(address, &whole(1000)).await).await.ends_with("\r\n1000"));
    assert!(hear(say(address, &whole(1001)).await).await.starts_with("HTTP/1.1 413"));
    // The one that holds most and waits for its client goes for one that holds less.
    let heavy = say(address, &(post_of(1000) + &"x".repeat(999))).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let light = hear(say(address, &whole(900)).await).await;
    assert!(light.ends_with("\r\n900"), "{light}");
    assert_eq!(hear(heavy).await, "");
}

#[tokio::test]
async fn a_long_answer_reaches_its_client_and_those_that_do_not_read_lose_theirs() {
    let address = server(LIMITS).await;
    let request = "GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut unread = Vec::new();
    for _ in 0..5 {
        unread.push(say(address, request).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(get_once(address, "/long").await.len() > 10_000_000);
}
