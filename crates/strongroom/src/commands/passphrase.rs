//! `passphrase`: set, change or remove what unlocks the wallet on this device.

use serde::Serialize;
use wallet_persistence::Secret;

use super::Context;
use crate::{cli::Passphrase, exit::Result, secret};

/// Said whenever a passphrase changes: it is no second way back to a lost wallet.
const LOST: &str = "It opens the wallet on this device only: \
                    if the device is lost, the words (or the key) are needed.";

#[derive(Serialize)]
struct Json {
    passphrase: &'static str,
    note: &'static str,
}

pub(super) async fn run(context: &Context, command: Passphrase) -> Result<()> {
    match command {
        Passphrase::Set { new_file } => {
            let current = context.secret().await?;
            let new = match &new_file {
                Some(path) => secret::passphrase_file(path, "--new-file")?,
                None => secret::new_passphrase()?,
            };
            context
                .unlocked_with(&current, async |session| {
                    let set = session.set_passphrase(current.clone(), &new).await;
                    set.map_err(|e| context.failure(e))
                })
                .await?;
            let json = Json { passphrase: "set", note: LOST };
            context.out.result(&json, || format!("The passphrase is set. {LOST}"))
        }
        Passphrase::Remove => {
            let root = secret::root()?;
            context
                .unlocked_with(&Secret::Root(root.clone()), async |session| {
                    session.remove_passphrase(&root).await.map_err(|e| context.failure(e))
                })
                .await?;
            let note = "Only the words (or the key) open the wallet now, on every device.";
            let json = Json { passphrase: "removed", note };
            context.out.result(&json, || format!("The passphrase is removed. {note}"))
        }
    }
}
