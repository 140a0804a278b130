//! A real API server: `etcd` and `kube-apiserver` from a directory with the layout of `envtest`.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use crate::lab::{LabHost, Process};

const ETCD: &str = "http://127.0.0.1:2379";
/// The administrator's token.
const TOKEN: &str = "lab";
/// The lab's cluster IP ranges.
const CLUSTER_IPS: &str = "10.96.0.0/16,fd00:96::/112";

/// Both programs, killed on drop.
#[derive(Debug)]
pub(super) struct Binaries {
    host: LabHost,
    assets: PathBuf,
    address: SocketAddr,
    server: Option<Process>,
    /// Dropped last: the server writes until its end.
    _etcd: Process,
}

impl Binaries {
    /// Starts both; it may take some seconds until the server answers.
    pub(super) fn start(host: &LabHost, assets: &Path, address: SocketAddr) -> Result<Self> {
        let (own, outside) = (host.directory(), host.directory_outside());
        fs::write(outside.join("tokens.csv"), format!("{TOKEN},lab,lab,system:masters\n"))?;
        let key =
            host.command("openssl").args(["ecparam", "-name", "prime256v1", "-genkey", "-noout"]).text()?;
        fs::write(outside.join("accounts.key"), key).context("a key for service accounts")?;
        let etcd = host.command(&assets.join("etcd").to_string_lossy());
        let etcd = etcd.arg("--data-dir").arg(own.join("etcd"));
        let etcd = etcd.args(["--listen-client-urls", ETCD, "--advertise-client-urls", ETCD]);
        let etcd = etcd.args(["--listen-peer-urls", "http://127.0.0.1:2380", "--unsafe-no-fsync"]);
        let etcd = etcd.spawn(&outside.join("etcd.log"))?;
        let mut binaries =
            Self { host: host.clone(), assets: assets.to_path_buf(), address, server: None, _etcd: etcd };
        binaries.launch()?;
        Ok(binaries)
    }

    pub(super) fn assets(&self) -> &Path {
        &self.assets
    }

    pub(super) fn kubeconfig(&self, address: SocketAddr) -> String {
        let user = format!("user: {{token: {TOKEN}}}");
        crate::api_server::kubeconfig(&format!("https://{address}")).replace("user: {}", &user)
    }

    /// Kills the server and starts it again.
    pub(super) fn restart(&mut self, away: Duration) -> Result<()> {
        if let Some(mut server) = self.server.take() {
            server.signal(Signal::SIGKILL)?;
            server.wait(Duration::from_secs(5))?;
        }
        sleep(away);
        self.launch()
    }

    fn launch(&mut self) -> Result<()> {
        let own = self.host.directory();
        let file = |name: &str| own.join(name).display().to_string();
        let arguments = [
            format!("--etcd-servers={ETCD}"),
            format!("--cert-dir={}", file("certificates")),
            format!("--bind-address={}", self.address.ip()),
            format!("--advertise-address={}", self.address.ip()),
            format!("--secure-port={}", self.address.port()),
            format!("--service-cluster-ip-range={CLUSTER_IPS}"),
            format!("--token-auth-file={}", file("tokens.csv")),
            format!("--service-account-key-file={}", file("accounts.key")),
            format!("--service-account-signing-key-file={}", file("accounts.key")),
            "--service-account-issuer=https://lab".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            "--disable-admission-plugins=ServiceAccount".to_owned(),
        ];
        let server = self.host.command(&self.assets.join("kube-apiserver").to_string_lossy());
        let log = self.host.directory_outside().join("kube-apiserver.log");
        self.server = Some(server.args(arguments).spawn(&log)?);
        Ok(())
    }
}
