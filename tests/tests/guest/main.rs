//! Tests of Fairlead on another kernel: `cargo xtask test kernels` boots it and runs them there.
//!
//! The guest has three virtio-net interfaces on a segment of their own; `FAIRLEAD_GUEST_NICS` has their
//! names. The modules `bond` and `vlan` run by `cargo xtask test kernels --machines` only.

mod bond;
mod forwarding;
mod machine;
mod vlan;
