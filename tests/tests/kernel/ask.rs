//! The program asks the kernel for a connection: with real sockets and really tracked connections, in a
//! network namespace of each test's own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{io::Write as _, thread};

use anyhow::{Context, Result, ensure};
use fairlead_tests::kernel::{INGRESS, Kernel};
use fairlead_tests::model::{self, counter_name};
use fairlead_tests::packets::build::{Frame, flags};
use fairlead_tests::packets::fixture::{CLIENT4, CLIENT6, Fixture, PLAIN4, PLAIN6, VIP4, VIP6, port};
use lb_common::kernel::{KernelAnswer, TcpConnection};
use lb_common::maps::capacity;
use lb_common::verdict::Outcome;
use lb_dataplane::kernel_lookup::{self, KernelLookup};
use lb_dataplane::object::{EMPTY_PROGRAM, LOOKUP_PROGRAM};
use lb_pipeline::bits::Bits;
use nix::sched::{CloneFlags, CpuSet, sched_setaffinity, unshare};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
};
use nix::unistd::Pid;
use socket2::{Domain, Protocol, Socket, Type};

/// The client's port.
const FROM: u16 = 4000;
/// Where the pod listens that tracked connections lead to.
const POD: u16 = 8080;
/// The nodes that the program asks in these tests: none, and another one.
const PORTS: [u16; 2] = [port::LOCAL, port::FORMER_NEAR];

/// One address family's addresses.
#[derive(Clone, Copy)]
struct Side {
    client: IpAddr,
    vip: IpAddr,
    pod: IpAddr,
    frame: fn() -> Frame,
}

const fn v4(address: [u8; 4]) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_octets(address))
}

const fn v6(address: [u8; 16]) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_octets(address))
}

const SIDES: [Side; 2] = [
    Side { client: v4(CLIENT4), vip: v4(VIP4), pod: v4(PLAIN4), frame: || Frame::v4(CLIENT4, VIP4) },
    Side { client: v6(CLIENT6), vip: v6(VIP6), pod: v6(PLAIN6), frame: || Frame::v6(CLIENT6, VIP6) },
];

