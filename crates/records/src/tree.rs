//! A sorted sequence that is cheap to copy and knows its positions: a B+ tree whose nodes are
//! shared between copies and count what is below them.
//!
//! A copy costs one reference; a change copies the nodes on its way, if somebody else holds them.
//! Entries do not hold their keys: an [`Order`] knows them. So an index costs a few bytes for each
//! record, not the length of its key.

mod extend;

use std::{cmp::Ordering, mem, sync::Arc};

/// The most entries of a leaf and children of an inner node. Few in the tests of this module, so
/// that small trees are deep.
const FAN: usize = if cfg!(test) { 8 } else { 64 };

/// How many of them when a tree is made in one go: room for what comes.
const FILL: usize = FAN / 8 * 7;

/// A leaf grows by so many, and not to twice its size: most leaves stay as they are for long.
const GROWTH: usize = 8;

/// The order of entries: by byte strings of which none is the beginning of another.
pub(crate) trait Order<E> {
    /// The key of an entry compared with `key`, which may be any bytes.
    fn compare(&self, entry: &E, key: &[u8]) -> Ordering;

    /// The key of an entry.
    fn key(&self, entry: &E) -> Arc<[u8]>;
}

/// Entries sorted by an [`Order`], which must always be the same.
pub(crate) struct Tree<E> {
    root: Arc<Node<E>>,
    len: usize,
}

#[derive(Clone)]
enum Node<E> {
    Leaf(Vec<E>),
    /// Never empty, unless everything was just removed.
    Inner(Vec<Child<E>>),
}

struct Child<E> {
    /// No key here is less, and all keys of the children before are. Of the first child of a node
    /// nobody looks at it.
    from: Arc<[u8]>,
    /// How many entries.
    len: usize,
    node: Arc<Node<E>>,
}

impl<E> Tree<E> {
    /// How many entries.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many entries have a lesser key: the position of the first one that has not.
    pub(crate) fn rank(&self, key: &[u8], order: &impl Order<E>) -> usize {
        let mut before = 0;
        let mut node = &self.root;
        loop {
            match &**node {
                Node::Leaf(entries) => return before + place(entries, key, order),
                Node::Inner(children) => {
                    let at = responsible(children, key);
                    before += children.iter().take(at).map(|child| child.len).sum::<usize>();
                    let Some(child) = children.get(at) else { return before };
                    node = &child.node;
                }
            }
        }
    }

    /// The entry at a position.
    pub(crate) fn get(&self, mut position: usize) -> Option<&E> {
        let mut node = &self.root;
        loop {
            match &**node {
                Node::Leaf(entries) => return entries.get(position),
                Node::Inner(children) => {
                    let child = children.iter().find(|child| {
                        let here = position < child.len;
                        if !here {
                            position -= child.len;
                        }
                        here
                    })?;
                    node = &child.node;
                }
            }
        }
    }
}

impl<E: Clone> Tree<E> {
    /// A tree of entries that are sorted already.
    pub(crate) fn from_sorted(entries: impl IntoIterator<Item = E>, order: &impl Order<E>) -> Self {
        let mut entries = entries.into_iter();
        let mut level: Vec<Child<E>> = groups(&mut entries)
            .filter_map(|leaf| {
                let from = order.key(leaf.first()?);
                Some(Child { from, len: leaf.len(), node: Arc::new(Node::Leaf(leaf)) })
            })
            .collect();
        while level.len() > 1 {
            level = groups(&mut level.into_iter()).filter_map(inner).collect();
        }
        let root = level.pop();
        root.map_or_else(Self::default, |root| Self { root: root.node, len: root.len })
    }

    /// Puts an entry where its key belongs; gives the one that had the same key.
    pub(crate) fn insert(&mut self, key: &[u8], entry: E, order: &impl Order<E>) -> Option<E> {
        let (old, split) = insert_into(&mut self.root, key, entry, order);
        self.len += usize::from(old.is_none());
        if let Some(right) = split {
            let left = mem::replace(&mut self.root, Arc::new(Node::Leaf(Vec::new())));
            let left = Child { from: Arc::from([]), len: self.len - right.len, node: left };
            self.root = Arc::new(Node::Inner(vec![left, right]));
        }
        old
    }

    /// Removes the entry with this key.
    pub(crate) fn remove(&mut self, key: &[u8], order: &impl Order<E>) -> Option<E> {
        let removed = remove_from(&mut self.root, key, order);
        self.len -= usize::from(removed.is_some());
        while let Node::Inner(children) = &*self.root {
            let only = match children.as_slice() {
                [] => Arc::new(Node::Leaf(Vec::new())),
                [only] => Arc::clone(&only.node),
                _ => break,
            };
            self.root = only;
        }
        removed
    }
}

