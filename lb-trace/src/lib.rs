//! Traces of packets: a sample of what the XDP program does with them.
//!
//! | module | holds |
//! | --- | --- |
//! | [`tracer`] | the trace that runs on a node: begun, read and ended by requests, and ended by itself |
//! | [`record`] | which packets to record, and the description of a packet |
//! | [`mod@line`] | a packet in words |
//! | [`pcapng`] | files of packets |

pub mod line;
pub mod pcapng;
pub mod record;
pub mod tracer;
