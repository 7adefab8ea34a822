//! Opening an object store: every record is read once, and the indexes are built.

use std::{collections::BTreeMap, sync::Arc};

use kv_core::{Key, KvStore};

use crate::{
    Error, Index, OpenReport, Record, Result, UniqueConflict, codec,
    encoding::decode,
    load::{Loaded, load_all},
    numbers::Numbers,
    rows::Rows,
    schema,
    table::Table,
};

/// Reads every record of the type. What cannot be used is in the report.
pub(crate) fn open<R: Record>(kv: Arc<dyn KvStore>) -> Result<(Table<R>, OpenReport)> {
    schema::check::<R>()?;
    let ns = codec::namespace(R::STORE)?;
    let Loaded { rows, count, skipped } = load_all::<R>(&*kv, &ns)?;
    let mut report = OpenReport { skipped, ..OpenReport::default() };
    let mut numbers = Numbers::new(None);
    count.iter().for_each(|count| numbers.merge(*count));
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
