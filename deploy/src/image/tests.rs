use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::GzDecoder;

use super::*;

fn content() -> ImageContent {
    ImageContent {
        version: "1.2.3".to_owned(),
        architecture: "amd64".to_owned(),
        program: b"a program".repeat(100),
        licences: vec![("LICENSE".to_owned(), b"words".to_vec())],
    }
}

/// Mode and bytes of each file of an archive.
fn files(archive: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut archive = tar::Archive::new(archive);
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let (path, mode) = (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap());
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.insert(path, (mode, bytes));
    }
    files
}

/// Returns the blob of a descriptor, after a check of its size and digest.
fn blob<'a>(files: &'a BTreeMap<String, (u32, Vec<u8>)>, descriptor: &Value) -> &'a [u8] {
    let named = descriptor["digest"].as_str().unwrap();
    let (_, bytes) = &files[&format!("blobs/{}", named.replace(':', "/"))];
    assert_eq!(digest(bytes), named);
    assert_eq!(descriptor["size"], bytes.len());
    bytes
}

#[test]
fn every_digest_is_that_of_its_blob() {
    let arm = ImageContent { architecture: "arm64".to_owned(), program: b"another".to_vec(), ..content() };
    let files = files(&archive(&[content(), arm]).unwrap());
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    assert_eq!(json(&files["oci-layout"].1)["imageLayoutVersion"], "1.0.0");
    let entries = json(&files["index.json"].1)["manifests"].clone();
    assert_eq!(entries.as_array().unwrap().len(), 1, "one name");
    assert_eq!(entries[0]["annotations"]["org.opencontainers.image.ref.name"], "1.2.3");
    let images = json(blob(&files, &entries[0]));
    for (at, (architecture, program)) in
        [("amd64", content().program), ("arm64", b"another".to_vec())].into_iter().enumerate()
    {
        let entry = &images["manifests"][at];
        assert_eq!(entry["platform"], json!({"architecture": architecture, "os": "linux"}));
        let manifest = json(blob(&files, entry));
        let config = json(blob(&files, &manifest["config"]));
        assert_eq!(config["architecture"], architecture);
        assert_eq!(config["config"]["Entrypoint"], json!(["/fairlead"]));
        let mut layer = Vec::new();
        GzDecoder::new(blob(&files, &manifest["layers"][0])).read_to_end(&mut layer).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"], json!([digest(&layer)]));
        let layer = self::files(&layer);
        assert_eq!(layer["fairlead"], (0o755, program));
        assert_eq!(layer["licenses/LICENSE"], (0o644, b"words".to_vec()));
    }
    assert_eq!(files.len(), 2 + 1 + 2 * 3, "no blob without a descriptor");
}

#[test]
fn the_same_program_is_the_same_image() {
    assert_eq!(archive(&[content()]).unwrap(), archive(&[content()]).unwrap());
    let other = ImageContent { program: b"another".to_vec(), ..content() };
    assert_ne!(archive(&[content()]).unwrap(), archive(&[other]).unwrap());
    assert!(archive(&[]).is_err());
}

#[test]
fn a_digest_has_the_usual_form() {
    let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(digest(b""), empty);
}
