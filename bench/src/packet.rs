//! The cost of a packet in the program, measured with `BPF_PROG_TEST_RUN`.

pub mod case;
pub mod cases;
pub mod cluster;
pub mod goals;
pub mod kinds;
pub mod line;
pub mod live;
pub mod measure;
pub mod objects;
pub mod others;
pub mod report;
pub mod sizes;
pub mod table;
