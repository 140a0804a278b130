//! The reference: a load balancer of the well-known design, written for this benchmark.
//!
//! It has a hash table of VIPs by address, port and protocol; a kernel LRU hash table of flows by five-tuple,
//! which maps a flow to its server; for other flows a ring of 65,537 entries, as Maglev fills it. The packet
//! goes to the server in IP-in-IP, through the router. Counters: packets and LRU misses in total, packets and
//! bytes per VIP and server. One LRU is shared by all CPUs; others have one per CPU, at the cost of one more
//! lookup.

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::btf_maps::{Array, HashMap, LruHashMap, PerCpuArray};
use aya_ebpf::macros::btf_map;

use crate::harness::{Memory, move_head};
use crate::tools::{self, Tally, value};

/// A VIP's port.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct VipKey {
    /// IPv4 in the first word.
    address: [u32; 4],
    port: u16,
    protocol: u8,
    pad: u8,
}

#[repr(C)]
pub(crate) struct Vip {
    /// Number in the counters.
    number: u32,
    /// Number of its ring.
    ring: u32,
}

/// A flow.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct FlowKey {
    source: [u32; 4],
    destination: [u32; 4],
    /// Source port, then destination port.
    ports: u32,
    protocol: u8,
    pad: [u8; 3],
}

#[repr(C)]
pub(crate) struct Flow {
    server: u32,
    pad: u32,
    /// The time of the last datagram; zero for TCP, whose entries do not age.
    seen: u64,
}

/// The address of a server; IPv4 in the first word.
#[repr(C)]
pub(crate) struct Server {
    address: [u32; 4],
    /// IP version of the address.
    family: u32,
}

#[repr(C)]
pub(crate) struct Control {
    /// The router's MAC.
    next_hop: [u8; 6],
    pad: [u8; 2],
}

/// Entries of a ring.
const RING: u32 = 65_537;
/// The capacity of the product's flow table.
const FLOWS: usize = 1 << 20;
/// Nanoseconds after which a datagram starts a new flow.
const UDP_LIFE: u64 = 30_000_000_000;
/// `BPF_F_MMAPABLE`: filled by writing to memory.
const MAPPED: usize = 1 << 10;

#[btf_map(name = "ref_control")]
static CONTROL: Array<Control, 1> = Array::new();
#[btf_map(name = "ref_vips")]
static VIPS: HashMap<VipKey, Vip, 4096> = HashMap::new();
#[btf_map(name = "ref_flows")]
static FLOW_TABLE: LruHashMap<FlowKey, Flow, FLOWS> = LruHashMap::new();
#[btf_map(name = "ref_rings")]
static RINGS: Array<u32, { RING as usize }, MAPPED> = Array::new();
#[btf_map(name = "ref_servers")]
static SERVERS: Array<Server, 4096> = Array::new();
/// Packets and LRU misses in total.
#[btf_map(name = "ref_all")]
static ALL: PerCpuArray<Tally, 1> = PerCpuArray::new();
#[btf_map(name = "ref_vip_sums")]
static VIP_SUMS: PerCpuArray<Tally, 4096> = PerCpuArray::new();
#[btf_map(name = "ref_server_sums")]
static SERVER_SUMS: PerCpuArray<Tally, 4096> = PerCpuArray::new();

/// The parsed packet.
struct Packet {
    flow: FlowKey,
    begins: bool,
    /// Traffic class, for the outer header.
    class: u8,
    /// Bytes of the IP packet.
    length: u32,
}

/// Ethernet, IP and the parsed part of TCP.
const V4_HEADERS: usize = 14 + 20 + 14;
const V6_HEADERS: usize = 14 + 40 + 14;
const SYN: u8 = 2;
const TCP: u8 = 6;
const UDP: u8 = 17;

#[inline(always)]
pub(crate) fn forward(context: *mut xdp_md) -> u32 {
    let memory = Memory::of(context);
    let Some(ethernet) = memory.head::<14>() else { return XDP_DROP };
    match [ethernet[12], ethernet[13]] {
        [0x08, 0x00] => match read_v4(&memory) {
            Ok(packet) => balance::<false>(context, &packet),
            Err(action) => action,
        },
        [0x86, 0xdd] => match read_v6(&memory) {
            Ok(packet) => balance::<true>(context, &packet),
            Err(action) => action,
        },
        _ => XDP_PASS,
    }
}

