//! Fuzzing of a BFD session: packets, times and profiles.
#![no_main]

#[path = "../../lb-bfd/tests/session/laws.rs"]
mod laws;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    laws::check(octets);
});
