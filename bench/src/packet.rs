//! What one packet costs in the program, by `BPF_PROG_TEST_RUN`.

pub mod cases;
pub mod cluster;
pub mod goals;
pub mod kinds;
pub mod measure;
pub mod others;
pub mod progress;
pub mod report;
