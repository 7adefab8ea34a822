//! Many new entries in one walk: each node on the way is looked at once for all that belong below it.

use std::sync::Arc;

use super::{Child, FAN, FILL, Node, Order, Tree, inner, place, responsible};

/// What is left to be put, ascending.
type Left<E> = std::iter::Peekable<std::vec::IntoIter<(Vec<u8>, E)>>;

impl<E: Clone> Tree<E> {
    /// Puts entries beside their keys, which ascend and of which none is there.
    pub(crate) fn extend(&mut self, entries: Vec<(Vec<u8>, E)>, order: &impl Order<E>) {
        let added = entries.len();
        let mut right =
            extend_node(&mut self.root, &mut entries.into_iter().peekable(), None, order);
        if !right.is_empty() {
            let len = self.len + added - right.iter().map(|child| child.len).sum::<usize>();
            let left = Child { from: Arc::from([]), len, node: Arc::clone(&self.root) };
            right.insert(0, left);
            while right.len() > 1 {
                right = parts(right).into_iter().filter_map(inner).collect();
            }
            if let Some(root) = right.pop() {
                self.root = root.node;
            }
        }
        self.len += added;
    }
}

/// Puts what belongs before `until` (`None`: everything) below a node; what grew out of it to the
/// right.
fn extend_node<E: Clone>(
    node: &mut Arc<Node<E>>,
    left: &mut Left<E>,
    until: Option<&[u8]>,
    order: &impl Order<E>,
) -> Vec<Child<E>> {
    let is_here = |key: &[u8]| until.is_none_or(|until| key < until);
    match Arc::make_mut(node) {
        Node::Leaf(entries) => {
            let mut at = 0;
            while let Some((key, entry)) = left.next_if(|(key, _)| is_here(key)) {
                let rest = entries.get(at..).unwrap_or_default();
                // What comes in the order of an index often stands side by side.
                if rest.first().is_some_and(|next| order.compare(next, &key).is_lt()) {
                    at += place(rest, &key, order);
                }
                entries.insert(at, entry);
                at += 1;
            }
            let mut parts = parts(std::mem::take(entries)).into_iter();
            *entries = parts.next().unwrap_or_default();
            let leaf = |leaf: Vec<E>| {
                let from = order.key(leaf.first()?);
                Some(Child { from, len: leaf.len(), node: Arc::new(Node::Leaf(leaf)) })
            };
            parts.filter_map(leaf).collect()
        }
        Node::Inner(children) => {
            let mut at = 0;
            while let Some((key, _)) = left.peek().filter(|(key, _)| is_here(key)) {
                at += responsible(children.get(at..).unwrap_or_default(), key);
                let next = children.get(at + 1).map(|child| Arc::clone(&child.from));
                let Some(child) = children.get_mut(at) else { break };
                let before = left.len();
                let right = extend_node(&mut child.node, left, next.as_deref().or(until), order);
                child.len += before - left.len();
                child.len -= right.iter().map(|child| child.len).sum::<usize>();
                let grown = at + 1..at + 1;
                at += right.len() + 1;
                children.splice(grown, right);
            }
            let mut parts = parts(std::mem::take(children)).into_iter();
            *children = parts.next().unwrap_or_default();
            parts.filter_map(inner).collect()
        }
    }
}

/// Cuts what has become too wide for one node, into parts of one size.
fn parts<T>(mut items: Vec<T>) -> Vec<Vec<T>> {
    if items.len() <= FAN {
        return vec![items];
    }
    let count = items.len().div_ceil(FILL);
    let width = items.len().div_ceil(count);
    let mut parts = Vec::with_capacity(count);
    while items.len() > width {
        let rest = items.split_off(width);
        items.shrink_to_fit();
        parts.push(std::mem::replace(&mut items, rest));
    }
    parts.push(items);
    parts
}
