//! The scrub: everything in the directory opens, nothing lies beside it, and the store below agrees.

use std::collections::{HashMap, HashSet};

use kv_core::{
    Error, Key, KvStore, KvStoreExt, Namespace, Progress, Report, Result, Severity, Verify,
};

use super::{STORE, SealedStore};
use crate::{directory::Name, header::Header, hidden};

impl Verify for SealedStore {
    fn verify(&self, progress: &mut dyn FnMut(Progress)) -> Result<Report> {
        let mut report = Report::default();
        report.findings.extend(self.noticed.clone());
        self.check_bookkeeping(&mut report)?;
        self.check_values(&mut report, progress)?;
        self.check_orphans(&mut report)?;
        if let Some(below) = self.inner.capabilities().verify {
            // The same entries again, in their sealed form: only its findings are new.
            report.findings.extend(below.verify(&mut |_| ())?.findings);
        }
        Ok(report)
    }
}

impl SealedStore {
    /// The header, and the directory as it lies on disk.
    fn check_bookkeeping(&self, report: &mut Report) -> Result<()> {
        self.with(|unlocked| {
            for state in Header::check(&*self.inner)? {
                report.push(Severity::Damage, STORE, format!("a copy of the header is {state}"));
            }
            for (class, number) in unlocked.bookkeeping() {
                let read = unlocked.check_part(&*self.inner, class, number);
                let what = || format!("part {number} of the name directory ({class})");
                self.note(report, read, what)?;
            }
            Ok(())
        })
    }

    /// Every value that has a name, read through the front door.
    fn check_values(&self, report: &mut Report, progress: &mut dyn FnMut(Progress)) -> Result<()> {
        let mut names = self.with(|unlocked| Ok(unlocked.names().all()))?;
        for ns in self.inner.namespaces()?.iter().filter(|ns| hidden::is_clear(ns)) {
            let keys = self.inner.list_all(ns)?;
            names.extend(keys.into_iter().map(|key| (ns.clone(), key)));
        }
        let total = names.len() as u64;
        for (done, (ns, key)) in (1..).zip(&names) {
            let read = self.read(ns, key);
            let read = read.map(|value| value.map_or(0, |value| value.len()));
            self.note(report, read, || self.describe(ns, key))?;
            progress(Progress { done, total });
        }
        Ok(())
    }

    /// Values below that no name leads to.
    fn check_orphans(&self, report: &mut Report) -> Result<()> {
        let mut below: Vec<Name> = Vec::new();
        for ns in self.inner.namespaces()? {
            if hidden::is_own(&ns) || hidden::is_clear(&ns) {
                continue;
            }
            let keys = self.inner.list_all(&ns)?;
            below.extend(keys.into_iter().map(|key| (ns.clone(), key)));
        }
        self.with(|unlocked| {
            let known = Known::new(unlocked.names().all(), unlocked.keys());
            below.retain(|place| !known.contains(place));
            if below.is_empty() {
                return Ok(());
            }
            // Names that came and went meanwhile are no orphans: look again while nothing changes.
            let _order = unlocked.order();
            let known = Known::new(unlocked.names().all(), unlocked.keys());
            for (ns, key) in below {
                if self.inner.read(&ns, &key)?.is_some()
                    && !known.contains(&(ns.clone(), key.clone()))
                {
                    let what = format!("a value without a name at {ns:?}/{key:?}");
                    report.push(Severity::Damage, STORE, what);
                }
            }
            Ok(())
        })
    }

    /// Counts what could be read, and makes damage a finding.
    fn note(
        &self,
        report: &mut Report,
        read: Result<usize>,
        what: impl Fn() -> String,
    ) -> Result<()> {
        match read {
            Ok(len) => {
                report.entries += 1;
                report.bytes += len as u64;
            }
            Err(
                error @ (Error::Corrupt { .. } | Error::WrongKey { .. } | Error::TooNew { .. }),
            ) => {
                report.push(Severity::Damage, STORE, format!("{}: {error}", what()));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Where an entry lies below: reports hold no true names.
    fn describe(&self, ns: &Namespace, key: &Key) -> String {
        let place =
            self.with(|unlocked| hidden::place(unlocked.keys(), ns, key).map_err(super::invalid));
        match place {
            Ok(place) => format!("the value at {:?}/{:?}", place.ns, place.key),
            Err(_) => "a value".into(),
        }
    }
}

/// The places that names lead to.
struct Known(HashMap<Namespace, HashSet<Key>>);

impl Known {
    fn new(names: Vec<Name>, keys: &crate::Keys) -> Self {
        let mut known: HashMap<Namespace, HashSet<Key>> = HashMap::new();
        let mut last: Option<(Namespace, Namespace)> = None;
        for (ns, key) in names {
            // Names come in order, so each namespace is hashed once.
            let hidden_ns = match &last {
                Some((true_ns, hidden_ns)) if *true_ns == ns => hidden_ns.clone(),
                _ => hidden::namespace(keys, &ns),
            };
            let hidden_key = hidden::key(keys, &ns, &key);
            known.entry(hidden_ns.clone()).or_default().insert(hidden_key);
            last = Some((ns, hidden_ns));
        }
        Self(known)
    }

    fn contains(&self, (ns, key): &Name) -> bool {
        self.0.get(ns).is_some_and(|keys| keys.contains(key))
    }
}
