//! The parts that every object needs beside its programs.

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel knows a few licence strings. For "Apache-2.0 OR GPL-2.0-only", this one permits calls of GPL
/// helpers.
#[allow(unsafe_code, reason = "the loader finds the licence by the section's name")]
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 4] = *b"GPL\0";
