//! A small Kubernetes API server in this process, for tests where no real one is at hand.
//!
//! It stores objects and tells of their changes as the real one does: list, watch (resource versions, bookmarks,
//! streamed lists, 410 for a version that is too old), get, create, replace, patch (merge, JSON, server-side
//! apply), delete; status apart from the rest; conflicts; generated names; kinds from
//! CustomResourceDefinitions. It knows no admission, no defaults, no schemas, no access control and no garbage
//! collection. Lists within an object are replaced whole by an apply, except `conditions`, which go by their
//! `type`.

mod access;
mod apply;
mod builtin;
mod definitions;
mod error;
mod faults;
mod form;
mod kinds;
mod merge;
mod patch;
mod refusal;
mod request;
mod respond;
mod schema;
mod store;
mod text;
mod types;
mod watch;

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