fn insert_into<E: Clone>(
    node: &mut Arc<Node<E>>,
    key: &[u8],
    entry: E,
    order: &impl Order<E>,
) -> (Option<E>, Option<Child<E>>) {
    match Arc::make_mut(node) {
        Node::Leaf(entries) => {
            let at = place(entries, key, order);
            if let Some(same) = entries.get_mut(at).filter(|e| order.compare(e, key).is_eq()) {
                return (Some(mem::replace(same, entry)), None);
            }
            if entries.len() == entries.capacity() {
                entries.reserve_exact(GROWTH);
            }
            entries.insert(at, entry);
            let right = overflow(entries, at);
            let split = right.and_then(|right| {
                let from = order.key(right.first()?);
                Some(Child { from, len: right.len(), node: Arc::new(Node::Leaf(right)) })
            });
            (None, split)
        }
        Node::Inner(children) => {
            let at = responsible(children, key);
            let Some(child) = children.get_mut(at) else { return (None, None) };
            let (old, split) = insert_into(&mut child.node, key, entry, order);
            child.len += usize::from(old.is_none());
            let Some(right) = split else { return (old, None) };
            child.len -= right.len;
            children.insert(at + 1, right);
            (old, overflow(children, at + 1).and_then(inner))
        }
    }
}

fn remove_from<E: Clone>(node: &mut Arc<Node<E>>, key: &[u8], order: &impl Order<E>) -> Option<E> {
    match Arc::make_mut(node) {
        Node::Leaf(entries) => {
            let at = place(entries, key, order);
            let found = entries.get(at).is_some_and(|entry| order.compare(entry, key).is_eq());
            found.then(|| entries.remove(at))
        }
        Node::Inner(children) => {
            let at = responsible(children, key);
            let child = children.get_mut(at)?;
            let removed = remove_from(&mut child.node, key, order)?;
            child.len -= 1;
            if child.len == 0 {
                children.remove(at);
            } else if child.node.width() < FAN / 4 {
                join(children, at);
            }
            Some(removed)
        }
    }
}

/// Joins a narrow child with a neighbour if both fit into one and leave room.
fn join<E: Clone>(children: &mut Vec<Child<E>>, at: usize) {
    let left = if at + 1 < children.len() { at } else { at.saturating_sub(1) };
    let width = |at: usize| children.get(at).map(|child| child.node.width());
    let (Some(a), Some(b)) = (width(left), width(left + 1)) else { return };
    if a + b > FILL {
        return;
    }
    let right = children.remove(left + 1);
    let Some(left) = children.get_mut(left) else { return };
    left.len += right.len;
    match (Arc::make_mut(&mut left.node), Arc::unwrap_or_clone(right.node)) {
        (Node::Leaf(entries), Node::Leaf(more)) => entries.extend(more),
        (Node::Inner(children), Node::Inner(more)) => {
            let first = children.len();
            children.extend(more);
            // It was the first of its node, where nobody looked at this.
            if let Some(child) = children.get_mut(first) {
                child.from = right.from;
            }
        }
        // All leaves are equally deep.
        (Node::Leaf(_), Node::Inner(_)) | (Node::Inner(_), Node::Leaf(_)) => {}
    }
}

impl<E> Node<E> {
    fn width(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Inner(children) => children.len(),
        }
    }
}

/// Where in a leaf a key is or belongs.
fn place<E>(entries: &[E], key: &[u8], order: &impl Order<E>) -> usize {
    entries.partition_point(|entry| order.compare(entry, key).is_lt())
}

/// The child that a key is in or belongs into.
fn responsible<E>(children: &[Child<E>], key: &[u8]) -> usize {
    let others = children.get(1..).unwrap_or_default();
    others.partition_point(|child| *child.from <= *key)
}

/// The right part of a node that has become too wide, the newest of which stands at `at`. What
/// only grows at one end leaves full nodes behind.
fn overflow<T>(items: &mut Vec<T>, at: usize) -> Option<Vec<T>> {
    let width = items.len();
    if width <= FAN {
        return None;
    }
    let right = items.split_off(match at {
        0 => FAN - FILL,
        at if at + 1 == width => FILL,
        _ => width / 2,
    });
    items.shrink_to_fit();
    Some(right)
}

fn inner<E>(children: Vec<Child<E>>) -> Option<Child<E>> {
    let from = Arc::clone(&children.first()?.from);
    let len = children.iter().map(|child| child.len).sum();
    Some(Child { from, len, node: Arc::new(Node::Inner(children)) })
}

fn groups<T>(items: &mut impl Iterator<Item = T>) -> impl Iterator<Item = Vec<T>> {
    std::iter::from_fn(|| {
        let mut group = Vec::with_capacity(FILL);
        group.extend(items.by_ref().take(FILL));
        (!group.is_empty()).then_some(group)
    })
}

impl<E> Default for Tree<E> {
    fn default() -> Self {
        Self { root: Arc::new(Node::Leaf(Vec::new())), len: 0 }
    }
}

impl<E> Clone for Tree<E> {
    fn clone(&self) -> Self {
        Self { root: Arc::clone(&self.root), len: self.len }
    }
}

impl<E> Clone for Child<E> {
    fn clone(&self) -> Self {
        Self { from: Arc::clone(&self.from), len: self.len, node: Arc::clone(&self.node) }
    }
}

#[cfg(test)]
mod tests;
