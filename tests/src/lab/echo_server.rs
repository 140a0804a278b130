//! The echo servers of a pod.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::host::{LabHost, runtime};
use crate::payload::{DATAGRAM_HEADER, Greeting, transform};

/// The TCP and the UDP echo server on one thread of a pod, stopped on drop.
#[derive(Debug)]
pub(crate) struct EchoServer {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl EchoServer {
    /// Starts both and returns when both listen.
    ///
    /// # Errors
    /// When a port is in use.
    pub(crate) fn start(host: &LabHost, tcp: u16, udp: u16) -> Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (listening, listens) = std::sync::mpsc::channel();
        let pod = host.name().to_owned();
        let thread = host.thread(move || {
            runtime()?.block_on(async {
                let tcp = TcpListener::bind((Ipv6Addr::UNSPECIFIED, tcp)).await?;
                let udp = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, udp)).await?;
                listening.send(())?;
                tokio::select! {
                    () = accept(tcp, &pod) => Ok(()),
                    () = answer(udp, &pod) => Ok(()),
                    _ = stopped => Ok(()),
                }
            })
        })?;
        let server = Self { stop: Some(stop), thread: Some(thread) };
        listens.recv().with_context(|| format!("{}: the echo server does not listen", host.name()))?;
        Ok(server)
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // Its errors show as the clients' errors, and are counted there.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, pod: &str) {
    loop {
        match listener.accept().await {
            Ok((connection, client)) => {
                let greeting = greeting(pod, client);
                tokio::spawn(async move {
                    // The client judges how a connection ends.
                    let _ = echo(connection, &greeting).await;
                });
            }
            // Out of files, or a connection reset in the queue: neither is a reason to stop.
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn echo(mut connection: TcpStream, greeting: &Greeting) -> io::Result<()> {
    connection.set_nodelay(true)?;
    connection.write_all(format!("{}\n", greeting.to_line()).as_bytes()).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = connection.read(&mut buffer).await?;
        if length == 0 {
            return connection.shutdown().await;
        }
        transform(&mut buffer[..length]);
        connection.write_all(&buffer[..length]).await?;
    }
}

async fn answer(socket: UdpSocket, pod: &str) {
    let mut buffer = vec![0; 65_536];
    loop {
        // An ICMP error for an earlier answer is reported here, and is irrelevant to the next client.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        if length < DATAGRAM_HEADER {
            continue;
        }
        let mut answer = buffer[..length].to_vec();
        transform(&mut answer[DATAGRAM_HEADER..]);
        answer.extend(greeting(pod, client).to_line().as_bytes());
        let _ = socket.send_to(&answer, client).await;
    }
}

/// Returns the greeting; the listeners are dual-stack, so an IPv4-mapped address is converted.
fn greeting(pod: &str, client: SocketAddr) -> Greeting {
    Greeting { pod: pod.into(), client: SocketAddr::new(client.ip().to_canonical(), client.port()) }
}
