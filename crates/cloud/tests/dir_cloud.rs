//! What a folder promises beyond the laws: crashes, several processes, strange places.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests panic")]

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use cloud::{
    Access, CloudBackend, CloudError, CloudUrl, DirCloud, ObjectName, PutMode, open_cloud,
    open_existing_cloud, open_known_cloud_with,
};

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).unwrap()
}

async fn put(cloud: &dyn CloudBackend, name: &ObjectName) -> Result<(), CloudError> {
    let put = cloud.put(name, "bytes".into(), PutMode::Overwrite).await;
    put.map(drop)
}

async fn names(cloud: &dyn CloudBackend, prefix: &str) -> Vec<String> {
    let page = cloud.list(&name(prefix), None).await.unwrap();
    page.iter().map(|meta| meta.name.to_string()).collect()
}

#[tokio::test]
async fn leftovers_of_a_crash_are_never_listed_and_swept() {
    let temp = tempfile::tempdir().unwrap();
    let cloud = DirCloud::open(temp.path()).unwrap();
    put(&cloud, &name("a/b")).await.unwrap();
    let leftover = temp.path().join(".strongroom/incoming-0123456789abcdef");
    fs::write(&leftover, "half an ob").unwrap();
    assert_eq!(names(&cloud, "a").await, ["a/b"]);
    put(&cloud, &name("a/c")).await.unwrap();
    let cloud = DirCloud::open(temp.path()).unwrap();
    assert!(!leftover.exists());
    assert_eq!(names(&cloud, "a").await, ["a/b", "a/c"]);
}

#[tokio::test]
async fn a_put_in_progress_elsewhere_is_not_swept() {
    let temp = tempfile::tempdir().unwrap();
    DirCloud::open(temp.path()).unwrap();
    let lock = fs::File::open(temp.path().join(".strongroom/lock")).unwrap();
    lock.lock().unwrap();
    let incoming = temp.path().join(".strongroom/incoming-0123456789abcdef");
    fs::write(&incoming, "still being written").unwrap();
    DirCloud::open(temp.path()).unwrap();
    assert!(incoming.exists());
    lock.unlock().unwrap();
    DirCloud::open(temp.path()).unwrap();
    assert!(!incoming.exists());
}

/// This test starts itself twice more; the two contestants create the same hundred objects.
#[test]
fn two_processes_racing_to_create_have_one_winner() {
    const FOLDER: &str = "STRONGROOM_TEST_RACE";
    const ROUNDS: usize = 100;
    if let Ok(folder) = env::var(FOLDER) {
        return contest(Path::new(&folder), ROUNDS);
    }
    let temp = tempfile::tempdir().unwrap();
    DirCloud::open(temp.path()).unwrap();
    let mut contestants = Vec::new();
    for _ in 0..2 {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "two_processes_racing_to_create_have_one_winner"])
            .arg("--nocapture")
            .env(FOLDER, temp.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with("ready")));
        contestants.push((process, lines));
    }
    for (process, _) in &mut contestants {
        process.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }
    let mut won = vec![0; ROUNDS];
    for (mut process, lines) in contestants {
        let id = process.id();
        for line in lines {
            if let Some(round) = line.unwrap().strip_prefix("won ") {
                let bytes = fs::read(temp.path().join("race").join(round)).unwrap();
                assert_eq!(bytes, id.to_string().as_bytes());
                won[round.parse::<usize>().unwrap()] += 1;
            }
        }
        assert!(process.wait().unwrap().success());
    }
    assert_eq!(won, vec![1; ROUNDS]);
}

fn contest(folder: &Path, rounds: usize) {
    let cloud = DirCloud::open(folder).unwrap();
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let id = std::process::id().to_string();
    for round in 0..rounds {
        let (object, bytes) = (name(&format!("race/{round}")), id.clone().into());
        match runtime.block_on(cloud.put(&object, bytes, PutMode::CreateOnly)) {
            Ok(_) => println!("won {round}"),
            Err(CloudError::Conflict { .. }) => {}
            Err(e) => panic!("{e:?}"),
        }
    }
}

