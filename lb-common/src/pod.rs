//! Keys and values as plain bytes, so that user space can give them to aya's maps.
#![allow(unsafe_code, reason = "the Pod trait is a promise about a type's memory")]

use aya::Pod;

use crate::maps::{
    Allowance, Announcer, BfdAddress, BfdSession, Config, FragmentFlow, FragmentKey, Link, Liveness, Node,
    Source, Traffic, Vip4Key, Vip6Key,
};
use crate::ring::Slot;
use crate::vips::{PackedVip, Vip4Bucket, Vip4Entry, Vip6Bucket, Vip6Entry};

/// Checks what can be checked of the promise, that fields fill the type without a gap, and makes it.
macro_rules! pod {
    ($($name:ident { $($field:ident),+ })+) => {$(
        const _: () = {
            const fn size<T>(_: fn(&$name) -> &T) -> usize {
                size_of::<T>()
            }
            assert!(size_of::<$name>() == 0 $(+ size(|v: &$name| &v.$field))+);
        };
        // SAFETY: repr(C) over integers and arrays of them, for which any bit pattern is valid, and
        // without padding, which the assertion above has counted.
        unsafe impl Pod for $name {}
    )+};
}

pod! {
    Vip4Key { address, port, protocol, pad }
    Vip6Key { address, port, protocol, pad }
    PackedVip { ring, number, slots_log2, flags }
    Vip4Entry { key, vip }
    Vip6Entry { key, pad, vip }
    Vip4Bucket { entries }
    Vip6Bucket { entries }
    Source { vip, address }
    Node {
        way, outer_family, mtu, ifindex, next_hop_mac, source_mac, outer_sum, outer_source, outer_destination, id, discriminator
    }
    Announcer { ranks, uplinks }
    Link { mac, number }
    Config {
        flow_keys, tag_keys, probe_nonce, address4, self_node, flags, address6, echo_rate, id, liveness_limit,
        orphan_grace, tag_key_ids, pad, uplinks, uplink_links, icmp_error_rate, flow_mask, vips, peer_macs
    }
    Allowance { second, left }
    Liveness { last_seen, state }
    FragmentKey { addresses, id, protocol }
    FragmentFlow { slot, vip, flags, pad, hash, flow }
    BfdAddress { discriminator, flags, minimum_ttl, pad }
    BfdSession { remote, local, heard, port, minimum_ttl, pad, state }
    Traffic { packets, bytes }
    Slot { leader, successors, former }
}
