//! Unlocking by passphrase, words, key and signature: each opens the same wallet, and says why not.

#![expect(clippy::unwrap_used, reason = "a test panics")]

use std::path::Path;

use wallet_persistence::{
    Error, Passphrase, ProfileField, Reaction, RootSecret, Secret, Settings, UnlockError,
    WalletPersistence, Words,
};

fn wallet(folder: &Path) -> WalletPersistence {
    let mut settings = Settings::default();
    settings.replicate_every = None;
    WalletPersistence::builder(folder).settings(settings).build()
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text).unwrap()
}

#[tokio::test]
async fn words_key_and_passphrase_open_one_wallet() {
    let dir = tempfile::tempdir().unwrap();
    let wallet = wallet(&dir.path().join("wallet"));
    let words = Words::generate().unwrap();
    let root = RootSecret::from_words(&words);
    let session = wallet.create(&root).await.unwrap();
    session.set_profile(ProfileField::GivenName, "Ada").await.unwrap();
    assert!(!session.has_passphrase().unwrap());
    let seed = session.app_key("ldk-seed").unwrap();
    session.set_passphrase(&words, &passphrase("correct horse")).await.unwrap();
    assert!(session.has_passphrase().unwrap());
    session.lock().await.unwrap();
    let locked = session.set_passphrase(&words, &passphrase("another one")).await;
    assert!(matches!(locked, Err(UnlockError::Other(Error::Locked))));
    assert!(wallet.has_passphrase().await.unwrap());

    let secrets: [Secret; 3] =
        [(&words).into(), (&root).into(), Secret::Passphrase(passphrase("correct horse"))];
    for secret in secrets {
        let session = wallet.unlock(secret).await.unwrap();
        assert_eq!(session.profile(ProfileField::GivenName).unwrap().unwrap(), "Ada");
        assert_eq!(session.app_key("ldk-seed").unwrap().as_bytes(), seed.as_bytes());
        session.lock().await.unwrap();
    }

    let session = wallet.unlock(&passphrase("correct horse")).await.unwrap();
    let new = passphrase("battery staple");
    session.set_passphrase(&passphrase("correct horse"), &new).await.unwrap();
    session.lock().await.unwrap();
    let old = wallet.unlock(&passphrase("correct horse")).await.map(drop).unwrap_err();
    assert!(matches!(old, UnlockError::WrongPassphrase));
    assert_eq!(old.reaction(), Reaction::OtherPassphrase);
    let session = wallet.unlock(&new).await.unwrap();
    let other = session.remove_passphrase(&RootSecret::from_bytes([9; 32])).await.unwrap_err();
    assert!(matches!(other, UnlockError::OtherWallet));
    session.remove_passphrase(&root).await.unwrap();
    session.lock().await.unwrap();
    assert!(!wallet.has_passphrase().await.unwrap());
    let none = wallet.unlock(&new).await.map(drop).unwrap_err();
    assert!(matches!(none, UnlockError::NoPassphrase));
    assert_eq!(none.reaction(), Reaction::OtherPassphrase);
    wallet.unlock(&root).await.unwrap().lock().await.unwrap();
}

#[tokio::test]
async fn whether_a_passphrase_is_asked_for_needs_a_wallet() {
    let dir = tempfile::tempdir().unwrap();
    let wallet = wallet(&dir.path().join("wallet"));
    assert!(matches!(wallet.has_passphrase().await, Err(UnlockError::Empty)));
    let session = wallet.create(&RootSecret::from_bytes([9; 32])).await.unwrap();
    assert!(matches!(wallet.has_passphrase().await, Err(UnlockError::InUse)));
    session.lock().await.unwrap();
    assert!(!wallet.has_passphrase().await.unwrap());
}
