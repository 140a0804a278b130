use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::*;
use lb_api::problem::Severity;

/// Timeout of expected changes.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Time after which no further change is expected.
const SETTLE_TIME: Duration = Duration::from_millis(400);

/// A directory of objects inside a temporary directory, and its source.
struct Fixture {
    tempdir: TempDir,
    directory: Directory,
}

fn service(name: &str, port: &str) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{ports: [{{port: {port}}}]}}}}\n"
    )
}

/// Writes a draft and renames it, as is recommended.
fn put(directory: &Path, name: &str, text: &str) {
    let draft = directory.join(".draft");
    fs::write(&draft, text).unwrap();
    fs::rename(draft, directory.join(name)).unwrap();
}

fn names(snapshot: &Snapshot) -> Vec<&str> {
    let mut names: Vec<_> =
        snapshot.objects.iter().map(|object| object.value.metadata().name.as_str()).collect();
    names.sort_unstable();
    names
}

fn problem_lines(snapshot: &Snapshot) -> String {
    snapshot.problems.iter().map(|problem| format!("{problem}\n")).collect()
}

impl Fixture {
    /// Creates files with one Service each, and waits until they have been read.
    async fn of(files: &[&str]) -> Self {
        let tempdir = TempDir::new().unwrap();
        let path = tempdir.path().join("objects");
        fs::create_dir(&path).unwrap();
        for name in files {
            fs::write(path.join(format!("{name}.yaml")), service(name, "80")).unwrap();
        }
        let mut fixture = Self { directory: Directory::watch(&path).unwrap(), tempdir };
        fixture.until(|snapshot| names(snapshot) == files).await;
        fixture
    }

    fn path(&self) -> PathBuf {
        self.tempdir.path().join("objects")
    }

    fn put(&self, name: &str, text: &str) {
        put(&self.path(), name, text);
    }

    async fn until(&mut self, expected: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let look = async {
            loop {
                match self.directory.read() {
                    Some(snapshot) if expected(&snapshot) => return snapshot,
                    _ => self.directory.changed().await,
                }
            }
        };
        match timeout(TIMEOUT, look).await {
            Ok(snapshot) => snapshot,
            Err(_) => panic!("{:?}", self.directory.read()),
        }
    }

    /// Returns whether the snapshot stays unchanged for a while.
    async fn is_unchanged(&mut self) -> bool {
        let before = self.directory.read().unwrap();
        sleep(SETTLE_TIME).await;
        let now = self.directory.read().unwrap();
        before.objects == now.objects && before.problems == now.problems
    }

    /// Adds a valid file, and waits until its Service and these others are in the snapshot.
    async fn add_and_wait(&mut self, name: &str, others: &[&str]) -> Snapshot {
        self.put(&format!("{name}.yaml"), &service(name, "80"));
        let mut expected = [others, &[name]].concat();
        expected.sort_unstable();
        self.until(|snapshot| names(snapshot) == expected).await
    }
}

#[tokio::test]
async fn added_changed_and_deleted_files_leave_other_objects_the_same_values() {
    let mut fixture = Fixture::of(&["a"]).await;
    fixture.put("b.yaml", &(service("b", "80") + &service("c", "80")));
    let first = fixture.until(|snapshot| names(snapshot) == ["a", "b", "c"]).await;
    fixture.put("b.yaml", &(service("b", "80") + &service("c", "81")));
    let second = fixture.until(|snapshot| snapshot.objects != first.objects).await;
    let same: Vec<bool> = first.objects.iter().zip(&second.objects).map(|(a, b)| Arc::ptr_eq(a, b)).collect();
    assert_eq!(same, [true, true, false]);
    fixture.put("d.yaml", &service("d", "80"));
    fs::remove_file(fixture.path().join("a.yaml")).unwrap();
    fixture.until(|snapshot| names(snapshot) == ["b", "c", "d"]).await;
}