#[inline(always)]
fn read_v4(memory: &Memory) -> Result<Packet, u32> {
    let h = memory.head::<V4_HEADERS>().ok_or(XDP_DROP)?;
    // Options and fragments are not handled.
    if h[14] != 0x45 || u16::from_be_bytes([h[20], h[21]]) & 0x3fff != 0 {
        return Err(XDP_DROP);
    }
    let protocol = h[23];
    if protocol != TCP && protocol != UDP {
        return Err(XDP_PASS);
    }
    let flow = FlowKey {
        source: [u32::from_ne_bytes([h[26], h[27], h[28], h[29]]), 0, 0, 0],
        destination: [u32::from_ne_bytes([h[30], h[31], h[32], h[33]]), 0, 0, 0],
        ports: u32::from_ne_bytes([h[34], h[35], h[36], h[37]]),
        protocol,
        pad: [0; 3],
    };
    let begins = protocol == TCP && h[47] & SYN != 0;
    Ok(Packet { flow, begins, class: h[15], length: u16::from_be_bytes([h[16], h[17]]).into() })
}

#[inline(always)]
fn read_v6(memory: &Memory) -> Result<Packet, u32> {
    let h = memory.head::<V6_HEADERS>().ok_or(XDP_DROP)?;
    let protocol = h[20];
    if protocol != TCP && protocol != UDP {
        return Err(XDP_PASS);
    }
    let word = |at: usize| u32::from_ne_bytes([h[at], h[at + 1], h[at + 2], h[at + 3]]);
    let flow = FlowKey {
        source: [word(22), word(26), word(30), word(34)],
        destination: [word(38), word(42), word(46), word(50)],
        ports: word(54),
        protocol,
        pad: [0; 3],
    };
    let begins = protocol == TCP && h[67] & SYN != 0;
    let class = (h[14] << 4) | (h[15] >> 4);
    Ok(Packet { flow, begins, class, length: 40 + u32::from(u16::from_be_bytes([h[18], h[19]])) })
}

/// Finds the server and sends the packet there.
#[inline(always)]
fn balance<const V6: bool>(context: *mut xdp_md, packet: &Packet) -> u32 {
    let mut key = VipKey {
        address: packet.flow.destination,
        port: (packet.flow.ports >> 16) as u16,
        protocol: packet.flow.protocol,
        pad: 0,
    };
    let mut found = value(VIPS.get_ptr_mut(key));
    if found.is_none() {
        // A VIP with all ports.
        key.port = 0;
        found = value(VIPS.get_ptr_mut(key));
    }
    let Some(vip) = found else { return XDP_PASS };
    tools::add(ALL.get_ptr_mut(0), 1, 0);
    let known = if packet.begins { None } else { recall(&packet.flow) };
    let Some(number) = known.or_else(|| choose::<V6>(vip, &packet.flow)) else { return XDP_DROP };
    let Some(server) = SERVERS.get(number) else { return XDP_DROP };
    let Some(control) = CONTROL.get(0) else { return XDP_DROP };
    let sent = if V6 {
        encapsulate_v6(context, packet, server, control)
    } else {
        encapsulate_v4(context, packet, server, control)
    };
    if sent.is_none() {
        return XDP_DROP;
    }
    tools::add(VIP_SUMS.get_ptr_mut(vip.number), 1, packet.length.into());
    tools::add(SERVER_SUMS.get_ptr_mut(number), 1, packet.length.into());
    XDP_TX
}

/// Returns the server of a flow in the table.
#[inline(always)]
fn recall(flow: &FlowKey) -> Option<u32> {
    let entry = value(FLOW_TABLE.get_ptr_mut(flow))?;
    if flow.protocol == UDP {
        let now = tools::now();
        if now.wrapping_sub(entry.seen) > UDP_LIFE {
            return None;
        }
        entry.seen = now;
    }
    Some(entry.server)
}

