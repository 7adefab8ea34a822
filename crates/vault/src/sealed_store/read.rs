//! Reading values: from the store below, opened; and telling what is absent from what is missing.

use kv_core::{Error, Key, KvStore, Namespace, Result, Show, Value};

use super::{STORE, unlocked::Unlocked};
use crate::{
    envelope::open_into,
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

    /// As [`Unlocked::read`], of several keys: see [`kv_core::ReadMany`].
    pub(super) fn read_many(
        &self,
        inner: &dyn KvStore,
        (ns, keys, enough): (&Namespace, &[Key], usize),
        show: &mut Show<'_>,
    ) -> Result<usize> {
        let Some(below) = inner.capabilities().read_many else {
            return self.read_each(inner, (ns, keys, enough), show);
        };
        let mut hider = Hider::new(self.keys());
        let places: Result<Vec<Place>, _> = keys.iter().map(|key| hider.place(ns, key)).collect();
        let Ok(places) = places else { return self.read_each(inner, (ns, keys, enough), show) };
        let Some(Place { ns: ns_below, hidden, .. }) = places.first().cloned() else {
            return Ok(0);
        };
        let keys_below: Vec<Key> = places.into_iter().map(|place| place.key).collect();
        let (content, mut bound) = (self.keys().at_rest_content(), self.aad_in(ns));
        let (mut opened, mut absent) = (Vec::new(), Vec::new());
        let read = below.read_many(&ns_below, &keys_below, enough, &mut |at, sealed| match (
            sealed,
            keys.get(at),
        ) {
            (Some(sealed), Some(key)) => {
                open_into(&mut opened, content, bound.text(key.as_str()), sealed)
                    .map_err(|e| e.into_store_error(STORE))?;
                show(at, Some(&opened))
            }
            _ if hidden => {
                absent.push(at);
                Ok(())
            }
            _ => show(at, None),
        })?;
        // Only now: the store below must not be called while it shows.
        for at in absent {
            let Some(key) = keys.get(at) else { continue };
            let value = self.read(inner, ns, key)?;
            show(at, value.as_deref())?;
        }
        Ok(read)
    }

    fn read_each(
        &self,
        inner: &dyn KvStore,
        (ns, keys, enough): (&Namespace, &[Key], usize),
        show: &mut Show<'_>,
    ) -> Result<usize> {
        let mut bytes = 0;
        for (at, key) in keys.iter().enumerate() {
            let value = self.read(inner, ns, key)?;
            show(at, value.as_deref())?;
            bytes += value.map_or(0, |value| value.len());
            if bytes >= enough {
                return Ok(at + 1);
            }
        }
        Ok(keys.len())
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
        let mut bound = self.aad_in(ns);
        let value = open(self.keys().at_rest_content(), bound.text(key.as_str()), sealed);
        Ok(value.map_err(|e| e.into_store_error(STORE))?.into())
    }
}
