//! Writing an entry without knowing the class of its namespace.

use kv_core::{Batch, Change, Key, KvStore as _, Namespace, Value};

use super::{
    class::{self, KvClass, KvNamespace, chosen, class_of, name},
    mergeable, store_first,
};
use crate::{Error, Result, Session};

impl Session {
    /// Stores an entry, in the class that its namespace has; the first write chooses that: `class`,
    /// or else a single writer. The choice is remembered in the same batch. Resolves when it is
    /// durable, with the class.
    ///
    /// # Errors
    /// [`Error::OtherClass`] if the namespace has another class than asked for,
    /// [`Error::TwoClasses`] if it has entries of both.
    pub async fn put_kv(
        &self,
        ns: &Namespace,
        key: &Key,
        value: impl Into<Value>,
        class: Option<KvClass>,
    ) -> Result<KvClass> {
        let tower = self.tower()?;
        let (kv, names) = (tower.kv(), &tower.data.kv_namespaces);
        let value: Value = value.into();
        loop {
            let seen = chosen(names, ns)?;
            let known = class_of(&*kv, names, ns)?;
            if let (Some(known), Some(asked)) = (known, class)
                && known != asked
            {
                return Err(Error::OtherClass { namespace: name(ns), class: known });
            }
            let class = known.or(class).unwrap_or(KvClass::SingleWriter);
            let place = match class {
                KvClass::Mergeable => mergeable::place(ns)?,
                KvClass::SingleWriter => ns.clone(),
            };
            let is_first = seen.is_none();
            let mut transaction = names.transaction();
            transaction.require(names, class::key_of(ns), move |now| now == seen.as_ref())?;
            if is_first {
                transaction.put(names, &KvNamespace::new(ns, class))?;
            }
            transaction.batch().insert(place, key.clone(), Change::Put(value.clone()));
            match transaction.submit() {
                Ok(commit) => {
                    commit.await?;
                    return Ok(class);
                }
                // Somebody else chooses right now: what, that shows once it is decided.
                Err(records::Error::Changed { .. }) => {
                    tower.recorder.submit(Batch::new()).await?;
                }
                Err(error) => return Err(store_first(error)),
            }
        }
    }
}
