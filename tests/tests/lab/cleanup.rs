//! Tests that labs leave nothing behind, however they end, and are isolated from each other.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fairlead_tests::lab::{Lab, Topology, WEB_V4};
use fairlead_tests::traffic::TcpLoad;

/// How long the kernel may take to clean up.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// Precedes the process ID of its lab's init in the child's output.
const ANNOUNCEMENT: &str = "init of the lab: ";

#[test]
fn a_killed_test_leaves_nothing() -> Result<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", "cleanup::child_to_be_killed", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()?;
    let witness = Topology::empty().start()?;
    let output = child.stdout.take().context("no pipe")?;
    let announced = BufReader::new(output).lines().map_while(Result::ok).find_map(|line| {
        let (_, number) = line.split_once(ANNOUNCEMENT)?;
        number.parse::<u32>().ok()
    });
    let traces = Traces::of(announced.context("the child has no lab")?, &witness)?;
    ensure!(traces.processes()?.len() > 12, "init, sleep, ten nginx, the child: {:?}", traces.processes()?);
    child.kill()?;
    child.wait()?;
    traces.wait_gone()
}

/// Not a test: a helper that `a_killed_test_leaves_nothing` starts and kills.
#[test]
#[ignore = "runs until it is killed"]
fn child_to_be_killed() -> Result<()> {
    let lab = Topology::standard().start()?;
    lab.router()?.set_next_hops(WEB_V4, &["n1", "n2"])?;
    let load = TcpLoad::to((WEB_V4, 7000).into()).connections(20).start(lab.client()?)?;
    load.wait_open(20, Duration::from_secs(20))?;
    let _sleep = lab.node("n4")?.command("sleep").arg("1000").spawn(Path::new("/dev/null"))?;
    println!("{ANNOUNCEMENT}{}", lab.init());
    loop {
        thread::sleep(Duration::from_secs(60));
    }
}

#[test]
fn a_panicking_test_leaves_nothing() -> Result<()> {
    let witness = Topology::empty().start()?;
    let lab = Topology::standard().start()?;
    let traces = Traces::of(lab.init(), &witness)?;
    let test = thread::spawn(move || {
        // Moved in, so that unwinding drops it.
        let _lab = lab;
        panic!("a test that fails on purpose");
    });
    ensure!(test.join().is_err(), "the test did not panic");
    traces.wait_gone()
}

#[test]
fn labs_do_not_see_each_other() -> Result<()> {
    let [one, other] = [(), ()].map(|()| thread::spawn(|| Topology::standard().start()));
    let [one, other] = [one, other].map(|it| it.join().map_err(|_| anyhow::anyhow!("panicked"))?);
    let (one, other) = (one?, other?);
    for lab in [&one, &other] {
        lab.router()?.set_next_hops(WEB_V4, &["n1"])?;
        ensure!(answer(lab)?.contains("pod=n1-"));
    }
    one.node("n1")?.cut_link()?;
    ensure!(answer(&one).is_err(), "its only next hop is cut off");
    drop(one);
    ensure!(answer(&other)?.contains("pod=n1-"), "the other lab still works");
    Ok(())
}

fn answer(lab: &Lab) -> Result<String> {
    lab.client()?.command("curl").args(["-sS", "-m", "2", "http://203.0.113.10/"]).text()
}

/// A lab's resources in the kernel.
struct Traces<'witness> {
    /// The lab's PID namespace. Held open, which keeps no process alive, but prevents the reuse of its inode
    /// number.
    processes: File,
    /// Another lab, with one end of veths whose other ends are in this lab's network namespaces: they vanish
    /// with the namespaces, which cannot be listed otherwise. The namespaces in turn vanish with the mounts
    /// that name them.
    witness: &'witness Lab,
}

impl<'witness> Traces<'witness> {
    fn of(init: u32, witness: &'witness Lab) -> Result<Self> {
        let traces = Self { processes: File::open(format!("/proc/{init}/ns/pid"))?, witness };
        for process in traces.processes()? {
            // The init and the pods: each in a network namespace of its own.
            let command = fs::read_to_string(format!("/proc/{process}/comm"))?;
            if process == init || command.trim() == "nginx" {
                let link = format!("w{process}");
                traces.ip(&[
                    "link",
                    "add",
                    &link,
                    "type",
                    "veth",
                    "peer",
                    &link,
                    "netns",
                    &process.to_string(),
                ])?;
            }
        }
        ensure!(traces.witnesses()? > 10, "the init and ten pods: {}", traces.witnesses()?);
        Ok(traces)
    }

    fn wait_gone(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let (processes, witnesses) = (self.processes()?, self.witnesses()?);
            if processes.is_empty() && witnesses == 0 {
                println!("gone after {:?}", begun.elapsed());
                return Ok(());
            }
            if begun.elapsed() > GONE_WITHIN {
                bail!("after {GONE_WITHIN:?}: processes {processes:?}, networks {witnesses}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns processes with a thread that is in the PID namespace or starts its children there.
    fn processes(&self) -> Result<Vec<u32>> {
        let namespace = self.processes.metadata()?.ino();
        let is_inside = |thread: &Path| {
            let is = |kind| fs::metadata(thread.join("ns").join(kind)).is_ok_and(|it| it.ino() == namespace);
            is("pid") || is("pid_for_children")
        };
        let mut found = Vec::new();
        for process in fs::read_dir("/proc")? {
            let Some(number) = process?.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if threads(number).any(|thread| is_inside(&thread)) {
                found.push(number);
            }
        }
        Ok(found)
    }

    fn witnesses(&self) -> Result<usize> {
        Ok(self.ip(&["-o", "link", "show", "type", "veth"])?.lines().filter(|it| it.contains(": w")).count())
    }

    /// Runs `ip` in the witness init's network, with this machine's process IDs.
    fn ip(&self, arguments: &[&str]) -> Result<String> {
        let place = self.witness.init().to_string();
        let output = Command::new("nsenter").args(["-n", "-t", &place, "ip"]).args(arguments).output()?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// Returns the directories of a process's threads; none if it has exited.
fn threads(process: u32) -> impl Iterator<Item = PathBuf> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten();
    tasks.filter_map(Result::ok).map(|task| task.path())
}
