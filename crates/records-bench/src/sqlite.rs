//! The peer: one SQLite table with the same key and the same indexes, neither sealed nor recorded.

use std::path::Path;

use alloy_primitives::{Address, Bytes, TxHash, U256};
use bench_report::Result;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::activity::Activity;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS activity (
    chain INTEGER NOT NULL, hash BLOB NOT NULL, block INTEGER NOT NULL, time INTEGER NOT NULL,
    sender BLOB NOT NULL, receiver BLOB NOT NULL, value TEXT NOT NULL, nonce INTEGER NOT NULL,
    input BLOB NOT NULL, PRIMARY KEY (chain, hash)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_time ON activity (time, block);
CREATE INDEX IF NOT EXISTS by_sender ON activity (chain, sender, time);
CREATE INDEX IF NOT EXISTS by_receiver ON activity (chain, receiver, time);
CREATE INDEX IF NOT EXISTS by_block ON activity (chain, block)";
const PUT: &str = "INSERT OR REPLACE INTO activity VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const GET: &str = "SELECT * FROM activity WHERE chain = ?1 AND hash = ?2";
const PAGE: &str = "SELECT * FROM activity WHERE chain = ?1 AND sender = ?2 AND time <= ?3
    ORDER BY time DESC, chain DESC, hash DESC LIMIT 50";
const LATEST: &str = "SELECT * FROM activity WHERE chain = ?1 AND receiver = ?2
    ORDER BY time DESC, chain DESC, hash DESC LIMIT 1";
const COUNT: &str = "SELECT count(*) FROM activity WHERE time >= ?1 AND time < ?2";

pub(crate) struct Sqlite(Connection);

impl Sqlite {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let connection = Connection::open(folder.join("peer.sqlite"))?;
        let mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
        if mode != "wal" {
            return Err(format!("the journal of SQLite is {mode}").into());
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        // As much memory as records may take, so that queries find everything there.
        connection.pragma_update(None, "cache_size", -(700 << 10))?;
        connection.execute_batch(TABLE)?;
        Ok(Self(connection))
    }

    /// One durable transaction.
    pub(crate) fn put(&mut self, records: impl Iterator<Item = Activity>) -> Result<()> {
        let transaction = self.0.transaction()?;
        {
            let mut put = transaction.prepare_cached(PUT)?;
            for tx in records {
                put.execute(params![
                    tx.chain_id.cast_signed(),
                    tx.hash.as_slice(),
                    tx.block_number.cast_signed(),
                    tx.timestamp.cast_signed(),
                    tx.from.as_slice(),
                    tx.to.as_slice(),
                    tx.value.to_string(),
                    tx.nonce.cast_signed(),
                    AsRef::<[u8]>::as_ref(&tx.input),
                ])?;
            }
        }
        Ok(transaction.commit()?)
    }

    pub(crate) fn get(&self, chain: u64, hash: &TxHash) -> Result<Option<Activity>> {
        let mut get = self.0.prepare_cached(GET)?;
        Ok(get.query_row(params![chain.cast_signed(), hash.as_slice()], read).optional()?)
    }

    /// The newest fifty of an account up to a time.
    pub(crate) fn page(&self, chain: u64, from: &Address, time: u64) -> Result<Vec<Activity>> {
        let mut page = self.0.prepare_cached(PAGE)?;
        let of = params![chain.cast_signed(), from.as_slice(), time.cast_signed()];
        Ok(page.query_map(of, read)?.collect::<Result<_, _>>()?)
    }

    pub(crate) fn latest(&self, chain: u64, to: &Address) -> Result<Option<Activity>> {
        let mut latest = self.0.prepare_cached(LATEST)?;
        Ok(latest.query_row(params![chain.cast_signed(), to.as_slice()], read).optional()?)
    }

    pub(crate) fn count(&self, from: u64, to: u64) -> Result<usize> {
        let mut count = self.0.prepare_cached(COUNT)?;
        let of = params![from.cast_signed(), to.cast_signed()];
        let counted: i64 = count.query_row(of, |row| row.get(0))?;
        Ok(usize::try_from(counted)?)
    }

    pub(crate) fn close(self) -> Result<()> {
        self.0.close().map_err(|(_, error)| error.into())
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Activity> {
    let number = |column| Ok::<_, rusqlite::Error>(row.get::<_, i64>(column)?.cast_unsigned());
    let bytes = |column| row.get_ref(column)?.as_blob().map_err(rusqlite::Error::from);
    Ok(Activity {
        chain_id: number(0)?,
        hash: TxHash::from_slice(bytes(1)?),
        block_number: number(2)?,
        timestamp: number(3)?,
        from: Address::from_slice(bytes(4)?),
        to: Address::from_slice(bytes(5)?),
        value: row.get_ref(6)?.as_str()?.parse::<U256>().unwrap_or_default(),
        nonce: number(7)?,
        input: Bytes::copy_from_slice(bytes(8)?),
    })
}
