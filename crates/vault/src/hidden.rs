//! Names on disk: keyed hashes, except for the bookkeeping whose names are numbers.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use data_encoding::BASE32_NOPAD;
use kv_core::{InvalidName, Key, Namespace};

use crate::{Aad, Keys, aad::AadOfEach, mac::MacKey};

/// The primary namespace of the sealed store itself.
pub(crate) const OWN: &str = "~vault";
/// The primary namespace of the backup log above.
const LOG: &str = "~backup";
/// 160 bits: no collision among any number of names that fits on a disk.
const HASH: usize = 20;
/// The length of that in base32.
const HIDDEN: usize = 32;
/// How many hidden namespaces are remembered, about 300 bytes each.
const KNOWN_NAMESPACES: usize = 1024;

/// Where an entry lies in the store below.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) ns: Namespace,
    pub(crate) key: Key,
    /// Whether the name is hashed, so that the true one is kept in the name directory.
    pub(crate) hidden: bool,
}

/// Finds the place of an entry; the sealed store's own names and names that would show in clear
/// are refused.
pub(crate) fn place(keys: &Keys, ns: &Namespace, key: &Key) -> Result<Place, InvalidName> {
    if is_own(ns) {
        return Err(InvalidName::Taken);
    }
    if !is_clear(ns) {
        return Ok(Place { ns: namespace(keys, ns), key: self::key(keys, ns, key), hidden: true });
    }
    if key.as_number().is_none() {
        let letter = key.as_str().chars().find(|c| !c.is_ascii_digit());
        let found = letter.unwrap_or('0');
        return Err(InvalidName::Character { found });
    }
    Ok(Place { ns: ns.clone(), key: key.clone(), hidden: false })
}

/// Whether the namespace is the sealed store's own.
pub(crate) fn is_own(ns: &Namespace) -> bool {
    ns.primary() == OWN
}

/// Whether names stay in clear in this namespace: the log's, whose keys are numbers.
pub(crate) fn is_clear(ns: &Namespace) -> bool {
    ns.primary() == LOG
}

pub(crate) fn namespace(keys: &Keys, ns: &Namespace) -> Namespace {
    keys.at_rest_names().namespace(ns)
}

pub(crate) fn key(keys: &Keys, ns: &Namespace, key: &Key) -> Key {
    hash_key(keys, &names_in(ns).text(key.as_str()))
}

/// What the names of a namespace begin with.
fn names_in(ns: &Namespace) -> Aad {
    Aad::new("key").text(ns.primary()).text(ns.secondary())
}

fn hash_key(keys: &Keys, name: &Aad) -> Key {
    Key::new(keys.at_rest_names().hash(name).as_str()).expect("base32 is a valid name")
}

/// The key that hides names, and the namespaces that it has hidden last. Wiped when dropped.
pub(crate) struct NameKey {
    key: MacKey,
    /// A wallet has few namespaces and changes many keys in each.
    namespaces: RwLock<HashMap<Namespace, Namespace>>,
}

impl NameKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self { key: MacKey::new(key), namespaces: RwLock::default() }
    }

    fn namespace(&self, ns: &Namespace) -> Namespace {
        let known = self.namespaces.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(hidden) = known.get(ns) {
            return hidden.clone();
        }
        drop(known);
        let primary = self.hash(&Aad::new("primary").text(ns.primary()));
        let secondary = Aad::new("secondary").text(ns.primary()).text(ns.secondary());
        let secondary = self.hash(&secondary);
        let hidden = Namespace::new(primary.as_str(), secondary.as_str());
        let hidden = hidden.expect("base32 is a valid name");
        let mut known = self.namespaces.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_NAMESPACES {
            known.clear();
        }
        known.insert(ns.clone(), hidden.clone());
        hidden
    }

    fn hash(&self, name: &Aad) -> Hidden {
        let full = self.key.mac(name.as_bytes());
        let mut text = [0; HIDDEN];
        let (short, _) = full.split_at(HASH);
        BASE32_NOPAD.encode_mut(short, &mut text);
        text.make_ascii_lowercase();
        Hidden(text)
    }
}

/// A hidden name.
struct Hidden([u8; HIDDEN]);

impl Hidden {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Hides the keys of the namespaces that come one after the other: most neighbours share theirs.
pub(crate) struct Hider<'a> {
    keys: &'a Keys,
    last: Option<Neighbours>,
}

/// The keys of one namespace.
struct Neighbours {
    known: Namespace,
    hidden: Namespace,
    names: AadOfEach,
}

impl<'a> Hider<'a> {
    pub(crate) fn new(keys: &'a Keys) -> Self {
        Self { keys, last: None }
    }

    /// As [`place`].
    pub(crate) fn place(&mut self, ns: &Namespace, key: &Key) -> Result<Place, InvalidName> {
        if let Some(Neighbours { known, hidden, names }) = &mut self.last
            && known == ns
        {
            let key = hash_key(self.keys, names.text(key.as_str()));
            return Ok(Place { ns: hidden.clone(), key, hidden: true });
        }
        let mut place = place(self.keys, ns, key)?;
        if place.hidden {
            place.ns = place.ns.unshared();
            let (known, hidden) = (ns.clone(), place.ns.clone());
            let names = AadOfEach::new(names_in(ns));
            self.last = Some(Neighbours { known, hidden, names });
        }
        Ok(place)
    }
}