#[tokio::test]
async fn an_invalid_object_keeps_its_last_valid_version_and_a_deleted_one_is_removed() {
    let mut fixture = Fixture::of(&[]).await;
    fixture.put("a.yaml", &(service("a", "80") + &service("b", "80") + &service("c", "80")));
    fixture.until(|snapshot| names(snapshot) == ["a", "b", "c"]).await;
    fixture.put("a.yaml", &(service("a", "none") + &service("c", "80")));
    let invalid = fixture.until(|snapshot| names(snapshot) == ["a", "c"]).await;
    assert_eq!(invalid.problems.len(), 1);
    fixture.put("a.yaml", &service("c", "80"));
    let gone = fixture.until(|snapshot| names(snapshot) == ["c"]).await;
    assert_eq!(gone.problems, []);
}

#[tokio::test]
async fn configuration_that_cannot_be_parsed_is_reported_as_stale() {
    let pool = |spec| {
        format!(
            "---\n{{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {{name: p}}, spec: {spec}}}\n"
        )
    };
    let mut fixture = Fixture::of(&[]).await;
    let service = service("a", "80");
    fixture.put("a.yaml", &(pool("{addresses: [10.0.0.0/24]}") + &service));
    fixture.until(|snapshot| names(snapshot) == ["a", "p"]).await;
    let mut before = Vec::new();
    for text in [pool("none") + &service, pool("nothing") + &service, "---\n{".to_owned(), "\u{0}".to_owned()]
    {
        fixture.put("a.yaml", &text);
        let invalid = fixture.until(|snapshot| snapshot.problems != before).await;
        assert_eq!(invalid.objects.len(), 2, "{text}");
        let [what, stays] = &invalid.problems[..] else { panic!("{:?}", invalid.problems) };
        assert_ne!(what.label(), "stays_as_before");
        let pool = invalid.objects.iter().find(|object| object.value.kind().name == "IPAddressPool").unwrap();
        assert_eq!((stays.label(), &stays.object), ("stays_as_before", &Some(pool.value.reference())));
        before = invalid.problems;
    }
}

/// Each kind replaces a valid file, is added as a new file, and is present at startup.
#[tokio::test]
async fn an_unreadable_file_affects_no_other_and_is_reported_with_the_reason() {
    type Make = fn(&Path);
    let kinds: [(&str, Make); 8] = [
        ("line 2 is not UTF-8", |path| fs::write(path, b"a: b\n# caf\xe9\n").unwrap()),
        ("a directory", |path| fs::create_dir(path).unwrap()),
        ("levels of symbolic links", |path| symlink(path, path).unwrap()),
        ("a dangling symbolic link", |path| symlink("nowhere", path).unwrap()),
        ("a named pipe", |path| mkfifo(path, Mode::S_IRWXU).unwrap()),
        ("a named pipe", |path| {
            let pipe = path.with_extension("pipe");
            mkfifo(&pipe, Mode::S_IRWXU).unwrap();
            symlink(pipe, path).unwrap();
        }),
        ("a socket", |path| drop(UnixListener::bind(path).unwrap())),
        ("a device", |path| symlink("/dev/zero", path).unwrap()),
    ];
    for (reason, make) in kinds {
        let mut fixture = Fixture::of(&["a", "b"]).await;
        fs::remove_file(fixture.path().join("a.yaml")).unwrap();
        make(&fixture.path().join("a.yaml"));
        make(&fixture.path().join("new.yaml"));
        let bad = fixture.add_and_wait("c", &["a", "b"]).await;
        for file in ["a.yaml: ", "new.yaml: "] {
            let is_named = |line: &str| line.starts_with(file) && line.contains(reason);
            let bad = fixture.until(|snapshot| problem_lines(snapshot).lines().any(is_named)).await;
            assert_eq!(names(&bad), ["a", "b", "c"], "{reason}");
        }
        drop(bad);
        // At startup, all readable files are read.
        fixture.directory = Directory::watch(&fixture.path()).unwrap();
        let started = fixture.until(|snapshot| names(snapshot) == ["b", "c"]).await;
        assert_eq!(problem_lines(&started).matches(reason).count(), 2, "{}", problem_lines(&started));
        // Fixed files are read again.
        fixture.put("d.yaml", &service("d", "80"));
        for name in ["a.yaml", "new.yaml"] {
            let path = fixture.path().join(name);
            if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) }.unwrap();
        }
        fixture.put("a.yaml", &service("a", "80"));
        let mended = fixture.until(|it| names(it) == ["a", "b", "c", "d"] && it.problems.is_empty()).await;
        assert_eq!(problem_lines(&mended), "", "{reason}");
    }
}

