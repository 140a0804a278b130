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

/// Whatever is to happen has happened by then.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than anything that is about to happen takes.
const MEANWHILE: Duration = Duration::from_millis(400);

/// A directory of objects below a directory of the test's own, and the source that reads it.
struct Scene {
    place: TempDir,
    directory: Directory,
}

fn service(name: &str, port: &str) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{ports: [{{port: {port}}}]}}}}\n"
    )
}

/// Renamed into its place, as it is recommended.
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

fn words(snapshot: &Snapshot) -> String {
    snapshot.problems.iter().map(|problem| format!("{problem}\n")).collect()
}

impl Scene {
    /// With files of one Service each, which have been read.
    async fn of(files: &[&str]) -> Self {
        let place = TempDir::new().unwrap();
        let path = place.path().join("objects");
        fs::create_dir(&path).unwrap();
        for name in files {
            fs::write(path.join(format!("{name}.yaml")), service(name, "80")).unwrap();
        }
        let mut scene = Self { directory: Directory::watch(&path).unwrap(), place };
        scene.until(|snapshot| names(snapshot) == files).await;
        scene
    }

    fn path(&self) -> PathBuf {
        self.place.path().join("objects")
    }

    fn put(&self, name: &str, text: &str) {
        put(&self.path(), name, text);
    }

    async fn until(&mut self, wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let look = async {
            loop {
                match self.directory.read() {
                    Some(snapshot) if wanted(&snapshot) => return snapshot,
                    _ => self.directory.changed().await,
                }
            }
        };
        match timeout(PATIENCE, look).await {
            Ok(snapshot) => snapshot,
            Err(_) => panic!("{:?}", self.directory.read()),
        }
    }

    /// Whether nothing becomes of what has happened, for a while.
    async fn stays(&mut self) -> bool {
        let before = self.directory.read().unwrap();
        sleep(MEANWHILE).await;
        let now = self.directory.read().unwrap();
        before.objects == now.objects && before.problems == now.problems
    }

    /// Adds a file that is right, and waits until that one and these others count.
    async fn still_takes(&mut self, name: &str, others: &[&str]) -> Snapshot {
        self.put(&format!("{name}.yaml"), &service(name, "80"));
        let mut wanted = [others, &[name]].concat();
        wanted.sort_unstable();
        self.until(|snapshot| names(snapshot) == wanted).await
    }
}

#[tokio::test]
async fn files_come_change_and_go_and_the_others_are_the_same_values() {
    let mut scene = Scene::of(&["a"]).await;
    scene.put("b.yaml", &(service("b", "80") + &service("c", "80")));
    let first = scene.until(|snapshot| names(snapshot) == ["a", "b", "c"]).await;
    scene.put("b.yaml", &(service("b", "80") + &service("c", "81")));
    let second = scene.until(|snapshot| snapshot.objects != first.objects).await;
    let same: Vec<bool> = first.objects.iter().zip(&second.objects).map(|(a, b)| Arc::ptr_eq(a, b)).collect();
    assert_eq!(same, [true, true, false]);
    scene.put("d.yaml", &service("d", "80"));
    fs::remove_file(scene.path().join("a.yaml")).unwrap();
    scene.until(|snapshot| names(snapshot) == ["b", "c", "d"]).await;
}

#[tokio::test]
async fn an_invalid_object_stays_as_it_was_and_one_that_is_gone_goes() {
    let mut scene = Scene::of(&[]).await;
    scene.put("a.yaml", &(service("a", "80") + &service("b", "80") + &service("c", "80")));
    scene.until(|snapshot| names(snapshot) == ["a", "b", "c"]).await;
    scene.put("a.yaml", &(service("a", "none") + &service("c", "80")));
    let invalid = scene.until(|snapshot| names(snapshot) == ["a", "c"]).await;
    assert_eq!(invalid.problems.len(), 1);
    scene.put("a.yaml", &service("c", "80"));
    let gone = scene.until(|snapshot| names(snapshot) == ["c"]).await;
    assert_eq!(gone.problems, []);
}

