//! The tree against a sorted list, at every step, and its copies against what they were.

use std::ops::Range;

use proptest::prelude::*;

use super::*;

/// Entries are their own keys, and carry a mark that is not part of the key.
struct Bytes;

type Entry = (Vec<u8>, u32);

impl Order<Entry> for Bytes {
    fn compare(&self, entry: &Entry, key: &[u8]) -> Ordering {
        entry.0.as_slice().cmp(key)
    }

    fn key(&self, entry: &Entry) -> Arc<[u8]> {
        entry.0.as_slice().into()
    }
}

/// Fixed width: no key is the beginning of another.
fn key(n: u16) -> Vec<u8> {
    n.to_be_bytes().to_vec()
}

fn entries(tree: &Tree<Entry>) -> Vec<Entry> {
    (0..tree.len()).map_while(|at| tree.get(at).cloned()).collect()
}

/// What must hold of every node; gives its depth and keys.
fn check(node: &Node<Entry>, is_root: bool) -> (usize, Vec<Vec<u8>>) {
    match node {
        Node::Leaf(leaf) => {
            assert!(leaf.len() <= FAN && (is_root || !leaf.is_empty()));
            (0, leaf.iter().map(|(key, _)| key.clone()).collect())
        }
        Node::Inner(children) => {
            assert!(children.len() <= FAN && !children.is_empty());
            assert!(!is_root || children.len() > 1, "a root with one child is one too many");
            let mut all: Vec<Vec<u8>> = Vec::new();
            let mut depths = Vec::new();
            for (at, child) in children.iter().enumerate() {
                let (depth, keys) = check(&child.node, false);
                assert_eq!(child.len, keys.len());
                assert!(at == 0 || keys.iter().all(|key| **key >= *child.from));
                assert!(at == 0 || all.iter().all(|key| **key < *child.from));
                depths.push(depth);
                all.extend(keys);
            }
            assert!(depths.windows(2).all(|pair| pair[0] == pair[1]), "leaves are equally deep");
            (depths[0] + 1, all)
        }
    }
}

fn assert_same(tree: &Tree<Entry>, model: &[Entry]) {
    assert_eq!(tree.len(), model.len());
    assert_eq!(entries(tree), model);
    assert!(tree.get(model.len()).is_none());
    check(&tree.root, true);
}

#[derive(Debug, Clone)]
enum Op {
    Insert(u16),
    Remove(u16),
    InsertRun(Range<u16>),
    InsertRunBackwards(Range<u16>),
    RemoveRun(Range<u16>),
    /// Those of a run, and of another one, that are not there.
    Extend(Range<u16>, Range<u16>),
    Copy,
    Rebuild,
}

fn any_op() -> impl Strategy<Value = Op> {
    let run = || (0u16..2000, 1u16..400).prop_map(|(from, len)| from..from + len);
    prop_oneof![
        4 => (0u16..2400).prop_map(Op::Insert),
        4 => (0u16..2400).prop_map(Op::Remove),
        4 => run().prop_map(Op::InsertRun),
        3 => run().prop_map(Op::InsertRunBackwards),
        4 => run().prop_map(Op::RemoveRun),
        4 => (run(), run()).prop_map(|(a, b)| Op::Extend(a, b)),
        2 => Just(Op::Copy),
        1 => Just(Op::Rebuild),
    ]
}

#[derive(Default)]
struct Run {
    tree: Tree<Entry>,
    model: Vec<Entry>,
    copies: Vec<(Tree<Entry>, Vec<Entry>)>,
    mark: u32,
}

impl Run {
    fn insert(&mut self, n: u16) {
        self.mark += 1;
        let entry = (key(n), self.mark);
        let old = match self.model.binary_search_by(|(there, _)| there.cmp(&key(n))) {
            Ok(at) => Some(mem::replace(&mut self.model[at], entry.clone())),
            Err(at) => {
                self.model.insert(at, entry.clone());
                None
            }
        };
        assert_eq!(self.tree.insert(&key(n), entry, &Bytes), old);
    }

    fn remove(&mut self, n: u16) {
        let at = self.model.binary_search_by(|(there, _)| there.cmp(&key(n))).ok();
        let old = at.map(|at| self.model.remove(at));
        assert_eq!(self.tree.remove(&key(n), &Bytes), old);
    }

