//! Change sets as wallets make them, and what they come to.

#![allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper of tests panics")]

use std::{collections::BTreeMap, sync::Arc};

use bdk_wallet::{
    ChangeSet,
    bitcoin::{
        Amount, BlockHash, Network, OutPoint, ScriptBuf, Transaction, TxIn, TxOut, Txid, absolute,
        hashes::Hash, transaction,
    },
    chain::{BlockId, ConfirmationBlockTime, DescriptorExt, DescriptorId},
    miniscript::{Descriptor, DescriptorPublicKey},
};
use kv_core::testing::Random;

const EXTERNAL: &str = "tr([5940b9b9/86'/0'/0']tpubDDVNqmq75GNPWQ9UNKfP43UwjaHU4GYfoPavojQbfpyfZp2KetWgjGBRRAy4tYCrAA6SB11mhQAkqxjh1VtQHyKwT4oYxpwLaGHvoKmtxZf/0/*)#44aqnlam";
const INTERNAL: &str = "tr([5940b9b9/86'/0'/0']tpubDDVNqmq75GNPWQ9UNKfP43UwjaHU4GYfoPavojQbfpyfZp2KetWgjGBRRAy4tYCrAA6SB11mhQAkqxjh1VtQHyKwT4oYxpwLaGHvoKmtxZf/1/*)#ypcpw2dr";

/// The descriptors as text.
pub fn descriptors() -> (&'static str, &'static str) {
    (EXTERNAL, INTERNAL)
}

fn parsed() -> [Descriptor<DescriptorPublicKey>; 2] {
    [EXTERNAL.parse().unwrap(), INTERNAL.parse().unwrap()]
}

/// The changes of one wallet, step by step: the same for the same seed.
pub struct Changes {
    random: Random,
    step: u32,
    descriptors: [Descriptor<DescriptorPublicKey>; 2],
    ids: [DescriptorId; 2],
    known: Vec<Txid>,
    revealed: [u32; 2],
}

impl Changes {
    pub fn seeded(seed: u64) -> Self {
        let descriptors = parsed();
        let ids = [descriptors[0].descriptor_id(), descriptors[1].descriptor_id()];
        let random = Random::seeded(seed);
        Self { random, step: 0, descriptors, ids, known: Vec::new(), revealed: [0, 0] }
    }

    fn below(&mut self, end: usize) -> usize {
        self.random.below(end as u64) as usize
    }

    fn script(&self, keychain: usize, index: u32) -> ScriptBuf {
        self.descriptors[keychain].at_derivation_index(index).unwrap().script_pubkey()
    }

    fn first() -> ChangeSet {
        let [external, internal] = parsed();
        let mut first = ChangeSet {
            descriptor: Some(external),
            change_descriptor: Some(internal),
            network: Some(Network::Testnet),
            ..ChangeSet::default()
        };
        first.local_chain.blocks.insert(0, Some(block(0, 0)));
        first
    }

    fn reveal(&mut self, change: &mut ChangeSet) {
        let keychain = self.below(2);
        let from = self.revealed[keychain];
        self.revealed[keychain] += 1 + self.below(2) as u32;
        let to = self.revealed[keychain];
        change.indexer.last_revealed.insert(self.ids[keychain], to);
        let scripts: Vec<_> =
            (from..=to).map(|index| (index, self.script(keychain, index))).collect();
        change.indexer.spk_cache.entry(self.ids[keychain]).or_default().extend(scripts);
    }

