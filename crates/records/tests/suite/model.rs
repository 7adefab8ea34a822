//! Random operations, with batches held, landing and failing, against a naive model.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use kv_core::KvStore;
use proptest::prelude::*;
use records::{Direction, Error, Found, KeyRange, ObjectStore, Query, Record, RecordKey};

use crate::common::{HeldStore, Tx, open};

#[derive(Debug, Clone)]
enum Op {
    Put(Vec<Tx>),
    PutNew(Tx),
    Delete(Tx),
    Land,
    Fail,
    Reopen,
    DeleteRange(Tx, Tx),
    Clear,
    Ask(Question),
}

#[derive(Debug, Clone)]
struct Question {
    index: usize,
    low: Tx,
    high: Tx,
    shape: u8,
    direction: Direction,
    offset: usize,
    limit: usize,
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
    let direction = prop::sample::select(vec![
        Direction::Forward,
        Direction::ForwardUnique,
        Direction::Backward,
        Direction::BackwardUnique,
    ]);
    let limit = prop_oneof![0usize..6, Just(usize::MAX)];
    let ask = (0usize..6, any_tx(), any_tx(), 0u8..6, direction, 0usize..3, limit);
    prop_oneof![
        4 => prop::collection::vec(any_tx(), 1..3).prop_map(Op::Put),
        2 => any_tx().prop_map(Op::PutNew),
        2 => any_tx().prop_map(Op::Delete),
        6 => Just(Op::Land),
        1 => Just(Op::Fail),
        1 => Just(Op::Reopen),
        1 => (any_tx(), any_tx()).prop_map(|(low, high)| Op::DeleteRange(low, high)),
        1 => Just(Op::Clear),
        10 => ask.prop_map(|(index, low, high, shape, direction, offset, limit)| {
            Op::Ask(Question { index, low, high, shape, direction, offset, limit })
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
            Op::DeleteRange(low, high) => {
                let (low, high) = (low.key(), high.key());
                let mut model = self.submitted().clone();
                model.retain(|key, _| !(&low..&high).contains(&key));
                self.write(Ok(model), self.store.delete_range(KeyRange::within(&low..&high)));
            }
            Op::Clear => self.write(Ok(Model::new()), self.store.clear()),
            Op::Ask(question) => self.ask(&question),
        }
    }

    fn ask(&self, question: &Question) {
        let Question { shape, direction, offset, limit, .. } = *question;
        let index = Tx::INDEXES.get(question.index);
        let keys_of = |tx: &Tx| index.map_or_else(|| vec![tx.key()], |index| index.keys(tx));
        let (Some(low), Some(high)) = (keys_of(&question.low).pop(), keys_of(&question.high).pop())
        else {
            return;
        };
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
            4 => {
                let above = (Bound::Excluded(low.clone()), Bound::Unbounded);
                (KeyRange::within(above), Box::new(|key| *key > low))
            }
            _ => {
                let range = KeyRange::prefix(RecordKey::Array(start(&low)));
                let inside = |key: &RecordKey| {
                    matches!(key, RecordKey::Array(_)) && start(key) == start(&low)
                };
                (range, Box::new(inside))
            }
        };
        // A list of all entries, sorted each time.
        let entries = self.durable.values().flat_map(|tx| {
            let entries = keys_of(tx).into_iter().map(move |key| (key, tx.key(), tx));
            entries.collect::<Vec<_>>()
        });
        let mut entries: Vec<_> = entries.filter(|(key, _, _)| inside(key)).collect();
        entries.sort_by_key(|(key, primary, _)| (key.clone(), primary.clone()));
        if matches!(direction, Direction::ForwardUnique | Direction::BackwardUnique) {
            entries.dedup_by_key(|(key, _, _)| key.clone());
        }
        if matches!(direction, Direction::Backward | Direction::BackwardUnique) {
            entries.reverse();
        }
        let expected: Vec<_> = entries.into_iter().skip(offset).take(limit).collect();
        let txs: Vec<Tx> = expected.iter().map(|(_, _, tx)| (*tx).clone()).collect();
        let query = index.map_or_else(Query::all, |index| Query::index(index.name()));
        let query = query.range(range).direction(direction).offset(offset).limit(limit);
        let found: Vec<Found<Tx>> = self.store.query(&query).unwrap().collect();
        assert_eq!(found, txs);
        assert_eq!(self.store.count(&query).unwrap(), expected.len());
        let primaries: Vec<RecordKey> = expected.iter().map(|(_, key, _)| key.clone()).collect();
        assert_eq!(self.store.keys(&query).unwrap(), primaries);
        let mut cursor = self.store.cursor(&query).unwrap();
        for (key, primary, tx) in &expected {
            assert_eq!(
                (cursor.key().as_ref(), cursor.primary_key().as_ref()),
                (Some(key), Some(primary))
            );
            assert_eq!(cursor.record(), Some(*tx));
            cursor.step();
        }
        assert!(
            cursor.key().is_none() && cursor.primary_key().is_none() && cursor.record().is_none()
        );
    }

    fn check_all(&self) {
        let all: Vec<Tx> = self.durable.values().cloned().collect();
        assert_eq!(self.store.get_all().unwrap(), all);
        for index in Tx::INDEXES {
            let expected: usize = all.iter().map(|tx| index.keys(tx).len()).sum();
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
