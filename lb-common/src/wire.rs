//! Headers as they lie on the wire, and the sums over them. Offsets count from the header's first byte.

pub mod arp;
pub mod bfd;
pub mod checksum;
pub mod ethernet;
pub mod gue;
pub mod icmp;
pub mod ip;
pub mod ndp;
pub mod word;
