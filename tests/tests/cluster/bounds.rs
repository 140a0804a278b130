//! Tests of a controller's bounds on resources that foreign connections take; it must keep leading.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream as Blocking};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fairlead_tests::cluster::{Controller, NAMESPACE, TestCluster, eventually};
use lb_controller::webhook::certificate::{Certificate, dns_names};
use lb_controller::webhook::names::{SECRET, SERVICE};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const WITHIN: Duration = Duration::from_secs(20);
/// How soon health must be answered meanwhile.
const SOON: Duration = Duration::from_secs(3);
/// The same while the processors are busy with long bodies; kubelet retries three times.
const BUSY: Duration = Duration::from_secs(6);
/// Number of connections to a port that never complete a request.
const HALF_OPEN: usize = 10_000;
/// The memory they may take together, in KiB.
const COST: u64 = 32 << 10;
/// The longest body, and the memory that parsing may take, in KiB.
const LONGEST: usize = 8 << 20;
const COST_OF_BODIES: u64 = 400 << 10;

struct Ports {
    metrics: SocketAddr,
    webhook: SocketAddr,
}

/// Starts a leading controller, and a connector that trusts its certificate.
async fn start(cluster: &TestCluster) -> Result<(Controller, Ports, TlsConnector)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let certificate = Certificate::issue(&dns_names(SERVICE, NAMESPACE), now, None)?;
    let encode = |text: &str| STANDARD.encode(text);
    cluster.store.put(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET, "namespace": NAMESPACE},
        "type": "kubernetes.io/tls",
        "data": {"ca.crt": encode(&certificate.ca_bundle), "tls.crt": encode(&certificate.certificate),
                 "tls.key": encode(&certificate.key)},
    }))?;
    // Ports that were free a moment ago.
    let [metrics, webhook] = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?]
        .map(|listener| listener.local_addr());
    let ports = Ports { metrics: metrics?, webhook: webhook? };
    let webhook_port = ports.webhook.port().to_string();
    let arguments = ["--webhook-mode", "enabled", "--webhook-port", &webhook_port, "--metrics-address"];
    let controller =
        cluster.controller_with("one", &[&arguments[..], &[&ports.metrics.to_string()]].concat())?;
    eventually("it leads", WITHIN, || controller.log().contains("became leader")).await?;
    eventually("its webhook listens", WITHIN, || Blocking::connect(ports.webhook).is_ok()).await?;
    let connector = connector(&certificate)?;
    // It listens before it has read its certificate.
    let served = async {
        while secured(&ports, &connector).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(WITHIN, served).await.context("its webhook serves no certificate")?;
    Ok((controller, ports, connector))
}

fn connector(certificate: &Certificate) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(certificate.ca_bundle.as_bytes()) {
        roots.add(authority?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
}

async fn secured(ports: &Ports, connector: &TlsConnector) -> Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(format!("{SERVICE}.{NAMESPACE}.svc"))?;
    Ok(connector.connect(name, TcpStream::connect(ports.webhook).await?).await?)
}

fn post(length: usize) -> String {
    format!("POST /convert HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n")
}

/// Measures a small conversion.
async fn converted(ports: &Ports, connector: &TlsConnector) -> Result<Duration> {
    let begun = Instant::now();
    let body = json!({"request": {"uid": "c", "desiredAPIVersion": "metallb.io/v1beta1", "objects": []}})
        .to_string();
    let mut stream = secured(ports, connector).await?;
    stream.write_all((post(body.len()) + &body).as_bytes()).await?;
    let mut answer = Vec::new();
    // How the server closes the connection does not matter.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    ensure!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    Ok(begun.elapsed())
}

/// Measures a health request.
async fn healthy(ports: &Ports) -> Result<Duration> {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(ports.metrics).await?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    Ok(begun.elapsed())
}

fn resident(controller: &Controller) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", controller.id()))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
}

