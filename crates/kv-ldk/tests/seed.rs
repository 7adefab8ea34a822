//! The seed of a node: the wallet's own, or one that was moved there.

use std::sync::Arc;

use kv_core::testing::{Fault, FaultyStore, Landing};
use kv_ldk::{SEED_KEY, StrongroomStore};
use kv_mem::MemStore;
use lightning::{
    io::ErrorKind,
    sign::{KeysManager, NodeSigner, Recipient},
    util::persist::KVStoreSync,
};

#[test]
fn a_node_that_was_moved_keeps_its_identity() {
    let store = StrongroomStore::new(Arc::new(MemStore::new()));
    let (derived, moved) = ([1; 32], [2; 32]);
    let id = |seed: &[u8; 32]| KeysManager::new(seed, 1, 1, true).get_node_id(Recipient::Node);
    assert_eq!(*store.seed_or(&derived).unwrap(), derived);
    KVStoreSync::write(&store, "", "", SEED_KEY, moved.to_vec()).unwrap();
    assert_eq!(id(&store.seed_or(&derived).unwrap()), id(&moved));
    // Of another program: its keys are not to be guessed.
    KVStoreSync::write(&store, "", "", SEED_KEY, vec![2; 64]).unwrap();
    let error = store.seed_or(&derived).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains("32 bytes"), "{error}");
}

#[test]
fn a_seed_that_cannot_be_read_is_not_taken_for_none() {
    let fault = Arc::new(Fault::default());
    let faulty = FaultyStore::new(Arc::new(MemStore::new()), fault.clone());
    let store = StrongroomStore::new(Arc::new(faulty));
    KVStoreSync::write(&store, "", "", SEED_KEY, vec![2; 32]).unwrap();
    fault.fail_nth(1, Landing::Absent);
    let error = store.seed_or(&[1; 32]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other);
    assert!(fault.fired());
    assert_eq!(*store.seed_or(&[1; 32]).unwrap(), [2; 32]);
}