#[tokio::test]
async fn of_configuration_that_cannot_be_read_it_is_said_that_it_stays() {
    let pool = |spec| {
        format!(
            "---\n{{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {{name: p}}, spec: {spec}}}\n"
        )
    };
    let mut scene = Scene::of(&[]).await;
    let service = service("a", "80");
    scene.put("a.yaml", &(pool("{addresses: [10.0.0.0/24]}") + &service));
    scene.until(|snapshot| names(snapshot) == ["a", "p"]).await;
    let mut before = Vec::new();
    for text in [pool("none") + &service, pool("nothing") + &service, "---\n{".to_owned(), "\u{0}".to_owned()]
    {
        scene.put("a.yaml", &text);
        let invalid = scene.until(|snapshot| snapshot.problems != before).await;
        assert_eq!(invalid.objects.len(), 2, "{text}");
        let [what, stays] = &invalid.problems[..] else { panic!("{:?}", invalid.problems) };
        assert_ne!(what.label(), "stays_as_before");
        let pool = invalid.objects.iter().find(|object| object.value.kind().name == "IPAddressPool").unwrap();
        assert_eq!((stays.label(), &stays.object), ("stays_as_before", &Some(pool.value.reference())));
        before = invalid.problems;
    }
}

/// Each of them in the place of a file that was right, and as a new one; and at a start.
#[tokio::test]
async fn one_bad_file_costs_itself_only_and_is_named_with_the_reason() {
    type Make = fn(&Path);
    let kinds: [(&str, Make); 8] = [
        ("line 2 is not UTF-8", |path| fs::write(path, b"a: b\n# caf\xe9\n").unwrap()),
        ("a directory", |path| fs::create_dir(path).unwrap()),
        ("symbolic links", |path| symlink(path, path).unwrap()),
        ("links to nothing", |path| symlink("nowhere", path).unwrap()),
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
        let mut scene = Scene::of(&["a", "b"]).await;
        fs::remove_file(scene.path().join("a.yaml")).unwrap();
        make(&scene.path().join("a.yaml"));
        make(&scene.path().join("new.yaml"));
        let bad = scene.still_takes("c", &["a", "b"]).await;
        for file in ["a.yaml: ", "new.yaml: "] {
            let is_named = |line: &str| line.starts_with(file) && line.contains(reason);
            let bad = scene.until(|snapshot| words(snapshot).lines().any(is_named)).await;
            assert_eq!(names(&bad), ["a", "b", "c"], "{reason}");
        }
        drop(bad);
        // A start reads what can be read.
        scene.directory = Directory::watch(&scene.path()).unwrap();
        let started = scene.until(|snapshot| names(snapshot) == ["b", "c"]).await;
        assert_eq!(words(&started).matches(reason).count(), 2, "{}", words(&started));
        // What is mended counts.
        scene.put("d.yaml", &service("d", "80"));
        for name in ["a.yaml", "new.yaml"] {
            let path = scene.path().join(name);
            if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) }.unwrap();
        }
        scene.put("a.yaml", &service("a", "80"));
        let mended = scene.until(|it| names(it) == ["a", "b", "c", "d"] && it.problems.is_empty()).await;
        assert_eq!(words(&mended), "", "{reason}");
    }
}

#[tokio::test]
async fn a_file_that_is_being_written_counts_as_it_was() {
    let mut scene = Scene::of(&["a", "b"]).await;
    let mut file = File::create(scene.path().join("a.yaml")).unwrap();
    assert!(scene.stays().await, "it is empty");
    let whole = service("a", "81") + &service("more", "80");
    let (one, two) = whole.split_at(whole.len() / 2);
    file.write_all(one.as_bytes()).unwrap();
    assert!(scene.stays().await, "half of it is there");
    scene.still_takes("c", &["a", "b"]).await;
    file.write_all(two.as_bytes()).unwrap();
    assert!(scene.stays().await, "it may go on");
    drop(file);
    let whole = scene.until(|snapshot| names(snapshot) == ["a", "b", "c", "more"]).await;
    assert_eq!(whole.problems, []);
    // One that grows, too, and through a name elsewhere.
    fs::hard_link(scene.path().join("b.yaml"), scene.place.path().join("elsewhere")).unwrap();
    let mut file = OpenOptions::new().append(true).open(scene.place.path().join("elsewhere")).unwrap();
    file.write_all(b"---\n{").unwrap();
    scene.put("d.yaml", &service("d", "80"));
    assert_eq!(words(&scene.until(|snapshot| names(snapshot).contains(&"d")).await), "");
    assert!(scene.stays().await);
}

