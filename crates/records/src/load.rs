//! Reading every record of a type: names are listed, and what lies under them is read in the order it lies
//! in, opened and parsed on several threads.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use kv_core::{Key, KvStore, Namespace, ReadMany};

use crate::{
    Error, Record, Result, Skipped, codec, numbers, parallel, report,
    row::Row,
    sort::{count, in_order},
};

/// How many names are listed, and read, at a time. With no more than these no thread is begun.
const PAGE: usize = 1024;

/// How many bytes of values are read at a time, about.
const ENOUGH: usize = 1 << 20;

/// What was found, in no order.
pub(crate) struct Loaded<R> {
    pub(crate) rows: Vec<Arc<Row<R>>>,
    /// How far a store that numbers its records has counted.
    pub(crate) count: Option<u64>,
    pub(crate) skipped: Vec<Skipped>,
}

/// Reads all there is. An error is one that does not concern a single record.
pub(crate) fn load_all<R: Record>(kv: &dyn KvStore, ns: &Namespace) -> Result<Loaded<R>> {
    let count_name = R::NUMBERED.map(|_| numbers::name(R::STORE)).transpose()?;
    let place = Place { kv, ns, count_name };
    let names = place.list::<R>()?;
    let order = place.as_they_lie(&names);
    let pages: Vec<&[u32]> = order.chunks(PAGE).collect();
    let failed = AtomicBool::new(false);
    let read = parallel::each(pages.len(), pages.len() > 1, |at| {
        let mut loaded = Loaded::default();
        // After a failure nobody wants the rest.
        if let Some(page) = pages.get(at).filter(|_| !failed.load(Ordering::Relaxed)) {
            let page: Vec<Key> = in_order(&names, page).collect();
            let read = loaded.read(&place, &page);
            failed.fetch_or(read.is_err(), Ordering::Relaxed);
            read?;
        }
        Ok(loaded)
    });
    let mut loaded = Loaded::default();
    for more in read {
        loaded.extend(more?);
    }
    loaded.skipped.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(loaded)
}

/// Where the records lie.
struct Place<'a> {
    kv: &'a dyn KvStore,
    ns: &'a Namespace,
    count_name: Option<Key>,
}

impl Place<'_> {
    fn list<R: Record>(&self) -> Result<Vec<Key>> {
        let mut names: Vec<Key> = Vec::new();
        loop {
            let page = self.kv.list(self.ns, names.last(), PAGE).map_err(failed::<R>)?;
            if page.is_empty() {
                return Ok(names);
            }
            names.extend(page);
        }
    }

    /// In which order to read. The names of records are hashes: in theirs a disk would be read here
    /// and there.
    fn as_they_lie(&self, names: &[Key]) -> Vec<u32> {
        let mut order: Vec<u32> = (0..count(names.len())).collect();
        if names.len() > PAGE {
            let pages: Vec<&[Key]> = names.chunks(PAGE).collect();
            let places = parallel::each(pages.len(), true, |at| {
                let (page, many) = (pages.get(at)?, self.kv.capabilities().read_many?);
                many.places(self.ns, page).ok()
            });
            let places: Vec<u64> = places.into_iter().flatten().flatten().collect();
            // Some stores do not tell them. One that fails says why when it is read.
            if places.len() == names.len() {
                order.sort_by_key(|at| places.get(*at as usize));
            }
        }
        order
    }
}

impl<R: Record> Loaded<R> {
    fn read(&mut self, place: &Place<'_>, names: &[Key]) -> Result<()> {
        let names = match place.kv.capabilities().read_many {
            Some(many) => self.read_together(place, many, names),
            None => names,
        };
        // One by one, also to see whose fault it is.
        for name in names {
            match place.kv.read(place.ns, name).map_err(failed::<R>) {
                Ok(Some(bytes)) => self.take(place, name, &bytes),
                Ok(None) => {}
                Err(why) if report::concerns_one_record(&why) => {
                    self.skipped.push(Skipped { name: name.clone(), why });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads several at a time; those that are left over once one of them cannot be read.
    ///
    /// What is read is parsed afterwards: a record's own code runs then, and may call the store,
    /// which holds a lock while it shows values.
    fn read_together<'a>(
        &mut self,
        place: &Place<'_>,
        many: &dyn ReadMany,
        mut names: &'a [Key],
    ) -> &'a [Key] {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        while !names.is_empty() {
            bytes.clear();
            ends.clear();
            let read = many.read_many(place.ns, names, ENOUGH, &mut |at, value: Option<&[u8]>| {
                if let Some(value) = value {
                    bytes.extend_from_slice(value);
                    ends.push((at, bytes.len()));
                }
                Ok(())
            });
            // A store that shows nothing breaks its word; what it has may be read one by one.
            let read = read.ok().filter(|read| *read > 0);
            let Some((done, rest)) = read.and_then(|read| names.split_at_checked(read)) else {
                break;
            };
            let mut begin = 0;
            for (at, end) in &ends {
                if let (Some(name), Some(bytes)) = (done.get(*at), bytes.get(begin..*end)) {
                    self.take(place, name, bytes);
                }
                begin = *end;
            }
            names = rest;
        }
        names
    }

    fn take(&mut self, place: &Place<'_>, name: &Key, bytes: &[u8]) {
        let taken = if place.count_name.as_ref() == Some(name) {
            numbers::from_value(R::STORE, name, bytes).map(|count| self.count = Some(count))
        } else {
            parse(name, bytes).map(|row| self.rows.push(Arc::new(row)))
        };
        if let Err(why) = taken {
            self.skipped.push(Skipped { name: name.clone(), why });
        }
    }

    fn extend(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.count = other.count.or(self.count);
        self.skipped.extend(other.skipped);
    }
}

/// Reads a record and checks that it is the one its name says.
pub(crate) fn load<R: Record>(
    kv: &dyn KvStore,
    ns: &Namespace,
    name: &Key,
) -> Result<Option<Row<R>>> {
    kv.read(ns, name).map_err(failed::<R>)?.map(|bytes| parse(name, &bytes)).transpose()
}

/// Reads how far a store that numbers its records has counted.
pub(crate) fn load_count<R: Record>(
    kv: &dyn KvStore,
    ns: &Namespace,
    name: &Key,
) -> Result<Option<u64>> {
    let read = kv.read(ns, name).map_err(failed::<R>)?;
    read.map(|bytes| numbers::from_value(R::STORE, name, &bytes)).transpose()
}

fn parse<R: Record>(name: &Key, bytes: &[u8]) -> Result<Row<R>> {
    let (record, version) = codec::record::<R>(name, bytes)?;
    let primary = record.key().encode();
    if codec::name(R::STORE, &primary)? != *name {
        let what = "the record belongs under another name";
        return Err(codec::damaged(R::STORE, name, Arc::from(Box::from(what))));
    }
    Ok(Row { primary: primary.as_slice().into(), version, record })
}

fn failed<R: Record>(source: kv_core::Error) -> Error {
    Error::Store { store: R::STORE, source }
}

impl<R> Default for Loaded<R> {
    fn default() -> Self {
        Self { rows: Vec::new(), count: None, skipped: Vec::new() }
    }
}