#[tokio::test]
async fn a_file_that_is_being_written_keeps_its_objects() {
    let mut fixture = Fixture::of(&["a", "b"]).await;
    let mut file = File::create(fixture.path().join("a.yaml")).unwrap();
    assert!(fixture.is_unchanged().await, "it is empty");
    let whole = service("a", "81") + &service("more", "80");
    let (one, two) = whole.split_at(whole.len() / 2);
    file.write_all(one.as_bytes()).unwrap();
    assert!(fixture.is_unchanged().await, "half of it is written");
    fixture.add_and_wait("c", &["a", "b"]).await;
    file.write_all(two.as_bytes()).unwrap();
    assert!(fixture.is_unchanged().await, "the writer may continue");
    drop(file);
    let whole = fixture.until(|snapshot| names(snapshot) == ["a", "b", "c", "more"]).await;
    assert_eq!(whole.problems, []);
    // So does a file that is appended to, through a hard link elsewhere.
    fs::hard_link(fixture.path().join("b.yaml"), fixture.tempdir.path().join("elsewhere")).unwrap();
    let mut file = OpenOptions::new().append(true).open(fixture.tempdir.path().join("elsewhere")).unwrap();
    file.write_all(b"---\n{").unwrap();
    fixture.put("d.yaml", &service("d", "80"));
    assert_eq!(problem_lines(&fixture.until(|snapshot| names(snapshot).contains(&"d")).await), "");
    assert!(fixture.is_unchanged().await);
}

#[tokio::test]
async fn a_file_that_stays_open_is_reported_and_delays_startup_only_for_a_while() {
    let mut fixture = Fixture::of(&["a", "b"]).await;
    let mut file = OpenOptions::new().append(true).open(fixture.path().join("a.yaml")).unwrap();
    fixture.directory = Directory::watch(&fixture.path()).unwrap();
    sleep(SETTLE_TIME).await;
    assert!(fixture.directory.read().is_none(), "it may soon be complete");
    let started = fixture.until(|snapshot| names(snapshot) == ["b"]).await;
    let named = "a.yaml: is open for writing by another process";
    assert!(problem_lines(&started).starts_with(named), "{}", problem_lines(&started));
    file.write_all(service("c", "80").as_bytes()).unwrap();
    drop(file);
    fixture.until(|snapshot| names(snapshot) == ["a", "b", "c"] && snapshot.problems.is_empty()).await;
}

/// Editors, version control and copies replace files like this.
#[tokio::test]
async fn a_file_that_is_missing_for_a_moment_keeps_its_objects() {
    let mut fixture = Fixture::of(&["a", "b"]).await;
    let path = fixture.path().join("a.yaml");
    let mut short = 0;
    for _ in 0..20 {
        let begun = Instant::now();
        fs::remove_file(&path).unwrap();
        fixture.put("b.yaml", &service("b", "82"));
        sleep(Duration::from_millis(20)).await;
        fs::write(&path, service("a", "80")).unwrap();
        // On a busy machine it was missing for longer.
        let was_short = begun.elapsed() < Duration::from_millis(80);
        sleep(Duration::from_millis(5)).await;
        assert!(!was_short || names(&fixture.directory.read().unwrap()) == ["a", "b"]);
        short += usize::from(was_short);
        fixture.until(|snapshot| names(snapshot) == ["a", "b"]).await;
    }
    assert!(short > 0, "it was always missing for too long");
    // After a rename, the objects are the same, and listed once.
    fs::rename(&path, fixture.path().join("z.yaml")).unwrap();
    let moved =
        fixture.until(|snapshot| snapshot.objects.iter().any(|object| object.source == "z.yaml")).await;
    assert_eq!(names(&moved), ["a", "b"]);
    fs::remove_file(fixture.path().join("z.yaml")).unwrap();
    fixture.until(|snapshot| names(snapshot) == ["b"]).await;
}

