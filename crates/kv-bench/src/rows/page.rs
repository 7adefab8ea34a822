//! Listing a page of 50 keys, from anywhere in a namespace, in both orders.

use std::time::Instant;

use kv_core::{Cursor, KvStore, Namespace};

use crate::{
    Result,
    bench::Bench,
    contestants::open_fs,
    grid::Grid,
    histogram::Histogram,
    names::{Name, namespace},
    results::{Row, Target},
    values::Random,
};

const PAGE: usize = 50;
/// Pages in each round.
const PAGES: usize = 1000;
/// A namespace that the processor's caches hold, and one that they do not.
const SMALL: usize = 10_000;
const FEW: usize = 100_000;
const BY_NAME: &str = "by name";
const NEWEST: &str = "newest first";

pub(super) fn run(bench: &Bench) -> Result<Row> {
    let mut sizes = [SMALL, FEW].map(|few| few.min(bench.page_keys)).to_vec();
    sizes.push(bench.page_keys);
    sizes.dedup();
    let mut grid = Grid::default();
    for &keys in &sizes {
        let store = open_fs(&bench.filled(keys)?)?;
        let (ns, median, tail) = (namespace()?, column(keys, "p50"), column(keys, "p99.9"));
        for round in 0..bench.rounds {
            let mut random = Random::seeded(round as u64);
            let pages = pages_by_name(&*store, &ns, keys, &mut random)?;
            grid.push(BY_NAME, &median, pages.quantile(0.5));
            grid.push(BY_NAME, &tail, pages.quantile(0.999));
            let pages = pages_newest_first(&*store, &ns, keys, &mut random)?;
            grid.push(NEWEST, &median, pages.quantile(0.5));
            grid.push(NEWEST, &tail, pages.quantile(0.999));
        }
        store.close()?;
    }
    let (few, many) = (column(FEW.min(bench.page_keys), "p50"), column(bench.page_keys, "p50"));
    let mut verdicts = Vec::new();
    for order in [BY_NAME, NEWEST] {
        let what = format!("page of {PAGE} of {} keys, {order}", bench.page_keys);
        verdicts.push(grid.verdict(&what, Target::AtMost(1000.0), "µs", (order, &many)));
        let what = format!("{what}: of the time with {FEW} keys");
        verdicts.push(grid.compare(&what, Target::AtMost(3.0), (order, &many), (order, &few)));
    }
    let how = format!(
        "kv-fs; {} rounds of {PAGES} pages, each after a random key; \
         flat means at most three times the time with {FEW} keys. With {SMALL} keys all is in the caches of the \
         processor, so that column says more of it than of the store.",
        bench.rounds
    );
    Ok(bench.row(how, &grid, verdicts))
}

fn column(keys: usize, what: &str) -> String {
    format!("{keys} keys, {what}, µs")
}

fn pages_by_name(
    store: &dyn KvStore,
    ns: &Namespace,
    keys: usize,
    random: &mut Random,
) -> Result<Histogram> {
    let mut pages = Histogram::default();
    for _ in 0..PAGES {
        let after = Name::new(random.below(keys.saturating_sub(PAGE)))?;
        let start = Instant::now();
        let page = store.list(ns, Some(&after.key), PAGE)?;
        pages.record(start.elapsed());
        if page.len() < PAGE.min(keys - 1) {
            return Err("a page is too short".into());
        }
    }
    Ok(pages)
}

fn pages_newest_first(
    store: &dyn KvStore,
    ns: &Namespace,
    keys: usize,
    random: &mut Random,
) -> Result<Histogram> {
    let order = store.capabilities().creation_order.ok_or("no order of creation")?;
    // Keys were created one after the other, so any number between the ends is a place.
    let newest = order.list_newest_first(ns, None, 1)?.next.map_or(0, |cursor| cursor.sequence());
    let oldest = newest.saturating_sub(keys as u64);
    let mut pages = Histogram::default();
    for _ in 0..PAGES {
        let place = oldest + 1 + (PAGE + random.below(keys.saturating_sub(PAGE))) as u64;
        let start = Instant::now();
        let page = order.list_newest_first(ns, Some(&Cursor::from_sequence(place)), PAGE)?;
        pages.record(start.elapsed());
        if page.keys.len() < PAGE.min(keys) {
            return Err("a page is too short".into());
        }
    }
    Ok(pages)
}
