//! A host of a lab: a network namespace in which closures and programs run.

use std::fs;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::panic;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};

use super::namespaces::LabNamespaces;

/// A handle to a host; clones refer to the same host.
#[derive(Clone, Debug)]
pub struct LabHost {
    name: Arc<str>,
    namespaces: Arc<LabNamespaces>,
    network: Arc<OwnedFd>,
}

impl LabHost {
    pub(super) fn open(namespaces: &Arc<LabNamespaces>, name: &str) -> Result<Self> {
        let network = namespaces.network(name)?;
        Ok(Self { name: name.into(), namespaces: Arc::clone(namespaces), network: Arc::new(network) })
    }

    /// Opens the init's own network namespace: not a host, but where the lab is wired from.
    pub(super) fn open_wiring(namespaces: &Arc<LabNamespaces>) -> Result<Self> {
        let network = namespaces.first_network()?;
        Ok(Self { name: "lab".into(), namespaces: Arc::clone(namespaces), network: Arc::new(network) })
    }

    /// Returns the name of the host and of its network namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the host's directory as its programs see it.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        PathBuf::from("/run/lab").join(&*self.name)
    }

    /// Returns the host's directory as the test process sees it.
    #[must_use]
    pub fn directory_outside(&self) -> PathBuf {
        self.namespaces.outside(&self.directory())
    }

    /// Returns the logs in its directory as the test process sees them, sorted by name.
    #[must_use]
    pub fn logs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory_outside()).into_iter().flatten().flatten();
        let mut logs: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        logs.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
        logs.sort();
        logs
    }

    /// Runs `job` on a thread of its own inside the host and waits for it. The job may borrow; it may not
    /// start threads (see [`LabHost::thread`]).
    ///
    /// # Errors
    /// The job's own error, or why the host cannot be entered.
    pub fn run<T: Send>(&self, job: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let result = thread::scope(|scope| {
            scope
                .spawn(|| {
                    self.enter()?;
                    job()
                })
                .join()
        });
        result.unwrap_or_else(|panic| panic::resume_unwind(panic))
    }

    /// Runs a future to completion on a single-threaded tokio runtime inside the host.
    ///
    /// # Errors
    /// The future's own error, or why the host cannot be entered.
    pub fn run_async<T, F>(&self, client: impl FnOnce() -> F + Send) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>>,
    {
        self.run(|| runtime()?.block_on(client()))
    }

    /// Starts `job` on a thread inside the host and does not wait for it.
    ///
    /// # Errors
    /// When the thread cannot be spawned.
    pub fn thread<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<JoinHandle<Result<T>>> {
        let host = self.clone();
        let thread = thread::Builder::new().name(format!("lab-{}", self.name));
        Ok(thread.spawn(move || {
            host.enter()?;
            // The Lab keeps the lab alive, not the threads that run in it.
            drop(host);
            job()
        })?)
    }

    /// Writes values to keys below `/proc/sys`.
    ///
    /// # Errors
    /// When the kernel rejects one.
    pub fn sysctl(&self, settings: &[(&str, &str)]) -> Result<()> {
        self.run(|| {
            for (key, value) in settings {
                fs::write(format!("/proc/sys/{key}"), value).with_context(|| format!("{key} = {value}"))?;
            }
            Ok(())
        })
    }

    fn enter(&self) -> Result<()> {
        self.namespaces.enter(&self.network).with_context(|| format!("enter {}", self.name))
    }
}

/// Creates a runtime without threads: inside a host none can be spawned.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
