//! Reading every record of a type: names are listed once, and what lies under them is read, opened
//! and parsed on several threads.

use std::{
    mem, panic,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use kv_core::{Key, KvStore, Namespace, ReadMany};

use crate::{Error, Record, Result, Skipped, codec, numbers, parallel, report, row::Row};

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
    let first = place.list::<R>(None)?;
    let mut loaded = Loaded::default();
    if first.len() < PAGE {
        loaded.read(&place, first)?;
    } else {
        for more in place.load_beside::<R>(first)? {
            loaded.extend(more);
        }
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
    fn list<R: Record>(&self, after: Option<&Key>) -> Result<Vec<Key>> {
        self.kv.list(self.ns, after, PAGE).map_err(failed::<R>)
    }

    /// Lists here and reads beside.
    fn load_beside<R: Record>(&self, first: Vec<Key>) -> Result<Vec<Loaded<R>>> {
        let (sender, receiver) = sync_channel(2 * parallel::threads());
        // The readers alone have it: once all of them have failed nobody waits for room in it.
        let receiver = Arc::new(Mutex::new(receiver));
        thread::scope(|scope| {
            let readers: Vec<_> = (0..parallel::threads())
                .map_while(|_| {
                    let receiver = Arc::clone(&receiver);
                    let read = move || self.read_pages(&receiver);
                    thread::Builder::new().spawn_scoped(scope, read).ok()
                })
                .collect();
            drop(receiver);
            if readers.is_empty() {
                return self.load_here(first).map(|loaded| vec![loaded]);
            }
            let listed = self.list_pages::<R>(first, &sender);
            drop(sender);
            let read = readers.into_iter().map(|reader| match reader.join() {
                Ok(read) => read,
                Err(panic) => panic::resume_unwind(panic),
            });
            let read: Result<Vec<_>> = read.collect();
            listed.and(read)
        })
    }

    /// Where the system gives no thread.
    fn load_here<R: Record>(&self, mut page: Vec<Key>) -> Result<Loaded<R>> {
        let mut loaded = Loaded::default();
        while let Some(last) = page.last().cloned() {
            loaded.read(self, mem::take(&mut page))?;
            page = self.list::<R>(Some(&last))?;
        }
        Ok(loaded)
    }

    /// Ends early once nobody reads any more: whoever failed says why.
    fn list_pages<R: Record>(&self, first: Vec<Key>, to: &SyncSender<Vec<Key>>) -> Result<()> {
        let mut page = first;
        while let Some(last) = page.last().cloned() {
            if to.send(mem::take(&mut page)).is_err() {
                break;
            }
            page = self.list::<R>(Some(&last))?;
        }
        Ok(())
    }

    fn read_pages<R: Record>(&self, pages: &Mutex<Receiver<Vec<Key>>>) -> Result<Loaded<R>> {
        let mut loaded = Loaded::default();
        let next = || pages.lock().unwrap_or_else(PoisonError::into_inner).recv();
        while let Ok(page) = next() {
            loaded.read(self, page)?;
        }
        Ok(loaded)
    }
}

impl<R: Record> Loaded<R> {
    fn read(&mut self, place: &Place<'_>, names: Vec<Key>) -> Result<()> {
        let names = match place.kv.capabilities().read_many {
            Some(many) => self.read_together(place, many, &names),
            None => &names,
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
    // Not the vector itself made shorter: what it leaves behind would be a hole for each record.
    let primary: Box<[u8]> = record.key().encode().as_slice().into();
    if codec::name(R::STORE, &primary)? != *name {
        let what = "the record belongs under another name";
        return Err(codec::damaged(R::STORE, name, Arc::from(Box::from(what))));
    }
    Ok(Row { primary, version, record })
}

fn failed<R: Record>(source: kv_core::Error) -> Error {
    Error::Store { store: R::STORE, source }
}

impl<R> Default for Loaded<R> {
    fn default() -> Self {
        Self { rows: Vec::new(), count: None, skipped: Vec::new() }
    }
}
