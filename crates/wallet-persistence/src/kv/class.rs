//! Which class the entries of a namespace have.

use std::{collections::BTreeSet, fmt};

use kv_core::{InvalidName, KvStore, Namespace};
use records::{ObjectStore, Query, Record, RecordKey};
use serde::{Deserialize, Serialize};

use super::mergeable::{self, is_empty};
use crate::{Error, Result, Session, registry::RECORDS, tower::Tower};

/// Who may write the entries of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KvClass {
    /// Every device; of each key the later change counts.
    Mergeable,
    /// One device at a time.
    SingleWriter,
}

/// What was chosen for a namespace of an application. Its key is its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvNamespace {
    /// First level of the name.
    pub primary: String,
    /// Second level of the name.
    pub secondary: String,
    /// The class.
    pub class: KvClass,
    /// Whether its entries were moved from the other class: what another device still has of them
    /// there counts no more.
    #[serde(default)]
    pub moved: bool,
}

impl Record for KvNamespace {
    const STORE: &'static str = "kv-namespaces";
    const VERSION: u32 = 1;

    fn key(&self) -> RecordKey {
        key(&self.primary, &self.secondary)
    }
}

/// A namespace with entries of an application's own, or for which a class was chosen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct ListedNamespace {
    /// First level of the name.
    pub primary: String,
    /// Second level of the name.
    pub secondary: String,
    /// The class.
    pub class: KvClass,
    /// How many entries it has.
    pub entries: u64,
    /// Whether they count no more: left here when they were moved to the other class.
    pub left_over: bool,
}

impl fmt::Display for KvClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mergeable => "mergeable",
            Self::SingleWriter => "single-writer",
        })
    }
}

impl KvClass {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Mergeable => Self::SingleWriter,
            Self::SingleWriter => Self::Mergeable,
        }
    }
}

impl KvNamespace {
    pub(super) fn new(ns: &Namespace, class: KvClass) -> Self {
        let (primary, secondary) = (ns.primary().to_owned(), ns.secondary().to_owned());
        Self { primary, secondary, class, moved: false }
    }
}

fn key(primary: &str, secondary: &str) -> RecordKey {
    (primary, secondary).into()
}

/// The key of what is chosen for a namespace.
pub(super) fn key_of(ns: &Namespace) -> RecordKey {
    key(ns.primary(), ns.secondary())
}

/// What was chosen for a namespace.
pub(super) fn chosen(
    names: &ObjectStore<KvNamespace>,
    ns: &Namespace,
) -> records::Result<Option<KvNamespace>> {
    Ok(names.get(key_of(ns))?.map(records::Found::into_record))
}

/// The entries decide; what was chosen counts while there are none, and where they were moved.
pub(super) fn class_of(
    kv: &dyn KvStore,
    names: &ObjectStore<KvNamespace>,
    ns: &Namespace,
) -> Result<Option<KvClass>> {
    if ns.is_reserved() {
        return Err(kv_core::Error::from(InvalidName::Taken).into());
    }
    let chosen = chosen(names, ns)?;
    let single = !is_empty(kv, ns)?;
    let merged = !is_empty(kv, &mergeable::place(ns)?)?;
    let is_left_over =
        chosen.as_ref().is_some_and(|chosen| chosen.moved && chosen.class == KvClass::Mergeable);
    match (single && !is_left_over, merged) {
        (true, true) => Err(Error::TwoClasses { namespace: name(ns) }),
        (true, false) => Ok(Some(KvClass::SingleWriter)),
        (false, true) => Ok(Some(KvClass::Mergeable)),
        (false, false) => Ok(chosen.map(|chosen| chosen.class)),
    }
}

/// How to speak of a namespace of the store: by the application's own name if its entries merge.
pub(crate) fn called(names: &ObjectStore<KvNamespace>, ns: &Namespace) -> String {
    if ns.primary() == RECORDS && ns.secondary().starts_with(mergeable::PREFIX) {
        let is_it = |chosen: &records::Found<KvNamespace>| {
            let own = Namespace::new(&chosen.primary, &chosen.secondary);
            own.is_ok_and(|own| mergeable::place(&own).is_ok_and(|place| place == *ns))
        };
        if let Ok(mut all) = names.query(&Query::all())
            && let Some(chosen) = all.find(is_it)
        {
            return format!("{}/{}", chosen.primary, chosen.secondary);
        }
    }
    name(ns)
}

/// For messages.
pub(super) fn name(ns: &Namespace) -> String {
    format!("{}/{}", ns.primary(), ns.secondary())
}

impl Session {
    /// The class of a namespace of an application's own; `None`: nothing was written into it yet.
    ///
    /// # Errors
    /// [`Error::TwoClasses`] if it has entries of both, since two devices that did not know of each
    /// other have chosen differently: [`Session::reclass_kv`] puts them together.
    pub fn kv_class(&self, ns: &Namespace) -> Result<Option<KvClass>> {
        let tower = self.tower()?;
        class_of(&*tower.kv(), &tower.data.kv_namespaces, ns)
    }

    /// Every namespace of an application's own, ascending by name; one with entries of both classes
    /// is there twice. Lists all keys, to count them.
    pub fn kv_namespaces(&self) -> Result<Vec<ListedNamespace>> {
        listed(self.tower()?)
    }
}

fn listed(tower: &Tower) -> Result<Vec<ListedNamespace>> {
    let (kv, names) = (tower.kv(), &tower.data.kv_namespaces);
    let own = |ns: &Namespace| !ns.is_reserved();
    let mut all: BTreeSet<(String, String)> = kv
        .namespaces()?
        .iter()
        .filter(|ns| own(ns))
        .map(|ns| (ns.primary().to_owned(), ns.secondary().to_owned()))
        .collect();
    all.extend(
        names
            .query(&Query::all())?
            .map(|chosen| (chosen.primary.clone(), chosen.secondary.clone())),
    );
    let mut listed = Vec::new();
    for (primary, secondary) in all {
        let ns = Namespace::new(&primary, &secondary).map_err(kv_core::Error::from)?;
        let chosen = chosen(names, &ns)?;
        let count = |ns: &Namespace| Ok::<_, Error>(kv.list(ns, None, usize::MAX)?.len() as u64);
        let places =
            [(KvClass::SingleWriter, ns.clone()), (KvClass::Mergeable, mergeable::place(&ns)?)];
        let mut any = false;
        for (class, place) in places {
            let entries = count(&place)?;
            let left_over = chosen.as_ref().is_some_and(|chosen| {
                chosen.moved && chosen.class == KvClass::Mergeable && class != chosen.class
            });
            if entries > 0 {
                any = true;
                let (primary, secondary) = (primary.clone(), secondary.clone());
                listed.push(ListedNamespace { primary, secondary, class, entries, left_over });
            }
        }
        if let (false, Some(chosen)) = (any, chosen) {
            let class = chosen.class;
            listed.push(ListedNamespace {
                primary,
                secondary,
                class,
                entries: 0,
                left_over: false,
            });
        }
    }
    Ok(listed)
}
