//! Fuzzing of a BGP message stream.
#![no_main]

#[path = "../../lb-bgp/tests/codec/laws.rs"]
mod laws;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| laws::check(octets));
