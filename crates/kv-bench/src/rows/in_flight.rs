//! One thread that keeps 64 commits in flight, beside 64 threads that wait for theirs at the limit.

use std::{
    collections::VecDeque,
    future::Future,
    path::Path,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Instant,
};

use kv_core::{Batch, Commit};

use crate::{
    Result,
    bench::{Bench, HOT_KEYS, SMALL},
    contestants::{Kind, Ours},
    grid::Grid,
    load::{Keys, Load},
    names::{Name, namespace},
    results::{Row, Target},
    run::rotated,
    values::Random,
};

const IN_FLIGHT: usize = 64;
const COLUMN: &str = "writes/s";

/// Who is measured, and how it learns that a commit is durable.
const CONTESTANTS: [(&str, Way); 4] = [
    ("limit of the disk, 64 threads", Way::Threads),
    ("kv-fs, awaited", Way::Await),
    ("kv-fs, waited for", Way::Wait),
    ("kv-fs, sealed and recorded, awaited", Way::Sealed),
];

#[derive(Debug, Clone, Copy)]
enum Way {
    Threads,
    Await,
    Wait,
    Sealed,
}

pub(super) fn run(bench: &Bench) -> Result<Row> {
    let names = Name::many(HOT_KEYS)?;
    let (limit, plain, sealed) = (
        bench.ground.folder("in-flight-limit")?,
        bench.ground.folder("in-flight-plain")?,
        bench.ground.folder("in-flight-sealed")?,
    );
    let mut grid = Grid::default();
    for round in 0..bench.rounds {
        for (name, way) in rotated(&CONTESTANTS, round) {
            let rate = match way {
                Way::Threads => threads(bench, &limit, &names, round)?,
                Way::Await => in_flight(bench, &Ours::plain(&plain)?, &names, block_on)?,
                Way::Wait => in_flight(bench, &Ours::plain(&plain)?, &names, Commit::wait)?,
                Way::Sealed => in_flight(bench, &Ours::sealed(&sealed)?, &names, block_on)?,
            };
            grid.push(name, COLUMN, rate);
            eprintln!("round {}: {name}: {rate:.0} writes/s", round + 1);
        }
    }
    let [(limit, _), (ours, _), ..] = CONTESTANTS;
    let what = "one thread, 64 commits in flight: of the limit at 64 threads";
    let verdict = grid.compare(what, Target::AtLeast(0.7), (ours, COLUMN), (limit, COLUMN));
    let how = format!(
        "{} rounds of {:.1} s each, interleaved; 256 B, {HOT_KEYS} hot keys.",
        bench.rounds,
        bench.slot.as_secs_f64()
    );
    Ok(bench.row(how, &grid, vec![verdict]))
}

fn threads(bench: &Bench, dir: &Path, names: &[Name], round: usize) -> Result<f64> {
    let store = Kind::Limit.open(dir)?;
    let load = Load {
        values: &bench.values,
        keys: Keys::Hot(names),
        threads: IN_FLIGHT,
        value_len: SMALL,
        seed: round as u64,
    };
    Ok(load.run(&*store, bench.slot)?.per_second())
}

/// Writes per second of a thread that submits and, with 64 on the way, lets the oldest arrive.
fn in_flight(
    bench: &Bench,
    ours: &Ours,
    names: &[Name],
    arrive: fn(Commit) -> kv_core::Result<()>,
) -> Result<f64> {
    let (store, ns, mut random) = (ours.store(), namespace()?, Random::seeded(4));
    let mut on_the_way = VecDeque::with_capacity(IN_FLIGHT);
    let mut arrived = 0_u64;
    let start = Instant::now();
    while start.elapsed() < bench.slot {
        let name = names.get(random.below(names.len())).ok_or("no keys")?;
        let value = bench.values.fresh(&mut random, SMALL);
        on_the_way.push_back(store.submit(Batch::new().put(&ns, &name.key, value)));
        if on_the_way.len() == IN_FLIGHT {
            on_the_way.pop_front().map_or(Ok(()), arrive)?;
            arrived += 1;
        }
    }
    for commit in on_the_way {
        arrive(commit)?;
        arrived += 1;
    }
    Ok(arrived as f64 / start.elapsed().as_secs_f64())
}

/// The smallest executor: it awaits on this thread.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}
