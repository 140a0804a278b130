//! Tests of the agent with invalid objects, and on unsuitable machines.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aya::Ebpf;
use aya::programs::{Xdp, XdpMode};
use fairlead_tests::lab::node::find_binary;
use fairlead_tests::lab::topology::HTTP_PORT;
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, LabNode, Topology, WEB_V4, agents};
use lb_dataplane::object::{EMPTY_PROGRAM, OBJECT};

/// Returns one node with one pod, and the Service `web` on it.
fn small() -> Topology {
    Topology::empty().node('a', 1).pods("n1", "web", 1).service(
        "web",
        "web",
        &[WEB_V4],
        ExternalPolicy::Local,
    )
}

fn with_small_lab(test: impl FnOnce(&Lab, &LabNode<'_>) -> Result<()>) -> Result<()> {
    small().run(|lab| {
        lab.router()?.set_next_hops(WEB_V4, &["n1"])?;
        test(lab, &lab.node("n1")?)
    })
}

fn manifest(lab: &Lab, name: &str) -> PathBuf {
    lab.outside(&lab.manifests_directory().join(name))
}

/// Waits until the agent's list of problems satisfies `expected`.
fn wait_problems(node: &LabNode<'_>, expected: impl Fn(&[String]) -> bool) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let problems = agents::problems(&node.status()?)?;
        if expected(&problems) {
            return Ok(());
        }
        ensure!(Instant::now() < until, "the agent still reports {problems:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn answers(lab: &Lab) -> Result<()> {
    let url = format!("http://{}/", SocketAddr::new(WEB_V4, HTTP_PORT));
    lab.client()?
        .command("curl")
        .args(["--silent", "--show-error", "--fail", "--max-time", "5", &url])
        .text()
        .map(drop)
}

/// Invalid manifests, with the words that the message about each must contain.
const BAD_MANIFESTS: &[(&str, &str, &[&str])] = &[
    (
        "overlapping pools",
        "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: zz, namespace: metallb-system}\nspec: {addresses: [203.0.113.0/25]}\n",
        &["bad.yaml", "IPAddressPool metallb-system/zz", "spec.addresses[0]", "203.0.113.10"],
    ),
    (
        "a malformed address",
        "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: typo, namespace: metallb-system}\nspec: {addresses: [198.51.100.0/24, 198.51.100.300/32]}\n",
        &["bad.yaml", "IPAddressPool metallb-system/typo", "spec.addresses[1]", "198.51.100.300/32"],
    ),
    (
        "an unknown kind",
        "apiVersion: metallb.io/v1beta1\nkind: IPAdressPool\nmetadata: {name: x, namespace: metallb-system}\n",
        &["bad.yaml", "IPAdressPool", "kind"],
    ),
    ("broken YAML", "apiVersion: v1\nkind: Service\n  metadata: [\n", &["bad.yaml"]),
    (
        "a field of the wrong type",
        "apiVersion: v1\nkind: Service\nmetadata: {name: x, namespace: default}\nspec: {type: LoadBalancer, ports: [{port: http}]}\n",
        &["bad.yaml", "Service default/x", "spec.ports[0].port"],
    ),
    (
        "a Service without endpoints",
        "apiVersion: v1\nkind: Service\nmetadata: {name: empty, namespace: default}\nspec: {type: LoadBalancer, ports: [{port: 81}]}\nstatus: {loadBalancer: {ingress: [{ip: 203.0.113.10}]}}\n",
        &["bad.yaml", "Service default/empty", "endpoint"],
    ),
];

#[test]
fn an_invalid_manifest_affects_no_other_and_can_be_fixed_in_place() -> Result<()> {
    with_small_lab(|lab, node| {
        node.start_agent(&LabAgentOptions::default())?;
        wait_problems(node, <[String]>::is_empty)?;
        for (what, text, words) in BAD_MANIFESTS {
            fs::write(manifest(lab, "bad.yaml"), text)?;
            wait_problems(node, |problems| {
                problems.iter().any(|problem| words.iter().all(|word| problem.contains(word)))
            })
            .with_context(|| format!("{what}: no message with {words:?}"))?;
            answers(lab).with_context(|| format!("{what}: the other objects must still work"))?;
            println!("{what}: {}", node.status()?["problems"][0].as_str().unwrap_or_default());
            fs::write(manifest(lab, "bad.yaml"), "# fixed\n")?;
            wait_problems(node, <[String]>::is_empty).with_context(|| format!("{what}: fixed"))?;
        }
        Ok(())
    })
}

#[test]
fn an_invalid_object_keeps_its_last_known_good_configuration() -> Result<()> {
    with_small_lab(|lab, node| {
        node.start_agent(&LabAgentOptions::default())?;
        let before = node.status()?["services"].clone();
        for file in fs::read_dir(lab.outside(&lab.manifests_directory()))? {
            let path = file?.path();
            fs::write(&path, fs::read_to_string(&path)? + "\n---\nkind: [broken\n")?;
        }
        wait_problems(node, |problems| !problems.is_empty())?;
        ensure!(node.status()?["services"] == before, "the Services must not change");
        answers(lab)
    })
}

/// Attaches a foreign XDP program to the uplink, for as long as the value lives.
fn occupy(node: &LabNode<'_>) -> Result<Ebpf> {
    node.run(|| {
        let mut object = Ebpf::load(OBJECT)?;
        let program: &mut Xdp = object.program_mut(EMPTY_PROGRAM).context("no such program")?.try_into()?;
        program.load()?;
        program.attach("eth0", XdpMode::Driver)?;
        Ok(object)
    })
}

/// Runs the agent with these arguments instead of the usual ones; it must exit at once with a one-line error.
fn expect_error(node: &LabNode<'_>, wrapper: &[&str], arguments: &[&str], words: &[&str]) -> Result<()> {
    let binary = find_binary()?.to_string_lossy().into_owned();
    let mut words_of_command = wrapper.to_vec();
    words_of_command.extend([binary.as_str(), "agent"]);
    words_of_command.extend(arguments);
    let (program, rest) = words_of_command.split_first().context("a command has a program")?;
    let output = node.command(program).args(rest).env("RUST_LOG", "off").output()?;
    let printed = String::from_utf8_lossy(&output.stderr);
    println!("{}", printed.trim());
    ensure!(!output.status.success(), "it must fail: {printed}");
    ensure!(printed.trim().lines().count() == 1, "one line: {printed}");
    ensure!(words.iter().all(|word| printed.contains(word)), "{words:?} must be in: {printed}");
    let pins = node.directory_outside().join("bpf/fairlead");
    ensure!(!pins.exists(), "{} remains", pins.display());
    let links = node.command("ip").args(["-details", "link", "show", "eth0"]).text()?;
    ensure!(!links.contains("prog/xdp") || words.contains(&"already"), "something is attached: {links}");
    Ok(())
}

#[test]
fn an_agent_on_an_unsuitable_machine_fails_with_one_line() -> Result<()> {
    with_small_lab(|lab, node| {
        let source = lab.manifests_directory().to_string_lossy().into_owned();
        let bpffs = node.bpffs().to_string_lossy().into_owned();
        let socket = node.socket().to_string_lossy().into_owned();
        let arguments = |interface, source, bpffs| {
            [
                "--node",
                "n1",
                "--interface",
                interface,
                "--source",
                source,
                "--bpffs",
                bpffs,
                "--socket",
                &socket,
            ]
            .map(str::to_owned)
        };
        let refuse = |wrapper: &[&str], arguments: [String; 10], words: &[&str]| {
            expect_error(node, wrapper, &arguments.each_ref().map(String::as_str), words)
        };
        refuse(&[], arguments("nope", &source, &bpffs), &["no interface", "nope"])?;
        refuse(&[], arguments("eth0", "/nowhere", &bpffs), &["/nowhere", "--source"])?;
        refuse(&[], arguments("eth0", &source, "/tmp"), &["/tmp", "mount -t bpf"])?;
        let without = ["setpriv", "--bounding-set=-bpf,-sys_admin", "--inh-caps=-bpf,-sys_admin"];
        refuse(&without, arguments("eth0", &source, &bpffs), &["capability", "CAP_BPF"])?;
        let _other = occupy(node)?;
        refuse(&[], arguments("eth0", &source, &bpffs), &["eth0", "already", "nothing"])?;
        let links = node.command("ip").args(["-details", "link", "show", "eth0"]).text()?;
        ensure!(links.contains("prog/xdp"), "the foreign program must remain attached: {links}");
        Ok(())
    })
}
