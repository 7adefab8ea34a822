//! After `lock` no key is in the memory of the process, though clones of the session live on. One
//! test in a process of its own.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test panics")]

use kv_core::testing::memory::{Needle, scan};
use wallet_persistence::{
    CloudUrl, KvStoreExt, Namespace, Passphrase, ProfileField, RootSecret, Settings,
    WalletPersistence,
};

/// A root secret, and what `docs/src/formats/envelope-v1.md` derives from it.
const ROOT: &str = "88549246920da405dc1be4622bfd908dd8c083bbf9c6ba1685a83388a85099f8";
const HELD: [(&str, &str); 12] = [
    ("at-rest encryption", "a92cdde17bcba22b09e65895b25ab0d9d2c56c308fd2360659d8066319a65483"),
    (
        "at-rest commitment, first state",
        "eb521698071cd9fc56ab4eacbcb1cd1a8b9e42cb35d38dd4ce0deb052d3ad5c9",
    ),
    (
        "at-rest commitment, second state",
        "b6d3d2a87e586c4d1ecbfd04c9efb932d333340518b761c8eb038bccaec2c65d",
    ),
    (
        "at-rest names, first state",
        "2a60fe342eccb4367969348283ab5b95dad7d2585c15c2ae46d2130ed51a6ad6",
    ),
    (
        "at-rest names, second state",
        "0864b3cc1a2af08b8330c48457030397638ba2c0f1a0beaaee416b3ab39db9af",
    ),
    ("backup encryption", "5b427a76c865a5cf66aaac817a357295066bb87db33171e2b16a387e1321c3e6"),
    (
        "backup commitment, first state",
        "2bbcde618a66110c7568b66730da8990f276276dd1b99a81cfbcfc3c2237866c",
    ),
    (
        "backup commitment, second state",
        "4efba8a3b22ec7594cef4a1c075cfa34009a3ddcfe4f47f54daf92a2d7c0c2cb",
    ),
    (
        "backup digest, first state",
        "b9471ee43a1556a2e9f717ca9c4c1654117ad06c1a6148f6b0904fdd458fbf53",
    ),
    (
        "backup digest, second state",
        "4f44f6bf49a24dadba92031e181bb882d4fc655e945e68c1b95ca86948355338",
    ),
    ("cloud identity", "b135a86d0fd25c143d0ba16f33f0f8f873d6d172736f4d4d71078d7438a96dcf"),
    ("app", "f7d361b3699e0f17925bc9b1ce4e460ee14174e49a5fbde33cda1dc1c52ee18b"),
];

fn found(needles: &[Needle]) -> Vec<&'static str> {
    let mut names: Vec<_> = scan(needles).unwrap().into_iter().map(|(name, _)| name).collect();
    names.dedup();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_is_in_memory_after_lock_while_sessions_live_on() {
    let held = HELD.map(|(name, digits)| Needle::hex(name, digits));
    let root = [Needle::hex("root", ROOT)];
    assert!(found(&held).is_empty() && found(&root).is_empty());

    let dir = tempfile::tempdir().unwrap();
    let cloud = CloudUrl::parse(&format!("dir:{}", dir.path().join("cloud").display())).unwrap();
    let mut settings = Settings::default();
    settings.replicate_every = None;
    let wallet = WalletPersistence::builder(dir.path().join("wallet"));
    let wallet = wallet.cloud_url(cloud).settings(settings).build();
    let passphrase = Passphrase::new("correct horse battery staple").unwrap();
    {
        let secret = RootSecret::from_hex(ROOT).unwrap();
        let session = wallet.create(&secret).await.unwrap();
        session.set_passphrase(&secret, &passphrase).await.unwrap();
        session.lock().await.unwrap();
    }
    assert!(found(&held).is_empty(), "keys are in memory after lock");
    assert!(found(&root).is_empty(), "the root secret is in memory after it is dropped");

    let session = wallet.unlock(&passphrase).await.unwrap();
    session.set_profile(ProfileField::GivenName, "Ada").await.unwrap();
    let kv = session.kv().unwrap();
    let ns = Namespace::new("notes", "").unwrap();
    for n in 0..100 {
        kv.write(&ns, &wallet_persistence::Key::number(n), vec![7; 1000]).unwrap();
    }
    session.post_backup().await.unwrap();
    session.set_profile(ProfileField::GivenName, "Augusta Ada").await.unwrap();
    session.post_backup().await.unwrap();
    session.verify(true).await.unwrap();
    session.digest().await.unwrap();
    let mut all: Vec<_> = HELD.map(|(name, _)| name).into();
    all.sort_unstable();
    assert_eq!(found(&held), all, "the search finds what is there");
    assert!(found(&root).is_empty(), "an unlocked wallet needs no more than its keys");

    let clone = session.clone();
    session.lock().await.unwrap();
    assert!(found(&held).is_empty(), "keys are in memory after lock");
    drop((session, clone, kv));
}
