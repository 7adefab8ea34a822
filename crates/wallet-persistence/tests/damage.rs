//! Damage in the wallet folder or the cloud folder: reported as such, never restored or served.

#![expect(clippy::unwrap_used, reason = "a test panics")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use wallet_persistence::{
    CloudUrl, Key, KvStoreExt, Namespace, ProfileField, RootSecret, Settings, UnlockError,
    WalletPersistence,
};

fn wallet(folder: &Path, cloud: &Path) -> WalletPersistence {
    let mut settings = Settings::default();
    settings.replicate_every = None;
    let url = CloudUrl::parse(&format!("dir:{}", cloud.display())).unwrap();
    WalletPersistence::builder(folder).cloud_url(url).settings(settings).build()
}

fn root() -> RootSecret {
    RootSecret::from_bytes([1; 32])
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, &target).unwrap();
    }
}

/// A small wallet with two dumps' worth of chain: a dump, a segment, two heads.
async fn small(folder: &Path, cloud: &Path) -> String {
    let wallet = wallet(folder, cloud);
    let session = wallet.create(&root()).await.unwrap();
    session.set_profile(ProfileField::GivenName, "Ada").await.unwrap();
    session
        .add_account("eip155:1:0x974CaA59e49682CdA0AD2bbe82983419A2ECC400".parse().unwrap(), None)
        .await
        .unwrap();
    session.post_backup().await.unwrap();
    let kv = session.kv().unwrap();
    kv.write(&Namespace::new("a", "").unwrap(), &Key::new("k").unwrap(), b"value").unwrap();
    session.post_backup().await.unwrap();
    let digest = session.digest().await.unwrap().hex;
    session.lock().await.unwrap();
    digest
}

#[tokio::test]
async fn every_damaged_byte_of_the_cloud_is_reported_and_none_is_restored() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, cloud) = (dir.path().join("wallet"), dir.path().join("cloud"));
    let digest = small(&folder, &cloud).await;
    let session = wallet(&folder, &cloud).unlock(&root()).await.unwrap();
    let objects: Vec<PathBuf> = files(&cloud)
        .into_iter()
        .filter(|path| path.components().any(|c| c.as_os_str() == "sr1"))
        .collect();
    assert!(objects.len() >= 5, "{objects:?}");
    for object in objects {
        let good = fs::read(&object).unwrap();
        for at in (0..good.len()).step_by(17).chain([good.len() - 1]) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&object, &bad).unwrap();
            let report = session.verify(true).await.unwrap();
            assert!(report.is_damaged() && !report.local.is_damaged(), "{object:?} byte {at}");
        }
        // A restore either does not need the object or refuses.
        let fresh = dir.path().join("restored");
        match wallet(&fresh, &cloud).restore(&root(), |_| ()).await {
            Err(_) => assert!(!fresh.exists(), "a refused restore left a folder"),
            Ok(_) => {
                let restored = wallet(&fresh, &cloud).unlock(&root()).await.unwrap();
                assert_eq!(restored.digest().await.unwrap().hex, digest, "{object:?}");
                restored.lock().await.unwrap();
                fs::remove_dir_all(&fresh).unwrap();
            }
        }
        fs::remove_file(&object).unwrap();
        let report = session.verify(true).await.unwrap();
        assert!(report.is_damaged(), "{object:?} is missing and nobody says so");
        fs::write(&object, &good).unwrap();
    }
    assert!(!session.verify(true).await.unwrap().is_damaged());
    session.lock().await.unwrap();
}

#[tokio::test]
async fn damaged_bytes_of_the_wallet_folder_are_reported_or_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, cloud) = (dir.path().join("wallet"), dir.path().join("cloud"));
    let digest = small(&folder, &cloud).await;
    let mut reported = 0;
    for file in files(&folder) {
        let name = file.strip_prefix(&folder).unwrap().to_owned();
        let len = fs::metadata(&file).unwrap().len() as usize;
        // Small files byte by byte, log segments (mostly dead space) by samples.
        let step = if len < 600 { 13 } else { len / 24 };
        for at in (0..len).step_by(step) {
            let damaged = dir.path().join("damaged");
            copy(&folder, &damaged);
            let mut bytes = fs::read(damaged.join(&name)).unwrap();
            bytes[at] ^= 1;
            fs::write(damaged.join(&name), bytes).unwrap();
            match wallet(&damaged, &cloud).unlock(&root()).await {
                Err(UnlockError::Damaged { .. } | UnlockError::TooNew { .. }) => reported += 1,
                Err(other) => panic!("{name:?} byte {at}: {other:?}"),
                Ok(session) => {
                    let report = session.verify(false).await.unwrap();
                    if report.is_damaged() {
                        reported += 1;
                    } else {
                        assert_eq!(
                            session.digest().await.unwrap().hex,
                            digest,
                            "{name:?} byte {at}"
                        );
                        reported += usize::from(!report.local.findings.is_empty());
                    }
                    session.lock().await.unwrap();
                }
            }
            fs::remove_dir_all(&damaged).unwrap();
        }
    }
    assert!(reported > 40, "only {reported} damaged bytes were noticed");
}

#[tokio::test]
async fn nothing_known_can_be_read_in_either_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, cloud) = (dir.path().join("wallet"), dir.path().join("cloud"));
    let wallet = wallet(&folder, &cloud);
    let session = wallet.create(&root()).await.unwrap();
    let address = "974CaA59e49682CdA0AD2bbe82983419A2ECC400";
    session
        .add_account(format!("eip155:1:0x{address}").parse().unwrap(), Some("known-label"))
        .await
        .unwrap();
    session.set_profile(ProfileField::Email, "known@example.org").await.unwrap();
    let ns = Namespace::new("known_primary", "known_secondary").unwrap();
    let known = "a known value ".repeat(50);
    session.kv().unwrap().write(&ns, &Key::new("known_key").unwrap(), known).unwrap();
    session.post_backup().await.unwrap();

    let raw = data_encoding::HEXLOWER_PERMISSIVE.decode(address.as_bytes()).unwrap();
    let lower = address.to_lowercase();
    let needles: [&[u8]; 9] = [
        &raw,
        address.as_bytes(),
        lower.as_bytes(),
        b"known",
        b"eip155",
        b"accounts",
        b"email",
        b"~records",
        b"GivenName",
    ];
    let scan = |when: &str| {
        for file in files(dir.path()) {
            let mut haystack = fs::read(&file).unwrap();
            haystack.extend_from_slice(
                file.strip_prefix(dir.path()).unwrap().to_string_lossy().as_bytes(),
            );
            for needle in needles {
                let found = haystack.windows(needle.len()).any(|window| window == needle);
                assert!(
                    !found,
                    "{when}: {} can be read in {file:?}",
                    String::from_utf8_lossy(needle)
                );
            }
        }
    };
    scan("while open");
    session.lock().await.unwrap();
    scan("after closing");
}
