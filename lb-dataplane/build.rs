//! The build script that embeds the XDP object in the binary.
//!
//! `cargo xtask build-ebpf` builds the object. Without it, the binary is built with an empty object and fails
//! its preflight check, so `cargo build` and `cargo clippy` work everywhere.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-env-changed=FAIRLEAD_XDP_OBJECT");
    let built = env::var_os("FAIRLEAD_XDP_OBJECT").map_or_else(default_object, PathBuf::from);
    println!("cargo::rerun-if-changed={}", built.display());
    let Some(out) = env::var_os("OUT_DIR") else { return };
    let embedded = Path::new(&out).join("fairlead-xdp");
    let object = fs::read(&built).unwrap_or_default();
    if object.is_empty() {
        println!("cargo::warning=no XDP object at {}: run `cargo xtask build-ebpf` first", built.display());
    }
    if let Err(error) = fs::write(&embedded, object) {
        println!("cargo::error=cannot write {}: {error}", embedded.display());
    }
}

fn default_object() -> PathBuf {
    let crate_dir = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let target = if env::var_os("CARGO_FEATURE_NEXT_LAYOUT").is_some() { "bpf-next-layout" } else { "bpf" };
    Path::new(&crate_dir).join("../target").join(target).join("bpfel-unknown-none/release/fairlead-xdp")
}
