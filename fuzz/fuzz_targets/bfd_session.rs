//! The events of a BFD session: packets, times and changes of its profile.
#![no_main]

#[path = "../../lb-bfd/tests/session/laws.rs"]
mod laws;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    laws::check(octets);
});
