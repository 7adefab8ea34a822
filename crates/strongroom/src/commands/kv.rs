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
    Batch, Error, InvalidName, Key, KvClass, KvStore, KvStoreExt as _, Namespace, Session, Value,
};

use super::Context;
use crate::{
    cli::{self, Class, ClassArgs, Kv},
    exit::{Code, Failure, Result},
    output::{row, table},
};

#[derive(Serialize)]
struct Entry<'a> {
    primary: &'a str,
    secondary: &'a str,
    key: &'a str,
    /// Of what was stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<KvClass>,
    /// The size of the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    /// The value, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

#[derive(Serialize)]
struct Moved<'a> {
    primary: &'a str,
    secondary: &'a str,
    class: KvClass,
    moved: u64,
}

pub(super) async fn run(context: &Context, command: Kv) -> Result<()> {
    // Names and files are checked before anything is opened.
    match command {
        Kv::Put { entry, file, class } => {
            let place = place(&entry)?;
            let value = read(&file)?;
            context
                .unlocked(async |session| put(context, session, &place, value, class.asked()).await)
                .await
        }
        Kv::Get { entry, class } => {
            let place = place(&entry)?;
            context.unlocked(async |session| get(context, session, &place, class)).await
        }
        Kv::List { namespace, class } => {
            let ns = checked(&namespace)?;
            context.unlocked(async |session| list(context, session, &ns, class)).await
        }
        Kv::Remove { entry, class } => {
            let place = place(&entry)?;
            context.unlocked(async |session| remove(context, session, &place, class).await).await
        }
        Kv::Namespaces => context.unlocked(async |session| namespaces(context, session)).await,
        Kv::Reclass { namespace, class } => {
            let ns = checked(&namespace)?;
            context
                .unlocked(async |session| reclass(context, session, &ns, class.into()).await)
                .await
        }
    }
}

type Place = (Namespace, Key);

async fn put(
    context: &Context,
    session: &Session,
    place: &Place,
    value: Vec<u8>,
    asked: Option<KvClass>,
) -> Result<()> {
    let bytes = value.len();
    let (ns, key) = place;
    let is_first = asked.is_none() && session.kv_class(ns)?.is_none();
    let class = session.put_kv(ns, key, value, asked).await?;
    if is_first {
        context.out.note(format_args!(
            "one device at a time writes the entries of {}/{}; with --mergeable every device may",
            ns.primary(),
            ns.secondary()
        ));
    }
    let json = Entry { bytes: Some(bytes), class: Some(class), ..entry(ns, key) };
    context.out.result(&json, || format!("stored {} ({bytes} bytes)", name(place)))
}

fn get(context: &Context, session: &Session, place: &Place, class: ClassArgs) -> Result<()> {
    let value = existing(&store(session, &place.0, class)?, place)?;
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

fn list(context: &Context, session: &Session, ns: &Namespace, class: ClassArgs) -> Result<()> {
    for key in store(session, ns, class)?.list_all(ns).map_err(Error::from)? {
        context.out.result(&entry(ns, &key), || key.as_str().to_owned())?;
    }
    Ok(())
}

async fn remove(
    context: &Context,
    session: &Session,
    place: &Place,
    class: ClassArgs,
) -> Result<()> {
    let (ns, key) = place;
    let kv = store(session, ns, class)?;
    existing(&kv, place)?;
    kv.submit(Batch::new().remove(ns, key)).await.map_err(Error::from)?;
    context.out.result(&entry(ns, key), || format!("removed {}", name(place)))
}

fn namespaces(context: &Context, session: &Session) -> Result<()> {
    let listed = session.kv_namespaces()?;
    if context.out.json {
        return listed.iter().try_for_each(|ns| context.out.result(ns, String::new));
    }
    let mut rows = vec![row([&"PRIMARY", &"SECONDARY", &"CLASS", &"ENTRIES", &""])];
    rows.extend(listed.iter().map(|ns| {
        let note = if ns.left_over { "left over, moved to mergeable" } else { "" };
        row([&ns.primary, &ns.secondary, &ns.class.to_string(), &ns.entries, &note])
    }));
    context.out.line(table(&rows))
}

async fn reclass(
    context: &Context,
    session: &Session,
    ns: &Namespace,
    class: KvClass,
) -> Result<()> {
    let moved = session.reclass_kv(ns, class).await?;
    let (primary, secondary) = (ns.primary(), ns.secondary());
    let json = Moved { primary, secondary, class, moved };
    context
        .out
        .result(&json, || format!("{primary}/{secondary} is {class}; {moved} entries were moved"))
}

/// Where the entries of a namespace are.
fn store(session: &Session, ns: &Namespace, class: ClassArgs) -> Result<Arc<dyn KvStore>> {
    let class = match class.asked() {
        Some(asked) => asked,
        None => session.kv_class(ns)?.unwrap_or(KvClass::SingleWriter),
    };
    Ok(session.kv_of(class)?)
}

impl ClassArgs {
    fn asked(self) -> Option<KvClass> {
        match (self.mergeable, self.single_writer) {
            (true, _) => Some(KvClass::Mergeable),
            (false, true) => Some(KvClass::SingleWriter),
            (false, false) => None,
        }
    }
}

impl From<Class> for KvClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Mergeable => Self::Mergeable,
            Class::SingleWriter => Self::SingleWriter,
        }
    }
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
        class: None,
        bytes: None,
        hex: None,
    }
}

fn name((ns, key): &Place) -> String {
    format!("{}/{}/{}", ns.primary(), ns.secondary(), key.as_str())
}

fn checked(namespace: &cli::Namespace) -> Result<Namespace, InvalidName> {
    Namespace::new(&namespace.primary, &namespace.secondary)
}

fn place(entry: &cli::Entry) -> Result<Place, InvalidName> {
    Ok((checked(&entry.namespace)?, Key::new(&entry.key)?))
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
