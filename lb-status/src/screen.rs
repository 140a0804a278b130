//! The screens of `fairlead status`.

mod advertised;
mod layer2;
mod overview;
mod sessions;
mod tables;

pub use self::layer2::render as layer2;
pub use self::overview::{line, render as overview, verdict};
pub use self::sessions::{bfd, bgp};
pub use self::tables::{nodes, packets, services};
