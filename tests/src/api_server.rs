//! A small in-process Kubernetes API server, for tests without a real one.
//!
//! It answers as Kubernetes 1.36 does, errors included, which `crate::replay` checks against recorded
//! requests: objects and versions; server-side apply, patches and field managers; schemas, defaults and
//! validation rules of definitions and of the built-in kinds that the load balancer uses; subresource status
//! and partial metadata; subresource exec of pods; names, namespaces, preconditions, finalizers, owners;
//! paginated lists, lists of earlier versions, selectors, tables; watches with bookmarks; discovery;
//! authentication, RBAC and tokens, once enabled by [`ObjectStore::protect`]; validating webhooks.
//! `ApiFaults` injects faults.
//!
//! A request goes from `respond` (authentication, routing, content negotiation) to `operations` (create,
//! update, delete, list), which use `strategy`, `merge`, `patch` and `builtin` (defaults and validation) and
//! `admission` (webhooks), and writes to `store`, whose changes `watch` sends. `background` does the work of
//! controllers: it establishes definitions, and deletes objects whose owner or namespace is gone.
//!
//! Not implemented: mutating and conversion webhooks, priorities, quotas, audit, controllers of workloads and
//! nodes, aggregated servers, and OpenAPI beyond what kubectl and helm read. Of kinds that neither the load
//! balancer nor its chart uses, only the metadata is validated. Objects live in memory, in the
//! [`ObjectStore`].

mod access;
mod admission;
mod answer;
mod background;
mod builtin;
mod call;
mod conversion;
mod decode;
mod definition;
mod definitions;
mod discovery;
mod error;
mod exec;
mod faults;
mod field_set;
mod kinds;
mod kubelets;
mod merge;
mod negotiate;
mod objects;
mod operations;
mod patch;
mod protobuf;
mod rbac;
mod request;
mod respond;
mod reviews;
mod schema;
mod selectors;
mod status_error;
mod store;
mod strategy;
mod table;
mod text;
mod types;
mod users;
mod watch;
mod yaml;

pub use access::Access;
pub use definitions::{definitions, status_definitions};
pub use faults::ApiFaults;
pub use kubelets::{PodCommand, PodCommandOutput, RunInPod};
pub use store::ObjectStore;

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::runtime::{Builder, Runtime};

/// A server that runs until it is dropped; its objects live on in the [`ObjectStore`].
#[derive(Debug)]
pub struct TestApiServer {
    address: SocketAddr,
    /// A runtime of its own, so that all connections end with it: a watch never ends by itself.
    runtime: Option<Runtime>,
}

impl TestApiServer {
    /// Serves a store on an address; port zero takes a free one.
    ///
    /// # Errors
    /// When it cannot listen on the address.
    pub fn start(store: Arc<ObjectStore>, address: SocketAddr) -> io::Result<Self> {
        Self::serve(store, TcpListener::bind(address)?)
    }

    /// Serves a store on a socket, which may have been opened in another network namespace.
    ///
    /// # Errors
    /// When the socket cannot be used.
    pub fn serve(store: Arc<ObjectStore>, listener: TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let listener = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        runtime.spawn(background::run(Arc::clone(&store)));
        runtime.spawn(accept(store, listener));
        Ok(Self { address, runtime: Some(runtime) })
    }

    /// Returns its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns a kubeconfig without credentials.
    pub fn kubeconfig(&self) -> String {
        kubeconfig(&format!("http://{}", self.address))
    }
}

async fn accept(store: Arc<ObjectStore>, listener: tokio::net::TcpListener) {
    loop {
        // A client that disconnects before it is accepted is no reason to stop.
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(serve_connection(Arc::clone(&store), stream));
    }
}

async fn serve_connection(store: Arc<ObjectStore>, stream: tokio::net::TcpStream) {
    let connection = store.faults().connection(stream);
    let broken = connection.broken();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let answer = respond::respond(Arc::clone(&store), request.map(Body::new));
        async { Ok::<_, Infallible>(answer.await) }
    });
    let served = hyper::server::conn::http1::Builder::new();
    tokio::select! {
        // How a connection ends is up to the client.
        _ = served.serve_connection(TokioIo::new(connection), service).with_upgrades() => {}
        () = broken => {}
    }
}

/// Returns a kubeconfig for an unprotected server.
pub fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
         clusters: [{{name: test, cluster: {{server: '{server}', insecure-skip-tls-verify: true}}}}]\n\
         users: [{{name: test, user: {{}}}}]\n\
         contexts: [{{name: test, context: {{cluster: test, user: test, namespace: default}}}}]\n"
    )
}

impl Drop for TestApiServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests;
