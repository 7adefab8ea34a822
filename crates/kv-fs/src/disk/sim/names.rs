//! The names on a simulated disk, and their changes on the way to it.

use std::{collections::BTreeMap, sync::Arc};

pub(super) type Path = Arc<str>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Dir,
    File(usize),
}

pub(super) type Names = BTreeMap<Path, Node>;

/// A change of names. `order` is its place among everything that is pending.
#[derive(Debug, Clone)]
pub(super) struct NameChange {
    pub(super) order: u64,
    pub(super) what: What,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Create(Path, Node),
    Remove(Path),
    Rename { from: Path, to: Path, node: Node },
}

impl What {
    /// One name, or two.
    pub(super) fn paths(&self) -> (&Path, Option<&Path>) {
        match self {
            Self::Create(path, _) | Self::Remove(path) => (path, None),
            Self::Rename { from, to, .. } => (from, Some(to)),
        }
    }
}

impl NameChange {
    /// Whether a sync of this folder makes the change durable. A rename is atomic, so a sync of
    /// either of its folders does.
    pub(super) fn is_in(&self, dir: &str) -> bool {
        self.paths().any(|path| parent(path) == dir)
    }

    fn paths(&self) -> impl Iterator<Item = &Path> {
        let (first, second) = self.what.paths();
        std::iter::once(first).chain(second)
    }

    pub(super) fn apply(&self, names: &mut Names) {
        match &self.what {
            What::Create(path, node) => put(names, path, *node),
            What::Remove(path) => {
                names.remove(path);
            }
            What::Rename { from, to, node } => {
                names.remove(from);
                put(names, to, *node);
            }
        }
    }

    /// What is left of this change once a later one is durable: on each name the later one wins.
    pub(super) fn behind(self, later: &Self) -> Option<Self> {
        let overtaken = |path: &Path| later.paths().any(|other| other == path);
        let what = match self.what {
            What::Rename { from, to, node } => match (overtaken(&from), overtaken(&to)) {
                (true, true) => None,
                (true, false) => Some(What::Create(to, node)),
                (false, true) => Some(What::Remove(from)),
                (false, false) => Some(What::Rename { from, to, node }),
            },
            What::Create(path, node) => (!overtaken(&path)).then_some(What::Create(path, node)),
            What::Remove(path) => (!overtaken(&path)).then_some(What::Remove(path)),
        };
        what.map(|what| Self { order: self.order, what })
    }

    /// The file that gets a name.
    pub(super) fn node(&self) -> Option<Node> {
        match self.what {
            What::Create(_, node) | What::Rename { node, .. } => Some(node),
            What::Remove(_) => None,
        }
    }
}

fn put(names: &mut Names, path: &Path, node: Node) {
    if node != Node::Dir {
        // If an earlier rename was lost, the file still has the name from before that.
        names.retain(|_, other| *other != node);
    }
    names.insert(Arc::clone(path), node);
}

/// A name in a folder that is gone cannot be reached. Parents sort before children.
pub(super) fn reachable(names: &Names) -> Names {
    let mut kept = Names::new();
    for (path, node) in names {
        let parent = parent(path);
        if parent.is_empty() || kept.get(parent) == Some(&Node::Dir) {
            kept.insert(Arc::clone(path), *node);
        }
    }
    kept
}

pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}
