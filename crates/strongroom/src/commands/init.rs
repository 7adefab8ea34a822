//! `init`: a new wallet, for new words or for a secret that exists.

use std::path::Path;

use serde::Serialize;
use wallet_persistence::{CloudUrl, RootSecret, StoreKind, WalletPersistence, Words};

use super::Context;
use crate::{
    cli::{Init, Store},
    exit::{Code, Failure, Result},
    secret,
};

#[derive(Serialize)]
struct Made<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    mnemonic: Option<&'a str>,
    dir: &'a Path,
    clouds: Vec<String>,
}

pub(super) async fn run(context: &Context, args: Init) -> Result<()> {
    let existing = existing(&args)?;
    let passphrase = match &args.passphrase_file {
        Some(path) => Some(secret::passphrase_file(path, "--passphrase-file")?),
        None => None,
    };
    let mut builder = match args.store {
        Store::Fs => context.wallet(),
        Store::Sqlite => context.wallet().store(StoreKind::Sqlite),
        Store::Mem => context.wallet_in_memory(),
    };
    for url in &args.clouds {
        builder = builder.cloud_url(url.clone());
    }
    let wallet = builder.build();
    check_places(&args.clouds)?;
    let (root, words) = match existing {
        Some(root) => {
            if !args.offline && has_backup(&wallet, &root).await? {
                return Err(Failure::new(
                    Code::Exists,
                    "a cloud holds a backup of this wallet already",
                    "bring it back with `strongroom restore --cloud URL`",
                ));
            }
            (root, None)
        }
        None => {
            let words = Words::generate()
                .map_err(|e| Failure::new(Code::Other, "no new words", "try again").because(&e))?;
            (RootSecret::from_words(&words), Some(words))
        }
    };
    let session = wallet.create(&root).await.map_err(|e| context.failure(e))?;
    if let Some(passphrase) = &passphrase {
        session.set_passphrase(&root, passphrase).await.map_err(|e| context.failure(e))?;
    }
    if args.store == Store::Mem && !args.clouds.is_empty() {
        // It is nowhere else.
        session.post_backup().await?;
    }
    session.lock().await?;

    let clouds: Vec<String> = args.clouds.iter().map(ToString::to_string).collect();
    let text = words.as_ref().map(Words::to_text);
    let mnemonic = text.as_ref().map(|text| text.as_str());
    let made = Made { mnemonic, dir: &context.dir, clouds };
    let shown = context.out.result(&made, || match mnemonic {
        // Nothing but the words, so that the output is a file for STRONGROOM_MNEMONIC_FILE.
        Some(words) => words.to_owned(),
        None => format!("made a wallet in {}", place(context, args.store)),
    });
    if mnemonic.is_none() {
        return shown;
    }
    if shown.is_err() {
        // A reader that left is no small matter here.
        return Err(Failure::new(
            Code::Other,
            "the words could not be printed, so nobody knows them",
            format!("remove {} and init again", context.dir.display()),
        ));
    }
    context.out.note(format_args!(
        "Made a wallet in {}. These 24 words are shown this once: who has them has the wallet,\n\
         who has lost them has lost it. Write them down.",
        place(context, args.store)
    ));
    Ok(())
}

async fn has_backup(wallet: &WalletPersistence, root: &RootSecret) -> Result<bool> {
    wallet.has_backup(root).await.map_err(|e| {
        let but = "make the folder of a new cloud first, or leave the question out with --offline";
        Failure::from(e).on("cannot ask whether there is a backup of this wallet already", but)
    })
}

/// A typing error, or a stick that is not plugged in, is told now and not with the first backup.
fn check_places(clouds: &[CloudUrl]) -> Result<()> {
    for url in clouds {
        let Some(folder) = url.folder().filter(|folder| !folder.exists()) else { continue };
        let Some(parent) = folder.parent().filter(|parent| !parent.exists()) else { continue };
        let (folder, parent) = (folder.display(), parent.display());
        return Err(Failure::new(
            Code::Cloud,
            format!("there is no folder {parent} in which {folder} could be made"),
            "plug the medium in, or mount it, or make that folder; or check the address",
        ));
    }
    Ok(())
}

fn place(context: &Context, store: Store) -> String {
    match store {
        Store::Fs | Store::Sqlite => context.dir.display().to_string(),
        Store::Mem => "memory, which is gone now".to_owned(),
    }
}

/// The secret that the options name, or else the environment, checked before anything is touched.
fn existing(args: &Init) -> Result<Option<RootSecret>> {
    if let Some(path) = &args.mnemonic_file {
        return secret::mnemonic_file(path, "--mnemonic-file").map(Some);
    }
    if let Some(path) = &args.key_file {
        return secret::key_file(path, "--key-file").map(Some);
    }
    if !args.evm_signature_files.is_empty() {
        let paths = &args.evm_signature_files;
        return secret::signature_files(paths, "--evm-signature-file").map(Some);
    }
    secret::root_from_env()
}
