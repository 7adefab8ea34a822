//! Writes the golden stores of this version: `write_golden DIR`. They are made once for each
//! version of the format, and never again.

use std::{env, error::Error, fs, path::Path};

use kv_core::{Batch, Key, KvStore, Namespace};
use kv_sqlite::{Settings, SqliteStore};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = env::args().nth(1).ok_or("write_golden DIR")?;
    let dir = Path::new(&dir);
    let mut settings = Settings::default();
    settings.wal_bytes = 64 << 10;
    settings.wal_most = 64 << 10;
    let closed = dir.join("closed/store.sqlite");
    let batches = batches()?;
    for half in batches.chunks(2) {
        let store = SqliteStore::open(&closed, settings.clone())?;
        for batch in half {
            store.submit(batch.clone()).wait()?;
        }
        store.close()?;
    }
    let living = dir.join("living/store.sqlite");
    let mut store = SqliteStore::open(&living, settings.clone())?;
    for (n, batch) in batches.into_iter().enumerate() {
        if n == 2 {
            store.close()?;
            store = SqliteStore::open(&living, settings.clone())?;
        }
        store.submit(batch).wait()?;
    }
    // What a kill would leave.
    let killed = dir.join("killed");
    fs::create_dir_all(&killed)?;
    for name in ["store.sqlite", "store.sqlite-wal"] {
        fs::copy(living.with_file_name(name), killed.join(name))?;
    }
    store.close()?;
    fs::remove_dir_all(dir.join("living"))?;
    fs::remove_file(closed.with_file_name("store.sqlite-owner"))?;
    Ok(())
}

fn batches() -> Result<Vec<Batch>, Box<dyn Error>> {
    let own = Namespace::reserved("~layer", "x")?;
    let monitors = Namespace::new("monitors", "updates")?;
    let none = Namespace::new("", "")?;
    let key = Key::new;
    Ok(vec![
        Batch::new().put(&none, &key("manager")?, b"first").put(&own, &key("note")?, b"1"),
        Batch::new().put(&monitors, &key("z")?, b"older").put(&monitors, &key("gone")?, b"x"),
        Batch::new().put(&monitors, &key("a")?, vec![7; 400]).remove(&monitors, &key("gone")?),
        Batch::new().put(&monitors, &key("z")?, b"newer").put(&own, &key("note")?, b"2"),
    ])
}