#[tokio::test]
async fn a_file_that_stays_open_is_named_and_a_start_waits_for_one_only_for_a_while() {
    let mut scene = Scene::of(&["a", "b"]).await;
    let mut file = OpenOptions::new().append(true).open(scene.path().join("a.yaml")).unwrap();
    scene.directory = Directory::watch(&scene.path()).unwrap();
    sleep(MEANWHILE).await;
    assert!(scene.directory.read().is_none(), "it may be whole in a moment");
    let started = scene.until(|snapshot| names(snapshot) == ["b"]).await;
    let named = "a.yaml: a process has it open for writing";
    assert!(words(&started).starts_with(named), "{}", words(&started));
    file.write_all(service("c", "80").as_bytes()).unwrap();
    drop(file);
    scene.until(|snapshot| names(snapshot) == ["a", "b", "c"] && snapshot.problems.is_empty()).await;
}

/// As editors, version control and copies do.
#[tokio::test]
async fn a_file_that_is_away_for_a_moment_was_never_gone() {
    let mut scene = Scene::of(&["a", "b"]).await;
    let path = scene.path().join("a.yaml");
    let mut short = 0;
    for _ in 0..20 {
        let begun = Instant::now();
        fs::remove_file(&path).unwrap();
        scene.put("b.yaml", &service("b", "82"));
        sleep(Duration::from_millis(20)).await;
        fs::write(&path, service("a", "80")).unwrap();
        // On a machine with other work to do it has been away for longer.
        let was_short = begun.elapsed() < Duration::from_millis(80);
        sleep(Duration::from_millis(5)).await;
        assert!(!was_short || names(&scene.directory.read().unwrap()) == ["a", "b"]);
        short += usize::from(was_short);
        scene.until(|snapshot| names(snapshot) == ["a", "b"]).await;
    }
    assert!(short > 0, "it was never away for a moment only");
    // Under another name it is the same objects, once.
    fs::rename(&path, scene.path().join("z.yaml")).unwrap();
    let moved = scene.until(|snapshot| snapshot.objects.iter().any(|object| object.source == "z.yaml")).await;
    assert_eq!(names(&moved), ["a", "b"]);
    fs::remove_file(scene.path().join("z.yaml")).unwrap();
    scene.until(|snapshot| names(snapshot) == ["b"]).await;
}

#[tokio::test]
async fn files_behind_links_are_followed_as_the_kubelet_and_administrators_switch_them() {
    let mut scene = Scene::of(&["b"]).await;
    let path = scene.path();
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
    let first = scene.until(|snapshot| names(snapshot) == ["a", "b"]).await;
    switch("..2");
    let second = scene.until(|snapshot| snapshot.objects != first.objects).await;
    assert_eq!(names(&second), ["a", "b"]);
    // The end of a link is written where nothing is observed.
    fs::write(path.join("..2").join("a.yaml"), service("changed", "80")).unwrap();
    scene.until(|snapshot| names(snapshot) == ["b", "changed"]).await;
}

#[tokio::test]
async fn a_directory_that_is_replaced_is_followed_and_its_absence_changes_nothing() {
    let mut scene = Scene::of(&["a", "b"]).await;
    let (path, away) = (scene.path(), scene.place.path().join("away"));
    let copy = |name: &str| {
        let copy = scene.place.path().join(name);
        fs::create_dir(&copy).unwrap();
        for file in ["a", "b"] {
            fs::write(copy.join(format!("{file}.yaml")), service(file, "80")).unwrap();
        }
        copy
    };
    let (second, third) = (copy("second"), copy("third"));
    // By renames.
    fs::rename(&path, &away).unwrap();
    fs::rename(second, &path).unwrap();
    scene.still_takes("c", &["a", "b"]).await;
    fs::write(away.join("old.yaml"), service("old", "80")).unwrap();
    // A file in its place is no directory.
    fs::rename(&path, scene.place.path().join("kept")).unwrap();
    fs::write(&path, "").unwrap();
    let file = scene.until(|snapshot| words(snapshot).contains("ot a directory")).await;
    assert_eq!(names(&file), ["a", "b", "c"]);
    fs::remove_file(&path).unwrap();
    fs::rename(scene.place.path().join("kept"), &path).unwrap();
    scene.until(|snapshot| snapshot.problems.is_empty()).await;
    // Removed, and made again.
    fs::remove_dir_all(&path).unwrap();
    let gone = scene.until(|snapshot| !snapshot.problems.is_empty()).await;
    assert_eq!(names(&gone), ["a", "b", "c"]);
    assert!(words(&gone).contains(&path.display().to_string()), "{}", words(&gone));
    fs::create_dir(&path).unwrap();
    let empty = scene.until(|snapshot| words(snapshot).contains("without any .yaml")).await;
    assert_eq!(names(&empty), ["a", "b", "c"]);
    scene.put("a.yaml", &service("a", "80"));
    scene.put("b.yaml", &service("b", "80"));
    scene.until(|snapshot| names(snapshot) == ["a", "b"] && snapshot.problems.is_empty()).await;
    // A link in its place, and that link switched.
    fs::rename(&path, scene.place.path().join("first")).unwrap();
    symlink("first", &path).unwrap();
    scene.still_takes("d", &["a", "b"]).await;
    symlink(third, scene.place.path().join("link")).unwrap();
    fs::rename(scene.place.path().join("link"), &path).unwrap();
    scene.still_takes("e", &["a", "b"]).await;
    assert!(scene.stays().await);
}

