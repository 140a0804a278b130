//! The client of the API server.
//!
//! Over TLS, all watches and reads of a client share one HTTP/2 connection. The leader's writes and its Lease
//! use HTTP/1.1: a request that times out closes its connection, and leaves nothing in a send buffer. Every
//! request has a deadline, and a server that does not respond at all is detected within seconds.

mod body;
pub mod error_log;
mod stats;
mod transport;

pub use stats::{ClientStats, stats};

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
use transport::Transport;

/// Timeout of a TCP connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection is closed if sent data is not acknowledged for this long (TCP_USER_TIMEOUT). The leader's
/// Lease outlives its last write by more than this.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(4);
/// TCP keepalive: idle time before the first probe, and interval of probes.
const KEEPALIVE: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(2)];
/// HTTP/2 PING interval and timeout: the kernel of a server that is stopped still acknowledges TCP data.
const PING: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(5)];
/// Number of idle connections that are kept.
const MAX_IDLE: usize = 4;
/// Timeout of requests other than watches: shorter than the time after which a leader that cannot renew must
/// stop.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(8);
/// Timeout of the leader's writes. With [`TCP_USER_TIMEOUT`], no write of a leader is in flight when another
/// may lead.
const LEADER_WRITE_TIMEOUT: Duration = Duration::from_secs(4);

/// The kind of process that uses the client: part of the `User-Agent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientRole {
    /// An agent.
    Agent,
    /// A controller.
    Controller,
    /// A command that a user runs.
    Command,
}

impl ClientRole {
    fn user_agent(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Agent => concat!("fairlead/", env!("CARGO_PKG_VERSION"), " (agent)"),
            Self::Controller => concat!("fairlead/", env!("CARGO_PKG_VERSION"), " (controller)"),
            Self::Command => concat!("fairlead/", env!("CARGO_PKG_VERSION"), " (command)"),
        })
    }
}

/// A client cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum KubeClientError {
    /// The kubeconfig cannot be read or used.
    #[error("cannot use kubeconfig {}: {source}", .path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: kube::config::KubeconfigError,
    },
    /// The context is not in the kubeconfig, or cannot be used.
    #[error("cannot use context {context}: {source}")]
    Context {
        /// The context.
        context: String,
        /// The cause.
        source: kube::config::KubeconfigError,
    },
    /// There is neither a service account nor a kubeconfig.
    #[error("no cluster configured: {0}; run in a pod with a service account, or set --kubeconfig")]
    NoCluster(#[source] kube::config::InferConfigError),
    /// A proxy is configured.
    #[error(
        "the kubeconfig sets proxy-url {0}, but proxies are not supported; use a server that is reachable directly"
    )]
    Proxy(String),
    /// The configuration cannot be used.
    #[error("cannot use the client configuration for API server {server}: {source}")]
    Config {
        /// Its address.
        server: String,
        /// The cause.
        source: kube::Error,
    },
}

/// The API server of a cluster.
#[derive(Clone, Debug)]
pub struct ApiServer {
    config: Config,
}

impl ApiServer {
    /// Returns the server of a kubeconfig; without one, of `KUBECONFIG` or the pod's service account.
    ///
    /// # Errors
    /// See [`KubeClientError`].
    pub async fn find(kubeconfig: Option<&Path>, role: ClientRole) -> Result<Self, KubeClientError> {
        Self::find_context(kubeconfig, None, role).await
    }

