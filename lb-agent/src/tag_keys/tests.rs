use super::*;

const HASH_KEY: HashKey = HashKey { k0: 1, k1: 2 };
const ONE: &str = "0123456789abcdeffedcba9876543210";

fn one() -> HashKey {
    HashKey { k0: 0x0123_4567_89ab_cdef, k1: 0xfedc_ba98_7654_3210 }
}

#[test]
fn a_line_is_a_key_and_the_first_is_in_use() {
    let derived = TagKey { id: 0, key: derive(&HASH_KEY) };
    let new = TagKey { id: 7, key: one() };
    let keys = |text: &str| parse(text, &HASH_KEY).unwrap();
    assert_eq!(keys(&format!("7 {ONE}\n")), TagKeys::only(new));
    assert_eq!(keys("0 hash-key"), TagKeys::derived(&HASH_KEY));
    assert_eq!(
        keys(&format!("# next\n\n0 hash-key\n 7\t {ONE}")),
        TagKeys { current: derived, other: Some(new) }
    );
    assert_eq!(keys(&format!("7 {ONE}\n0 hash-key\n")), TagKeys { current: new, other: Some(derived) });
}

#[test]
fn what_is_wrong_is_said_by_line() {
    let wrong = |text: &str| parse(text, &HASH_KEY).unwrap_err().to_string();
    assert!(wrong("").contains("no key") && wrong("# only this\n").contains("no key"));
    for line in ["256 hash-key", "-1 hash-key", "7", ONE, "7 hash_key", "x hash-key", &format!("7 {ONE}0")] {
        assert!(wrong(&format!("\n{line}")).contains("line 2"), "{line}");
    }
    assert!(wrong(&format!("1 {ONE}\n1 hash-key")).contains("number 1"));
    assert!(wrong(&format!("1 {ONE}\n2 {ONE}\n3 {ONE}")).contains("more than two"));
}

#[test]
fn without_a_file_the_key_is_made_from_that_of_the_flow_hash() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    let open = || TagKeysFile::open(Some(file.clone()), HASH_KEY).map(|it| it.keys());
    assert_eq!(open().unwrap(), TagKeys::derived(&HASH_KEY));
    std::fs::write(&file, "nonsense").unwrap();
    assert!(open().is_err());
    std::fs::write(&file, " ".repeat(5000)).unwrap();
    assert!(matches!(open(), Err(TagKeysError::TooLong)));
    assert_eq!(TagKeysFile::open(None, HASH_KEY).unwrap().keys(), TagKeys::derived(&HASH_KEY));
}

/// As the kubelet and careful people do it.
fn write(file: &Path, text: impl AsRef<[u8]>) {
    let beside = file.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(beside, file).unwrap();
}

#[tokio::test]
async fn a_changed_file_is_read_and_a_broken_one_changes_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    let mut keys =
        TagKeysFile::open(Some(file.clone()), HASH_KEY).unwrap().watch_every(Duration::from_millis(5));
    write(&file, format!("0 hash-key\n1 {ONE}\n"));
    keys.changed().await.unwrap();
    let both = keys.borrow_and_update().keys;
    assert_eq!(both.other, Some(TagKey { id: 1, key: one() }));
    write(&file, "0 hash");
    keys.changed().await.unwrap();
    let read = keys.borrow_and_update().clone();
    assert_eq!(read.keys, both);
    assert!(read.problem.unwrap().contains("line 1"));
    std::fs::remove_file(&file).unwrap();
    keys.changed().await.unwrap();
    let read = keys.borrow_and_update().clone();
    assert!(read.keys == both && read.problem.is_some(), "{read:?}");
    write(&file, format!("1 {ONE}\n"));
    keys.changed().await.unwrap();
    let read = keys.borrow_and_update().clone();
    assert_eq!(read, TagKeysRead { keys: TagKeys::only(TagKey { id: 1, key: one() }), problem: None });
}
