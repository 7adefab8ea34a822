//! Which keys were backed up while somebody compares the store with an older moment.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use backup::{EntryName, NameSet};

/// Remembers the keys of every segment made while a [`Watch`] lives.
#[derive(Debug, Default)]
pub(crate) struct Watches(Mutex<Vec<Weak<Mutex<NameSet>>>>);

/// The keys that were backed up since it began.
#[derive(Debug)]
pub(crate) struct Watch(Arc<Mutex<NameSet>>);

impl Watches {
    pub(crate) fn begin(&self) -> Watch {
        let names = Arc::default();
        let mut watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watches.retain(|watch| watch.strong_count() > 0);
        watches.push(Arc::downgrade(&names));
        Watch(names)
    }

    /// Before the log may forget them.
    pub(crate) fn note<'a>(&self, names: impl Iterator<Item = &'a EntryName> + Clone) {
        let watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for watch in watches.iter().filter_map(Weak::upgrade) {
            let mut noted = watch.lock().unwrap_or_else(PoisonError::into_inner);
            names.clone().for_each(|name| {
                noted.insert(name);
            });
        }
    }
}

impl Watch {
    pub(crate) fn contains(&self, name: &EntryName) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }
}
