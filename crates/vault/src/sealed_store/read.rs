//! Reading values: from the store below, opened; and telling what is absent from what is missing.

use kv_core::{Error, Key, KvStore, Namespace, Result, Value};

use super::{STORE, unlocked::Unlocked};
use crate::{
    hidden::{self, Hider, Place},
    open,
};

impl Unlocked {
    /// The store below knows what is durable, so it is asked first; the directory only tells
    /// whether an absent value is missing.
    pub(super) fn read(
        &self,
        inner: &dyn KvStore,
        ns: &Namespace,
        key: &Key,
    ) -> Result<Option<Value>> {
        let Ok(place) = hidden::place(self.keys(), ns, key) else {
            return Ok(None); // Nothing can be there.
        };
        match inner.read(&place.ns, &place.key)? {
            Some(sealed) => self.open_value(ns, key, &sealed).map(Some),
            None if place.hidden => self.confirm_absent(inner, ns, key, &place),
            None => Ok(None),
        }
    }

    /// As [`Unlocked::read`], of several keys.
    pub(super) fn read_many(
        &self,
        inner: &dyn KvStore,
        ns: &Namespace,
        keys: &[Key],
        enough: usize,
    ) -> Result<Vec<Option<Value>>> {
        let Some(below) = inner.capabilities().read_many else {
            return self.read_each(inner, ns, keys, enough);
        };
        let mut hider = Hider::new(self.keys());
        let places: Result<Vec<Place>, _> = keys.iter().map(|key| hider.place(ns, key)).collect();
        let Ok(places) = places else { return self.read_each(inner, ns, keys, enough) };
        let Some(Place { ns: hidden_ns, hidden, .. }) = places.first() else {
            return Ok(Vec::new());
        };
        let hidden_keys: Vec<Key> = places.iter().map(|place| place.key.clone()).collect();
        let values = below.read_many(hidden_ns, &hidden_keys, enough)?;
        let open = |((key, place), sealed): ((&Key, &Place), Option<Value>)| match sealed {
            Some(sealed) => self.open_value(ns, key, &sealed).map(Some),
            None if *hidden => self.confirm_absent(inner, ns, key, place),
            None => Ok(None),
        };
        keys.iter().zip(&places).zip(values).map(open).collect()
    }

    fn read_each(
        &self,
        inner: &dyn KvStore,
        ns: &Namespace,
        keys: &[Key],
        enough: usize,
    ) -> Result<Vec<Option<Value>>> {
        let (mut values, mut bytes) = (Vec::with_capacity(keys.len()), 0);
        for key in keys {
            let value = self.read(inner, ns, key)?;
            bytes += value.as_ref().map_or(0, |value| value.len());
            values.push(value);
            if bytes >= enough {
                break;
            }
        }
        Ok(values)
    }

    /// Nothing below: right, unless the directory says otherwise and goes on saying so while nobody
    /// can change it.
    fn confirm_absent(
        &self,
        inner: &dyn KvStore,
        ns: &Namespace,
        key: &Key,
        place: &Place,
    ) -> Result<Option<Value>> {
        if !self.names().is_settled(ns, key) {
            return Ok(None);
        }
        // It was put between the two looks, or it is missing. Only here is the ordering lock held
        // across a read.
        let _order = self.order();
        if !self.names().is_settled(ns, key) {
            return Ok(None);
        }
        match inner.read(&place.ns, &place.key)? {
            Some(sealed) => self.open_value(ns, key, &sealed).map(Some),
            None => Err(Error::corrupt(STORE, "a value is missing")),
        }
    }

    fn open_value(&self, ns: &Namespace, key: &Key, sealed: &[u8]) -> Result<Value> {
        let value = open(self.keys().at_rest_content(), &self.aad(ns, key), sealed);
        Ok(value.map_err(|e| e.into_store_error(STORE))?.into())
    }
}
