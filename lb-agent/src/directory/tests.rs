use std::fs;
use std::time::Duration;

use super::*;

fn service(name: &str, port: &str) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{ports: [{{port: {port}}}]}}}}\n"
    )
}

fn put(place: &tempfile::TempDir, name: &str, text: &str) {
    let draft = place.path().join(".draft");
    fs::write(&draft, text).unwrap();
    fs::rename(draft, place.path().join(name)).unwrap();
}

async fn next(directory: &mut Directory) -> Snapshot {
    tokio::time::timeout(Duration::from_secs(10), directory.changed()).await.unwrap();
    directory.read().unwrap()
}

fn names(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.objects.iter().map(|object| object.value.metadata().name.as_str()).collect()
}

#[tokio::test]
async fn files_come_change_and_go_and_the_others_are_the_same_values() {
    let place = tempfile::TempDir::new().unwrap();
    put(&place, "a.yaml", &service("a", "80"));
    put(&place, "b.yaml", &(service("b", "80") + &service("c", "80")));
    let mut directory = Directory::watch(place.path()).unwrap();
    let first = directory.read().unwrap();
    assert_eq!(names(&first), ["a", "b", "c"]);

    put(&place, "b.yaml", &(service("b", "80") + &service("c", "81")));
    let second = next(&mut directory).await;
    let same: Vec<bool> = first.objects.iter().zip(&second.objects).map(|(a, b)| Arc::ptr_eq(a, b)).collect();
    assert_eq!(same, [true, true, false]);

    put(&place, "d.yaml", &service("d", "80"));
    fs::remove_file(place.path().join("a.yaml")).unwrap();
    assert_eq!(names(&next(&mut directory).await), ["b", "c", "d"]);
}

#[tokio::test]
async fn what_cannot_be_read_stays_as_it_was_and_what_is_gone_goes() {
    let place = tempfile::TempDir::new().unwrap();
    put(&place, "a.yaml", &(service("a", "80") + &service("b", "80") + &service("c", "80")));
    let mut directory = Directory::watch(place.path()).unwrap();
    directory.read().unwrap();
    put(&place, "a.yaml", &(service("a", "none") + &service("c", "80")));
    let wrong = next(&mut directory).await;
    assert_eq!((names(&wrong), wrong.problems.len()), (vec!["c", "a"], 1));
    put(&place, "a.yaml", &service("c", "80"));
    let gone = next(&mut directory).await;
    assert_eq!((names(&gone), gone.problems.len()), (vec!["c"], 0));
}

#[tokio::test]
async fn of_configuration_that_cannot_be_read_it_is_said_that_it_stays() {
    let pool = |spec| {
        format!(
            "---\n{{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {{name: p}}, spec: {spec}}}\n"
        )
    };
    let place = tempfile::TempDir::new().unwrap();
    put(&place, "a.yaml", &(pool("{addresses: [10.0.0.0/24]}") + &service("a", "80")));
    let mut directory = Directory::watch(place.path()).unwrap();
    directory.read().unwrap();
    let service = service("a", "80");
    for text in [pool("none") + &service, pool("nothing") + &service, "---\n{".to_owned()] {
        put(&place, "a.yaml", &text);
        let wrong = next(&mut directory).await;
        assert_eq!(wrong.objects.len(), 2, "{text}");
        let [what, stays] = &wrong.problems[..] else { panic!("{:?}", wrong.problems) };
        assert_ne!(what.label(), "stays_as_before");
        let pool = wrong.objects.iter().find(|object| object.value.kind() == "IPAddressPool").unwrap();
        assert_eq!((stays.label(), &stays.object), ("stays_as_before", &Some(pool.value.reference())));
    }
}

/// As editors and version control do: a file is taken away, or written, and is whole some moments later.
#[tokio::test]
async fn a_file_that_is_being_replaced_is_waited_for() {
    let place = tempfile::TempDir::new().unwrap();
    put(&place, "a.yaml", &service("a", "80"));
    let mut directory = Directory::watch(place.path()).unwrap();
    directory.read().unwrap();

    let path = place.path().join("a.yaml");
    fs::remove_file(&path).unwrap();
    directory.changed().await;
    assert!(directory.is_unsettled(), "gone, perhaps not for good");
    fs::write(&path, "kind: [").unwrap();
    assert_eq!(names(&directory.read().unwrap()), ["a"], "broken, and so as it was");

    put(&place, "b.yaml", &service("b", "80"));
    directory.changed().await;
    directory.read().unwrap();
    // What comes behind a whole file counts, too.
    fs::rename(place.path().join("b.yaml"), place.path().join(".b")).unwrap();
    directory.changed().await;
    directory.read().unwrap();
    fs::rename(place.path().join(".b"), place.path().join("b.yaml")).unwrap();
    directory.changed().await;
    assert!(!directory.is_unsettled(), "a file that is renamed into its place is whole");
    fs::File::create(&path).unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(directory.is_unsettled(), "empty, perhaps not for long");
}

#[tokio::test]
async fn files_behind_links_that_are_exchanged_are_read_again() {
    let place = tempfile::TempDir::new().unwrap();
    let link = |target: &str| {
        std::os::unix::fs::symlink(target, place.path().join("..draft")).unwrap();
        fs::rename(place.path().join("..draft"), place.path().join("..data")).unwrap();
    };
    for (version, port) in [("..1", "80"), ("..2", "81")] {
        fs::create_dir(place.path().join(version)).unwrap();
        fs::write(place.path().join(version).join("a.yaml"), service("a", port)).unwrap();
    }
    link("..1");
    std::os::unix::fs::symlink("..data/a.yaml", place.path().join("a.yaml")).unwrap();
    let mut directory = Directory::watch(place.path()).unwrap();
    let first = directory.read().unwrap();
    link("..2");
    let second = next(&mut directory).await;
    assert_eq!(names(&second), ["a"]);
    assert_ne!(first.objects, second.objects);
}

#[test]
fn what_nobody_knows_the_name_of_may_be_any_file() {
    let after = |names: &[Option<&str>]| {
        let mut unread = Unread::Named(BTreeSet::new());
        names.iter().for_each(|name| unread.note(*name));
        unread
    };
    assert_eq!(
        after(&[Some("a.yaml"), Some(".a.yaml"), Some("a.txt")]),
        Unread::Named(["a.yaml".into()].into())
    );
    assert_eq!(after(&[Some("a.yaml"), None, Some("b.yaml")]), Unread::All);
    assert_eq!(after(&[Some("..data")]), Unread::All);
}
