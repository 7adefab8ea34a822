//! A device, a cloud and the way between them, for tests of backups.

#![allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper of tests panics")]

pub mod by_hand;
pub mod cloud;
pub mod device;
pub mod stores;

use std::{collections::BTreeMap, sync::Arc};

use backup::{Content, Cut, Entry, ObjectSealer, Recorder, RecorderSettings, Rule, Rules};
use kv_core::{Clock, Key, KvStore, KvStoreExt, Namespace, testing::ManualClock};
use vault::{Keys, RootSecret};

/// Everything in a store, as its user sees it.
pub type Contents = BTreeMap<(Namespace, Key), Vec<u8>>;

/// The bytes before a mergeable value.
pub const FRAME: usize = 29;

/// `m...` merges, `local` stays, everything else has a single writer.
pub fn rules() -> Rules {
    Rules::new([
        ("m", Rule::Mergeable),
        ("m2", Rule::Mergeable),
        ("local", Rule::LocalOnly),
        ("s", Rule::SingleWriter),
    ])
}

pub fn ns(primary: &str) -> Namespace {
    Namespace::any(primary, "").unwrap()
}

/// A namespace of the bookkeeping.
pub fn own(secondary: &str) -> Namespace {
    Namespace::reserved("~backup", secondary).unwrap()
}

pub fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

pub fn numbered(n: u64) -> Key {
    key(&format!("k{n}"))
}

pub fn sealer() -> ObjectSealer {
    sealer_of(7)
}

pub fn sealer_of(wallet: u8) -> ObjectSealer {
    ObjectSealer::new(keys_of(wallet))
}

pub fn keys_of(wallet: u8) -> Keys {
    Keys::derive(&RootSecret::from_bytes([wallet; 32]))
}

pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::default())
}

pub fn budget(memory_budget: u64) -> RecorderSettings {
    let mut settings = RecorderSettings::default();
    settings.memory_budget = memory_budget;
    settings
}

/// A recorder with a clock of its own.
pub fn recorder(store: impl KvStore + 'static) -> Arc<Recorder> {
    recorder_with(Arc::new(store), clock(), u64::MAX)
}

pub fn recorder_with(
    store: Arc<dyn KvStore>,
    clock: Arc<dyn Clock>,
    memory_budget: u64,
) -> Arc<Recorder> {
    Recorder::open(store, rules(), clock, budget(memory_budget)).unwrap()
}

pub fn contents(store: &dyn KvStore) -> Contents {
    let mut contents = Contents::new();
    for ns in store.namespaces().unwrap() {
        for key in store.list_all(&ns).unwrap() {
            let value = store.read_required(&ns, &key).unwrap();
            contents.insert((ns.clone(), key), value.to_vec());
        }
    }
    contents
}

/// What is backed up of it.
pub fn backed_up(store: &dyn KvStore) -> Contents {
    let mut contents = contents(store);
    contents.retain(|(ns, _), _| rules().of(ns) != Rule::LocalOnly);
    contents
}

/// What a cut says, without frames; `None` is a removal.
pub fn changes(cut: &Cut) -> BTreeMap<(Namespace, Key), Option<Vec<u8>>> {
    let framed = cut.mergeable.iter().map(|entry| change(entry, FRAME));
    framed.chain(cut.single_writer.iter().map(|entry| change(entry, 0))).collect()
}

fn change(entry: &Entry, frame: usize) -> ((Namespace, Key), Option<Vec<u8>>) {
    let value = match &entry.content {
        Content::Value(value) => Some(value[frame..].to_vec()),
        Content::Removed(_) => None,
        Content::Piece { .. } => panic!("a cut has no pieces"),
    };
    (entry.name.place().unwrap(), value)
}

/// Applies what a cut says.
pub fn apply(cut: &Cut, contents: &mut Contents) {
    for (place, value) in changes(cut) {
        match value {
            Some(value) => contents.insert(place, value),
            None => contents.remove(&place),
        };
    }
}
