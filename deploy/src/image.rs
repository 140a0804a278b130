//! The image as an archive in OCI's layout: for each architecture one layer with one static program.
//!
//! ```text
//!   index.json ──► index ──► manifest ──► config   (the command to run)
//!                      │            └───► layer    (the files, as a compressed archive)
//!                      └───► manifest …
//! ```
//!
//! The name is that of the inner index, so that a runtime which asks for the name gets the program of its own
//! architecture.
//!
//! The same program gives the same bytes: the archive contains no time and no host.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The path of the program in the image.
pub const PROGRAM: &str = "fairlead";

/// A file for one architecture: `arm64=PATH` on a command line.
#[derive(Clone, Debug)]
pub struct ImageFile {
    /// Architecture, by its name in Go: `amd64`, `arm64`.
    pub architecture: String,
    /// The file.
    pub path: PathBuf,
}

impl FromStr for ImageFile {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (architecture, path) =
            text.split_once('=').with_context(|| format!("`{text}` is not ARCHITECTURE=PATH"))?;
        Ok(Self { architecture: architecture.to_owned(), path: path.into() })
    }
}

/// The content of an image for one architecture.
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

/// Builds the archive. All contents have the version of the first one.
///
/// # Errors
/// When the content cannot be archived.
pub fn archive(contents: &[ImageContent]) -> Result<Vec<u8>> {
    let mut blobs = Vec::new();
    let mut manifests = Vec::new();
    for content in contents {
        let image = blobs_of(content)?;
        let mut entry = image[0].descriptor("application/vnd.oci.image.manifest.v1+json");
        entry["platform"] = json!({"architecture": content.architecture, "os": "linux"});
        manifests.push(entry);
        blobs.extend(image);
    }
    let images = Blob::of_json(&index(&manifests))?;
    let mut entry = images.descriptor(INDEX);
    let version = contents.first().context("an image needs a program")?.version.as_str();
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": version});
    let mut archive = tar::Builder::new(Vec::new());
    add(&mut archive, "oci-layout", 0o644, &serde_json::to_vec(&json!({"imageLayoutVersion": "1.0.0"}))?)?;
    add(&mut archive, "index.json", 0o644, &serde_json::to_vec(&index(&[entry]))?)?;
    blobs.push(images);
    for blob in blobs {
        add(&mut archive, &format!("blobs/{}", blob.digest.replace(':', "/")), 0o644, &blob.bytes)?;
    }
    Ok(archive.into_inner()?)
}

/// Media type of an index.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn index(manifests: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
}

/// Returns the manifest of one architecture, its configuration and its layer.
fn blobs_of(content: &ImageContent) -> Result<[Blob; 3]> {
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
    Ok([manifest, config, layer])
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

/// Runs the program with only the files of its layer, and with the emulator if there is one.
///
/// # Errors
/// When it needs any other file, or fails.
pub fn try_program(content: &ImageContent, emulator: Option<&Path>, arguments: &[&str]) -> Result<String> {
    let directory = std::env::temp_dir().join(format!("fairlead-image-{}", std::process::id()));
    tar::Archive::new(layer(content)?.as_slice()).unpack(&directory)?;
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--root"]).arg(&directory);
    if let Some(emulator) = emulator {
        fs::copy(emulator, directory.join("emulator"))
            .with_context(|| format!("cannot copy {}", emulator.display()))?;
        command.arg("/emulator");
    }
    let output = command.arg(format!("/{PROGRAM}")).args(arguments).output();
    fs::remove_dir_all(&directory)?;
    let output = output.context("cannot start unshare")?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    Ok(printed)
}

/// Builds an image of the programs, runs each of them, and writes the archive.
///
/// # Errors
/// When a file cannot be read or written, or a program does not run on its own.
pub fn build(programs: &[ImageFile], emulators: &[ImageFile], archive_file: &Path) -> Result<()> {
    let licences = licences()?;
    let mut contents = Vec::new();
    for ImageFile { architecture, path } in programs {
        let content = ImageContent {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            architecture: architecture.clone(),
            program: read(path)?,
            licences: licences.clone(),
        };
        let emulator = emulators.iter().find(|it| it.architecture == *architecture);
        let printed = try_program(&content, emulator.map(|it| it.path.as_path()), &["--version"])?;
        let version = printed.trim();
        ensure!(
            version.contains(&content.version),
            "the program for {architecture} has another version than the image: {version}"
        );
        println!("{architecture}: {version}, {:.1} MB", megabytes(content.program.len()));
        contents.push(content);
    }
    let bytes = archive(&contents)?;
    File::create(archive_file)
        .and_then(|mut file| file.write_all(&bytes))
        .with_context(|| format!("cannot write {}", archive_file.display()))?;
    println!("{}: {:.1} MB", archive_file.display(), megabytes(bytes.len()));
    Ok(())
}

/// Returns the texts of the licences, by file name.
fn licences() -> Result<Vec<(String, Vec<u8>)>> {
    let sources = crate::output::root().join("..");
    let names = ["LICENSE-APACHE", "LICENSE-GPL-2.0"];
    names.iter().map(|name| Ok(((*name).to_owned(), read(&sources.join(name))?))).collect()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests;
