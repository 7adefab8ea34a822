//! Random operations against a `BTreeMap`, with reopening and crashes.

use std::{collections::BTreeMap, sync::Arc};

use proptest::{prelude::any, test_runner};

use super::Testbed;
use crate::{Batch, Commit, Error, Key, KvStore, KvStoreExt, Namespace};

type Map = BTreeMap<(Namespace, Key), Vec<u8>>;

/// Runs `cases` random programs against fresh testbeds and shrinks what fails.
///
/// # Panics
/// With the shrunken program if the store and the model disagree.
pub fn check_model<B: Testbed>(make: impl Fn() -> B, cases: u32) {
    let config = test_runner::Config { cases, ..test_runner::Config::default() };
    let mut runner = test_runner::TestRunner::new_with_rng(
        config,
        test_runner::TestRng::deterministic_rng(test_runner::RngAlgorithm::ChaCha),
    );
    let programs = proptest::collection::vec(any::<u8>(), 0..120);
    if let Err(failure) = runner.run(&programs, |program| {
        run_model(&make(), &program);
        Ok(())
    }) {
        panic!("store and model disagree: {failure}");
    }
}

/// Runs one program, given as arbitrary bytes (so that a fuzzer can write it).
///
/// # Panics
/// If the store and the model disagree.
pub fn run_model(bed: &dyn Testbed, program: &[u8]) {
    let mut run =
        Run { bed, store: Some(open(bed)), states: vec![Map::new()], commits: Vec::new() };
    let mut bytes = program.iter().copied();
    while let Some(op) = bytes.next() {
        run.step(op, &mut || bytes.next().unwrap_or(0));
    }
    run.settle();
    run.reopen();
    run.compare();
}

struct Run<'a> {
    bed: &'a dyn Testbed,
    store: Option<Arc<dyn KvStore>>,
    /// The state known durable, then the state after each batch that may not be.
    states: Vec<Map>,
    commits: Vec<Commit>,
}

fn open(bed: &dyn Testbed) -> Arc<dyn KvStore> {
    bed.open().unwrap_or_else(|e| panic!("open failed: {e:?}"))
}

fn name(byte: u8) -> (Namespace, Key) {
    let ns = ["", "a", "Ab"].get(usize::from(byte) % 3).copied().unwrap_or("");
    let secondary = if ns == "Ab" { "s" } else { "" };
    let ns = Namespace::new(ns, secondary).unwrap_or_else(|e| panic!("{e}"));
    let key = Key::new(&format!("k{}", byte / 3 % 8)).unwrap_or_else(|e| panic!("{e}"));
    (ns, key)
}

impl Run<'_> {
    fn step(&mut self, op: u8, next: &mut dyn FnMut() -> u8) {
        match op % 16 {
            0..=4 => {
                let ((ns, key), value) = (name(next()), vec![next(); usize::from(next()) * 3]);
                self.submit(Batch::new().put(&ns, &key, value));
            }
            5 => {
                let (ns, key) = name(next());
                self.submit(Batch::new().remove(&ns, &key));
            }
            6..=8 => {
                let mut batch = Batch::new();
                for _ in 0..next() % 6 {
                    let (ns, key) = name(next());
                    let value = next();
                    batch = if value.is_multiple_of(4) {
                        batch.remove(&ns, &key)
                    } else {
                        batch.put(&ns, &key, vec![value; usize::from(value)])
                    };
                }
                self.submit(if next().is_multiple_of(3) { batch.lazy() } else { batch });
            }
            9 => {
                let (ns, key) = name(next());
                self.submit(Batch::new().require_absent(&ns, &key).put(&ns, &key, vec![next()]));
            }
            10 | 11 => self.settle(),
            12 => {
                self.settle();
                self.compare();
            }
            13 => self.reopen(),
            _ => self.crash(),
        }
    }

    fn submit(&mut self, batch: Batch) {
        let Some(store) = &self.store else { return };
        let mut state = self.states.last().cloned().unwrap_or_default();
        let holds =
            batch.absent_keys().all(|(ns, key)| !state.contains_key(&(ns.clone(), key.clone())));
        let commit = store.submit(batch.clone());
        if !holds {
            let refused = commit.receipt().outcome();
            assert!(matches!(refused, Some(Err(Error::Precondition { .. }))), "{refused:?}");
            return;
        }
        for (ns, key, change) in batch.into_changes() {
            match change {
                crate::Change::Put(value) => state.insert((ns, key), value.to_vec()),
                crate::Change::Remove => state.remove(&(ns, key)),
            };
        }
        self.states.push(state);
        self.commits.push(commit);
    }

    /// Waits for everything: only the last state is possible now.
    fn settle(&mut self) {
        for commit in self.commits.drain(..) {
            commit.wait().unwrap_or_else(|e| panic!("commit failed: {e:?}"));
        }
        if let Some(store) = &self.store {
            store.flush().unwrap_or_else(|e| panic!("flush failed: {e:?}"));
        }
        self.states.drain(..self.states.len() - 1);
    }

    fn reopen(&mut self) {
        self.commits.clear();
        if let Some(store) = self.store.take() {
            store.close().unwrap_or_else(|e| panic!("close failed: {e:?}"));
        }
        self.states.drain(..self.states.len() - 1);
        self.store = Some(open(self.bed));
        self.compare();
    }

    /// After a crash any state from the durable one on is right, but only one of them.
    fn crash(&mut self) {
        self.bed.crash();
        self.commits.clear();
        self.store = None;
        let store = open(self.bed);
        let found = contents(store.as_ref());
        assert!(
            self.states.contains(&found),
            "after a crash: {found:?} is not one of {:?}",
            self.states
        );
        self.states = vec![found];
        self.store = Some(store);
    }

    fn compare(&self) {
        let Some(store) = &self.store else { return };
        let found = contents(store.as_ref());
        assert_eq!(Some(&found), self.states.last(), "the store differs from the model");
    }
}

fn contents(store: &dyn KvStore) -> Map {
    let namespaces = store.namespaces().unwrap_or_else(|e| panic!("namespaces failed: {e:?}"));
    let mut map = Map::new();
    for ns in namespaces {
        let keys = store.list_all(&ns).unwrap_or_else(|e| panic!("list failed: {e:?}"));
        assert!(!keys.is_empty(), "an empty namespace is listed");
        for key in keys {
            let value = store.read(&ns, &key).unwrap_or_else(|e| panic!("read failed: {e:?}"));
            let value = value.unwrap_or_else(|| panic!("a listed key is absent"));
            map.insert((ns.clone(), key), value.to_vec());
        }
    }
    map
}
