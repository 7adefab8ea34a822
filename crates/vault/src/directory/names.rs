//! The names in memory: which are there for readers, and which once all that was submitted is done.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
};

use kv_core::{Key, Namespace, Receipt, SortKey, Unsettled};

use super::{Home, Name, entry::Entry};

/// All true names. Readers see what is durable below; submits see what was submitted.
#[derive(Debug, Default)]
pub(crate) struct Names {
    folders: BTreeMap<Namespace, Folder>,
    in_flight: Unsettled<Vec<NameChange>>,
    failed: bool,
}

/// A name that a batch adds or removes.
#[derive(Debug, Clone)]
pub(crate) struct NameChange {
    pub(crate) name: Name,
    /// The key below.
    pub(crate) hidden: Key,
    pub(crate) added: bool,
    /// Where it lies in the pages from now on, if it goes there at once.
    pub(crate) home: Option<Home>,
}

/// A name that a batch writes or removes, whether it was there before or not.
#[derive(Debug)]
pub(crate) struct Touched {
    pub(crate) name: Name,
    /// The key below.
    pub(crate) hidden: Key,
    pub(crate) put: bool,
}

impl From<Touched> for NameChange {
    fn from(Touched { name, hidden, put }: Touched) -> Self {
        Self { name, hidden, added: put, home: None }
    }
}

#[derive(Debug, Default)]
struct Folder {
    entries: BTreeMap<SortKey, Entry>,
    visible: usize,
    /// From the key below to the true one; made when creation order is first asked for.
    by_hidden: Option<HashMap<Key, Key>>,
}

impl Names {
    /// Takes in everything that has been decided below. Call it before looking at anything.
    pub(crate) fn settle(&mut self) {
        let mut in_flight = std::mem::take(&mut self.in_flight);
        in_flight.settle(|changes, outcome| {
            // A failure is unknown until reopened, and the store below takes no further change: what
            // failed stays in flight, so that nothing below counts as missing because of it.
            if outcome.is_ok() {
                changes.into_iter().for_each(|change| self.apply(change));
            }
        });
        self.in_flight = in_flight;
    }

    /// Whether [`Names::fail`] was called.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Whether everything submitted is decided.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// No further change is to be taken, though the store below would.
    pub(crate) fn fail(&mut self) {
        self.failed = true;
    }

    /// Whether a batch that comes next adds or removes the name. Names that ascend are answered best.
    pub(crate) fn is_changed(&self) -> impl FnMut(&Touched) -> bool {
        let mut last: Option<(Namespace, Option<&Folder>)> = None;
        move |Touched { name: (ns, key), put, .. }| {
            let folder = match &last {
                Some((known, folder)) if known == ns => *folder,
                _ => last.insert((ns.clone(), self.folders.get(ns))).1,
            };
            let entry = folder.and_then(|folder| folder.entries.get(&SortKey::from(key)));
            entry.is_some_and(Entry::is_submitted) != *put
        }
    }

    /// Whether the name is there and nobody is changing that.
    pub(crate) fn is_settled(&self, ns: &Namespace, key: &Key) -> bool {
        self.entry(ns, key).is_some_and(|entry| entry.is_visible() && !entry.is_in_flight())
    }

    /// Visible keys, ascending.
    pub(crate) fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Vec<Key> {
        let Some(folder) = self.folders.get(ns) else {
            return Vec::new();
        };
        let start = after.map_or(Bound::Unbounded, |after| Bound::Excluded(SortKey::from(after)));
        let entries = folder.entries.range((start, Bound::Unbounded));
        let visible = entries.filter(|(_, entry)| entry.is_visible());
        visible.take(limit).map(|(key, _)| key.key().clone()).collect()
    }

    /// Namespaces with a visible key, ascending.
    pub(crate) fn namespaces(&self) -> Vec<Namespace> {
        let folders = self.folders.iter();
        let visible = folders.filter(|(_, folder)| folder.visible > 0);
        visible.map(|(ns, _)| ns.clone()).collect()
    }

    /// A number for each key that ascends, roughly, as names were added: pages are numbered so.
    pub(crate) fn ages(&self, ns: &Namespace, keys: &[Key]) -> Vec<u64> {
        let folder = self.folders.get(ns);
        let home = |key| folder?.entries.get(&SortKey::from(key))?.home();
        keys.iter().map(|key| home(key).map_or(u64::MAX, |home| home.page.get())).collect()
    }

    /// Every name that is there or may be, so that no value below it is an orphan.
    pub(crate) fn all(&self) -> Vec<Name> {
        let names = self.folders.iter();
        names
            .flat_map(|(ns, folder)| {
                folder.entries.keys().map(|key| (ns.clone(), key.key().clone()))
            })
            .collect()
    }

    /// The true, visible keys behind keys below; those that are not (or no longer) there are left
    /// out. `hide` gives the key below for a true one.
    pub(crate) fn reveal(
        &mut self,
        ns: &Namespace,
        hidden: &[Key],
        hide: impl Fn(&Key) -> Key,
    ) -> Vec<Key> {
        let Some(folder) = self.folders.get_mut(ns) else {
            return Vec::new();
        };
        let entries = &folder.entries;
        let by_hidden = folder.by_hidden.get_or_insert_with(|| {
            let visible = entries.iter().filter(|(_, entry)| entry.is_visible());
            visible.map(|(key, _)| (hide(key.key()), key.key().clone())).collect()
        });
        let keys = hidden.iter().filter_map(|key| by_hidden.get(key));
        keys.cloned().collect()
    }

