//! Fairlead's agent as a library: the binary is a thin shell around it, and tests and benchmarks use its parts.

pub mod dataplane;
