//! Watching a wallet from a part of a program that has no key: it waits for whoever unlocks, listens,
//! and always knows what is not yet in the cloud.
//!
//! `cargo run -p wallet-persistence --example events`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, sync::Arc, time::Duration};

use tokio::sync::broadcast::error::RecvError;
use wallet_persistence::{CloudUrl, Event, ProfileField, RootSecret, Settings, WalletPersistence};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let cloud = CloudUrl::parse(&format!("dir:{}", dir.path().join("cloud").display()))?;
    let mut settings = Settings::default();
    settings.replicate_every = Some(Duration::from_millis(50));
    let builder = WalletPersistence::builder(dir.path().join("wallet")).cloud_url(cloud);
    let wallet = Arc::new(builder.settings(settings).build());

    // This part shows what happens. It needs no secret.
    let mut events = wallet.events();
    let watching = tokio::spawn(async move {
        loop {
            match events.recv().await {
                Ok(Event::Locked) => return,
                Ok(Event::Lag { records, .. }) => println!("{records} changes are not backed up"),
                Ok(event) => println!("{event:?}"),
                // Who is slow misses some, and is told how many.
                Err(RecvError::Lagged(missed)) => println!("{missed} events were missed"),
                Err(RecvError::Closed) => return,
            }
        }
    });
    // This one works with the wallet as soon as somebody has unlocked it.
    let working = {
        let wallet = wallet.clone();
        tokio::spawn(async move {
            let session = wallet.unlocked().await;
            session.set_profile(ProfileField::GivenName, "Ada").await
        })
    };

    // Only this one has the key.
    let session = wallet.create(&RootSecret::from_bytes([4; 32])).await?;
    working.await??;
    if let Some(waiting) = session.not_yet_replicated()? {
        println!("waiting for the cloud: {:?}", waiting.lag);
    }
    while session.status()?.lag_records > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    session.lock().await?;
    Ok(watching.await?)
}
