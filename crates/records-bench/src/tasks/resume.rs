//! A whole wallet that is put aside and goes on, as phones ask of programs.

use std::{path::Path, time::Instant};

use bench_report::Result;
use serde::{Deserialize, Serialize};
use wallet_persistence::{
    EvmTransaction, RootSecret, Session, Settings, StoreKind, WalletPersistence,
};

use crate::{
    activity::{Activity, activity},
    tower::Below,
};

/// Milliseconds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Resumed {
    /// Until nothing runs, everything is durable and the store is free.
    pub(crate) suspend: f64,
    /// From there until the transactions can be asked for.
    pub(crate) resume: f64,
}

pub(super) fn run(below: Below, folder: &Path, records: usize) -> Result<Vec<Resumed>> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(measure(below, folder, records))
}

/// How often it is put aside.
const TIMES: u32 = 10;

async fn measure(below: Below, folder: &Path, records: usize) -> Result<Vec<Resumed>> {
    let kind = match below {
        Below::Fs => StoreKind::Fs,
        Below::Sqlite => StoreKind::Sqlite,
    };
    let wallet = WalletPersistence::builder(folder.join("wallet"))
        .store(kind)
        .settings(Settings::default())
        .build();
    let mut session = wallet.create(&RootSecret::from_bytes([7; 32])).await?;
    let transactions: Vec<EvmTransaction> = (0..records).map(|n| real(activity(n))).collect();
    for batch in transactions.chunks(1000) {
        session.import(batch).await?;
    }
    let ms = |begun: Instant| begun.elapsed().as_secs_f64() * 1000.0;
    let mut measured = Vec::new();
    for _ in 0..TIMES {
        let begun = Instant::now();
        let suspended = session.suspend().await?;
        let suspend = ms(begun);
        let begun = Instant::now();
        let resumed = suspended.resume().await?;
        let resume = ms(begun);
        if resumed.changed || count(&resumed.session)? != records as u64 {
            return Err("the wallet is not as it was".into());
        }
        session = resumed.session;
        measured.push(Resumed { suspend, resume });
    }
    session.lock().await?;
    Ok(measured)
}

fn count(session: &Session) -> Result<u64> {
    Ok(session.status()?.transactions as u64)
}

fn real(activity: Activity) -> EvmTransaction {
    EvmTransaction {
        chain_id: activity.chain_id,
        hash: activity.hash,
        block_number: activity.block_number,
        timestamp: activity.timestamp,
        from: activity.from,
        to: Some(activity.to),
        value: activity.value,
        gas_price: None,
        nonce: activity.nonce,
        input: activity.input,
    }
}
