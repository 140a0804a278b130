//! The kernel side: load, pin, attach; operations into map writes; counters.

pub mod object;
