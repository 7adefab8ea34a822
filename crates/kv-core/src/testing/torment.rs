//! The program that a real kernel kills, starves and lies to, for any store: `cargo xtask kernels` runs it.
//!
//! - `write DIR THREADS BATCHES HOW` writes until it is killed or done and prints `ack THREAD N` once
//!   the thread's first N batches are durable; `error THREAD ..` when the store refuses.
//! - `check DIR` reads such lines and looks whether the store keeps that word.
//! - `fill DIR` fills a small file system, frees some of it, and goes on.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for another program")]

use std::{
    collections::{BTreeMap, VecDeque},
    env,
    io::{self, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
    thread,
};

use crate::{Batch, Commit, Error, Key, KvStore, KvStoreExt, Namespace, Report, Result};

type Outcome<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
type Values = BTreeMap<(Namespace, Key), Vec<u8>>;

/// Commits in flight per thread.
const WINDOW: usize = 3;

/// How the program gets at its store.
pub trait Opener {
    /// Opens the store in a folder, creating both, in one of the ways the store knows.
    fn open(&self, dir: &Path, how: &str) -> Result<Arc<dyn KvStore>>;
    /// Whether the folder holds a store.
    fn exists(&self, dir: &Path) -> Result<bool>;
}

/// The whole program: does what its command line says.
pub fn torment(store: &dyn Opener) -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.as_slice() {
        ["write", dir, threads, batches, how] => {
            write(store, Path::new(dir), threads, batches, how)
        }
        ["check", dir] => check(store, Path::new(dir)),
        ["fill", dir] => fill(store, Path::new(dir)),
        _ => Err("write DIR THREADS BATCHES each|disk, check DIR, fill DIR".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(error) = source {
                text += &format!(": {error}");
                source = error.source();
            }
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn last_key() -> Outcome<Key> {
    Ok(Key::new("last")?)
}

fn namespace(thread: u64) -> Outcome<Namespace> {
    Ok(Namespace::new(&format!("thread-{thread}"), "")?)
}

/// What a batch does to a key.
#[derive(Clone, Copy)]
enum What {
    Remove,
    /// Puts the number of the batch.
    Count,
    /// Puts bytes that depend on thread and batch.
    Fill,
}

/// What the nth batch of a thread does: the same in every run.
fn changes(thread: u64, n: u64) -> Outcome<Vec<((Namespace, Key), What)>> {
    let ns = namespace(thread)?;
    let key = |number: u64| Key::new(&format!("k{}", number % 37));
    let mut changes =
        vec![((ns.clone(), last_key()?), What::Count), ((ns.clone(), key(n)?), What::Fill)];
    if n.is_multiple_of(5) {
        changes.push(((ns, key(n + 11)?), What::Remove));
    }
    if n.is_multiple_of(7) {
        let own = Namespace::new(&format!("thread-{thread}"), "new")?;
        let key = |number: u64| Key::new(&format!("n{number}"));
        changes.push(((own.clone(), key(n)?), What::Count));
        changes.push(((own, key(n.saturating_sub(140))?), What::Remove));
    }
    Ok(changes)
}

fn value(thread: u64, n: u64, what: What) -> Option<Vec<u8>> {
    let byte = |at: u64| (at.wrapping_mul(n + 1).wrapping_add(thread) >> 3) as u8;
    let size = if n % 50 == 49 { 20_000 } else { 10 + n * 7919 % 900 };
    match what {
        What::Remove => None,
        What::Count => Some(n.to_string().into_bytes()),
        What::Fill => Some((0..size).map(byte).collect()),
    }
}

fn batch(thread: u64, n: u64) -> Outcome<Batch> {
    let mut batch = Batch::new();
    for ((ns, key), what) in changes(thread, n)? {
        batch = match value(thread, n, what) {
            Some(value) => batch.put(&ns, &key, value),
            None => batch.remove(&ns, &key),
        };
    }
    Ok(batch)
}

/// What the first batches of a thread leave.
fn expected(thread: u64, batches: u64) -> Outcome<Values> {
    let mut last = BTreeMap::new();
    for n in 1..=batches {
        last.extend(changes(thread, n)?.into_iter().map(|(name, what)| (name, (n, what))));
    }
    let value = |(name, (n, what))| Some((name, value(thread, n, what)?));
    Ok(last.into_iter().filter_map(value).collect())
}

fn batches_of(store: &dyn KvStore, thread: u64) -> Outcome<u64> {
    match store.read(&namespace(thread)?, &last_key()?)? {
        Some(last) => Ok(std::str::from_utf8(&last)?.parse()?),
        None => Ok(0),
    }
}

fn write(opener: &dyn Opener, dir: &Path, threads: &str, batches: &str, how: &str) -> Outcome {
    let (threads, batches): (u64, u64) = (threads.parse()?, batches.parse()?);
    let store = opener.open(dir, how)?;
    thread::scope(|scope| {
        for thread in 0..threads {
            let store = &*store;
            scope.spawn(move || {
                if let Err(error) = write_thread(store, thread, batches) {
                    say(&format!("error {thread} {error}"));
                }
            });
        }
    });
    store.close()?;
    Ok(())
}

fn write_thread(store: &dyn KvStore, thread: u64, batches: u64) -> Outcome {
    let begin = batches_of(store, thread)? + 1;
    let mut flying: VecDeque<(u64, Commit)> = VecDeque::new();
    let mut acked = begin - 1;
    let mut settle = |flying: &mut VecDeque<(u64, Commit)>| -> Outcome {
        if let Some((n, commit)) = flying.pop_front() {
            commit.wait()?;
            acked = n;
            say(&format!("ack {thread} {n}"));
        }
        Ok(())
    };
    let outcome = (|| -> Outcome {
        for n in begin..begin + batches {
            let commit = store.submit(batch(thread, n)?);
            // A refusal is known at once. Nothing may follow it: the next batch might be taken.
            if let Some(Err(error)) = commit.receipt().outcome() {
                return Err(error.into());
            }
            flying.push_back((n, commit));
            if flying.len() == WINDOW {
                settle(&mut flying)?;
            }
        }
        while !flying.is_empty() {
            settle(&mut flying)?;
        }
        Ok(())
    })();
    // Reads go on after a failure, and see what is durable.
    let there = batches_of(store, thread)?;
    if there < acked {
        return Err(format!("batch {acked} was acknowledged, only {there} can be read").into());
    }
    outcome
}

fn say(line: &str) {
    // Whoever reads this may be gone.
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).ok();
}

fn check(opener: &dyn Opener, dir: &Path) -> Outcome {
    let mut acked: BTreeMap<u64, u64> = BTreeMap::new();
    for line in io::stdin().lines() {
        let line = line?;
        if let Some((thread, n)) = line.strip_prefix("ack ").and_then(|rest| rest.split_once(' ')) {
            acked.insert(thread.parse()?, n.parse()?);
        }
    }
    if acked.is_empty() && !opener.exists(dir)? {
        println!("empty");
        return Ok(());
    }
    let mut before = None;
    let mut total = 0;
    for _ in 0..2 {
        let store = opener.open(dir, "each")?;
        total = 0;
        let mut all = Values::new();
        for thread in 0..64 {
            let batches = batches_of(&*store, thread)?;
            let promised = acked.get(&thread).copied().unwrap_or(0);
            if batches < promised {
                return Err(
                    format!("thread {thread}: {promised} acknowledged, {batches} there").into()
                );
            }
            all.extend(expected(thread, batches)?);
            total += batches;
        }
        let found = contents(&*store)?;
        if found != all {
            let same = |name: &&(Namespace, Key)| found.get(name) == all.get(name);
            let wrong = found.keys().chain(all.keys()).find(|name| !same(name));
            return Err(format!("{wrong:?} is not what the batches made of it").into());
        }
        if before.replace(found).is_some_and(|before| before != all) {
            return Err("a second open finds something else".into());
        }
        let report = verify(&*store)?;
        if report.is_damaged() {
            return Err(format!("damage: {:?}", report.findings).into());
        }
        store.close()?;
    }
    println!("{total} batches");
    Ok(())
}

fn contents(store: &dyn KvStore) -> Outcome<Values> {
    let mut values = Values::new();
    for ns in store.namespaces()? {
        for key in store.list_all(&ns)? {
            let value = store.read_required(&ns, &key)?.to_vec();
            values.insert((ns.clone(), key), value);
        }
    }
    Ok(values)
}

fn verify(store: &dyn KvStore) -> Outcome<Report> {
    let verify = store.capabilities().verify.ok_or("no scrub")?;
    Ok(verify.verify(&mut |_| ())?)
}

/// Writes until the disk is full, three times, removing a part in between; then closes and reopens.
fn fill(opener: &dyn Opener, dir: &Path) -> Outcome {
    let ns = Namespace::new("full", "")?;
    let mut expected = Values::new();
    let mut store = opener.open(dir, "each")?;
    let mut next = 0u64;
    let mut refused = 0;
    for round in 0..3 {
        let mut written = 0;
        loop {
            let key = Key::new(&format!("key-{next}"))?;
            let value = vec![next as u8; 500 + (next as usize * 7919) % 30_000];
            next += 1;
            match store.write(&ns, &key, value.as_slice()) {
                Ok(()) => {
                    written += 1;
                    expected.insert((ns.clone(), key), value);
                }
                Err(Error::Full { .. }) => break,
                Err(error) => return Err(error.into()),
            }
        }
        refused += 1;
        if written == 0 || contents(&*store)? != expected {
            return Err(format!("round {round}: {written} values written, or some are lost").into());
        }
        let names: Vec<_> = expected.keys().step_by(3).cloned().collect();
        for (ns, key) in names {
            store.remove(&ns, &key)?;
            expected.remove(&(ns, key));
        }
        store.close()?;
        store = opener.open(dir, "each")?;
        if contents(&*store)? != expected || verify(&*store)?.is_damaged() {
            return Err(format!("round {round}: something is lost after a reopening").into());
        }
    }
    store.close()?;
    println!("full {refused} times after {next} values");
    Ok(())
}