/// This test starts itself twice more; each contestant replaces one object a hundred times, only if
/// it is what it has read: no replacement is lost.
#[test]
fn of_two_processes_that_replace_one_version_one_succeeds() {
    const FOLDER: &str = "STRONGROOM_TEST_REPLACE";
    const EACH: u64 = 100;
    let counter = name("race/counter");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let read = |cloud: &DirCloud| {
        let (bytes, tag) = runtime.block_on(cloud.get(&counter)).unwrap().unwrap();
        (String::from_utf8(bytes.to_vec()).unwrap(), tag)
    };
    if let Ok(folder) = env::var(FOLDER) {
        let cloud = DirCloud::open(Path::new(&folder)).unwrap();
        println!("ready");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        let (id, mut conflicts) = (std::process::id(), 0);
        for _ in 0..EACH {
            loop {
                let (text, tag) = read(&cloud);
                let count: u64 = text.split(' ').next().unwrap().parse().unwrap();
                let next = format!("{} {id}", count + 1).into();
                match runtime.block_on(cloud.put(&counter, next, PutMode::Replace(tag))) {
                    Ok(_) => break,
                    Err(CloudError::Conflict { .. }) => conflicts += 1,
                    Err(e) => panic!("{e:?}"),
                }
            }
        }
        println!("conflicts {conflicts}");
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let cloud = DirCloud::open(temp.path()).unwrap();
    runtime.block_on(cloud.put(&counter, "0 0".into(), PutMode::CreateOnly)).unwrap();
    let mut contestants = Vec::new();
    for _ in 0..2 {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "of_two_processes_that_replace_one_version_one_succeeds"])
            .arg("--nocapture")
            .env(FOLDER, temp.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with("ready")));
        contestants.push((process, lines));
    }
    for (process, _) in &mut contestants {
        process.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }
    let mut conflicts = 0;
    for (mut process, lines) in contestants {
        for line in lines {
            let line = line.unwrap();
            let found = line.strip_prefix("conflicts ").map(|n| n.parse::<u64>().unwrap());
            conflicts += found.unwrap_or(0);
        }
        assert!(process.wait().unwrap().success());
    }
    println!("{conflicts} conflicts");
    let (text, _) = read(&cloud);
    assert_eq!(text.split(' ').next().unwrap(), (2 * EACH).to_string(), "a replacement was lost");
}

#[tokio::test]
async fn a_folder_that_has_gone_never_looks_empty() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("stick");
    let cloud = DirCloud::open(&root).unwrap();
    put(&cloud, &name("a/b")).await.unwrap();
    fs::rename(&root, temp.path().join("unplugged")).unwrap();
    // Once without the folder, once with the empty one of a mount point.
    for _ in 0..2 {
        let transient = |e: CloudError| assert!(e.is_transient(), "{e:?}");
        transient(cloud.get(&name("a/b")).await.unwrap_err());
        transient(cloud.get(&name("a/none")).await.unwrap_err());
        transient(cloud.list(&name("a"), None).await.unwrap_err());
        transient(cloud.list(&name("none"), None).await.unwrap_err());
        transient(cloud.delete(&name("a/b")).await.unwrap_err());
        transient(put(&cloud, &name("a/c")).await.unwrap_err());
        fs::create_dir(&root).unwrap_or_default();
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0, "nothing is made");
    }
    fs::remove_dir(&root).unwrap();
    fs::rename(temp.path().join("unplugged"), &root).unwrap();
    assert_eq!(names(&cloud, "a").await, ["a/b"]);
    put(&cloud, &name("a/c")).await.unwrap();
}

#[tokio::test]
async fn what_is_not_ours_is_left_alone() {
    let temp = tempfile::tempdir().unwrap();
    let cloud = DirCloud::open(temp.path()).unwrap();
    put(&cloud, &name("a/b")).await.unwrap();
    for foreign in ["a/.DS_Store", "a/B", "a/x y", "a/con", "a/x~"] {
        fs::write(temp.path().join(foreign), "foreign").unwrap();
    }
    fs::create_dir(temp.path().join("a/.cache")).unwrap();
    fs::write(temp.path().join("a/.cache/x"), "foreign").unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(temp.path(), temp.path().join("a/loop")).unwrap();
        std::os::unix::fs::symlink("b", temp.path().join("a/link")).unwrap();
    }
    assert_eq!(names(&cloud, "a").await, ["a/b"]);
    DirCloud::open(temp.path()).unwrap();
    assert!(temp.path().join("a/.cache/x").exists());
}

