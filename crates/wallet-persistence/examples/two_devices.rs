//! Two devices of one wallet: both change things while they are apart, and agree after they have polled.
//!
//! `cargo run -p wallet-persistence --example two_devices`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use wallet_persistence::{CloudUrl, Event, ProfileField, RootSecret, Settings, WalletPersistence};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let cloud = CloudUrl::parse(&format!("dir:{}", dir.path().join("cloud").display()))?;
    let root = RootSecret::from_bytes([2; 32]);
    let wallet = |name: &str| {
        // By themselves they would back up every second and poll every minute; here we say when.
        let mut settings = Settings::default();
        settings.replicate_every = None;
        let builder = WalletPersistence::builder(dir.path().join(name));
        builder.cloud_url(cloud.clone()).settings(settings).build()
    };

    // The first device makes the wallet, the second one gets it from the words and the cloud.
    let phone = wallet("phone").create(&root).await?;
    phone.set_profile(ProfileField::GivenName, "Ada").await?;
    phone.post_backup().await?;
    let laptop = wallet("laptop");
    laptop.restore(&root, |progress| println!("restoring: {progress:?}")).await?;
    let laptop = laptop.unlock(&root).await?;

    // Apart from each other they change different things, and one the same.
    phone.add_account("eip155:1:0x974CaA59e49682CdA0AD2bbe82983419A2ECC400".parse()?, None).await?;
    phone.set_profile(ProfileField::Location, "London").await?;
    laptop
        .add_account("eip155:10:0x974CaA59e49682CdA0AD2bbe82983419A2ECC400".parse()?, None)
        .await?;
    laptop.set_profile(ProfileField::Location, "Paris").await?;

    let mut events = phone.events();
    for session in [&phone, &laptop] {
        session.post_backup().await?;
    }
    for session in [&phone, &laptop] {
        session.poll_backups().await?;
    }
    while let Ok(event) = events.try_recv() {
        match event {
            Event::Merged { changes, .. } => println!("the phone merged {changes} changes"),
            Event::ConflictResolved { key, mine, .. } => {
                println!("both had changed {key}; the phone's counts: {mine}");
            }
            _ => {}
        }
    }
    assert_eq!(phone.digest().await?, laptop.digest().await?);
    println!(
        "both know {} accounts, and live in {:?}",
        phone.accounts()?.len(),
        phone.profile(ProfileField::Location)?
    );
    phone.lock().await?;
    Ok(laptop.lock().await?)
}