/// Runs a test in a network namespace whose loopback has all its addresses.
fn in_namespace(test: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    let test = || {
        unshare(CloneFlags::CLONE_NEWNET)?;
        run("ip", &["link", "set", "lo", "up"], "")?;
        for address in SIDES.iter().flat_map(|side| [side.client, side.vip, side.pod]) {
            let prefix = if address.is_ipv4() { 32 } else { 128 };
            run("ip", &["address", "add", &format!("{address}/{prefix}"), "dev", "lo"], "")?;
        }
        test()
    };
    thread::scope(|scope| scope.spawn(test).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn run(program: &str, args: &[&str], input: &str) -> Result<()> {
    let mut child =
        Command::new(program).args(args).stdin(Stdio::piped()).spawn().context(program.to_owned())?;
    child.stdin.take().context("no input")?.write_all(input.as_bytes())?;
    ensure!(child.wait()?.success(), "{program} {args:?} failed on {input:?}");
    Ok(())
}

/// Sends connections to the VIPs on to the pods, as kube-proxy does, and so has them tracked.
fn redirect() -> Result<()> {
    let rules: String = PORTS
        .iter()
        .flat_map(|port| {
            [
                format!("ip daddr {} tcp dport {port} dnat to {}:{POD}", SIDES[0].vip, SIDES[0].pod),
                format!("ip6 daddr {} tcp dport {port} dnat to [{}]:{POD}", SIDES[1].vip, SIDES[1].pod),
            ]
        })
        .map(|rule| format!("add rule inet services out {rule}\n"))
        .collect();
    let chain =
        "add table inet services\nadd chain inet services out { type nat hook output priority -100; }\n";
    run("nft", &["-f", "-"], &(chain.to_owned() + &rules))
}

/// Drops answers to SYNs, so that connections stay half open.
fn drop_answers() -> Result<()> {
    let rules = "add table inet half\nadd chain inet half in { type filter hook input priority 0; }\n\
                 add rule inet half in tcp flags & (syn | ack) == syn | ack drop\n";
    run("nft", &["-f", "-"], rules)
}

/// A connection from the client to a port of the VIP, and its other end.
struct Connected {
    client: TcpStream,
    server: TcpStream,
}

impl Connected {
    fn open(side: Side, to: u16, listens_at: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(listens_at)?;
        let client = connect(side, to)?;
        let (server, _) = listener.accept()?;
        Ok(Self { client, server })
    }

    /// Ends it at once, by a RST.
    fn abort(self) -> Result<()> {
        socket2::SockRef::from(&self.client).set_linger(Some(Duration::ZERO))?;
        drop(self.client);
        let started = Instant::now();
        // The other end has gone when it says so.
        while self.server.take_error()?.is_none() {
            ensure!(started.elapsed() < Duration::from_secs(5), "the RST does not arrive");
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

fn connect(side: Side, to: u16) -> Result<TcpStream> {
    let socket = Socket::new(Domain::for_address((side.vip, to).into()), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((side.client, FROM)).into())?;
    socket.connect_timeout(&SocketAddr::from((side.vip, to)).into(), Duration::from_millis(500))?;
    Ok(socket.into())
}

/// The program with its gaps filled, and a table without flows.
fn asking() -> Result<Kernel> {
    Kernel::load_object(&Fixture::Standard.tables(), &kernel_lookup::prepare(KernelLookup::Auto).object)
}

/// What a segment in the middle of the connection comes to.
fn verdict(kernel: &mut Kernel, side: Side, to: u16) -> Result<&'static str> {
    // The first one notes the flow, and then the table answers.
    kernel.reset(&Fixture::Standard.tables(), &(0..capacity::FLOW_SETS as u32).collect())?;
    Ok(counter_name(kernel.judge(&(side.frame)().tcp(FROM, to).packet())?.counter))
}

/// What it comes to where the kernel is not asked, or does not have the connection.
fn without(to: u16) -> &'static str {
    if to == port::LOCAL { "unowned" } else { "asked_l2" }
}

#[test]
fn a_socket_of_this_node_is_found_while_its_connection_lives() -> Result<()> {
    in_namespace(|| {
        let mut kernel = asking()?;
        let mut silent = Kernel::load_object(
            &Fixture::Standard.tables(),
            &kernel_lookup::prepare(KernelLookup::Off).object,
        )?;
        for side in SIDES {
            for to in PORTS {
                let listener = TcpListener::bind((side.vip, to))?;
                assert_eq!(verdict(&mut kernel, side, to)?, without(to), "a listener has no connection yet");
                drop(listener);
                let connected = Connected::open(side, to, (side.vip, to).into())?;
                assert_eq!(verdict(&mut kernel, side, to)?, "local_by_kernel", "{} port {to}", side.vip);
                assert_eq!(verdict(&mut silent, side, to)?, without(to), "no node is asked");
                connected.client.shutdown(std::net::Shutdown::Write)?;
                assert_eq!(verdict(&mut kernel, side, to)?, "local_by_kernel", "half closed");
                connected.abort()?;
                assert_eq!(
                    verdict(&mut kernel, side, to)?,
                    without(to),
                    "{} port {to}: it is over",
                    side.vip
                );
            }
        }
        Ok(())
    })
}

#[test]
fn a_half_open_connection_is_none_that_lives() -> Result<()> {
    in_namespace(|| {
        let mut kernel = asking()?;
        drop_answers()?;
        for side in SIDES {
            let _listener = TcpListener::bind((side.vip, port::LOCAL))?;
            ensure!(connect(side, port::LOCAL).is_err(), "the answer was not dropped");
            assert_eq!(verdict(&mut kernel, side, port::LOCAL)?, "unowned");
        }
        Ok(())
    })
}

#[test]
fn a_tracked_connection_is_found_while_it_lives() -> Result<()> {
    if let Some(reason) = kernel_lookup::prepare(KernelLookup::Auto).lookups.conntrack {
        eprintln!("not tested: {reason}");
        return Ok(());
    }
    in_namespace(|| {
        redirect()?;
        let mut kernel = asking()?;
        for side in SIDES {
            for to in PORTS {
                assert_eq!(verdict(&mut kernel, side, to)?, without(to), "{} port {to}: not yet", side.vip);
                let connected = Connected::open(side, to, (side.pod, POD).into())?;
                assert_eq!(verdict(&mut kernel, side, to)?, "local_by_kernel", "{} port {to}", side.vip);
                connected.abort()?;
                assert_eq!(
                    verdict(&mut kernel, side, to)?,
                    without(to),
                    "{} port {to}: it is over",
                    side.vip
                );
            }
        }
        drop_answers()?;
        for side in SIDES {
            let _listener = TcpListener::bind((side.pod, POD))?;
            ensure!(connect(side, port::LOCAL).is_err(), "the answer was not dropped");
            assert_eq!(verdict(&mut kernel, side, port::LOCAL)?, "unowned", "half open");
        }
        Ok(())
    })
}

/// By default the kernel takes connections up in the middle, so that a forged ACK leaves one that says
/// ESTABLISHED.
#[test]
fn a_connection_that_only_a_stranger_speaks_on_is_none_that_lives() -> Result<()> {
    if let Some(reason) = kernel_lookup::prepare(KernelLookup::Auto).lookups.conntrack {
        eprintln!("not tested: {reason}");
        return Ok(());
    }
    in_namespace(|| {
        redirect()?;
        let mute = "add table inet mute\nadd chain inet mute in { type filter hook input priority 0; }\n\
                    add rule inet mute in tcp dport 8080 counter drop\n";
        run("nft", &["-f", "-"], mute)?;
        let mut kernel = asking()?;
        let raw = socket(AddressFamily::Inet, SockType::Raw, SockFlag::empty(), SockProtocol::Raw)?;
        let segment = Frame::v4(CLIENT4, VIP4).segment(FROM, port::LOCAL, flags::ACK).ip();
        let to = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::from_octets(VIP4), 0));
        sendto(raw.as_raw_fd(), &segment, &to, MsgFlags::empty())?;
        let tracked = std::fs::read_to_string("/proc/thread-self/net/nf_conntrack").unwrap_or_default();
        ensure!(tracked.is_empty() || tracked.contains("ESTABLISHED"), "not taken up: {tracked}");
        assert_eq!(verdict(&mut kernel, SIDES[0], port::LOCAL)?, "unowned", "{tracked}");
        Ok(())
    })
}

/// What the kernel has is noted as this node's own: the model says the same of the same answer.
#[test]
fn what_the_kernel_has_becomes_the_nodes_own() -> Result<()> {
    in_namespace(|| {
        let mut tables = Fixture::Standard.tables();
        let [f0, f1] = FROM.to_be_bytes();
        let [t0, t1] = port::FORMER_NEAR.to_be_bytes();
        let connection = TcpConnection::v4(CLIENT4, VIP4, [f0, f1, t0, t1]);
        tables.kernel.insert(connection, KernelAnswer::Present);
        let mut kernel = asking()?;
        let _connected =
            Connected::open(SIDES[0], port::FORMER_NEAR, (SIDES[0].vip, port::FORMER_NEAR).into())?;
        for expected in [Outcome::LocalByKernel, Outcome::Local] {
            let packet = Frame::v4(CLIENT4, VIP4).segment(FROM, port::FORMER_NEAR, flags::ACK).packet();
            let host = model::run(&tables, &packet, INGRESS).0;
            assert_eq!(host, kernel.judge(&packet)?);
            assert_eq!(host.counter, expected as u32);
        }
        assert_eq!(tables.state(), kernel.state(&tables)?);
        // A SYN, a datagram and an error are not asked about.
        let syn = Frame::v4(CLIENT4, VIP4).syn(FROM, port::LOCAL).packet();
        assert_eq!(kernel.judge(&syn)?.counter, Outcome::Local as u32);
        Ok(())
    })
}

/// What a question costs. Printed with `--nocapture`; what fails is an answer that differs.
#[test]
fn every_answer_has_a_price() -> Result<()> {
    const RUNS: u32 = 200_000;
    in_namespace(|| {
        // The description of the packet is one CPU's own.
        let mut cpu = CpuSet::new();
        cpu.set(0)?;
        sched_setaffinity(Pid::from_raw(0), &cpu)?;
        let side = SIDES[0];
        let packet = (side.frame)().tcp(FROM, port::LOCAL).packet();
        let conntrack = kernel_lookup::prepare(KernelLookup::Auto).lookups.conntrack.is_none();
        let mut kernel = asking()?;
        let mut price = |name: &str, expected: KernelAnswer| -> Result<()> {
            kernel.judge(&packet)?;
            let mut costs = Vec::new();
            for _ in 0..5 {
                let (empty, _) = kernel.cost(EMPTY_PROGRAM, &packet, RUNS)?;
                let (asked, answer) = kernel.cost(LOOKUP_PROGRAM, &packet, RUNS)?;
                assert_eq!(KernelAnswer::from_bits(answer.into()), Some(expected), "{name}");
                costs.push(asked.saturating_sub(empty));
            }
            costs.sort_unstable();
            println!("{name}: {} ns more than an empty program ({costs:?})", costs[costs.len() / 2]);
            Ok(())
        };
        let nothing = if conntrack { KernelAnswer::Absent } else { KernelAnswer::Unknown };
        price("neither socket nor tracked", nothing)?;
        let connected = Connected::open(side, port::LOCAL, (side.vip, port::LOCAL).into())?;
        price("socket", KernelAnswer::Present)?;
        connected.abort()?;
        redirect()?;
        price("neither, with tracking", nothing)?;
        if conntrack {
            let _connected = Connected::open(side, port::LOCAL, (side.pod, POD).into())?;
            price("tracked", KernelAnswer::Present)?;
        }
        Ok(())
    })
}
