//! A small Kubernetes API server in this process, for tests where no real one is at hand.
//!
//! It answers what one of Kubernetes 1.36 answers, refusals included, as `crate::replay` judges it by recorded
//! requests: objects and their versions; server-side apply, patches and their owners of fields; schemas, defaults
//! and rules of definitions and of the kinds that the load balancer is about; status and metadata apart; names,
//! namespaces, preconditions, finalizers, owners; lists in parts and of earlier versions, selectors, tables;
//! watches with bookmarks; discovery; users, roles and tokens, once [`Store::protect`] asks for them; validating
//! webhooks. `Faults` lets it fail.
//!
//! A request goes from `respond` (who, what, in which form) to `call` (create, update, delete, list), which asks
//! `form`, `merge`, `patch` and `builtin` (what of objects is right) and `admission` (webhooks), and stores in
//! `store`, of which `watch` tells. `background` does what controllers do: it establishes definitions, and collects
//! what has no owner or no namespace any more.
//!
//! It knows no webhooks that change or convert objects, no priorities, quotas or audit, no controllers of workloads
//! and nodes, no aggregated servers, and of OpenAPI only what kubectl and helm look at. Of kinds that neither the
//! load balancer nor its chart is about it checks metadata only. What it stores is gone with the [`Store`].

mod access;
mod admission;
mod answer;
mod background;
mod builtin;
mod call;
mod decode;
mod definition;
mod definitions;
mod discovery;
mod error;
mod faults;
mod form;
mod kinds;
mod merge;
mod negotiate;
mod objects;
mod patch;
mod protobuf;
mod refusal;
mod request;
mod respond;
mod reviews;
mod schema;
mod selectors;
mod shape;
mod store;
mod table;
mod text;
mod types;
mod users;
mod watch;
mod yaml;

pub use access::Access;
pub use definitions::{definitions, status_definitions};
pub use faults::Faults;
pub use store::Store;

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::runtime::{Builder, Runtime};

/// A server that runs until it is dropped; what it stores lives on in the [`Store`].
#[derive(Debug)]
pub struct ApiServer {
    address: SocketAddr,
    /// Its own, so that all its connections end with it: a watch is an answer that never ends by itself.
    runtime: Option<Runtime>,
}

impl ApiServer {
    /// Serves what is in a store on an address; port zero takes a free one.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn start(store: Arc<Store>, address: SocketAddr) -> io::Result<Self> {
        Self::serve(store, TcpListener::bind(address)?)
    }

    /// Serves what is in a store to whoever connects to a socket, which may have been opened in another network.
    ///
    /// # Errors
    /// When the socket cannot be used.
    pub fn serve(store: Arc<Store>, listener: TcpListener) -> io::Result<Self> {
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

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a client is configured with: a kubeconfig without credentials.
    pub fn kubeconfig(&self) -> String {
        kubeconfig(&format!("http://{}", self.address))
    }
}

async fn accept(store: Arc<Store>, listener: tokio::net::TcpListener) {
    loop {
        // That a client has left before it was taken is no reason to end.
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(serve_connection(Arc::clone(&store), stream));
    }
}

async fn serve_connection(store: Arc<Store>, stream: tokio::net::TcpStream) {
    let connection = store.faults().connection(stream);
    let broken = connection.broken();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let answer = respond::respond(Arc::clone(&store), request.map(Body::new));
        async { Ok::<_, Infallible>(answer.await) }
    });
    let served = hyper::server::conn::http1::Builder::new();
    tokio::select! {
        // How a connection ends is the client's affair.
        _ = served.serve_connection(TokioIo::new(connection), service) => {}
        () = broken => {}
    }
}

/// What a client of an unprotected server is configured with.
pub fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
         clusters: [{{name: test, cluster: {{server: '{server}', insecure-skip-tls-verify: true}}}}]\n\
         users: [{{name: test, user: {{}}}}]\n\
         contexts: [{{name: test, context: {{cluster: test, user: test, namespace: default}}}}]\n"
    )
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests;