#[tokio::test]
async fn a_name_that_is_taken_by_a_folder_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let cloud = DirCloud::open(temp.path()).unwrap();
    put(&cloud, &name("a/b")).await.unwrap();
    let too_long = "l".repeat(300);
    for refused in ["a", "a/b/c", "a/b/c/d", &too_long] {
        let put = put(&cloud, &name(refused)).await;
        assert!(matches!(put, Err(CloudError::Refused { .. })), "{put:?}");
    }
    assert_eq!(names(&cloud, "a").await, ["a/b"]);
}

/// A disk that fails, a folder that may not be looked into: here it is a link that leads nowhere.
#[cfg(unix)]
#[tokio::test]
async fn what_cannot_be_looked_at_is_not_taken_for_absent() {
    let temp = tempfile::tempdir().unwrap();
    let cloud = DirCloud::open(temp.path()).unwrap();
    put(&cloud, &name("a/b")).await.unwrap();
    for (link, target) in [("a/loop", "loop"), ("a/away", "../unplugged/object")] {
        let path = temp.path().join(link);
        std::os::unix::fs::symlink(target, &path).unwrap();
        let put = cloud.put(&name(link), "x".into(), PutMode::CreateOnly).await;
        assert!(put.as_ref().is_err_and(CloudError::is_transient), "{put:?}");
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink(), "it was put over");
    }
}

#[tokio::test]
async fn an_address_opens_the_folder_it_names() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("folder");
    let url = CloudUrl::parse(&format!("dir:{}", root.display())).unwrap();
    put(&*open_cloud(&url).await.unwrap(), &name("a")).await.unwrap();
    assert_eq!(fs::read(root.join("a")).unwrap(), b"bytes");
    let file = CloudUrl::parse(&format!("dir:{}", root.join("a").display())).unwrap();
    let opened = open_cloud(&file).await;
    assert!(matches!(opened, Err(CloudError::BadAddress { .. })), "{opened:?}");
}

/// It would be on the device's own disk, if it is the place of a medium.
#[tokio::test]
async fn what_a_new_folder_lies_in_is_not_made() {
    let temp = tempfile::tempdir().unwrap();
    let stick = temp.path().join("stick");
    let url = address(&stick.join("wallet"));
    let error = open_cloud(&url).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    let text = std::error::Error::source(&error).unwrap().to_string();
    assert!(text.contains("plug the medium in") && text.contains("stick"), "{text}");
    assert!(!stick.exists(), "it was made");
    fs::create_dir(&stick).unwrap();
    put(&*open_cloud(&url).await.unwrap(), &name("a")).await.unwrap();
    assert!(stick.join("wallet/a").exists());
}

fn address(path: &Path) -> CloudUrl {
    CloudUrl::parse(&format!("dir:{}", path.display())).unwrap()
}

/// Where a stick is not plugged in there is no folder, or the empty one of its mount point, which lies
/// on the device's own disk.
#[tokio::test]
async fn a_folder_that_was_used_before_is_not_made_anew() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("stick");
    let (url, access) = (address(&root), Access::default());
    put(&*open_cloud(&url).await.unwrap(), &name("sr1/b")).await.unwrap();
    fs::rename(&root, temp.path().join("unplugged")).unwrap();
    for _ in 0..2 {
        let error = open_known_cloud_with(&url, &access).await.unwrap_err();
        assert!(error.is_transient(), "{error:?}");
        let text = std::error::Error::source(&error).unwrap().to_string();
        assert!(text.contains("plug the medium in") && text.contains("stick"), "{text}");
        fs::create_dir(&root).unwrap_or_default();
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0, "nothing is made");
    }
    fs::remove_dir(&root).unwrap();
    fs::rename(temp.path().join("unplugged"), &root).unwrap();
    let cloud = open_known_cloud_with(&url, &access).await.unwrap();
    put(&*cloud, &name("sr1/c")).await.unwrap();
    assert_eq!(names(&*cloud, "sr1").await, ["sr1/b", "sr1/c"]);
}

/// Many a program that copies leaves out what begins with a dot.
#[tokio::test]
async fn a_copy_without_our_mark_is_known_by_its_backups() {
    let temp = tempfile::tempdir().unwrap();
    fs::create_dir_all(temp.path().join("sr1")).unwrap();
    fs::write(temp.path().join("sr1/b"), "bytes").unwrap();
    let cloud = open_known_cloud_with(&address(temp.path()), &Access::default()).await.unwrap();
    put(&*cloud, &name("sr1/c")).await.unwrap();
    assert_eq!(names(&*cloud, "sr1").await, ["sr1/b", "sr1/c"]);
}

