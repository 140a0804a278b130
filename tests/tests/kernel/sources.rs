//! Source ranges in the kernel's trie: thousands of them admit whom a plain search admits, and they are read
//! back as they were written.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use fairlead_tests::bpffs::Bpffs;
use fairlead_tests::kernel::{INGRESS, Kernel};
use fairlead_tests::model::{self, HostTables};
use fairlead_tests::packets::build::Frame;
use fairlead_tests::packets::fixture::{Fixture, VIP4, VIP6, port};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use lb_common::maps::{Source, VIP_SOURCES, Vip4Key, capacity};
use lb_common::verdict::Refusal;
use lb_dataplane::attach::{MapSizes, load_object};
use lb_dataplane::maps::Maps;
use lb_dataplane::object::{OBJECT, PROGRAM};
use lb_dataplane::pins::Pins;
use lb_model::{SourceRange, SourceSet};
use lb_plan::contents::{Contents, Op, diff};

const RANGES: usize = 10_000;
const CLIENTS: usize = 4_000;
const SIZES: MapSizes = MapSizes { ring_slots: 4_096, flow_sets: 64 };

/// Numbers that look random and are the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 16
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A range of some length, in a part of the addresses that many ranges share.
    fn net(&mut self) -> IpNet {
        let low = self.next() as u32;
        if self.below(2) == 0 {
            let address = (u32::from_be_bytes([10, 0, 0, 0]) | low & 0x00ff_ffff).into();
            IpNet::V4(Ipv4Net::new_assert(address, 20 + self.below(13) as u8).trunc())
        } else {
            let address =
                (0x2001_0db8_u128 << 96 | u128::from(low & 0xffff) << 80 | u128::from(self.next())).into();
            IpNet::V6(Ipv6Net::new_assert(address, 48 + self.below(81) as u8).trunc())
        }
    }

    /// An address in a range, or right beside it.
    fn client(&mut self, net: IpNet) -> IpAddr {
        let beside = self.below(3);
        match (net.network(), net.broadcast()) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                let [first, last] = [first.to_bits(), last.to_bits()];
                IpAddr::V4([first, last, first.wrapping_sub(1)][beside as usize].into())
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                let [first, last] = [first.to_bits(), last.to_bits()];
                IpAddr::V6([first, last, last.wrapping_add(1)][beside as usize].into())
            }
            _ => net.addr(),
        }
    }
}

/// The VIPs of a port of [`Fixture::Standard`] with these ranges; both families share a number.
fn restricted(ranges: &[(u16, IpNet)]) -> HostTables {
    let mut tables = Fixture::Standard.tables();
    let ports = [port::NEAR, port::NEAR_SECOND].map(u16::to_be_bytes);
    let vips4 = tables.vips4.iter_mut().filter(|(key, _)| ports.contains(&key.port)).map(|(_, vip)| vip);
    let vips6 = tables.vips6.iter_mut().filter(|(key, _)| ports.contains(&key.port)).map(|(_, vip)| vip);
    vips4.chain(vips6).for_each(|vip| vip.flags |= VIP_SOURCES);
    let number = |port: u16| tables.vips4[&Vip4Key::port(VIP4, port.to_be_bytes(), 6)].number;
    let entry = |(port, net): &(u16, IpNet)| {
        let SourceRange { address, bits } = SourceRange::from(*net);
        (bits, Source { vip: number(*port), address })
    };
    tables.sources = ranges.iter().map(entry).collect();
    tables
}

fn packet(client: IpAddr, port: u16) -> Frame {
    match client {
        IpAddr::V4(client) => Frame::v4(client.octets(), VIP4).udp(4000, port),
        IpAddr::V6(client) => Frame::v6(client.octets(), VIP6).udp(4000, port),
    }
}

