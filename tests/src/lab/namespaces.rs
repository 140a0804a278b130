//! The namespaces a lab lives in, and the guarantee that they vanish with it.
//!
//! ```text
//! test process ── keeper thread ── init of a new PID namespace (SIGKILLed when the keeper ends)
//!                                   ├─ own mount namespace: /proc, a tmpfs on /run and a few more
//!                                   ├─ /run/netns/NAME: one network namespace a host
//!                                   └─ every process of the lab
//! ```
//!
//! Nothing has to be cleaned up by code that might not run: the kernel kills the init when the keeper
//! thread ends, however it ends; with the init go all processes of its PID namespace; with the last of
//! them the mounts; with the mounts the network namespaces, their links and what is attached to them.
#![allow(unsafe_code, reason = "a hook between fork and exec is unsafe by nature")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

/// What the init process runs: only a member of the new PID namespace can mount its /proc.
const INIT: &str = "mount -t proc proc /proc && echo ready && exec sleep infinity";
/// Where programs keep files under fixed names: every lab has its own. The routing daemons of FRR leave a
/// directory named after their process number in `/var/tmp`, and want `/etc/frr/NAME` for each of their set.
const PRIVATE: [&str; 3] = ["/run", "/var/tmp", "/etc/frr"];
/// How long an ended lab may take to be gone before the keeper stops waiting for it.
const REAPED_WITHIN: Duration = Duration::from_secs(10);

/// Keeps a lab's namespaces alive until it is dropped.
#[derive(Debug)]
pub(crate) struct NamespaceKeeper {
    /// Dropped first, which ends the thread's wait.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The PID and mount namespace of one lab.
#[derive(Debug)]
pub(crate) struct LabNamespaces {
    init: u32,
    mounts: OwnedFd,
    processes: OwnedFd,
}

/// Starts a keeper and its init.
pub(crate) fn create() -> Result<(NamespaceKeeper, LabNamespaces)> {
    let (started, has_started) = channel();
    let (stop, stopped) = channel();
    let thread = thread::Builder::new().name("lab-keeper".into()).spawn(move || keep(&started, &stopped))?;
    let keeper = NamespaceKeeper { stop: Some(stop), thread: Some(thread) };
    let init = has_started.recv().context("the lab's keeper ended")??;
    let namespaces =
        LabNamespaces { init, mounts: open_namespace(init, "mnt")?, processes: open_namespace(init, "pid")? };
    Ok((keeper, namespaces))
}

impl LabNamespaces {
    /// The lab's first process, as the test process sees it.
    pub(crate) fn init(&self) -> u32 {
        self.init
    }

    /// Where the test process finds the lab's `path`.
    pub(crate) fn outside(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.init));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The network namespace that `ip netns add` made under this name.
    pub(crate) fn network(&self, name: &str) -> Result<OwnedFd> {
        let path = self.outside(&Path::new("/run/netns").join(name));
        Ok(File::open(&path).with_context(|| path.display().to_string())?.into())
    }

    /// The network namespace of the init itself, in which no host lives.
    pub(crate) fn first_network(&self) -> Result<OwnedFd> {
        open_namespace(self.init, "net")
    }

    /// Moves the calling thread into the lab's mounts and into `network`; processes that it starts from
    /// now on belong to the lab's PID namespace.
    ///
    /// The thread cannot start threads afterwards (the kernel keeps a process in one PID namespace), and
    /// cannot come back, so this is for threads that were made for it.
    pub(crate) fn enter(&self, network: &OwnedFd) -> Result<()> {
        // A thread that shares its working directory with others may not change its mounts.
        unshare(CloneFlags::CLONE_FS).context("unshare the working directory")?;
        setns(self.mounts.as_fd(), CloneFlags::CLONE_NEWNS).context("enter the lab's mounts")?;
        setns(network.as_fd(), CloneFlags::CLONE_NEWNET).context("enter the host's network")?;
        setns(self.processes.as_fd(), CloneFlags::CLONE_NEWPID).context("enter the lab's processes")
    }
}

impl Drop for NamespaceKeeper {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A keeper that panicked has ended, and that is all that is asked of it.
            let _ = thread.join();
        }
    }
}

fn open_namespace(process: u32, kind: &str) -> Result<OwnedFd> {
    let path = format!("/proc/{process}/ns/{kind}");
    Ok(File::open(&path).with_context(|| path.clone())?.into())
}

/// The keeper's life. The init dies with this thread and not with the process: that is what
/// `PR_SET_PDEATHSIG` counts as the parent.
fn keep(started: &Sender<Result<u32>>, stopped: &Receiver<()>) {
    match start_init() {
        Ok(mut init) => {
            let told = started.send(Ok(init.id()));
            if told.is_ok() {
                // Ends by an error when the lab is dropped: nothing is ever sent.
                let _ = stopped.recv();
            }
            end(&mut init);
        }
        Err(error) => {
            let _ = started.send(Err(error));
        }
    }
}

fn start_init() -> Result<Child> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWPID)
        .context("make namespaces (the lab needs root)")?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("keep mounts private")?;
    for place in PRIVATE.into_iter().filter(|place| Path::new(place).exists()) {
        let private = mount(Some("tmpfs"), place, Some("tmpfs"), MsFlags::empty(), None::<&str>);
        private.with_context(|| format!("a private {place}"))?;
    }
    fs::create_dir_all("/run/netns")?;
    fs::create_dir_all("/run/lab")?;

    let mut command = Command::new("sh");
    command.args(["-c", INIT]).stdin(Stdio::null()).stdout(Stdio::piped());
    die_with_this_thread(&mut command);
    let mut init = command.spawn().context("start the lab's init")?;
    let answers = init.stdout.take().ok_or_else(|| anyhow!("no pipe from the lab's init"))?;
    let mut line = String::new();
    BufReader::new(answers).read_line(&mut line)?;
    if line.trim() != "ready" {
        end(&mut init);
        bail!("the lab's init did not come up");
    }
    Ok(init)
}

fn die_with_this_thread(command: &mut Command) {
    let hook = || set_pdeathsig(Signal::SIGKILL).map_err(Into::into);
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; prctl is a bare system call.
    unsafe { command.pre_exec(hook) };
}

/// Kills the init and waits for it, but not for ever: the kernel lets the init of a PID namespace go only
/// when all its members are reaped, and a member started by a test is reaped by that test.
fn end(init: &mut Child) {
    let _ = init.kill();
    let until = Instant::now() + REAPED_WITHIN;
    while Instant::now() < until {
        if !matches!(init.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(Duration::from_millis(2));
    }
}
