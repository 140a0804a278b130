//! The image as an archive in OCI's layout: one layer with one static program.
//!
//! ```text
//!   index.json ──► manifest ──► config   (the command to run)
//!                         └───► layer    (the files, as a compressed archive)
//! ```
//!
//! The same program gives the same bytes: the archive contains no time and no host.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The path of the program in the image.
pub const PROGRAM: &str = "fairlead";

/// The content of an image.
pub struct ImageContent {
    /// Its tag.
    pub version: String,
    /// Architecture, by its name in Go: `amd64`, `arm64`.
    pub architecture: String,
    /// The program.
    pub program: Vec<u8>,
    /// Texts of licences, by file name.
    pub licences: Vec<(String, Vec<u8>)>,
}

/// A blob, referred to by its digest.
struct Blob {
    bytes: Vec<u8>,
    digest: String,
}

impl Blob {
    fn of(bytes: Vec<u8>) -> Self {
        let digest = digest(&bytes);
        Self { bytes, digest }
    }

    fn of_json(value: &Value) -> Result<Self> {
        Ok(Self::of(serde_json::to_vec(value)?))
    }

    fn descriptor(&self, media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": self.digest, "size": self.bytes.len()})
    }
}

/// Returns the digest of bytes in OCI's form.
pub fn digest(bytes: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Builds the archive.
///
/// # Errors
/// When the content cannot be archived.
pub fn archive(content: &ImageContent) -> Result<Vec<u8>> {
    let files = layer(content)?;
    let layer = Blob::of(compressed(&files)?);
    let config = Blob::of_json(&json!({
        "architecture": content.architecture,
        "os": "linux",
        "config": {
            "Entrypoint": [format!("/{PROGRAM}")],
            "Labels": {
                "org.opencontainers.image.title": "fairlead",
                "org.opencontainers.image.version": content.version,
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [digest(&files)]},
        "history": [{"created_by": "cargo xtask image"}],
    }))?;
    let manifest = Blob::of_json(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config.descriptor("application/vnd.oci.image.config.v1+json"),
        "layers": [layer.descriptor("application/vnd.oci.image.layer.v1.tar+gzip")],
    }))?;
    let mut entry = manifest.descriptor("application/vnd.oci.image.manifest.v1+json");
    entry["platform"] = json!({"architecture": content.architecture, "os": "linux"});
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": content.version});
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry],
    });
    let mut archive = tar::Builder::new(Vec::new());
    add(&mut archive, "oci-layout", 0o644, &serde_json::to_vec(&json!({"imageLayoutVersion": "1.0.0"}))?)?;
    add(&mut archive, "index.json", 0o644, &serde_json::to_vec(&index)?)?;
    for blob in [manifest, config, layer] {
        add(&mut archive, &format!("blobs/{}", blob.digest.replace(':', "/")), 0o644, &blob.bytes)?;
    }
    Ok(archive.into_inner()?)
}

fn layer(content: &ImageContent) -> Result<Vec<u8>> {
    let mut files = tar::Builder::new(Vec::new());
    add(&mut files, PROGRAM, 0o755, &content.program)?;
    for (name, text) in &content.licences {
        add(&mut files, &format!("licenses/{name}"), 0o644, text)?;
    }
    Ok(files.into_inner()?)
}

/// Adds a file of root with time zero.
fn add(archive: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes.len() as u64);
    archive.append_data(&mut header, path, bytes).with_context(|| path.to_owned())
}

fn compressed(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// Runs the program with only the files of its layer.
///
/// # Errors
/// When it needs any other file, or fails.
pub fn try_program(content: &ImageContent, arguments: &[&str]) -> Result<String> {
    let directory = std::env::temp_dir().join(format!("fairlead-image-{}", std::process::id()));
    tar::Archive::new(layer(content)?.as_slice()).unpack(&directory)?;
    let output = Command::new("unshare")
        .args(["--map-root-user", "--root"])
        .arg(&directory)
        .arg(format!("/{PROGRAM}"))
        .args(arguments)
        .output();
    fs::remove_dir_all(&directory)?;
    let output = output.context("cannot start unshare")?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    Ok(printed)
}

/// Builds an image of the program in a file, runs the program, and writes the archive.
///
/// # Errors
/// When a file cannot be read or written, or the program does not run on its own.
pub fn build(program: &Path, archive_file: &Path) -> Result<()> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let sources = crate::output::root().join("..");
    let licences = ["LICENSE-APACHE", "LICENSE-GPL-2.0"];
    let licences = licences.iter().map(|name| Ok(((*name).to_owned(), read(&sources.join(name))?)));
    let content = ImageContent {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        architecture: match std::env::consts::ARCH {
            "x86_64" => "amd64".to_owned(),
            "aarch64" => "arm64".to_owned(),
            other => other.to_owned(),
        },
        program: read(program)?,
        licences: licences.collect::<Result<_>>()?,
    };
    let version = try_program(&content, &["--version"])?;
    ensure!(version.contains(&content.version), "the program has another version than the image: {version}");
    let bytes = archive(&content)?;
    File::create(archive_file)
        .and_then(|mut file| file.write_all(&bytes))
        .with_context(|| format!("cannot write {}", archive_file.display()))?;
    println!(
        "{}: {}, program {:.1} MB, archive {:.1} MB",
        archive_file.display(),
        version.trim(),
        megabytes(content.program.len()),
        megabytes(bytes.len())
    );
    Ok(())
}

fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests;