    /// Like [`Self::find`], with a context of the kubeconfig instead of the current one.
    ///
    /// # Errors
    /// See [`KubeClientError`].
    pub async fn find_context(
        kubeconfig: Option<&Path>,
        context: Option<&str>,
        role: ClientRole,
    ) -> Result<Self, KubeClientError> {
        let options =
            KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
        let mut config = match (kubeconfig, context) {
            (Some(path), _) => {
                let error = |source| KubeClientError::Kubeconfig { path: path.to_path_buf(), source };
                let file = Kubeconfig::read_from(path).map_err(error)?;
                Config::from_custom_kubeconfig(file, &options).await.map_err(error)?
            }
            (None, Some(name)) => Config::from_kubeconfig(&options)
                .await
                .map_err(|source| KubeClientError::Context { context: name.to_owned(), source })?,
            (None, None) => Config::infer().await.map_err(KubeClientError::NoCluster)?,
        };
        if let Some(proxy) = &config.proxy_url {
            return Err(KubeClientError::Proxy(proxy.to_string()));
        }
        config.headers.push((USER_AGENT, role.user_agent()));
        Ok(Self { config })
    }

    /// Creates a client for reads, watches and writes that need no leadership: one connection over TLS.
    ///
    /// # Errors
    /// See [`KubeClientError`]. It does not connect yet, so a server that does not answer is no error.
    pub fn client(&self) -> Result<Client, KubeClientError> {
        self.build(true, REQUEST_TIMEOUT, None)
    }

    /// Creates a client for the Lease: its own connection, so that other requests cannot delay a renewal.
    ///
    /// # Errors
    /// See [`KubeClientError`].
    pub fn lease_client(&self) -> Result<Client, KubeClientError> {
        self.build(false, LEADER_WRITE_TIMEOUT, None)
    }

    /// Creates a client that sends writes only while this process leads.
    ///
    /// # Errors
    /// See [`KubeClientError`].
    pub fn leader_client(&self, leadership: &Leadership) -> Result<Client, KubeClientError> {
        self.build(false, LEADER_WRITE_TIMEOUT, Some(leadership.clone()))
    }

    /// Creates a client whose connections can become WebSockets, which HTTP/2 connections cannot.
    ///
    /// # Errors
    /// See [`KubeClientError`].
    pub fn upgrade_client(&self) -> Result<Client, KubeClientError> {
        self.build(false, REQUEST_TIMEOUT, None)
    }

    fn address(&self) -> String {
        self.config.cluster_url.to_string().trim_end_matches('/').to_owned()
    }

    fn build(
        &self,
        http2: bool,
        timeout: Duration,
        leadership: Option<Leadership>,
    ) -> Result<Client, KubeClientError> {
        let error = |source| KubeClientError::Config { server: self.address(), source };
        let config = &self.config;
        let mut http = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
        http.timer(TokioTimer::new()).pool_timer(TokioTimer::new()).pool_max_idle_per_host(MAX_IDLE);
        http.http2_keep_alive_interval(PING[0])
            .http2_keep_alive_timeout(PING[1])
            .http2_keep_alive_while_idle(true);
        let http = http.build::<_, RequestBody>(self.connector(http2).map_err(error)?);
        let service = config.extra_headers_layer().map_err(error)?.layer(Transport::new(
            http,
            self.address(),
            timeout,
            leadership,
        ));
        let namespace = config.default_namespace.clone();
        let base = config.base_uri_layer();
        // Without kube-rs's retries, which may come minutes late: callers retry by their own rules.
        Ok(match config.auth_layer().map_err(error)? {
            Some(auth) => Client::new(base.layer(auth.layer(service)), namespace),
            None => Client::new(base.layer(service), namespace),
        })
    }

    fn connector(&self, http2: bool) -> Result<HttpsConnector<HttpConnector>, kube::Error> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_keepalive(Some(KEEPALIVE[0]));
        tcp.set_keepalive_interval(Some(KEEPALIVE[1]));
        tcp.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT));
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

/// Creates a client for the cluster of a kubeconfig; without one, of `KUBECONFIG` or the pod's service
/// account.
///
/// # Errors
/// See [`KubeClientError`]. It does not connect yet, so a server that does not answer is no error.
pub async fn connect(kubeconfig: Option<&Path>, role: ClientRole) -> Result<Client, KubeClientError> {
    ApiServer::find(kubeconfig, role).await?.client()
}
