//! How the types in maps lie in memory.
//!
//! Both sides of a map are compiled apart, and an agent takes over maps that another version has made. So
//! each type is integers and arrays of them without padding, and its fields, offsets and sizes are compared
//! with a committed file.

/// A type that the program and the agent read and write in maps: `repr(C)`, integers and arrays only, no
/// padding.
pub(crate) trait Shared {
    /// Bytes of a value.
    const SIZE: usize;
}

macro_rules! integers {
    ($($integer:ty)+) => {$(
        impl Shared for $integer {
            const SIZE: usize = size_of::<$integer>();
        }
    )+};
}

integers! { u8 u16 u32 u64 }

impl<T: Shared, const N: usize> Shared for [T; N] {
    const SIZE: usize = N * T::SIZE;
}

/// Gives all structures in maps, with their fields, to a macro.
macro_rules! shared_types {
    ($callback:ident) => {
        $callback! {
            crate::maps::Vip4Key { address, port, protocol, pad }
            crate::maps::Vip6Key { address, port, protocol, pad }
            crate::vips::PackedVip { ring, number, slots_log2, flags }
            crate::vips::Vip4Entry { key, vip }
            crate::vips::Vip6Entry { key, pad, vip }
            crate::vips::Vip4Bucket { entries }
            crate::vips::Vip6Bucket { entries }
            crate::ring::Slot { leader, successors, former }
            crate::maps::Node {
                mode, outer_family, mtu, ifindex, next_hop_mac, source_mac, outer_sum, outer_source, outer_destination, id,
                discriminator
            }
            crate::maps::Announcer { ranks, uplinks, number, pad }
            crate::maps::Link { mac, number }
            crate::hash::HashKey { k0, k1 }
            crate::hash::FlowKeys { words, mix }
            crate::maps::AddressFilter { v4, v6 }
            crate::maps::MacFilter { words }
            crate::maps::Config {
                flow_keys, tag_keys, probe_nonce, address4, self_node, flags, address6, echo_rate, id, liveness_limit,
                hold_ticks, agent_limit, tag_key_ids, pad, uplinks, uplink_links, icmp_error_rate, flow_mask, vips,
                node_macs
            }
            crate::maps::Traffic { packets, bytes }
            crate::maps::Allowance { second, left }
            crate::maps::Liveness { last_seen, state }
            crate::flows::FlowSet<u64> { ways }
            crate::maps::FragmentKey { addresses, id, protocol }
            crate::maps::FragmentFlow { slot, vip, flags, pad, hash, flow }
            crate::maps::BfdSession {
                remote, local, theirs, ours, heard, answered, late_after, answer_interval, dead_after, port, source_port,
                number, minimum_ttl, pad
            }
            crate::maps::BfdAddress { discriminator, flags, minimum_ttl, pad }
            crate::maps::Source { vip, address }
        }
    };
}
#[cfg(feature = "aya")]
pub(crate) use shared_types;

macro_rules! check {
    ($($name:ty { $($field:ident),+ })+) => {$(
        impl Shared for $name {
            const SIZE: usize = {
                const fn size<T: Shared>(_: fn(&$name) -> &T) -> usize {
                    T::SIZE
                }
                assert!(size_of::<$name>() == 0 $(+ size(|value| &value.$field))+, "a field is not listed, or padding");
                size_of::<$name>()
            };
        }
        const _: usize = <$name as Shared>::SIZE;
    )+};
}

shared_types!(check);

#[cfg(test)]
mod tests;
