//! Differential fuzzing of UPDATE decoding against other codecs.
#![no_main]

#[path = "../../lb-bgp/tests/codec/agreement.rs"]
mod agreement;
#[path = "../../lb-bgp/tests/codec/laws.rs"]
mod laws;
#[path = "../../lb-bgp/tests/codec/oracles.rs"]
mod oracles;

use libfuzzer_sys::fuzz_target;

const HEADER: usize = 19;
const UPDATE: u8 = 2;

fuzz_target!(|body: &[u8]| {
    let Ok(length) = u16::try_from(HEADER + body.len()) else { return };
    let frame = [&[0xff; 16], length.to_be_bytes().as_slice(), &[UPDATE], body].concat();
    for (_, decoding) in laws::contexts().filter(|(_, decoding)| decoding.extended_next_hop) {
        agreement::check(&frame, &decoding);
    }
});
