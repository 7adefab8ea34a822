//! Random operations, with batches held, landing and failing, against a naive model.

use std::{collections::BTreeMap, sync::Arc};

use kv_core::KvStore;
use proptest::prelude::*;
use records::{Direction, Error, KeyRange, ObjectStore, Query, Record, RecordKey};

use crate::common::{HeldStore, Tx, open};

#[derive(Debug, Clone)]
enum Op {
    Put(Vec<Tx>),
    PutNew(Tx),
    Delete(Tx),
    Land,
    Fail,
    Reopen,
    Ask { index: usize, low: Tx, high: Tx, shape: u8, backward: bool, limit: usize },
}

/// What is there, by primary key. All questions are answered by going through everything.
type Model = BTreeMap<RecordKey, Tx>;

/// Few values, so that keys, accounts and labels meet.
fn any_tx() -> impl Strategy<Value = Tx> {
    let account =
        || prop::sample::select(vec!["alice", "al", "bob", "\u{E000}"]).prop_map(str::to_owned);
    (0u64..2, 0u8..5, account(), prop::option::of(account()), 0u64..4, prop::option::of(0u8..6))
        .prop_map(|(chain, hash, from, to, time, label)| Tx {
            chain,
            hash: format!("h{hash}"),
            from,
            to,
            time,
            block: time / 2,
            label: label.map(|label| format!("l{label}")),
        })
}

fn any_op() -> impl Strategy<Value = Op> {
    let ask = (0usize..5, any_tx(), any_tx(), 0u8..6, any::<bool>(), 0usize..6);
    prop_oneof![
        4 => prop::collection::vec(any_tx(), 1..3).prop_map(Op::Put),
        2 => any_tx().prop_map(Op::PutNew),
        2 => any_tx().prop_map(Op::Delete),
        6 => Just(Op::Land),
        1 => Just(Op::Fail),
        1 => Just(Op::Reopen),
        8 => ask.prop_map(|(index, low, high, shape, backward, limit)| {
            Op::Ask { index, low, high, shape, backward, limit }
        }),
    ]
}

struct Run {
    held: Arc<HeldStore>,
    store: ObjectStore<Tx>,
    durable: Model,
    /// The model after each batch in flight.
    in_flight: Vec<Model>,
}

impl Run {
    fn submitted(&self) -> &Model {
        self.in_flight.last().unwrap_or(&self.durable)
    }

    fn write(
        &mut self,
        changed: Result<Model, &'static str>,
        result: Result<kv_core::Commit, Error>,
    ) {
        match (changed, result) {
            (Ok(model), Ok(_)) => self.in_flight.push(model),
            (Err("exists"), Err(Error::Exists { .. })) => {}
            (Err("label"), Err(Error::NotUnique { index: "label", .. })) => {}
            (expected, found) => panic!("{expected:?} {found:?}"),
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Put(txs) => {
                let changed = put(self.submitted(), &txs);
                self.write(changed, self.store.put_many(&txs));
            }
            Op::PutNew(tx) => {
                let there = self.submitted().contains_key(&tx.key());
                let changed = if there {
                    Err("exists")
                } else {
                    put(self.submitted(), std::slice::from_ref(&tx))
                };
                self.write(changed, self.store.put_new(&tx));
            }
            Op::Delete(tx) => {
                let mut model = self.submitted().clone();
                model.remove(&tx.key());
                self.write(Ok(model), self.store.delete(tx.key()));
            }
            Op::Land if self.in_flight.is_empty() => {}
            Op::Land => {
                self.held.land();
                self.durable = self.in_flight.remove(0);
            }
            Op::Fail => {
                self.held.fail();
                self.in_flight.clear();
            }
            Op::Reopen => {
                while self.held.held() > 0 {
                    self.step(Op::Land);
                }
                self.store = open(&(self.held.clone() as Arc<dyn KvStore>));
            }
            Op::Ask { index, low, high, shape, backward, limit } => {
                self.ask(index, &low, &high, shape, backward, limit);
            }
        }
    }

    fn ask(&self, index: usize, low: &Tx, high: &Tx, shape: u8, backward: bool, limit: usize) {
        let index = Tx::INDEXES.get(index);
        let key_of = |tx: &Tx| index.map_or_else(|| Some(tx.key()), |index| index.key(tx));
        let (Some(low), Some(high)) = (key_of(low), key_of(high)) else { return };
        let start = |key: &RecordKey| match key {
            RecordKey::Array(keys) => keys[..1].to_vec(),
            key => vec![key.clone()],
        };
        type Inside<'a> = Box<dyn Fn(&RecordKey) -> bool + 'a>;
        let (range, inside): (KeyRange, Inside<'_>) = match shape {
            0 => (KeyRange::all(), Box::new(|_| true)),
            1 => (KeyRange::only(low.clone()), Box::new(|key| *key == low)),
            2 => (KeyRange::within(&low..&high), Box::new(|key| (&low..&high).contains(&key))),
            3 => (KeyRange::within(&low..=&high), Box::new(|key| (&low..=&high).contains(&key))),
            4 => (KeyRange::within(..&high), Box::new(|key| *key < high)),
            _ => {
                let range = KeyRange::prefix(RecordKey::Array(start(&low)));
                let inside = |key: &RecordKey| {
                    matches!(key, RecordKey::Array(_)) && start(key) == start(&low)
                };
                (range, Box::new(inside))
            }
        };
        let mut expected: Vec<(RecordKey, &Tx)> = self
            .durable
            .values()
            .filter_map(|tx| Some((key_of(tx)?, tx)))
            .filter(|(key, _)| inside(key))
            .collect();
        expected.sort_by_key(|(key, tx)| (key.clone(), tx.key()));
        let direction = if backward { Direction::Backward } else { Direction::Forward };
        if backward {
            expected.reverse();
        }
        expected.truncate(limit);
        let expected: Vec<&Tx> = expected.into_iter().map(|(_, tx)| tx).collect();
        let query = index.map_or_else(Query::all, |index| Query::index(index.name()));
        let query = query.range(range).direction(direction).limit(limit);
        let found: Vec<Tx> = self.store.query(&query).unwrap().map(Result::unwrap).collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected);
        assert_eq!(self.store.count(&query).unwrap(), expected.len());
        let keys: Vec<RecordKey> = expected.iter().map(|tx| tx.key()).collect();
        assert_eq!(self.store.keys(&query).unwrap(), keys);
    }

    fn check_all(&self) {
        let all: Vec<Tx> = self.durable.values().cloned().collect();
        assert_eq!(self.store.get_all().unwrap(), all);
        for index in Tx::INDEXES {
            let expected = all.iter().filter(|tx| index.key(tx).is_some()).count();
            assert_eq!(self.store.count(&Query::index(index.name())).unwrap(), expected);
        }
    }
}

fn put(model: &Model, txs: &[Tx]) -> Result<Model, &'static str> {
    let mut model = model.clone();
    for tx in txs {
        model.insert(tx.key(), tx.clone());
    }
    let mut labels: Vec<&String> = model.values().filter_map(|tx| tx.label.as_ref()).collect();
    labels.sort();
    if labels.windows(2).any(|pair| pair[0] == pair[1]) { Err("label") } else { Ok(model) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn an_object_store_answers_as_a_naive_model_does(ops in prop::collection::vec(any_op(), 1..60)) {
        let held = HeldStore::new();
        let store = open(&(held.clone() as Arc<dyn KvStore>));
        let mut run = Run { held, store, durable: Model::new(), in_flight: Vec::new() };
        for op in ops {
            run.step(op);
            run.check_all();
        }
    }
}
