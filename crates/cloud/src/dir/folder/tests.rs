//! The order of writes and syncs, which no test from outside can see.

use super::*;

fn steps(folder: &Folder, work: impl FnOnce()) -> Vec<String> {
    files::STEPS.take();
    work();
    let root = format!("{}/", folder.root.display());
    let steps = files::STEPS.take().into_iter().map(|step| {
        let (step, _random) = step.split_once(INCOMING).unwrap_or((&step, ""));
        let step = format!("{step}/").replace(&root, "");
        step.trim_end_matches('/').trim_end().to_owned()
    });
    steps.collect()
}

fn open() -> (tempfile::TempDir, Folder) {
    let temp = tempfile::tempdir().unwrap();
    let folder = Folder::open(&temp.path().join("cloud"), Expected::Nothing).unwrap();
    (temp, folder)
}

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).unwrap()
}

#[test]
fn a_put_is_durable_before_it_is_answered() {
    let (_temp, folder) = open();
    let put =
        |n: &str, how: PutMode| folder.put(&name(n), &Bytes::from_static(b"x"), &how).map(drop);
    let first = steps(&folder, || put("a/b/c", PutMode::CreateOnly).unwrap());
    let expected =
        ["sync .strongroom", "make a", "sync", "make a/b", "sync a", "rename to a/b/c", "sync a/b"];
    assert_eq!(first, expected);
    // Folders that are known are not synced again.
    let second = steps(&folder, || put("a/b/d", PutMode::Overwrite).unwrap());
    assert_eq!(second, ["sync .strongroom", "rename to a/b/d", "sync a/b"]);
}

#[test]
fn what_a_conflict_is_about_is_durable() {
    let (_temp, folder) = open();
    folder.put(&name("a/b"), &Bytes::from_static(b"x"), &PutMode::CreateOnly).unwrap();
    // As after a crash: nobody knows what was synced.
    let folder = Folder::open(&folder.root, Expected::Ours).unwrap();
    let again = steps(&folder, || {
        let put = folder.put(&name("a/b"), &Bytes::from_static(b"x"), &PutMode::CreateOnly);
        assert!(matches!(put, Err(CloudError::Conflict { .. })), "{put:?}");
    });
    assert_eq!(again, ["sync", "sync a"]);
}

#[test]
fn after_a_failed_put_folders_are_made_anew() {
    let (_temp, folder) = open();
    let put = || folder.put(&name("a/b"), &Bytes::from_static(b"x"), &PutMode::Overwrite);
    put().unwrap();
    fs::remove_dir_all(folder.root.join("a")).unwrap();
    assert!(put().unwrap_err().is_transient());
    put().unwrap();
    let left: Vec<_> = fs::read_dir(&folder.own).unwrap().collect();
    assert_eq!(left.len(), 2, "only the lock, and that it was chosen: {left:?}");
}

#[test]
fn a_deletion_is_durable_before_it_is_answered() {
    let (_temp, folder) = open();
    folder.put(&name("a/b"), &Bytes::from_static(b"x"), &PutMode::Overwrite).unwrap();
    let steps = steps(&folder, || folder.delete(&name("a/b")).unwrap());
    assert_eq!(steps, ["remove a/b", "sync a"]);
}

#[test]
fn a_new_folder_is_durable_in_its_parent() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("cloud");
    files::STEPS.take();
    let folder = Folder::open(&root, Expected::Nothing).unwrap();
    let done = files::STEPS.take();
    let at = |step: &str, path: &Path| {
        let step = format!("{step} {}", path.display());
        done.iter().position(|s| *s == step)
    };
    for made in [&root, &folder.own] {
        let made_at = at("make", made).unwrap();
        let synced = done.get(made_at + 1).unwrap();
        assert_eq!(*synced, format!("sync {}", made.parent().unwrap().display()));
    }
    let of_own = done.iter().rposition(|s| *s == format!("sync {}", folder.own.display()));
    for file in [&folder.lock, &folder.own.join(CHOSEN)] {
        assert!(at("sync", file).unwrap() < of_own.unwrap(), "{file:?}");
    }
}
