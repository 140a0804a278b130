//! A client for the API server.
//!
//! Over TLS, all watches and reads of a client share one HTTP/2 connection. What only the leader may write, and its
//! Lease, go over HTTP/1.1: a request that is given up takes its connection with it, and leaves nothing in a send buffer.
//! Every request has a deadline, and a peer that does not answer at all is given up within seconds.

mod body;
pub mod error_log;
mod stats;
mod transport;

pub use stats::{Stats, stats};

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::{HeaderValue, USER_AGENT};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::ConfigExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rustls::pki_types::ServerName;
use tower::Layer;

use crate::leadership::Leadership;
use body::RequestBody;
use transport::Guarded;

/// A TCP connection is given up after this time, and another is tried.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// What has been sent and not been acknowledged by then ends the connection. The leader's Lease outlives its last write
/// by more than this.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(4);
/// A connection that is silent for this long is probed, and again after the second of these times.
const KEEPALIVE: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(2)];
/// The same for a server behind an HTTP/2 connection: one that is stopped still acknowledges what it is sent.
const PING: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(5)];
/// Connections that are kept for the next request.
const IDLE: usize = 4;
/// An answer, of whatever but a watch, is complete by then: sooner than a leader that cannot renew has to stop.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);
/// The same for what only the leader may write. With [`ACKNOWLEDGED_WITHIN`], no write of a leader is under way when
/// another may lead.
const WRITTEN_WITHIN: Duration = Duration::from_secs(4);

/// Which process asks: it is part of the `User-Agent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// An agent.
    Agent,
    /// A controller.
    Controller,
    /// A command that a person runs.
    Command,
}

impl Role {
    fn user_agent(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Agent => concat!("fairlead/", env!("CARGO_PKG_VERSION"), " (agent)"),
            Self::Controller => concat!("fairlead/", env!("CARGO_PKG_VERSION"), " (controller)"),
            Self::Command => concat!("fairlead/", env!("CARGO_PKG_VERSION"), " (command)"),
        })
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file cannot be read.
    #[error("cannot use the kubeconfig {}: {source}", .path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: kube::config::KubeconfigError,
    },
    /// Neither within a cluster nor told of one.
    #[error("no cluster: {0}; run within one, with a service account, or name a file with --kubeconfig")]
    NoCluster(#[source] kube::config::InferConfigError),
    /// A proxy is configured.
    #[error(
        "the kubeconfig names the proxy {0}, which is not supported; name a server that can be reached without it"
    )]
    Proxy(String),
    /// The configuration cannot be used.
    #[error("cannot use the configuration of the API server {server}: {source}")]
    Config {
        /// Its address.
        server: String,
        /// What is wrong.
        source: kube::Error,
    },
}

/// The API server of a cluster.
#[derive(Clone, Debug)]
pub struct Server {
    config: Config,
}

impl Server {
    /// The server of a kubeconfig; without one, that of `KUBECONFIG` or of this pod.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn find(kubeconfig: Option<&Path>, role: Role) -> Result<Self, ClientError> {
        let mut config = match kubeconfig {
            Some(path) => {
                let error = |source| ClientError::Kubeconfig { path: path.to_path_buf(), source };
                let file = Kubeconfig::read_from(path).map_err(error)?;
                Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(error)?
            }
            None => Config::infer().await.map_err(ClientError::NoCluster)?,
        };
        if let Some(proxy) = &config.proxy_url {
            return Err(ClientError::Proxy(proxy.to_string()));
        }
        config.headers.push((USER_AGENT, role.user_agent()));
        Ok(Self { config })
    }

    /// A client for reads, watches and writes that every process may make: one connection over TLS.
    ///
    /// # Errors
    /// See [`ClientError`]. Nothing is sent yet, so a server that does not answer is no error.
    pub fn client(&self) -> Result<Client, ClientError> {
        self.build(true, ANSWER_WITHIN, None)
    }

    /// A client for the Lease: a connection of its own, so that nothing else keeps a leader from renewing.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn client_of_lease(&self) -> Result<Client, ClientError> {
        self.build(false, WRITTEN_WITHIN, None)
    }

    /// A client whose writes are sent only while this process leads.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn client_of_leader(&self, leadership: &Leadership) -> Result<Client, ClientError> {
        self.build(false, WRITTEN_WITHIN, Some(leadership.clone()))
    }

    fn address(&self) -> String {
        self.config.cluster_url.to_string().trim_end_matches('/').to_owned()
    }

    fn build(
        &self,
        http2: bool,
        answer_within: Duration,
        leadership: Option<Leadership>,
    ) -> Result<Client, ClientError> {
        let error = |source| ClientError::Config { server: self.address(), source };
        let config = &self.config;
        let mut http = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
        http.timer(TokioTimer::new()).pool_timer(TokioTimer::new()).pool_max_idle_per_host(IDLE);
        http.http2_keep_alive_interval(PING[0])
            .http2_keep_alive_timeout(PING[1])
            .http2_keep_alive_while_idle(true);
        let http = http.build::<_, RequestBody>(self.connector(http2).map_err(error)?);
        let service = config.extra_headers_layer().map_err(error)?.layer(Guarded::new(
            http,
            self.address(),
            answer_within,
            leadership,
        ));
        let namespace = config.default_namespace.clone();
        let base = config.base_uri_layer();
        // Without the library's retries: they may be minutes late, and whoever asks tries again by its own rules.
        Ok(match config.auth_layer().map_err(error)? {
            Some(auth) => Client::new(base.layer(auth.layer(service)), namespace),
            None => Client::new(base.layer(service), namespace),
        })
    }

    fn connector(&self, http2: bool) -> Result<HttpsConnector<HttpConnector>, kube::Error> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_WITHIN));
        tcp.set_keepalive(Some(KEEPALIVE[0]));
        tcp.set_keepalive_interval(Some(KEEPALIVE[1]));
        tcp.set_tcp_user_timeout(Some(ACKNOWLEDGED_WITHIN));
        let tls = self.config.rustls_client_config()?;
        let mut builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        if let Some(name) = &self.config.tls_server_name {
            let name =
                ServerName::try_from(name.clone()).map_err(|error| kube::Error::Service(error.into()))?;
            builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name));
        }
        let builder = builder.enable_http1();
        Ok(if http2 { builder.enable_http2().wrap_connector(tcp) } else { builder.wrap_connector(tcp) })
    }
}

/// A client for the cluster of a kubeconfig; without one, for that of `KUBECONFIG` or of this pod.
///
/// # Errors
/// See [`ClientError`]. Nothing is sent yet, so a server that does not answer is no error.
pub async fn connect(kubeconfig: Option<&Path>, role: Role) -> Result<Client, ClientError> {
    Server::find(kubeconfig, role).await?.client()
}
