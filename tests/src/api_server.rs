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
mod error;
mod kinds;
mod request;
mod respond;
mod store;
mod watch;

pub use access::Access;
pub use store::Store;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::extract::State;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A server that runs until it is dropped; what it stores lives on in the [`Store`].
#[derive(Debug)]
pub struct ApiServer {
    address: SocketAddr,
    task: JoinHandle<io::Result<()>>,
}

impl ApiServer {
    /// Serves what is in a store on an address; port zero takes a free one.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(store: Arc<Store>, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let answer = |State(store): State<Arc<Store>>, request: Request| respond::respond(store, request);
        let router = Router::new().fallback(answer).with_state(store);
        let task = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a client is configured with: a kubeconfig without credentials.
    pub fn kubeconfig(&self) -> String {
        let server = self.address;
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
             clusters: [{{name: test, cluster: {{server: 'http://{server}'}}}}]\n\
             users: [{{name: test, user: {{}}}}]\n\
             contexts: [{{name: test, context: {{cluster: test, user: test, namespace: default}}}}]\n"
        )
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        // Watches end with it: a connection's task is a child of the server's.
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
