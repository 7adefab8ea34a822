//! `migrate --from`: a Lightning node on LDK moves into a wallet.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use wallet_persistence::{
    Copied, CopyError, CopySide, Error, InvalidName, Key, KvStore as _, LdkFolder, Namespace,
    Session, StoreError,
};
use zeroize::Zeroizing;

use super::Context;
use crate::{
    cli::Source,
    exit::{Code, Failure, Result},
    output,
    progress::Progress,
};

/// How programs on LDK call the file with their seed.
const SEED: &str = "keys_seed";

#[derive(Serialize)]
struct Json<'a> {
    from: &'a Path,
    to: &'a Path,
    entries: u64,
    bytes: u64,
    there_before: u64,
    /// Of what was moved.
    store_digest: &'a str,
    /// Files that are no entries of LDK's.
    skipped: &'a [String],
    /// Where the folder is now.
    sealed: &'a Path,
}

/// The wallet is that of `context`.
pub(super) async fn run(context: &Context, from: &Source, seed: Option<PathBuf>) -> Result<()> {
    let folder = &from.folder;
    if absolute(&context.dir).starts_with(absolute(folder)) {
        let what = "the wallet lies in the folder that is to be moved";
        return Err(Failure::new(Code::Usage, what, "name a wallet elsewhere").at(&context.dir));
    }
    let source = open(from, seed.as_deref())?;
    let skipped = source.skipped().to_vec();
    let source = Arc::new(source);
    let copied = context.unlocked(async |session| copy(session, &source).await);
    let copied = copied.await.map_err(|failure| failure.at(folder))?;
    // The wallet is locked: all of it is durable there.
    let source = Arc::into_inner(source).ok_or_else(|| Failure::from(Error::Task))?;
    let note = format!(
        "the Lightning node that was here was moved into the Strongroom wallet {}",
        absolute(&context.dir).display()
    );
    let sealed = source.seal(&note).map_err(|error| {
        let what = "everything is in the wallet, but the old folder could not be renamed";
        let help = "never start the node from it again: its channels go on in the wallet; make the \
                    folder above it writable and run the same command once more";
        Failure::new(Code::NotWritable, what, help).because(&error).at(folder)
    })?;
    let json = Json {
        from: folder,
        to: &context.dir,
        entries: copied.entries,
        bytes: copied.bytes,
        there_before: copied.there_before,
        store_digest: &copied.digest,
        skipped: &skipped,
        sealed: &sealed,
    };
    context.out.result(&json, || told(&json))
}

fn told(json: &Json<'_>) -> String {
    let (sealed, to) = (json.sealed.display(), json.to.display());
    let skipped = match json.skipped {
        [] => String::new(),
        files => format!("\nnot moved, since LDK keeps nothing there: {}", files.join(", ")),
    };
    format!(
        "moved {} entries, {}, into the wallet {to}{skipped}\nthe old folder is now {sealed}: never \
         start the node from it; it is not encrypted, so remove it when the node runs\nnext: \
         strongroom --dir {to} backup now",
        json.entries,
        output::bytes(json.bytes),
    )
}

async fn copy(session: &Session, from: &Arc<LdkFolder>) -> Result<Copied> {
    let progress = Progress::entries("moving");
    let bar = progress.bar();
    let copied = session.copy_from(from.clone(), move |at| {
        let done = if at.comparing { at.total + at.done } else { at.done };
        bar.set(done, 2 * at.total);
    });
    copied.await.map_err(|error| match error {
        Error::Copy(CopyError::NotEmpty) => Failure::new(
            Code::Exists,
            "the wallet has other entries already",
            "make a wallet for the node: strongroom --dir NEW init",
        ),
        Error::Copy(CopyError::Differs) => Failure::new(
            Code::Other,
            "the folder has changed while it was copied",
            "end the node that uses it, then begin with a new wallet; the folder is as it was",
        ),
        Error::Copy(CopyError::Store { side: CopySide::From, source }) => unreadable(&source),
        error => error.into(),
    })
}

fn open(from: &Source, seed: Option<&Path>) -> Result<LdkFolder> {
    let at = |failure: Failure| failure.at(&from.folder);
    let folder = LdkFolder::open(&from.folder, from.version).map_err(|e| at(unreadable(&e)))?;
    if folder.namespaces().map_err(|e| at(unreadable(&e)))?.is_empty() {
        let help = "name the folder that LDK's store was made with, and its version";
        return Err(at(Failure::new(Code::Missing, "LDK has stored nothing here", help)));
    }
    let Some(seed) = seed else { return Ok(folder) };
    let named = "the file that --seed-file names";
    let read = fs::read(seed).map(Zeroizing::new);
    let read = read.map_err(|error| Failure::unreadable(named, &error))?;
    if read.is_empty() {
        let error = io::Error::new(io::ErrorKind::InvalidData, "it is empty");
        return Err(Failure::unreadable(named, &error));
    }
    let (ns, key) = seed_place()?;
    match folder.add(&ns, &key, read.as_slice()) {
        Err(StoreError::Precondition { .. }) => Err(at(Failure::new(
            Code::Exists,
            format!("LDK's folder holds another {SEED} than the file that --seed-file names"),
            "leave --seed-file out to move the one in the folder",
        ))),
        added => added.map(|()| folder).map_err(|e| at(unreadable(&e))),
    }
}

fn seed_place() -> Result<(Namespace, Key), InvalidName> {
    Ok((Namespace::new("", "")?, Key::new(SEED)?))
}

fn unreadable(error: &StoreError) -> Failure {
    let (code, what, help) = match error {
        StoreError::NotFound { .. } => {
            (Code::Missing, "there is no such folder", "name the folder of LDK's store")
        }
        StoreError::Refused { .. } => {
            (Code::Missing, "this node was moved before", "run the node from the wallet")
        }
        _ => (
            Code::BadInput,
            "cannot read this as a folder of LDK's store",
            "use ldk-fs for `FilesystemStore`, ldk-fs-v2 for `FilesystemStoreV2`, and end the node",
        ),
    };
    Failure::new(code, what, help).because(error)
}

/// As the operating system sees it, where it does.
fn absolute(path: &Path) -> PathBuf {
    let real = fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    real.unwrap_or_else(|_| path.to_owned())
}
