//! Opening an object store: every record is read once, and the indexes are built.

use std::{collections::BTreeMap, sync::Arc};

use kv_core::{Key, KvStore, Namespace};

use crate::{
    Error, Index, OpenReport, Record, Result, Skipped, UniqueConflict, codec,
    encoding::decode,
    numbers::{self, Numbers},
    report,
    row::Row,
    rows::Rows,
    schema,
    table::Table,
};

/// How many names are asked for at a time.
const PAGE: usize = 1024;

/// Reads every record of the type. What cannot be used is in the report.
pub(crate) fn open<R: Record>(kv: Arc<dyn KvStore>) -> Result<(Table<R>, OpenReport)> {
    schema::check::<R>()?;
    let ns = codec::namespace(R::STORE)?;
    let failed = |source| Error::Store { store: R::STORE, source };
    let mut report = OpenReport::default();
    let mut rows: Vec<Arc<Row<R>>> = Vec::new();
    let mut numbers = Numbers::new(None);
    let mut after: Option<Key> = None;
    let count_name = R::NUMBERED.map(|_| numbers::name(R::STORE)).transpose()?;
    loop {
        let page = kv.list(&ns, after.as_ref(), PAGE).map_err(failed)?;
        let Some(last) = page.last().cloned() else {
            break;
        };
        for name in page {
            let read = if count_name.as_ref() == Some(&name) {
                load_count::<R>(&*kv, &ns, &name)
                    .map(|count| count.iter().for_each(|count| numbers.merge(*count)))
            } else {
                load::<R>(&*kv, &ns, &name).map(|row| rows.extend(row.map(Arc::new)))
            };
            match read {
                Ok(()) => {}
                Err(why) if report::concerns_one_record(&why) => {
                    report.skipped.push(Skipped { name, why });
                }
                Err(error) => return Err(error),
            }
        }
        after = Some(last);
    }
    if R::NUMBERED.is_some() {
        let keys = rows.iter().filter_map(|row| decode(&row.primary));
        keys.for_each(|key| numbers.saw(&key));
    }
    report.records = rows.len() as u64;
    let (rows, twins) = Rows::build(rows);
    report.old = rows.old().len() as u64;
    for (position, twins) in twins {
        let index = R::INDEXES.get(position).map_or("", Index::name);
        for [a, b] in twins {
            let names = [codec::name(R::STORE, &a)?, codec::name(R::STORE, &b)?];
            report.conflicts.push(UniqueConflict { index, names });
        }
    }
    let unusable = report.skipped.iter().map(|skipped| (skipped.name.clone(), skipped.why.clone()));
    let unusable: BTreeMap<Key, Error> = unusable.collect();
    Ok((Table::new(kv, ns, rows, unusable, numbers), report))
}

/// Reads a record and checks that it is the one its name says.
pub(crate) fn load<R: Record>(
    kv: &dyn KvStore,
    ns: &Namespace,
    name: &Key,
) -> Result<Option<Row<R>>> {
    let read = kv.read(ns, name).map_err(|source| Error::Store { store: R::STORE, source })?;
    let Some(bytes) = read else { return Ok(None) };
    let (record, version) = codec::record::<R>(name, &bytes)?;
    let primary = record.key().encode().into_boxed_slice();
    if codec::name(R::STORE, &primary)? != *name {
        let what = "the record belongs under another name";
        return Err(codec::damaged(R::STORE, name, Arc::from(Box::from(what))));
    }
    Ok(Some(Row { primary, version, record }))
}

/// Reads how far a store that numbers its records has counted.
pub(crate) fn load_count<R: Record>(
    kv: &dyn KvStore,
    ns: &Namespace,
    name: &Key,
) -> Result<Option<u64>> {
    let read = kv.read(ns, name).map_err(|source| Error::Store { store: R::STORE, source })?;
    read.map(|bytes| numbers::from_value(R::STORE, name, &bytes)).transpose()
}
