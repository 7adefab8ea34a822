//! `kv`: entries of the user's own.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};

use serde::Serialize;
use wallet_persistence::{
    Batch, Error, InvalidName, Key, KvStore, KvStoreExt as _, Namespace, Session, Value,
};

use super::Context;
use crate::{
    cli::{self, Kv},
    exit::{Code, Failure, Result},
};

#[derive(Serialize)]
struct Entry<'a> {
    primary: &'a str,
    secondary: &'a str,
    key: &'a str,
    /// The size of the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    /// The value, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

pub(super) async fn run(context: &Context, command: Kv) -> Result<()> {
    // Names and files are checked before anything is opened.
    match command {
        Kv::Put { entry, file } => {
            let place = place(&entry)?;
            let value = read(&file)?;
            context.unlocked(async |session| put(context, session, &place, value).await).await
        }
        Kv::Get { entry } => {
            let place = place(&entry)?;
            context.unlocked(async |session| get(context, session, &place)).await
        }
        Kv::List { namespace } => {
            let ns = Namespace::new(&namespace.primary, &namespace.secondary)?;
            context.unlocked(async |session| list(context, session, &ns)).await
        }
        Kv::Remove { entry } => {
            let place = place(&entry)?;
            context.unlocked(async |session| remove(context, session, &place).await).await
        }
    }
}

type Place = (Namespace, Key);

async fn put(context: &Context, session: &Session, place: &Place, value: Vec<u8>) -> Result<()> {
    let bytes = value.len();
    let (ns, key) = place;
    session.kv()?.submit(Batch::new().put(ns, key, value)).await.map_err(Error::from)?;
    let json = Entry { bytes: Some(bytes), ..entry(ns, key) };
    context.out.result(&json, || format!("stored {} ({bytes} bytes)", name(place)))
}

fn get(context: &Context, session: &Session, place: &Place) -> Result<()> {
    let value = existing(&session.kv()?, place)?;
    if !context.out.json {
        return context.out.bytes(&value);
    }
    let mut hex = String::with_capacity(2 * value.len());
    for byte in value.iter() {
        let _ = write!(hex, "{byte:02x}");
    }
    let json = Entry { bytes: Some(value.len()), hex: Some(hex), ..entry(&place.0, &place.1) };
    context.out.result(&json, String::new)
}

fn list(context: &Context, session: &Session, ns: &Namespace) -> Result<()> {
    for key in session.kv()?.list_all(ns).map_err(Error::from)? {
        context.out.result(&entry(ns, &key), || key.as_str().to_owned())?;
    }
    Ok(())
}

async fn remove(context: &Context, session: &Session, place: &Place) -> Result<()> {
    let kv = session.kv()?;
    existing(&kv, place)?;
    let (ns, key) = place;
    kv.submit(Batch::new().remove(ns, key)).await.map_err(Error::from)?;
    context.out.result(&entry(ns, key), || format!("removed {}", name(place)))
}

fn existing(kv: &Arc<dyn KvStore>, place: &Place) -> Result<Value> {
    let value = kv.read(&place.0, &place.1).map_err(Error::from)?;
    value.ok_or_else(|| {
        Failure::new(
            Code::Missing,
            format!("there is no entry {}", name(place)),
            "`strongroom kv list PRIMARY SECONDARY` shows what there is",
        )
    })
}

fn entry<'a>(ns: &'a Namespace, key: &'a Key) -> Entry<'a> {
    Entry {
        primary: ns.primary(),
        secondary: ns.secondary(),
        key: key.as_str(),
        bytes: None,
        hex: None,
    }
}

fn name((ns, key): &Place) -> String {
    format!("{}/{}/{}", ns.primary(), ns.secondary(), key.as_str())
}

fn place(entry: &cli::Entry) -> Result<Place, InvalidName> {
    let ns = Namespace::new(&entry.namespace.primary, &entry.namespace.secondary)?;
    Ok((ns, Key::new(&entry.key)?))
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let outcome = if file == Path::new("-") {
        let mut value = Vec::new();
        io::stdin().lock().read_to_end(&mut value).map(|_| value)
    } else {
        fs::read(file)
    };
    outcome.map_err(|e| Failure::unreadable(file.display(), &e))
}