/// Checks that the controller has led since the start.
fn still_leads(controller: &Controller) -> Result<()> {
    ensure!(!controller.log().contains("lost leadership"), "{}", controller.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_half_open_connections_per_port_cost_bounded_memory() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let most = usize::try_from(hard)?.saturating_sub(1000).min(HALF_OPEN);
    ensure!(most >= 2000, "the limit on open files is too low to show anything: {hard}");
    let cluster = TestCluster::start().await?;
    let (controller, ports, connector) = start(&cluster).await?;
    converted(&ports, &connector).await?;
    let before = resident(&controller)?;
    println!("before: {before} KiB resident");
    for (to, address) in [("metrics", ports.metrics), ("webhook", ports.webhook)] {
        let held = tokio::task::spawn_blocking(move || half_open(address, most)).await?;
        ensure!(held.len() > most * 9 / 10, "too few connections");
        let (health, conversion) = (healthy(&ports).await?, converted(&ports, &connector).await?);
        let now = resident(&controller)?;
        println!("{most} to {to}: {now} KiB resident; health in {health:?}, a conversion in {conversion:?}");
        ensure!(now < before + COST, "{now} KiB, {before} before");
        ensure!(health < SOON && conversion < SOON, "health {health:?}, a conversion {conversion:?}");
        still_leads(&controller)?;
    }
    controller.kill()
}

/// Opens connections that begin a request or a handshake and do not complete it; some send nothing.
fn half_open(address: SocketAddr, most: usize) -> Vec<Blocking> {
    let open = |number: usize| {
        let mut stream = Blocking::connect_timeout(&address, Duration::from_secs(5)).ok()?;
        let words: &[u8] = [b"GET /metrics HTTP/1.1\r\nX: ", &b""[..], &[22, 3, 1, 2, 0]][number % 3];
        // The server may have closed it already.
        let _ = stream.write_all(words);
        Some(stream)
    };
    (0..most).filter_map(open).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_or_unfinished_bodies_delay_neither_leadership_nor_other_requests() -> Result<()> {
    let cluster = TestCluster::start().await?;
    let (controller, ports, connector) = start(&cluster).await?;
    converted(&ports, &connector).await?;
    let before = resident(&controller)?;
    // All but the last byte.
    let mut unfinished = Vec::new();
    for _ in 0..12 {
        let mut stream = secured(&ports, &connector).await?;
        stream.write_all(post(LONGEST).as_bytes()).await?;
        // The server may drop it in favor of the next.
        let _ = stream.write_all(&vec![b' '; LONGEST - 1]).await;
        unfinished.push(stream);
    }
    let (health, conversion) = (healthy(&ports).await?, converted(&ports, &connector).await?);
    println!(
        "12 unfinished bodies: {} KiB, {before} before; a conversion in {conversion:?}",
        resident(&controller)?
    );
    ensure!(health < SOON && conversion < SOON, "health {health:?}, a conversion {conversion:?}");
    drop(unfinished);
    // The bodies that take the longest to parse, repeatedly.
    let is_over = Arc::new(AtomicBool::new(false));
    let attackers: Vec<_> = (0..4)
        .map(|_| {
            let (connector, is_over) = (connector.clone(), Arc::clone(&is_over));
            let ports = Ports { ..ports };
            tokio::spawn(async move {
                let body = format!("[{}]", vec!["[]"; (LONGEST - 2) / 3].join(","));
                let request = post(body.len()) + &body;
                while !is_over.load(Ordering::Relaxed) {
                    let Ok(mut stream) = secured(&ports, &connector).await else { continue };
                    let _ = stream.write_all(request.as_bytes()).await;
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                }
            })
        })
        .collect();
    let (mut health, mut conversion, mut most) = (Duration::ZERO, Duration::ZERO, 0);
    let until = Instant::now() + Duration::from_secs(15);
    while Instant::now() < until {
        health = health.max(healthy(&ports).await?);
        conversion = conversion.max(converted(&ports, &connector).await?);
        most = most.max(resident(&controller)?);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    is_over.store(true, Ordering::Relaxed);
    println!("long bodies: {most} KiB at most; health in {health:?}, a conversion in {conversion:?} at most");
    ensure!(health < BUSY && conversion < BUSY, "health {health:?}, a conversion {conversion:?}");
    ensure!(most < before + COST_OF_BODIES, "{most} KiB, {before} before");
    still_leads(&controller)?;
    attackers.iter().for_each(tokio::task::JoinHandle::abort);
    controller.kill()
}