#[tokio::test]
async fn files_behind_links_are_read_again_when_the_links_are_switched() {
    let mut fixture = Fixture::of(&["b"]).await;
    let path = fixture.path();
    let switch = |target: &str| {
        symlink(target, path.join("..draft")).unwrap();
        fs::rename(path.join("..draft"), path.join("..data")).unwrap();
    };
    for (version, port) in [("..1", "80"), ("..2", "81")] {
        fs::create_dir(path.join(version)).unwrap();
        fs::write(path.join(version).join("a.yaml"), service("a", port)).unwrap();
    }
    switch("..1");
    symlink("..data/a.yaml", path.join("a.yaml")).unwrap();
    let first = fixture.until(|snapshot| names(snapshot) == ["a", "b"]).await;
    switch("..2");
    let second = fixture.until(|snapshot| snapshot.objects != first.objects).await;
    assert_eq!(names(&second), ["a", "b"]);
    // The link's target is written, of which there is no event.
    fs::write(path.join("..2").join("a.yaml"), service("changed", "80")).unwrap();
    fixture.until(|snapshot| names(snapshot) == ["b", "changed"]).await;
}

#[tokio::test]
async fn a_replaced_directory_is_read_and_a_missing_one_keeps_its_objects() {
    let mut fixture = Fixture::of(&["a", "b"]).await;
    let (path, away) = (fixture.path(), fixture.tempdir.path().join("away"));
    let copy = |name: &str| {
        let copy = fixture.tempdir.path().join(name);
        fs::create_dir(&copy).unwrap();
        for file in ["a", "b"] {
            fs::write(copy.join(format!("{file}.yaml")), service(file, "80")).unwrap();
        }
        copy
    };
    let (second, third) = (copy("second"), copy("third"));
    // Replaced by renames.
    fs::rename(&path, &away).unwrap();
    fs::rename(second, &path).unwrap();
    fixture.add_and_wait("c", &["a", "b"]).await;
    fs::write(away.join("old.yaml"), service("old", "80")).unwrap();
    // Replaced by a file.
    fs::rename(&path, fixture.tempdir.path().join("kept")).unwrap();
    fs::write(&path, "").unwrap();
    let file = fixture.until(|snapshot| problem_lines(snapshot).contains("ot a directory")).await;
    assert_eq!(names(&file), ["a", "b", "c"]);
    fs::remove_file(&path).unwrap();
    fs::rename(fixture.tempdir.path().join("kept"), &path).unwrap();
    fixture.until(|snapshot| snapshot.problems.is_empty()).await;
    // Deleted and recreated.
    fs::remove_dir_all(&path).unwrap();
    let gone = fixture.until(|snapshot| !snapshot.problems.is_empty()).await;
    assert_eq!(names(&gone), ["a", "b", "c"]);
    assert!(problem_lines(&gone).contains(&path.display().to_string()), "{}", problem_lines(&gone));
    fs::create_dir(&path).unwrap();
    let empty = fixture.until(|snapshot| problem_lines(snapshot).contains("without any .yaml")).await;
    assert_eq!(names(&empty), ["a", "b", "c"]);
    fixture.put("a.yaml", &service("a", "80"));
    fixture.put("b.yaml", &service("b", "80"));
    fixture.until(|snapshot| names(snapshot) == ["a", "b"] && snapshot.problems.is_empty()).await;
    // Replaced by a link, and the link switched.
    fs::rename(&path, fixture.tempdir.path().join("first")).unwrap();
    symlink("first", &path).unwrap();
    fixture.add_and_wait("d", &["a", "b"]).await;
    symlink(third, fixture.tempdir.path().join("link")).unwrap();
    fs::rename(fixture.tempdir.path().join("link"), &path).unwrap();
    fixture.add_and_wait("e", &["a", "b"]).await;
    assert!(fixture.is_unchanged().await);
}