    fn extend(&mut self, wanted: impl Iterator<Item = u16>) {
        let mut keys: Vec<Vec<u8>> = wanted.map(key).collect();
        keys.sort();
        keys.dedup();
        keys.retain(|key| self.model.binary_search_by(|(there, _)| there.cmp(key)).is_err());
        self.mark += 1;
        let new: Vec<(Vec<u8>, Entry)> =
            keys.into_iter().map(|key| (key.clone(), (key, self.mark))).collect();
        self.model.extend(new.iter().map(|(_, entry)| entry.clone()));
        self.model.sort();
        self.tree.extend(new, &Bytes);
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Insert(n) => self.insert(n),
            Op::Remove(n) => self.remove(n),
            Op::InsertRun(run) => run.for_each(|n| self.insert(n)),
            Op::InsertRunBackwards(run) => run.rev().for_each(|n| self.insert(n)),
            Op::RemoveRun(run) => run.for_each(|n| self.remove(n)),
            // Some of them here and there, some side by side.
            Op::Extend(a, b) => self.extend(a.step_by(7).chain(b)),
            Op::Copy => self.copies.push((self.tree.clone(), self.model.clone())),
            Op::Rebuild => self.tree = Tree::from_sorted(self.model.clone(), &Bytes),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_tree_is_a_sorted_list_and_its_copies_stay_as_they_were(
        ops in prop::collection::vec(any_op(), 1..30), probes in prop::collection::vec(0u16..2500, 20),
    ) {
        let mut run = Run::default();
        for op in ops {
            run.step(op);
            assert_same(&run.tree, &run.model);
            for probe in &probes {
                let rank = run.model.partition_point(|(there, _)| *there < key(*probe));
                assert_eq!(run.tree.rank(&key(*probe), &Bytes), rank);
            }
        }
        for (tree, model) in &run.copies {
            assert_same(tree, model);
        }
    }
}

#[test]
fn three_levels_grow_and_shrink_again() {
    let mut run = Run::default();
    (0..20_000).for_each(|n: u16| run.insert(n.wrapping_mul(40_503)));
    assert_same(&run.tree, &run.model);
    let copy = (run.tree.clone(), run.model.clone());
    (0..20_000).for_each(|n: u16| run.remove(n.wrapping_mul(40_503)));
    assert_same(&run.tree, &[]);
    assert_same(&copy.0, &copy.1);
}

#[test]
fn what_grows_at_one_end_leaves_full_leaves_behind() {
    for backwards in [false, true] {
        let mut run = Run::default();
        for n in 0..10_000 {
            run.insert(if backwards { 10_000 - n } else { n });
        }
        let mut leaves = 0;
        let mut nodes = vec![Arc::clone(&run.tree.root)];
        while let Some(node) = nodes.pop() {
            match &*node {
                Node::Leaf(_) => leaves += 1,
                Node::Inner(children) => {
                    nodes.extend(children.iter().map(|child| Arc::clone(&child.node)));
                }
            }
        }
        assert!(leaves <= 10_000 / FILL + 2, "{leaves} leaves");
    }
}

#[test]
fn a_change_copies_the_way_to_it_and_nothing_else() {
    let all: Vec<Entry> = (0..20_000).map(|n| (key(n), 0)).collect();
    let before = Tree::from_sorted(all, &Bytes);
    let mut after = before.clone();
    after.insert(&key(77), (key(77), 1), &Bytes);
    let (Node::Inner(old), Node::Inner(new)) = (&*before.root, &*after.root) else { panic!() };
    let shared = old.iter().zip(new).filter(|(a, b)| Arc::ptr_eq(&a.node, &b.node)).count();
    assert_eq!(shared, old.len() - 1);
}

/// The first child of a node may hold less than it says; joined to the node before, it is the first
/// no longer.
#[test]
fn a_joined_node_is_found_from_its_very_first_key() {
    let leaf = FILL as u16;
    let node = leaf * leaf;
    let mut run = Run::default();
    (0..leaf * node).for_each(|n| run.insert(10 * n));
    run.step(Op::Rebuild);
    (node..node + leaf).for_each(|n| run.remove(10 * n));
    run.insert(10 * node + 1);
    (leaf..node).for_each(|n| run.remove(10 * n));
    assert_same(&run.tree, &run.model);
    let there = run.tree.get(run.tree.rank(&key(10 * node + 1), &Bytes));
    assert_eq!(there.map(|(key, _)| key), Some(&key(10 * node + 1)));
}
