//! Clearing the clouds: only what was confirmed, and then everything.

use std::sync::Arc;

use cloud::MemCloud;
use listing::list;
use wallet_persistence::{Error, Key, KvStoreExt, Namespace, UnlockError};

use crate::common::{account, first, restored, root};

/// What is in the cloud.
mod listing {
    use cloud::{CloudBackend, MemCloud, ObjectName};

    pub(crate) async fn list(cloud: &MemCloud) -> usize {
        let all = ObjectName::new("sr1").unwrap();
        let mut count = 0;
        let mut after = None;
        loop {
            let page = cloud.list(&all, after.as_ref()).await.unwrap();
            let Some(last) = page.last() else { return count };
            after = Some(last.name.clone());
            count += page.len();
        }
    }
}

#[tokio::test]
async fn a_cleared_cloud_is_empty_and_the_next_backup_holds_everything() {
    let cloud = Arc::new(MemCloud::new());
    let a = first(&cloud).await;
    a.session.add_account(account(1, 1), None).await.unwrap();
    let (ns, key) = (Namespace::new("channels", "").unwrap(), Key::new("state").unwrap());
    a.session.kv().unwrap().write(&ns, &key, "1").unwrap();
    a.post().await;
    let b = restored(&cloud).await;
    b.session.add_account(account(1, 2), None).await.unwrap();
    b.post().await;
    b.session.lock().await.unwrap();
    a.poll().await;
    let digest = a.digest().await;

    let unlocked = a.wallet.ask_to_clear(&root()).await;
    assert!(matches!(unlocked, Err(UnlockError::InUse)), "{unlocked:?}");
    a.session.lock().await.unwrap();
    let to_clear = a.wallet.ask_to_clear(&root()).await.unwrap();
    assert_eq!(to_clear.objects, list(&cloud).await as u64);
    assert!(to_clear.bytes > 1000 && to_clear.clouds == ["cloud 1"], "{to_clear:?}");
    for wrong in ["", "yes", &to_clear.token[1..]] {
        let refused = a.wallet.clear_cloud_store(&root(), wrong).await;
        assert!(matches!(refused, Err(UnlockError::Other(Error::NotConfirmed))), "{refused:?}");
    }
    assert_eq!(list(&cloud).await as u64, to_clear.objects, "nothing was deleted");
    let cleared = a.wallet.clear_cloud_store(&root(), &to_clear.token).await.unwrap();
    assert_eq!((cleared.objects, cleared.bytes), (to_clear.objects, to_clear.bytes));
    assert_eq!(list(&cloud).await, 0);

    let session = a.wallet.unlock(&root()).await.unwrap();
    assert_eq!(session.digest().await.unwrap().hex, digest, "nothing here is gone");
    session.post_backup().await.unwrap();
    assert!(session.status().unwrap().findings.is_empty());
    session.kv().unwrap().write(&ns, &key, "2").unwrap();
    session.post_backup().await.unwrap();
    let digest = session.digest().await.unwrap().hex;
    let report = session.verify(true).await.unwrap();
    assert!(!report.is_damaged(), "{report:?}");
    assert_eq!(restored(&cloud).await.digest().await, digest);

    // Another device no longer counts: it takes what is there, and keeps what nobody had.
    let other = b.wallet.unlock(&root()).await.unwrap();
    other.add_account(account(1, 3), None).await.unwrap();
    assert!(other.poll_backups().await.unwrap().retired);
    other.rejoin().await.unwrap();
    other.post_backup().await.unwrap();
    session.poll_backups().await.unwrap();
    assert_eq!(session.accounts().unwrap().len(), 3);
    assert_eq!(other.accounts().unwrap(), session.accounts().unwrap());
}

/// A token confirms what was shown, and nothing that came later.
#[tokio::test]
async fn a_token_does_not_confirm_what_came_later() {
    let cloud = Arc::new(MemCloud::new());
    let a = first(&cloud).await;
    a.post().await;
    a.session.lock().await.unwrap();
    let to_clear = a.wallet.ask_to_clear(&root()).await.unwrap();
    let session = a.wallet.unlock(&root()).await.unwrap();
    session.add_account(account(1, 1), None).await.unwrap();
    session.post_backup().await.unwrap();
    session.lock().await.unwrap();
    let refused = a.wallet.clear_cloud_store(&root(), &to_clear.token).await;
    assert!(matches!(refused, Err(UnlockError::Other(Error::NotConfirmed))), "{refused:?}");
}
