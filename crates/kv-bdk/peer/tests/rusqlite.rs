//! What is loaded is what bdk's own SQLite persister loads.

#[path = "../../tests/common/mod.rs"]
mod common;

use std::sync::Arc;

use bdk_wallet::{
    ChangeSet, KeychainKind, PersistedWallet, Wallet, WalletPersister,
    bitcoin::Network,
    rusqlite::Connection,
    test_utils::{get_test_wpkh_and_change_desc, new_wallet_and_funding_update},
};
use common::{Changes, states};
use kv_bdk::BdkPersister;
use kv_mem::MemStore;

fn load<P: WalletPersister<Error: std::fmt::Debug>>(persister: &mut P) -> ChangeSet {
    P::initialize(persister).unwrap()
}

#[test]
fn loading_equals_bdks_own_sqlite_persister() {
    for seed in 0..8 {
        // Beyond 256 entries are replaced by their merge.
        let changes: Vec<_> = Changes::seeded(seed).take(530).collect();
        let states = states(&changes);
        let mut theirs = Connection::open_in_memory().unwrap();
        let mut ours = BdkPersister::new(Arc::new(MemStore::new()), "w").unwrap();
        assert_eq!(load(&mut ours), load(&mut theirs));
        for (n, change) in changes.iter().enumerate() {
            WalletPersister::persist(&mut theirs, change).unwrap();
            WalletPersister::persist(&mut ours, change).unwrap();
            if n < 10 || n % 50 == 0 || (250..260).contains(&n) || n + 1 == changes.len() {
                let loaded = load(&mut ours);
                assert_eq!(loaded, load(&mut theirs), "seed {seed}, after {} change sets", n + 1);
                assert_eq!(loaded, states[n + 1]);
            }
        }
    }
}

/// A life of a wallet: made, funded, spent from in part, loaded.
fn live<P: WalletPersister<Error: std::fmt::Debug>>(persister: &mut P) -> PersistedWallet<P> {
    let (external, internal) = get_test_wpkh_and_change_desc();
    let create = Wallet::create(external, internal).network(Network::Regtest);
    let mut wallet = create.create_wallet(persister).unwrap();
    let (_, _, update) = new_wallet_and_funding_update(external, Some(internal));
    wallet.apply_update(update).unwrap();
    assert!(wallet.persist(persister).unwrap());
    for n in 0..20 {
        wallet.reveal_next_address(KeychainKind::External);
        let unspent: Vec<_> = wallet.list_unspent().map(|output| output.outpoint).collect();
        for outpoint in unspent {
            if n % 2 == 0 {
                wallet.lock_outpoint(outpoint)
            } else {
                wallet.unlock_outpoint(outpoint)
            }
        }
        assert!(wallet.persist(persister).unwrap());
    }
    wallet
}

#[test]
fn a_wallet_is_the_same_from_either() {
    let mut theirs = Connection::open_in_memory().unwrap();
    let mut ours = BdkPersister::new(Arc::new(MemStore::new()), "w").unwrap();
    let before = live(&mut ours);
    live(&mut theirs);
    assert_eq!(load(&mut ours), load(&mut theirs));
    let ours = Wallet::load().load_wallet(&mut ours).unwrap().unwrap();
    let theirs = Wallet::load().load_wallet(&mut theirs).unwrap().unwrap();
    assert!(ours.balance().total().to_sat() > 0);
    assert_eq!(ours.balance(), theirs.balance());
    assert_eq!(ours.balance(), before.balance());
    assert_eq!(ours.latest_checkpoint(), theirs.latest_checkpoint());
    let outputs = |wallet: &Wallet| wallet.list_output().map(|o| o.outpoint).collect::<Vec<_>>();
    assert_eq!(outputs(&ours), outputs(&theirs));
}
