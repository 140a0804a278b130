//! The frames of layer 2 announcement, as scapy decodes them.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use lb_l2::frame::{L2Frame, L2FrameKind};
use serde_json::{Value, json};

const MAC: [u8; 6] = [0x02, 0, 0x5e, 0x10, 0xab, 0xcd];
const MAC_TEXT: &str = "02:00:5e:10:ab:cd";
const VIP4: &str = "203.0.113.10";
const VIP6: &str = "2001:db8:113::ab:cdef";

/// Reads frames in hexadecimal, one a line, and writes the fields of each as JSON.
const DECODER: &str = r#"
import json, sys
from scapy.config import conf
conf.ipv6_enabled = True
from scapy.layers.l2 import ARP, Ether
from scapy.layers.inet6 import (ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6)
from scapy.packet import Padding, Raw

for line in sys.stdin:
    data = bytes.fromhex(line)
    packet = Ether(data)
    fields = {"dst": packet.dst, "src": packet.src, "type": packet.type,
              "rest": packet.haslayer(Raw) or packet.haslayer(Padding) or 0}
    if ARP in packet:
        arp = packet[ARP]
        fields["arp"] = {name: getattr(arp, name) for name in
                         ("hwtype", "ptype", "hwlen", "plen", "op", "hwsrc", "psrc", "hwdst", "pdst")}
    if IPv6 in packet:
        ip = packet[IPv6]
        fields["ip"] = {name: getattr(ip, name) for name in
                        ("version", "tc", "fl", "plen", "nh", "hlim", "src", "dst")}
        for kind, names in ((ICMPv6ND_NA, ("R", "S", "O", "res", "tgt", "code")), (ICMPv6ND_NS, ("tgt", "code", "res"))):
            if kind in packet:
                message = packet[kind]
                fields["message"] = dict({name: getattr(message, name) for name in names}, name=kind.__name__)
                # Without a sum, scapy computes it when it builds the packet.
                again = Ether(data)
                del again[kind].cksum
                fields["is_sum_right"] = bytes(again) == data
        for kind in (ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr):
            if kind in packet:
                option = packet[kind]
                fields["option"] = {"name": kind.__name__, "len": option.len, "lladdr": option.lladdr}
    print(json.dumps(fields))
"#;

#[test]
fn scapy_decodes_every_frame_as_it_is_meant() -> Result<()> {
    let expected = [
        (L2FrameKind::Announcement, VIP4, arp(1, VIP4, "00:00:00:00:00:00")),
        (L2FrameKind::AnnouncementReply, VIP4, arp(2, VIP4, MAC_TEXT)),
        (L2FrameKind::Probe, VIP4, arp(1, "0.0.0.0", "00:00:00:00:00:00")),
        (L2FrameKind::Announcement, VIP6, advertisement()),
        (L2FrameKind::AnnouncementReply, VIP6, advertisement()),
        (L2FrameKind::Probe, VIP6, solicitation()),
    ];
    let kinds: BTreeMap<_, _> = expected.iter().map(|(kind, ..)| (*kind, ())).collect();
    ensure!(kinds.into_keys().eq(L2FrameKind::ALL), "a kind of frame is missing here");
    let mut frames = Vec::new();
    for (kind, address, _) in &expected {
        frames.push(L2Frame::new(*kind, MAC, address.parse::<IpAddr>()?));
    }
    let decoded = decode(&frames)?;
    ensure!(decoded.len() == expected.len(), "scapy decoded {} of {} frames", decoded.len(), expected.len());
    for ((kind, address, expected), decoded) in expected.iter().zip(decoded) {
        ensure!(
            decoded == *expected,
            "{kind:?} of {address}: scapy read\n{decoded:#}\ninstead of\n{expected:#}"
        );
    }
    Ok(())
}

fn arp(operation: u8, sender: &str, target_mac: &str) -> Value {
    json!({
        "dst": "ff:ff:ff:ff:ff:ff", "src": MAC_TEXT, "type": 0x0806, "rest": 0,
        "arp": {
            "hwtype": 1, "ptype": 0x0800, "hwlen": 6, "plen": 4, "op": operation,
            "hwsrc": MAC_TEXT, "psrc": sender, "hwdst": target_mac, "pdst": VIP4,
        },
    })
}

fn advertisement() -> Value {
    json!({
        "dst": "33:33:00:00:00:01", "src": MAC_TEXT, "type": 0x86dd, "rest": 0,
        "ip": ip(32, VIP6, "ff02::1"),
        "message": {
            "name": "ICMPv6ND_NA", "R": 0, "S": 0, "O": 1, "res": 0, "tgt": VIP6, "code": 0,
        },
        "is_sum_right": true,
        "option": { "name": "ICMPv6NDOptDstLLAddr", "len": 1, "lladdr": MAC_TEXT },
    })
}

fn solicitation() -> Value {
    json!({
        "dst": "33:33:ff:ab:cd:ef", "src": MAC_TEXT, "type": 0x86dd, "rest": 0,
        "ip": ip(24, "::", "ff02::1:ffab:cdef"),
        "message": { "name": "ICMPv6ND_NS", "tgt": VIP6, "code": 0, "res": 0 },
        "is_sum_right": true,
    })
}

fn ip(length: u8, source: &str, destination: &str) -> Value {
    json!({
        "version": 6, "tc": 0, "fl": 0, "plen": length, "nh": 58, "hlim": 255, "src": source, "dst": destination,
    })
}

/// Decodes frames by scapy, with the Python that its Debian package is for.
fn decode(frames: &[L2Frame]) -> Result<Vec<Value>> {
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", DECODER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start python3")?;
    let mut input = child.stdin.take().context("no standard input")?;
    for frame in frames {
        let line: String = frame.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(input, "{line}")?;
    }
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "scapy failed: {}; is python3-scapy installed?", output.status);
    let lines = std::str::from_utf8(&output.stdout)?.lines();
    lines.map(|line| Ok(serde_json::from_str(line)?)).collect()
}
