//! Test packets: a builder, a table of packets with their expected results, and an independent oracle for
//! foreign packets.

pub mod build;
pub mod expect;
pub mod fixture;
pub mod mutate;
pub mod oracle;
pub mod table;
