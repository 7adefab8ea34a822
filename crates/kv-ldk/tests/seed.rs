//! The seed of a node: the wallet's own, or one that was moved there.

use std::sync::Arc;

use kv_core::testing::{Fault, FaultyStore, Landing};
use kv_ldk::{SEED_KEY, StrongroomStore};
use kv_mem::MemStore;
use lightning::{
    bitcoin::{
        Network,
        bip32::Xpriv,
        hex::{DisplayHex, FromHex},
    },
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

/// As the guide says.
#[test]
fn the_seed_of_a_node_of_ldk_node_gives_its_keys() {
    // The words "abandon ... about" (BIP-39), and their master key (BIP-32).
    let words = "5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc1\
                 9a5ac40b389cd370d086206dec8aa6c43daea6690f20ad3d8d48b2d2ce9e38e4";
    let key = "1837c1be8e2995ec11cda2b066151be2cfb48adf9e47b151d46adab3a21cdf67";
    let id = "027cf7c81dc777e46572ff964f17650a0f6f783319fcc140fb9a69425e2fbdc93c";
    let store = StrongroomStore::new(Arc::new(MemStore::new()));
    let moved = Vec::from_hex(words).unwrap();
    KVStoreSync::write(&store, "", "", SEED_KEY, moved).unwrap();

    let moved = KVStoreSync::read(&store, "", "", SEED_KEY).unwrap();
    let seed = Xpriv::new_master(Network::Bitcoin, &moved).unwrap().private_key.secret_bytes();

    assert_eq!(seed.to_lower_hex_string(), key);
    let keys = KeysManager::new(&seed, 1, 1, true);
    assert_eq!(keys.get_node_id(Recipient::Node).unwrap().to_string(), id);
}