/// Else the mount point of a medium that is not there would pass for the medium from then on.
#[tokio::test]
async fn looking_into_a_folder_makes_nothing_there_and_putting_does() {
    let temp = tempfile::tempdir().unwrap();
    let cloud = open_existing_cloud(&address(temp.path())).await.unwrap();
    assert!(cloud.get(&name("a/b")).await.unwrap().is_none());
    assert!(names(&*cloud, "a").await.is_empty());
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0, "something was made");
    put(&*cloud, &name("a/b")).await.unwrap();
    assert_eq!(names(&*cloud, "a").await, ["a/b"]);
    let none = open_existing_cloud(&address(&temp.path().join("typo"))).await;
    assert!(matches!(none, Err(CloudError::BadAddress { .. })), "{none:?}");
}

/// Who tries a cloud out puts into it, and may do so where the medium is not plugged in.
#[tokio::test]
async fn a_folder_that_was_only_tried_out_is_not_one_that_was_backed_up_to() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("stick");
    let url = address(&root);
    let is_away = async || {
        let known = open_known_cloud_with(&url, &Access::default()).await;
        assert!(known.as_ref().is_err_and(CloudError::is_transient), "{known:?}");
    };
    let try_out = async || {
        let tried = cloud::check(&open_existing_cloud(&url).await.unwrap()).await;
        assert!(tried.failure().is_none(), "{tried:?}");
    };
    fs::create_dir(&root).unwrap();
    try_out().await;
    is_away().await;
    fs::remove_dir_all(&root).unwrap();
    // Once it was chosen it is, also before the first backup.
    let cloud = open_cloud(&url).await.unwrap();
    open_known_cloud_with(&url, &Access::default()).await.unwrap();
    // Nor is it for somebody who has it open when the medium is unplugged.
    let unplugged = temp.path().join("unplugged");
    for (is_backed_up, cloud) in [(false, cloud.clone()), (true, cloud)] {
        if is_backed_up {
            put(&*cloud, &name("sr1/b")).await.unwrap();
        }
        fs::rename(&root, &unplugged).unwrap();
        fs::create_dir(&root).unwrap();
        try_out().await;
        assert!(put(&*cloud, &name("sr1/c")).await.unwrap_err().is_transient());
        assert!(cloud.get(&name("sr1/b")).await.unwrap_err().is_transient());
        assert!(cloud.list(&name("sr1"), None).await.unwrap_err().is_transient());
        assert!(cloud.delete(&name("sr1/b")).await.unwrap_err().is_transient());
        assert!(!root.join("sr1").exists());
        is_away().await;
        fs::remove_dir_all(&root).unwrap();
        fs::rename(&unplugged, &root).unwrap();
    }
    let cloud = open_known_cloud_with(&url, &Access::default()).await.unwrap();
    assert_eq!(names(&*cloud, "sr1").await, ["sr1/b"]);
}

/// Folders of before had a lock file alone; their backups say that they are ours.
#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_cannot_be_written_to_is_known_by_its_backups() {
    use std::os::unix::fs::PermissionsExt;
    let temp = tempfile::tempdir().unwrap();
    let url = address(temp.path());
    put(&*open_cloud(&url).await.unwrap(), &name("sr1/b")).await.unwrap();
    let own = temp.path().join(".strongroom");
    fs::remove_file(own.join("chosen")).unwrap();
    for path in [&own, temp.path()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o555)).unwrap();
    }
    let known = open_known_cloud_with(&url, &Access::default()).await;
    let opened = open_cloud(&url).await;
    for path in [&own, temp.path()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for cloud in [known, opened] {
        assert_eq!(names(&*cloud.unwrap(), "sr1").await, ["sr1/b"]);
    }
    assert!(!own.join("chosen").exists());
}

#[tokio::test]
async fn a_folder_that_goes_before_the_first_put_is_not_made() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("stick");
    fs::create_dir(&root).unwrap();
    let cloud = open_existing_cloud(&address(&root)).await.unwrap();
    fs::remove_dir(&root).unwrap();
    assert!(put(&*cloud, &name("a/b")).await.unwrap_err().is_transient());
    assert!(cloud.list(&name("a"), None).await.unwrap_err().is_transient());
    assert!(!root.exists());
}