/// Where the kernel reports nothing of the path: a link further up is switched.
#[tokio::test]
async fn a_link_above_the_directory_is_followed_too() {
    let place = TempDir::new().unwrap();
    for version in ["1", "2"] {
        fs::create_dir_all(place.path().join(version).join("objects")).unwrap();
        let file = place.path().join(version).join("objects/a.yaml");
        fs::write(file, service(&format!("v{version}"), "80")).unwrap();
    }
    symlink("1", place.path().join("current")).unwrap();
    let directory = Directory::watch(&place.path().join("current/objects")).unwrap();
    let mut scene = Scene { place, directory };
    scene.until(|snapshot| names(snapshot) == ["v1"]).await;
    symlink("2", scene.place.path().join("next")).unwrap();
    fs::rename(scene.place.path().join("next"), scene.place.path().join("current")).unwrap();
    scene.until(|snapshot| names(snapshot) == ["v2"]).await;
}

#[tokio::test]
async fn a_file_or_a_directory_that_is_too_big_costs_itself_only() {
    let mut scene = Scene::of(&["a"]).await;
    File::create(scene.path().join("big.yaml")).unwrap().set_len(40 << 20).unwrap();
    let big =
        scene.until(|snapshot| words(snapshot).contains("big.yaml: it holds more than the 32 MiB")).await;
    assert_eq!(names(&big), ["a"]);
    fs::remove_file(scene.path().join("big.yaml")).unwrap();
    // A comment, so that it does not take long.
    let text = "#".repeat(30 << 20);
    for number in 0..5 {
        fs::write(scene.path().join(format!("c{number}.yaml")), &text).unwrap();
    }
    let full = scene.until(|snapshot| words(snapshot).contains("together with the other files")).await;
    assert_eq!((names(&full), full.problems.len()), (vec!["a"], 1), "{}", words(&full));
    fs::remove_file(scene.path().join("c0.yaml")).unwrap();
    scene.until(|snapshot| snapshot.problems.is_empty()).await;
}

#[tokio::test]
async fn files_beyond_their_number_are_ignored_and_known_ones_are_not() {
    let mut scene = Scene::of(&["z"]).await;
    for number in 0..10_005 {
        fs::write(scene.path().join(format!("a{number}.yaml")), "").unwrap();
    }
    let full = scene.until(|snapshot| !snapshot.problems.is_empty()).await;
    assert_eq!(names(&full), ["z"]);
    assert!(words(&full).starts_with("6 files beyond the limit of 10000"), "{}", words(&full));
    scene.put("z.yaml", &service("zz", "80"));
    scene.until(|snapshot| names(snapshot) == ["zz"]).await;
}

#[test]
fn what_is_no_directory_is_refused_at_the_start() {
    let place = TempDir::new().unwrap();
    fs::write(place.path().join("file"), "").unwrap();
    for (name, reason) in [("nowhere", "No such file"), ("file", "ot a directory")] {
        let error = Directory::watch(&place.path().join(name)).unwrap_err().to_string();
        assert!(error.contains(reason) && error.contains("--source"), "{error}");
    }
}

#[tokio::test]
async fn an_unknown_field_is_reported_and_the_object_counts() {
    let mut scene = Scene::of(&["a"]).await;
    let text = "{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: pool}, \
                spec: {addresses: [192.0.2.0/24], autoassign: false}}";
    put(&scene.place.path().join("objects"), "pool.yaml", text);
    let snapshot = scene.until(|snapshot| names(snapshot) == ["a", "pool"]).await;
    let told = words(&snapshot);
    assert!(
        told.contains("pool.yaml:1: IPAddressPool default/pool: spec.autoassign: unknown field"),
        "{told}"
    );
    assert!(snapshot.problems.iter().all(|problem| problem.severity() == Severity::Warning), "{told}");
}