/// A link further up in the path is switched, of which there is no event.
#[tokio::test]
async fn a_switched_link_above_the_directory_is_noticed() {
    let tempdir = TempDir::new().unwrap();
    for version in ["1", "2"] {
        fs::create_dir_all(tempdir.path().join(version).join("objects")).unwrap();
        let file = tempdir.path().join(version).join("objects/a.yaml");
        fs::write(file, service(&format!("v{version}"), "80")).unwrap();
    }
    symlink("1", tempdir.path().join("current")).unwrap();
    let directory = Directory::watch(&tempdir.path().join("current/objects")).unwrap();
    let mut fixture = Fixture { tempdir, directory };
    fixture.until(|snapshot| names(snapshot) == ["v1"]).await;
    symlink("2", fixture.tempdir.path().join("next")).unwrap();
    fs::rename(fixture.tempdir.path().join("next"), fixture.tempdir.path().join("current")).unwrap();
    fixture.until(|snapshot| names(snapshot) == ["v2"]).await;
}

#[tokio::test]
async fn files_that_are_too_large_affect_no_other() {
    let mut fixture = Fixture::of(&["a"]).await;
    File::create(fixture.path().join("big.yaml")).unwrap().set_len(40 << 20).unwrap();
    let big =
        fixture.until(|snapshot| problem_lines(snapshot).contains("big.yaml: is larger than 32 MiB")).await;
    assert_eq!(names(&big), ["a"]);
    fs::remove_file(fixture.path().join("big.yaml")).unwrap();
    // A comment, which is parsed quickly.
    let text = "#".repeat(30 << 20);
    for number in 0..5 {
        fs::write(fixture.path().join(format!("c{number}.yaml")), &text).unwrap();
    }
    let full =
        fixture.until(|snapshot| problem_lines(snapshot).contains("the size limit for all files")).await;
    assert_eq!((names(&full), full.problems.len()), (vec!["a"], 1), "{}", problem_lines(&full));
    fs::remove_file(fixture.path().join("c0.yaml")).unwrap();
    fixture.until(|snapshot| snapshot.problems.is_empty()).await;
}

#[tokio::test]
async fn files_beyond_the_limit_are_ignored_and_known_ones_are_not() {
    let mut fixture = Fixture::of(&["z"]).await;
    for number in 0..10_005 {
        fs::write(fixture.path().join(format!("a{number}.yaml")), "").unwrap();
    }
    let full = fixture.until(|snapshot| !snapshot.problems.is_empty()).await;
    assert_eq!(names(&full), ["z"]);
    assert!(
        problem_lines(&full).starts_with("6 files beyond the limit of 10000"),
        "{}",
        problem_lines(&full)
    );
    fixture.put("z.yaml", &service("zz", "80"));
    fixture.until(|snapshot| names(snapshot) == ["zz"]).await;
}

#[test]
fn a_path_that_is_not_a_directory_is_rejected_at_startup() {
    let tempdir = TempDir::new().unwrap();
    fs::write(tempdir.path().join("file"), "").unwrap();
    for (name, reason) in [("nowhere", "No such file"), ("file", "ot a directory")] {
        let error = Directory::watch(&tempdir.path().join(name)).unwrap_err().to_string();
        assert!(error.contains(reason) && error.contains("--source"), "{error}");
    }
}

#[tokio::test]
async fn an_unknown_field_is_reported_and_the_object_is_used() {
    let mut fixture = Fixture::of(&["a"]).await;
    let text = "{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: pool}, \
                spec: {addresses: [192.0.2.0/24], autoassign: false}}";
    put(&fixture.tempdir.path().join("objects"), "pool.yaml", text);
    let snapshot = fixture.until(|snapshot| names(snapshot) == ["a", "pool"]).await;
    let lines = problem_lines(&snapshot);
    assert!(
        lines.contains("pool.yaml:1: IPAddressPool default/pool: spec.autoassign: unknown field"),
        "{lines}"
    );
    assert!(snapshot.problems.iter().all(|problem| problem.severity() == Severity::Warning), "{lines}");
}