    fn pay(&mut self, change: &mut ChangeSet) {
        let previous = Txid::from_byte_array(self.random.bytes(32).try_into().unwrap());
        let (keychain, index) = (self.below(2), self.below(20) as u32);
        let tx = Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: vec![TxIn { previous_output: OutPoint::new(previous, 1), ..TxIn::default() }],
            output: vec![TxOut {
                value: Amount::from_sat(1000 + u64::from(self.step)),
                script_pubkey: self.script(keychain, index),
            }],
        };
        let txid = tx.compute_txid();
        self.known.push(txid);
        let output = TxOut { value: Amount::from_sat(7), script_pubkey: self.script(0, 1) };
        let graph = &mut change.tx_graph;
        graph.txs.insert(Arc::new(tx));
        graph.first_seen.insert(txid, 1_000_000 + u64::from(self.step));
        graph.last_seen.insert(txid, 1_000_000 + u64::from(self.step));
        graph.txouts.insert(OutPoint::new(previous, 1), output);
    }

    fn confirm(&mut self, change: &mut ChangeSet) {
        let height = 1 + self.below(40) as u32;
        let fork = self.below(2) as u32;
        let hash = block(height, fork);
        // Sometimes a block goes; a wallet never removes and adds one height in one step.
        let removed = self.below(4) == 0;
        change.local_chain.blocks.insert(height, (!removed).then_some(hash));
        if !removed && !self.known.is_empty() {
            let at = self.below(self.known.len());
            let block_id = BlockId { height, hash };
            let anchor =
                ConfirmationBlockTime { block_id, confirmation_time: u64::from(height * 600) };
            change.tx_graph.anchors.insert((anchor, self.known[at]));
        }
    }

    fn see_again(&mut self, change: &mut ChangeSet) {
        if self.known.is_empty() {
            return;
        }
        let at = self.below(self.known.len());
        let time = 1_000_000 + u64::from(self.step);
        if self.below(2) == 0 {
            change.tx_graph.last_seen.insert(self.known[at], time);
        } else {
            change.tx_graph.last_evicted.insert(self.known[at], time);
        }
    }

    fn lock(&mut self, change: &mut ChangeSet) {
        let outpoint = OutPoint::new(Txid::from_byte_array([self.below(6) as u8; 32]), 0);
        change.locked_outpoints.outpoints.insert(outpoint, self.below(2) == 0);
    }
}

impl Iterator for Changes {
    type Item = ChangeSet;

    fn next(&mut self) -> Option<ChangeSet> {
        let mut change = if self.step == 0 { Self::first() } else { ChangeSet::default() };
        self.step += 1;
        for _ in 0..=self.below(2) {
            match self.below(5) {
                0 => self.reveal(&mut change),
                1 => self.pay(&mut change),
                2 => self.confirm(&mut change),
                3 => self.see_again(&mut change),
                _ => self.lock(&mut change),
            }
        }
        // What is never empty.
        change.locked_outpoints.outpoints.insert(counter(self.step), true);
        Some(change)
    }
}

fn counter(step: u32) -> OutPoint {
    OutPoint::new(Txid::from_byte_array([0xcc; 32]), step)
}

fn block(height: u32, fork: u32) -> BlockHash {
    let mut bytes = [0; 32];
    bytes[0] = height as u8;
    bytes[1] = fork as u8;
    BlockHash::from_byte_array(bytes)
}

/// What a wallet knows after the first of these changes, the first two, and so on; by rules
/// written here and not by bdk's `Merge`.
pub fn states(changes: &[ChangeSet]) -> Vec<ChangeSet> {
    let mut states = vec![ChangeSet::default()];
    for change in changes {
        let mut state = states.last().unwrap().clone();
        state.descriptor = state.descriptor.or_else(|| change.descriptor.clone());
        state.change_descriptor =
            state.change_descriptor.or_else(|| change.change_descriptor.clone());
        state.network = state.network.or(change.network);
        for (height, hash) in &change.local_chain.blocks {
            match hash {
                Some(_) => state.local_chain.blocks.insert(*height, *hash),
                None => state.local_chain.blocks.remove(height),
            };
        }
        for (outpoint, locked) in &change.locked_outpoints.outpoints {
            if *locked {
                state.locked_outpoints.outpoints.insert(*outpoint, true);
            } else {
                state.locked_outpoints.outpoints.remove(outpoint);
            }
        }
        let (graph, new) = (&mut state.tx_graph, change.tx_graph.clone());
        graph.txs.extend(new.txs);
        graph.txouts.extend(new.txouts);
        graph.anchors.extend(new.anchors);
        keep(&mut graph.last_seen, new.last_seen, Ord::max);
        keep(&mut graph.first_seen, new.first_seen, Ord::min);
        keep(&mut graph.last_evicted, new.last_evicted, Ord::max);
        keep(&mut state.indexer.last_revealed, change.indexer.last_revealed.clone(), Ord::max);
        for (id, scripts) in &change.indexer.spk_cache {
            state.indexer.spk_cache.entry(*id).or_default().extend(scripts.clone());
        }
        states.push(state);
    }
    states
}

/// Of two numbers under one key the better stays.
fn keep<K: Ord, V: Copy>(map: &mut BTreeMap<K, V>, new: BTreeMap<K, V>, better: fn(V, V) -> V) {
    for (key, value) in new {
        map.entry(key).and_modify(|known| *known = better(*known, value)).or_insert(value);
    }
}