#[test]
fn ten_thousand_ranges_admit_whom_a_plain_search_admits() -> Result<()> {
    let mut random = Random(1);
    let ports = [port::NEAR, port::NEAR_SECOND];
    let ranges: Vec<(u16, IpNet)> =
        (0..RANGES).map(|_| (ports[random.below(2) as usize], random.net())).collect();
    let tables = restricted(&ranges);
    let mut kernel = Kernel::load(&tables)?;
    let (mut refused, mut deepest) = (0, None);
    for _ in 0..CLIENTS {
        let (_, net) = ranges[random.below(RANGES as u64) as usize];
        let client = random.client(net);
        for port in ports {
            let packet = packet(client, port).packet();
            let admitted = ranges.iter().any(|(of, net)| *of == port && net.contains(&client));
            let (host, _) = model::run(&tables, &packet, INGRESS);
            ensure!(admitted == (host.counter != Refusal::SourceRefused as u32), "{client} at {port}: host");
            ensure!(host == kernel.judge(&packet)?, "{client} at {port}: kernel");
            refused += usize::from(!admitted);
            deepest = if admitted { deepest } else { Some(packet) };
        }
    }
    ensure!(tables.totals() == kernel.totals()?);
    println!("{refused} of {} packets refused", 2 * CLIENTS);
    ensure!((CLIENTS / 4..2 * CLIENTS - CLIENTS / 4).contains(&refused));
    let outside = deepest.context("no client is refused")?;
    let cost = |kernel: &mut Kernel| kernel.cost(PROGRAM, &outside, 1_000_000);
    let (with, without) = (cost(&mut kernel)?.0, cost(&mut Kernel::load(&restricted(&[]))?)?.0);
    println!("a packet that is refused: {with} ns with {RANGES} ranges, {without} ns with none");
    Ok(())
}

#[test]
fn ranges_are_read_back_as_they_were_written_and_a_full_map_is_named() -> Result<()> {
    let bpffs = Bpffs::mount()?;
    let pins = Pins::below(bpffs.path());
    fs::create_dir_all(pins.directory())?;
    let _object = load_object(OBJECT, Some(&pins), SIZES).context("load the object")?;
    let mut maps = Maps::open(&pins)?;
    let numbers = capacity::VIP_STATS as u32;
    let hosts = |vip: u32, count: u32| -> SourceSet {
        let host = |i: u32| SourceRange::from(IpNet::from(IpAddr::from((vip << 16 | i).to_be_bytes())));
        let v6 = |i: u32| IpNet::new(IpAddr::from(u128::from(i).to_be_bytes()), 127 - (i % 90) as u8);
        (0..count / 2)
            .map(host)
            .chain((1..=count / 2).filter_map(|i| Some(v6(i).ok()?.trunc().into())))
            .collect()
    };
    let sources = BTreeMap::from([(0, hosts(0, 70_000)), (7, hosts(7, 2)), (numbers - 1, hosts(9, 70_000))]);
    let wanted = Contents { sources, ..Contents::default() };
    let installed = maps.read_back()?;
    ensure!(installed == Contents::default());
    let mut took = Vec::new();
    for (from, to) in [(&installed, &wanted), (&wanted, &wanted), (&wanted, &installed)] {
        let ops = diff(from, to);
        let begun = Instant::now();
        for op in &ops {
            maps.apply(op)?;
        }
        let applied = begun.elapsed();
        let read = maps.read_back()?;
        ensure!(read == *to, "{} entries were to be there", to.sources.len());
        took.push((ops.len(), applied, begun.elapsed() - applied));
    }
    println!("operations, time to apply, time to read back: {took:?}");

    let range = |i: u32| SourceRange::from(IpNet::from(IpAddr::from(i.to_be_bytes())));
    for i in 0..capacity::SOURCES as u32 {
        maps.apply(&Op::WriteSource(1, range(i)))?;
    }
    let error = maps.apply(&Op::WriteSource(2, range(0))).err().context("there is room for one more")?;
    let words = error.to_string();
    ensure!(words.contains("lb_sources") && words.contains("WriteSource(2"), "{words}");
    ensure!(maps.read_back()?.sources[&1].len() == capacity::SOURCES);
    Ok(())
}