/// Returns the server of a flow that is not in the table, and adds it.
#[inline(always)]
fn choose<const V6: bool>(vip: &Vip, flow: &FlowKey) -> Option<u32> {
    tools::add(ALL.get_ptr_mut(0), 0, 1);
    let source = if V6 { mixed_words(flow.source) } else { flow.source[0] };
    let entry = mixed([source, flow.ports, 0]) % RING;
    let server = *RINGS.get(vip.ring.wrapping_mul(RING).wrapping_add(entry))?;
    let seen = if flow.protocol == UDP { tools::now() } else { 0 };
    let _ = FLOW_TABLE.insert(flow, Flow { server, pad: 0, seen }, 0);
    Some(server)
}

/// Initial value of the hash.
const SEED: u32 = 0xdead_beef;

/// Mixes three words into one, by the last step of lookup3 (Bob Jenkins, public domain).
#[inline(always)]
fn mixed(words: [u32; 3]) -> u32 {
    let [mut a, mut b, mut c] = words.map(|word| word.wrapping_add(SEED));
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    (c ^ b).wrapping_sub(b.rotate_left(24))
}

/// Mixes the words of an IPv6 address into one.
#[inline(always)]
fn mixed_words(words: [u32; 4]) -> u32 {
    let [a, b, c, d] = words;
    mixed([mixed([a, b, c]), d, 0])
}

/// TTL, protocol and don't-fragment bit of an outer IPv4 header.
const TTL: u8 = 64;
const IPIP: u8 = 4;
const IP6IP6: u8 = 41;
const DONT_FRAGMENT: u8 = 0x40;

#[inline(always)]
fn encapsulate_v4(context: *mut xdp_md, packet: &Packet, server: &Server, control: &Control) -> Option<()> {
    if !move_head(context, -20) {
        return None;
    }
    // The old Ethernet header follows the new one and the room for the outer IP header.
    let h = Memory::of(context).head::<{ 20 + 14 }>()?;
    let own = [h[20], h[21], h[22], h[23], h[24], h[25]];
    h[..6].copy_from_slice(&control.next_hop);
    h[6..12].copy_from_slice(&own);
    [h[12], h[13]] = [0x08, 0x00];
    let [l0, l1] = ((packet.length + 20) as u16).to_be_bytes();
    // An address of a network that no server routes to, different per flow, so that the servers' queues share
    // the work.
    let [s0, s1, ..] = (packet.flow.source[0] ^ (packet.flow.ports << 16)).to_be_bytes();
    let [d0, d1, d2, d3] = server.address[0].to_ne_bytes();
    let header = [
        0x45,
        packet.class,
        l0,
        l1,
        0,
        0,
        DONT_FRAGMENT,
        0,
        TTL,
        IPIP,
        0,
        0,
        172,
        16,
        s0,
        s1,
        d0,
        d1,
        d2,
        d3,
    ];
    let [c0, c1] = sum(&header).to_be_bytes();
    h[14..].copy_from_slice(&header);
    [h[24], h[25]] = [c0, c1];
    Some(())
}

/// Returns the checksum of a header whose checksum field is zero.
#[inline(always)]
fn sum(header: &[u8; 20]) -> u16 {
    let mut sum = 0u32;
    for word in header.as_chunks::<2>().0 {
        sum += u32::from(u16::from_be_bytes(*word));
    }
    sum = (sum & 0xffff) + (sum >> 16);
    !((sum + (sum >> 16)) as u16)
}

#[inline(always)]
fn encapsulate_v6(context: *mut xdp_md, packet: &Packet, server: &Server, control: &Control) -> Option<()> {
    if !move_head(context, -40) {
        return None;
    }
    let h = Memory::of(context).head::<{ 40 + 14 }>()?;
    let own = [h[40], h[41], h[42], h[43], h[44], h[45]];
    h[..6].copy_from_slice(&control.next_hop);
    h[6..12].copy_from_slice(&own);
    [h[12], h[13]] = [0x86, 0xdd];
    h[14..18].copy_from_slice(&(0x6000_0000 | u32::from(packet.class) << 20).to_be_bytes());
    h[18..20].copy_from_slice(&(packet.length as u16).to_be_bytes());
    [h[20], h[21]] = [IP6IP6, TTL];
    // An address of 100::/64, which is discarded, different per flow.
    h[22..34].copy_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    h[34..38].copy_from_slice(&(packet.flow.source[3] ^ packet.flow.ports).to_ne_bytes());
    for (word, at) in server.address.iter().zip([38, 42, 46, 50]) {
        h[at..at + 4].copy_from_slice(&word.to_ne_bytes());
    }
    Some(())
}
