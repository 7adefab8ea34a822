//! What is merged at the worst moment: while the records of its type are being read.

use std::sync::{Arc, Mutex};

use backup::{Merged, Replaced};
use kv_core::{
    KvStore, KvStoreExt, Namespace,
    testing::{Fault, FaultyStore, Landing},
};
use kv_mem::MemStore;
use records::{ObjectStore, Record, RecordKey};
use serde::{Deserialize, Deserializer, Serialize};

use super::Stores;

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    #[serde(deserialize_with = "read")]
    id: String,
}

impl Record for Note {
    const STORE: &'static str = "notes";
    const VERSION: u32 = 1;

    fn key(&self) -> RecordKey {
        self.id.as_str().into()
    }
}

type Hook = Box<dyn FnOnce() + Send>;

/// What happens when the next note is read.
static MEANWHILE: Mutex<Option<Hook>> = Mutex::new(None);

fn read<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    let meanwhile = MEANWHILE.lock().unwrap().take();
    if let Some(meanwhile) = meanwhile {
        meanwhile();
    }
    String::deserialize(d)
}

#[test]
fn what_is_merged_while_a_type_is_being_opened_is_not_missed() {
    // Two notes, in the order in which they are read.
    let kv: Arc<dyn KvStore> = Arc::new(MemStore::new());
    let notes = ObjectStore::open(kv.clone()).unwrap().0;
    for id in ["a", "b"] {
        notes.put(&Note { id: id.to_owned() }).unwrap().wait().unwrap();
    }
    notes.close();
    let ns = Namespace::reserved("~records", Note::STORE).unwrap();
    let names = kv.list_all(&ns).unwrap();
    let [first, _] = names.as_slice() else { panic!("two notes") };
    // The first one is not there yet, and comes when its place in the listing is past.
    let value = kv.read(&ns, first).unwrap();
    kv.remove(&ns, first).unwrap();
    let stores = Arc::new(Stores::new(kv.clone()));
    let hook = {
        let (stores, kv, first) = (stores.clone(), kv.clone(), first.clone());
        move || {
            kv.write(&ns, &first, value.clone().unwrap()).unwrap();
            let change = Replaced { ns, key: first, before: None, after: value };
            stores.follow(&Merged { changes: vec![change], ..Merged::default() });
        }
    };
    *MEANWHILE.lock().unwrap() = Some(Box::new(hook));
    let opened = stores.open::<Note>().unwrap();
    assert!(MEANWHILE.lock().unwrap().is_none(), "it was merged");
    let ids: Vec<String> = opened.get_all().unwrap().iter().map(|note| note.id.clone()).collect();
    assert_eq!(ids, ["a", "b"]);
    // From then on it hears of changes at once, and there is one of it.
    assert_eq!(stores.counts().unwrap()[Note::STORE], 2);
    assert_eq!(stores.open::<Note>().unwrap().get_all().unwrap().len(), 2);
}

#[derive(Debug, Serialize, Deserialize)]
struct Early(String);

#[derive(Debug, Serialize, Deserialize)]
struct Late(String);

impl Record for Early {
    const STORE: &'static str = "early";
    const VERSION: u32 = 1;

    fn key(&self) -> RecordKey {
        self.0.as_str().into()
    }
}

impl Record for Late {
    const STORE: &'static str = "late";
    const VERSION: u32 = 1;

    fn key(&self) -> RecordKey {
        self.0.as_str().into()
    }
}

/// Puts a record as merging does: nobody is told yet.
fn below<R: Record>(kv: &Arc<dyn KvStore>, record: &R) -> Replaced {
    let ns = Namespace::reserved("~records", R::STORE).unwrap();
    let before = kv.list_all(&ns).unwrap();
    ObjectStore::open(kv.clone()).unwrap().0.put(record).unwrap().wait().unwrap();
    let key = kv.list_all(&ns).unwrap().into_iter().find(|key| !before.contains(key)).unwrap();
    let after = kv.read(&ns, &key).unwrap();
    Replaced { ns, key, before: None, after }
}

#[test]
fn a_store_that_cannot_read_what_was_merged_holds_up_no_other_and_is_told_again() {
    for again in ["with the next poll", "with the next merging", "when it is asked for"] {
        let (medium, fault): (Arc<dyn KvStore>, _) = (Arc::new(MemStore::new()), Arc::default());
        let stores = Stores::new(Arc::new(FaultyStore::new(medium.clone(), Arc::clone(&fault))));
        let (early, late) = (stores.open::<Early>().unwrap(), stores.open::<Late>().unwrap());
        let changes = vec![below(&medium, &Early("e".into())), below(&medium, &Late("l".into()))];
        Fault::fail_nth(&fault, 1, Landing::Absent);
        stores.follow(&Merged { changes, ..Merged::default() });
        let found = |early: &ObjectStore<Early>| early.get_all().unwrap().len();
        assert_eq!((found(&early), late.get_all().unwrap().len()), (0, 1), "{again}");
        match again {
            "with the next poll" => {
                Fault::fail_nth(&fault, 1, Landing::Absent);
                assert!(stores.catch_up().is_err(), "somebody has to hear of it");
                stores.catch_up().unwrap();
            }
            "with the next merging" => {
                let change = below(&medium, &Early("f".into()));
                stores.follow(&Merged { changes: vec![change], ..Merged::default() });
            }
            _ => _ = stores.open::<Early>().unwrap(),
        }
        assert_eq!(found(&early), if again == "with the next merging" { 2 } else { 1 }, "{again}");
    }
}