    /// Notes a batch that the store below has taken.
    pub(crate) fn accept(&mut self, changes: Vec<NameChange>, receipt: Receipt) {
        // Decided already, and nothing waits before it: then each name is looked up once.
        let done = self.in_flight.is_empty() && matches!(receipt.outcome(), Some(Ok(())));
        for run in changes.chunk_by(|a, b| a.name.0 == b.name.0) {
            let Some(NameChange { name: (ns, _), .. }) = run.first() else { continue };
            let folder = self.folders.entry(ns.clone()).or_default();
            for change in run {
                folder.accept(change, done);
            }
            if folder.entries.is_empty() {
                self.folders.remove(ns);
            }
        }
        if !done {
            self.in_flight.push(receipt, changes);
        }
    }

    /// All names that lie in pages at unlock, and where, before any other; `false` if one lies in two.
    pub(crate) fn load_pages(&mut self, names: impl Iterator<Item = (Name, Home)>) -> bool {
        let mut folders: BTreeMap<Namespace, Vec<(SortKey, Entry)>> = BTreeMap::new();
        for ((ns, key), home) in names {
            let entry = Entry::at_rest(Some(home));
            folders.entry(ns).or_default().push((key.into(), entry));
        }
        for (ns, mut entries) in folders {
            // Those of a page ascend: what consists of such runs is sorted quickly, and a tree of what
            // is sorted is built in one go.
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            if !entries.is_sorted_by(|(a, _), (b, _)| a < b) {
                return false;
            }
            let visible = entries.len();
            let entries = entries.into_iter().collect();
            self.folders.insert(ns, Folder { entries, visible, by_hidden: None });
        }
        true
    }

    /// A name that was added on disk since the pages; `false` if it was there already.
    pub(crate) fn load(&mut self, name: &Name) -> bool {
        let entry = self.entry_mut(name);
        if entry.is_visible() {
            return false;
        }
        *entry = Entry::at_rest(None);
        self.folders.entry(name.0.clone()).or_default().visible += 1;
        true
    }

    /// A name that is removed on disk at unlock, and its home; `None` if it was not there.
    pub(crate) fn unload(&mut self, (ns, key): &Name) -> Option<Option<Home>> {
        let folder = self.folders.get_mut(ns)?;
        let entry = folder.entries.remove(&SortKey::from(key))?;
        folder.visible -= 1;
        if folder.entries.is_empty() {
            self.folders.remove(ns);
        }
        Some(entry.home())
    }

    /// The name lives in a page now.
    pub(crate) fn set_home(&mut self, name: &Name, home: Home) {
        self.entry_mut(name).set_home(Some(home));
    }

    /// The name leaves its page, if it is in one.
    pub(crate) fn take_home(&mut self, name: &Name) -> Option<Home> {
        let entry = self.entry_mut(name);
        let home = entry.home();
        entry.set_home(None);
        home
    }

    fn entry(&self, ns: &Namespace, key: &Key) -> Option<&Entry> {
        self.folders.get(ns)?.entries.get(&SortKey::from(key))
    }

    fn entry_mut(&mut self, (ns, key): &Name) -> &mut Entry {
        let folder = self.folders.entry(ns.clone()).or_default();
        folder.entries.entry(key.into()).or_default()
    }

    /// A change has become durable.
    fn apply(&mut self, change: NameChange) {
        let (ns, key) = &change.name;
        let Some(folder) = self.folders.get_mut(ns) else {
            return;
        };
        let Some(entry) = folder.entries.get_mut(&SortKey::from(key)) else {
            return;
        };
        entry.end_change();
        folder.visible = entry.show(change.added, folder.visible);
        if entry.is_gone() {
            folder.entries.remove(&SortKey::from(key));
        }
        folder.tell(&change);
        if folder.entries.is_empty() {
            self.folders.remove(ns);
        }
    }
}

impl Folder {
    /// Notes a change, which is durable if it is `done`.
    fn accept(&mut self, change: &NameChange, done: bool) {
        let entry = self.entries.entry((&change.name.1).into()).or_default();
        entry.set_submitted(change.added);
        if change.home.is_some() {
            entry.set_home(change.home);
        }
        if !done {
            entry.begin_change();
            return;
        }
        self.visible = entry.show(change.added, self.visible);
        if entry.is_gone() {
            self.entries.remove(&SortKey::from(&change.name.1));
        }
        self.tell(change);
    }

    /// Readers of the creation order see the change.
    fn tell(&mut self, NameChange { name: (_, key), hidden, added, .. }: &NameChange) {
        match (&mut self.by_hidden, added) {
            (Some(by_hidden), true) => drop(by_hidden.insert(hidden.clone(), key.clone())),
            (Some(by_hidden), false) => drop(by_hidden.remove(hidden)),
            (None, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    #[test]
    fn a_name_in_two_pages_is_damage_and_all_others_are_there() {
        let ns = Namespace::new("a", "").unwrap();
        let in_pages = |keys: [&str; 2]| {
            let mut names = Names::default();
            let found = keys
                .into_iter()
                .zip([NonZeroU64::MIN, NonZeroU64::MAX])
                .map(|(key, page)| ((ns.clone(), Key::new(key).unwrap()), Home { page, slot: 0 }));
            names.load_pages(found).then(|| names.list(&ns, None, 9))
        };
        assert_eq!(
            in_pages(["y", "x"]),
            Some(vec![Key::new("x").unwrap(), Key::new("y").unwrap()])
        );
        assert_eq!(in_pages(["x", "x"]), None);
    }
}
