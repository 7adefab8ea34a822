//! The laws of a store, on the reference store, plain and behind injected faults.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use kv_core::{
    Key, KvStore, Namespace, Result,
    testing::{Damage, Fault, FaultyStore, Landing, Testbed},
};
use kv_mem::{Medium, MemStore};

/// `MemStore` behind a `FaultyStore`; every second injected failure lands although it is answered with an error.
#[derive(Default)]
struct Bed {
    medium: Medium,
    fault: Arc<Fault>,
}

static LANDINGS: AtomicU64 = AtomicU64::new(0);

impl Testbed for Bed {
    fn open(&self) -> Result<Arc<dyn KvStore>> {
        let store = Arc::new(MemStore::open(self.medium.clone())?);
        Ok(Arc::new(FaultyStore::new(store, self.fault.clone())))
    }

    fn crash(&self) {
        self.medium.crash();
    }

    fn fail_nth(&self, nth: u64) {
        let lands = LANDINGS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        self.fault.fail_nth(nth, if lands { Landing::Landed } else { Landing::Absent });
    }

    fn fired(&self) -> bool {
        self.fault.fired()
    }

    // Memory has no bytes at rest, no format and no key.
    fn damage(&self, _: Damage, _: &Namespace, _: &Key) -> bool {
        false
    }
}

kv_core::conformance!(Bed::default);

#[test]
fn newest_first_pages_are_stable() {
    use kv_core::{CreationOrder, KvStoreExt};
    let store = MemStore::new();
    let ns = Namespace::new("a", "").unwrap();
    let key = |name| Key::new(name).unwrap();
    for name in ["b", "a", "c", "d"] {
        store.write(&ns, &key(name), b"x").unwrap();
    }
    store.write(&ns, &key("a"), b"kept its place").unwrap();
    let first = store.list_newest_first(&ns, None, 2).unwrap();
    assert_eq!(first.keys, [key("d"), key("c")]);
    store.write(&ns, &key("e"), b"x").unwrap();
    let second = store.list_newest_first(&ns, first.next.as_ref(), 2).unwrap();
    assert_eq!(second.keys, [key("a"), key("b")]);
    assert_eq!(second.next, None);
}
