//! What one packet costs in the program, by `BPF_PROG_TEST_RUN`.

pub mod cases;
pub mod cluster;
pub mod measure;
pub mod report;
