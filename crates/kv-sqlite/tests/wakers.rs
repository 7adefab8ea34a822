//! A task that is woken does what it likes, and the store goes on.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::{
    pin::Pin,
    sync::{Arc, Mutex, mpsc},
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};

use common::{file_in, key, ns, small};
use kv_core::{Batch, Commit, KvStore, KvStoreExt};
use kv_sqlite::SqliteStore;
use tempfile::TempDir;

/// What a waker does, once.
struct Woken(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        let work = self.0.lock().unwrap().take();
        if let Some(work) = work {
            work();
        }
    }
}

/// Awaits a new batch; `work` is done where its task is woken.
fn awaits(store: &SqliteStore, name: &str, work: impl FnOnce() + Send + 'static) -> Commit {
    let waker: Waker = Arc::new(Woken(Mutex::new(Some(Box::new(work))))).into();
    loop {
        let mut commit = store.submit(Batch::new().put(&ns("a"), &key(name), name));
        // Where it was flushed before it could be awaited, once more.
        if Pin::new(&mut commit).poll(&mut Context::from_waker(&waker)).is_pending() {
            return commit;
        }
    }
}

/// Ends the test, rather than hangs, if what is waited for does not come.
fn soon<T>(hears: &mpsc::Receiver<T>) -> T {
    hears.recv_timeout(Duration::from_secs(60)).expect("the store goes on")
}

fn soon_done(work: impl FnOnce() + Send + 'static) {
    let (told, hears) = mpsc::channel();
    thread::spawn(move || {
        work();
        told.send(()).ok();
    });
    soon(&hears);
}

#[test]
fn a_task_may_wait_for_the_next_commit_where_it_is_woken() {
    let dir = TempDir::new().unwrap();
    let store = Arc::new(SqliteStore::open(&file_in(dir.path()), small()).unwrap());
    let (told, hears) = mpsc::channel();
    let in_it = Arc::clone(&store);
    let commit = awaits(&store, "first", move || {
        in_it.write(&ns("a"), &key("second"), b"x").unwrap();
        told.send(()).ok();
    });
    soon(&hears);
    commit.wait().unwrap();
    assert_eq!(store.list_all(&ns("a")).unwrap().len(), 2);
    soon_done(move || store.close().unwrap());
}

/// On the flusher's thread, and on that of whoever leads a flush.
#[test]
fn a_task_that_panics_takes_nobody_along() {
    for led in [false, true] {
        let dir = TempDir::new().unwrap();
        let store = Arc::new(SqliteStore::open(&file_in(dir.path()), small()).unwrap());
        let (told, hears) = mpsc::channel();
        drop(awaits(&store, "first", || panic!("on purpose")));
        let second = awaits(&store, "second", move || {
            told.send(()).ok();
        });
        let waits = Arc::clone(&store);
        soon_done(move || {
            if led {
                waits.flush().unwrap();
            }
        });
        soon(&hears);
        second.wait().unwrap();
        // The flusher lives: nobody waits for this one.
        let (told, hears) = mpsc::channel();
        let third = awaits(&store, "third", move || {
            told.send(()).ok();
        });
        soon(&hears);
        third.wait().unwrap();
        soon_done(move || store.close().unwrap());
    }
}

#[test]
fn a_store_may_be_dropped_where_a_task_is_woken() {
    let dir = TempDir::new().unwrap();
    let store = Arc::new(Mutex::new(None));
    let (told, hears) = mpsc::channel();
    let last = Arc::clone(&store);
    let opened = SqliteStore::open(&file_in(dir.path()), small()).unwrap();
    // The waker has to wait until the store is where it can be dropped.
    let mut held = store.lock().unwrap();
    drop(awaits(&opened, "k", move || {
        drop(last.lock().unwrap().take());
        told.send(()).ok();
    }));
    *held = Some(opened);
    drop(held);
    soon(&hears);
    let store = SqliteStore::open(&file_in(dir.path()), small()).unwrap();
    assert_eq!(&*store.read_required(&ns("a"), &key("k")).unwrap(), b"k");
}
