//! The servers of a pod: nginx on port 80, byte-checked echo servers on 7000 and 7001.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::command::Process;
use super::echo_server::EchoServer;
use super::host::LabHost;
use super::topology::{DATAGRAM_PORT, ECHO_PORT, HTTP_PORT};

const NGINX_STARTS_WITHIN: Duration = Duration::from_secs(10);

/// The servers of one pod; on drop they are killed, which breaks their connections.
#[derive(Debug)]
pub(crate) struct Pod {
    nginx: Process,
    _echo: EchoServer,
}

impl Pod {
    /// Starts the servers; nginx may take a moment to listen.
    pub(crate) fn start(host: &LabHost) -> Result<Self> {
        let outside = host.directory_outside();
        fs::write(outside.join("nginx.conf"), nginx_configuration(host))?;
        let configuration = host.directory().join("nginx.conf");
        let nginx = host
            .command("nginx")
            .arg("-c")
            .arg(configuration)
            .args(["-e", "stderr"])
            .spawn(&outside.join("nginx.log"))?;
        let echo = EchoServer::start(host, ECHO_PORT, DATAGRAM_PORT)?;
        Ok(Self { nginx, _echo: echo })
    }

    /// Waits until nginx listens.
    pub(crate) fn wait_ready(&mut self, host: &LabHost) -> Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, HTTP_PORT));
        let until = Instant::now() + NGINX_STARTS_WITHIN;
        host.run(|| {
            loop {
                match TcpStream::connect(address) {
                    Ok(_) => return Ok(()),
                    Err(error) if Instant::now() > until => {
                        return Err(error).context("nginx does not listen");
                    }
                    Err(_) => thread::sleep(Duration::from_millis(2)),
                }
            }
        })
        .with_context(|| format!("{}: nginx ended: {:?}", host.name(), self.nginx.ended()))
    }
}

/// Returns the configuration of one process that serves one line: its pod and the client's address.
fn nginx_configuration(host: &LabHost) -> String {
    let (name, directory) = (host.name(), host.directory());
    let directory = directory.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("  {kind}_temp_path {directory}/{kind};\n"))
        .collect();
    format!(
        "daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
{temporary}  access_log off;
  default_type text/plain;
  server {{
    listen {HTTP_PORT};
    listen [::]:{HTTP_PORT};
    location / {{ return 200 \"pod={name} client=$remote_addr\\n\"; }}
  }}
}}
"
    )
}
