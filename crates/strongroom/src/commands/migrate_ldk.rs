//! `migrate --from`: a Lightning node on LDK moves into a wallet.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use wallet_persistence::{
    Copied, CopyError, CopySide, Error, InvalidName, Key, KvStore, LdkFolder, LdkNodeFile,
    Namespace, Session, StoreError,
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

/// What a node has kept, until it is sealed.
trait Kept: KvStore + Sized + 'static {
    /// How messages call it.
    const WHAT: &str;
    /// What to do if it cannot be read.
    const HELP: &str;
    fn skipped(&self) -> Vec<String>;
    fn add(&self, ns: &Namespace, key: &Key, value: &[u8]) -> Result<(), StoreError>;
    fn seal(self, note: &str) -> Result<PathBuf, StoreError>;
}

impl Kept for LdkFolder {
    const WHAT: &str = "folder";
    const HELP: &str =
        "use ldk-fs for `FilesystemStore`, ldk-fs-v2 for `FilesystemStoreV2`, and end the node";

    fn skipped(&self) -> Vec<String> {
        self.skipped().to_vec()
    }

    fn add(&self, ns: &Namespace, key: &Key, value: &[u8]) -> Result<(), StoreError> {
        self.add(ns, key, value)
    }

    fn seal(self, note: &str) -> Result<PathBuf, StoreError> {
        self.seal(note)
    }
}

impl Kept for LdkNodeFile {
    const WHAT: &str = "file";
    const HELP: &str = "name the file of ldk-node's SQLite store, and end the node";

    fn skipped(&self) -> Vec<String> {
        Vec::new()
    }

    fn add(&self, ns: &Namespace, key: &Key, value: &[u8]) -> Result<(), StoreError> {
        self.add(ns, key, value)
    }

    fn seal(self, note: &str) -> Result<PathBuf, StoreError> {
        self.seal(note)
    }
}

/// The wallet is that of `context`.
pub(super) async fn run(context: &Context, from: &Source, seed: Option<PathBuf>) -> Result<()> {
    match from {
        Source::Folder { version, path } => {
            let open = || LdkFolder::open(path, *version);
            moved(context, path, open, seed.as_deref()).await
        }
        Source::LdkNodeFile { path } => {
            moved(context, path, || LdkNodeFile::open(path), seed.as_deref()).await
        }
    }
}

async fn moved<S: Kept>(
    context: &Context,
    from: &Path,
    open: impl FnOnce() -> Result<S, StoreError>,
    seed: Option<&Path>,
) -> Result<()> {
    if absolute(&context.dir).starts_with(absolute(from)) {
        let what = "the wallet lies in the folder that is to be moved";
        return Err(Failure::new(Code::Usage, what, "name a wallet elsewhere").at(&context.dir));
    }
    let source = prepared(open, seed).map_err(|failure| failure.at(from))?;
    let skipped = source.skipped();
    let source = Arc::new(source);
    let copied = context.unlocked(async |session| copy(session, &source).await);
    let copied = copied.await.map_err(|failure| failure.at(from))?;
    // The wallet is locked: all of it is durable there.
    let source = Arc::into_inner(source).ok_or_else(|| Failure::from(Error::Task))?;
    let note = format!(
        "the Lightning node that was here was moved into the Strongroom wallet {}",
        absolute(&context.dir).display()
    );
    let sealed = source.seal(&note).map_err(|error| {
        let what =
            format!("everything is in the wallet, but the old {} could not be renamed", S::WHAT);
        let help = "never start the node from it again: its channels go on in the wallet; make the \
                    folder above it writable and run the same command once more";
        Failure::new(Code::NotWritable, what, help).because(&error).at(from)
    })?;
    let json = Json {
        from,
        to: &context.dir,
        entries: copied.entries,
        bytes: copied.bytes,
        there_before: copied.there_before,
        store_digest: &copied.digest,
        skipped: &skipped,
        sealed: &sealed,
    };
    context.out.result(&json, || told(&json, S::WHAT))
}

fn told(json: &Json<'_>, what: &str) -> String {
    let (sealed, to) = (json.sealed.display(), json.to.display());
    let skipped = match json.skipped {
        [] => String::new(),
        files => format!("\nnot moved, since LDK keeps nothing there: {}", files.join(", ")),
    };
    format!(
        "moved {} entries, {}, into the wallet {to}{skipped}\nthe old {what} is now {sealed}: never \
         start the node from it; it is not encrypted, so remove it when the node runs\nnext: \
         strongroom --dir {to} backup now",
        json.entries,
        output::bytes(json.bytes),
    )
}

async fn copy<S: Kept>(session: &Session, from: &Arc<S>) -> Result<Copied> {
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
            format!("the {} has changed while it was copied", S::WHAT),
            "end the node that uses it, then begin with a new wallet; nothing was sealed",
        ),
        Error::Copy(CopyError::Store { side: CopySide::From, source }) => unreadable::<S>(&source),
        error => error.into(),
    })
}

fn prepared<S: Kept>(
    open: impl FnOnce() -> Result<S, StoreError>,
    seed: Option<&Path>,
) -> Result<S> {
    let source = open().map_err(|e| unreadable::<S>(&e))?;
    if source.namespaces().map_err(|e| unreadable::<S>(&e))?.is_empty() {
        let help = format!("name the {} that LDK's store was made with", S::WHAT);
        return Err(Failure::new(Code::Missing, "LDK has stored nothing here", help));
    }
    let Some(seed) = seed else { return Ok(source) };
    let named = "the file that --seed-file names";
    let read = fs::read(seed).map(Zeroizing::new);
    let read = read.map_err(|error| Failure::unreadable(named, &error))?;
    if read.is_empty() {
        let error = io::Error::new(io::ErrorKind::InvalidData, "it is empty");
        return Err(Failure::unreadable(named, &error));
    }
    let (ns, key) = seed_place()?;
    match source.add(&ns, &key, read.as_slice()) {
        Err(StoreError::Precondition { .. }) => Err(Failure::new(
            Code::Exists,
            format!("LDK's {} holds another {SEED} than the file that --seed-file names", S::WHAT),
            "leave --seed-file out to move that one",
        )),
        added => added.map(|()| source).map_err(|e| unreadable::<S>(&e)),
    }
}

fn seed_place() -> Result<(Namespace, Key), InvalidName> {
    Ok((Namespace::new("", "")?, Key::new(SEED)?))
}

fn unreadable<S: Kept>(error: &StoreError) -> Failure {
    let (code, what, help) = match error {
        StoreError::NotFound { .. } => {
            (Code::Missing, format!("there is no such {}", S::WHAT), "name that of LDK's store")
        }
        StoreError::Refused { .. } => {
            (Code::Missing, "this node was moved before".into(), "run the node from the wallet")
        }
        StoreError::InUse { .. } => {
            (Code::InUse, format!("a node has this {} open", S::WHAT), "end the node")
        }
        StoreError::TooNew { .. } => {
            let what = format!("this {} is of a newer LDK", S::WHAT);
            (Code::TooNew, what, "use a newer version of strongroom")
        }
        _ => (Code::BadInput, format!("cannot read this as a {} of LDK's store", S::WHAT), S::HELP),
    };
    Failure::new(code, what, help).because(error)
}

/// As the operating system sees it, where it does.
fn absolute(path: &Path) -> PathBuf {
    let real = fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    real.unwrap_or_else(|_| path.to_owned())
}
