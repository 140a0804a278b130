//! The namespaces of a lab, and the guarantee that they vanish with it.
//!
//! ```text
//! test process ── keeper thread ── init of a new PID namespace (SIGKILLed when the keeper ends)
//!                                   ├─ its own mount namespace: /proc, a tmpfs on /run and a few more
//!                                   ├─ /run/netns/NAME: one network namespace per host
//!                                   └─ every process of the lab
//! ```
//!
//! Cleanup does not depend on code that might not run: the kernel kills the init when the keeper thread ends,
//! however it ends. With the init die all processes of its PID namespace; with the last of them go the
//! mounts; with the mounts go the network namespaces, their links and attached programs.
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

/// The init's script: only a member of the new PID namespace can mount its /proc.
const INIT: &str = "mount -t proc proc /proc && echo ready && exec sleep infinity";
/// Directories in which programs keep files under fixed names: every lab has its own. FRR's daemons leave a
/// directory named after their process ID in `/var/tmp`, and need `/etc/frr/NAME` for each instance.
const PRIVATE: [&str; 3] = ["/run", "/var/tmp", "/etc/frr"];
/// How long the keeper waits for the end of a lab's init.
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
    /// Returns the init's process ID as the test process sees it.
    pub(crate) fn init(&self) -> u32 {
        self.init
    }

    /// Returns a path of the lab as the test process sees it.
    pub(crate) fn outside(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.init));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Opens the network namespace that `ip netns add` created under this name.
    pub(crate) fn network(&self, name: &str) -> Result<OwnedFd> {
        let path = self.outside(&Path::new("/run/netns").join(name));
        Ok(File::open(&path).with_context(|| path.display().to_string())?.into())
    }

    /// Opens the network namespace of the init itself, which is no host's.
    pub(crate) fn first_network(&self) -> Result<OwnedFd> {
        open_namespace(self.init, "net")
    }

    /// Moves the calling thread into the lab's mounts and into `network`; processes that it starts afterwards
    /// belong to the lab's PID namespace.
    ///
    /// The thread cannot spawn threads afterwards (the kernel keeps a process in one PID namespace), and
    /// cannot return, so this is only for dedicated threads.
    pub(crate) fn enter(&self, network: &OwnedFd) -> Result<()> {
        // A thread that shares its working directory with others may not change its mount namespace.
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
            // A keeper that panicked has ended, too.
            let _ = thread.join();
        }
    }
}

fn open_namespace(process: u32, kind: &str) -> Result<OwnedFd> {
    let path = format!("/proc/{process}/ns/{kind}");
    Ok(File::open(&path).with_context(|| path.clone())?.into())
}

/// Runs the keeper. The init dies with this thread and not with the process: `PR_SET_PDEATHSIG` regards the
/// thread as the parent.
fn keep(started: &Sender<Result<u32>>, stopped: &Receiver<()>) {
    match start_init() {
        Ok(mut init) => {
            let sent = started.send(Ok(init.id()));
            if sent.is_ok() {
                // Returns an error when the lab is dropped: nothing is ever sent.
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
    kill_with_thread(&mut command);
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

fn kill_with_thread(command: &mut Command) {
    let hook = || set_pdeathsig(Signal::SIGKILL).map_err(Into::into);
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; prctl is a bare system call.
    unsafe { command.pre_exec(hook) };
}

/// Kills the init and waits for it, but not forever: the init of a PID namespace ends only when all members
/// are reaped, and a member started by a test is reaped by that test.
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
