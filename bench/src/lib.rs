//! What Fairlead costs.
//!
//! A shared machine gives the same measurement twice its value a moment later. So everything that is to be
//! compared is measured in turns inside one run, many rounds of it, and stated as minimum and median, and as
//! a ratio to something that does nothing.

pub mod kubernetes;
pub mod packet;
pub mod simulation;
