//! A record type of an application's own: found by indexes, merged between devices, restored from words.
//!
//! `cargo run -p wallet-persistence --example own_records`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use serde::{Deserialize, Serialize};
use wallet_persistence::{
    Index, KeyRange, Query, Record, RecordKey, RootSecret, WalletPersistence, records,
};

/// A bill that somebody owes. Its JSON is what is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Bill {
    number: String,
    payer: String,
    due: u64,
    tags: Vec<String>,
}

impl Record for Bill {
    // Begin with the name of the application: two types cannot share a store.
    const STORE: &'static str = "example-bills";
    const VERSION: u32 = 1;
    const INDEXES: &'static [Index<Self>] = &[
        // Of each payer the earliest first.
        Index::new("payer", |bill| Some((&bill.payer, bill.due).into())),
        // Once under each tag.
        Index::each("tag", |bill| bill.tags.iter().map(RecordKey::from).collect()),
    ];

    fn key(&self) -> RecordKey {
        self.number.as_str().into()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let wallet = WalletPersistence::in_memory().build();
    let session = wallet.create(&RootSecret::from_bytes([1; 32])).await?;

    let bills = session.records::<Bill>().await?;
    let bill = |number: &str, payer: &str, due, tags: &[&str]| Bill {
        number: number.to_owned(),
        payer: payer.to_owned(),
        due,
        tags: tags.iter().map(ToString::to_string).collect(),
    };
    bills.put(&bill("A1", "ada", 30, &["rent"]))?.await?;
    // Several changes, of several kinds, that happen together or not at all.
    let mut together = session.transaction()?;
    together.put(&bills, &bill("A2", "ada", 10, &["rent", "late"]))?;
    together.put(&bills, &bill("B1", "bob", 20, &["late"]))?;
    together.set_field(&session.fields()?, "example-last-bill", "B1")?;
    together.submit()?.await?;

    let of_ada = Query::index("payer").range(KeyRange::prefix(("ada",)));
    for bill in bills.query(&of_ada)? {
        println!("ada owes {} by day {}", bill.number, bill.due);
    }
    let late = Query::index("tag").range(KeyRange::only("late"));
    println!("{} bills are late", bills.count(&late)?);

    // A record that must be new is refused if it is there.
    match bills.put_new(&bill("A1", "eve", 1, &[])) {
        Err(records::Error::Exists { .. }) => println!("there is a bill A1 already"),
        other => drop(other?),
    }
    Ok(session.lock().await?)
}
