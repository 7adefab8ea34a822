//! The same for LDK 0.3.0-rc3: what is here differs from what the crate has for 0.2 in nothing but the
//! types it is for. [`StrongroomStore`] is one for both.
//!
//! With `ChainMonitor` in deferred mode, which LDK's background processor sets up, a crash closes no
//! channel: the manager is stored before the monitors that it has changed.

#![expect(clippy::duplicate_mod, reason = "one text for both versions of LDK")]

#[path = "each/monitors.rs"]
mod monitors;
#[path = "each/quiet.rs"]
mod quiet;
#[path = "each/replicated.rs"]
mod replicated;
#[path = "each/sync.rs"]
mod sync;
#[path = "each/verify.rs"]
mod verify;

use std::future::{Future, ready};

use kv_core::{Cursor, Error, InvalidName};
use lightning_0_3 as ldk;
use lightning_0_3::{
    bitcoin::Transaction,
    chain::{
        BlockLocator as Locator,
        chaininterface::{BroadcasterInterface, TransactionType},
    },
    io,
    util::persist::{
        KVStore, KVStoreSync, MigratableKVStore, MigratableKVStoreSync, PageToken,
        PaginatedKVStore, PaginatedKVStoreSync, PaginatedListResponse,
    },
};

pub use self::{
    replicated::ReplicatedPersister,
    verify::{
        ChannelReport, ChannelsReport, ForceClose, ManagerVerdict, ReadArgs, Verdict,
        verify_channels,
    },
};

use crate::{
    StrongroomStore,
    store::{Name, place, space},
    trouble::io_error,
};

impl MigratableKVStoreSync for StrongroomStore {
    fn list_all_keys(&self) -> io::Result<Vec<Name>> {
        self.all_names().map_err(io_error)
    }
}

impl PaginatedKVStoreSync for StrongroomStore {
    fn list_paginated(
        &self,
        primary: &str,
        secondary: &str,
        token: Option<PageToken>,
    ) -> io::Result<PaginatedListResponse> {
        let cursor = token.map(|token| from_token(&token)).transpose().map_err(io_error)?;
        let page = self.page(space(primary, secondary), cursor).map_err(io_error)?;
        Ok(PaginatedListResponse {
            keys: page.keys.iter().map(|key| key.as_str().to_owned()).collect(),
            next_page_token: page.next.map(|cursor| to_token(&cursor)),
        })
    }
}

// A change is submitted by the call, so that the order of calls counts and not that of awaiting.
impl KVStore for StrongroomStore {
    fn read(
        &self,
        primary: &str,
        secondary: &str,
        key: &str,
    ) -> impl Future<Output = io::Result<Vec<u8>>> + 'static + Send {
        ready(KVStoreSync::read(self, primary, secondary, key))
    }

    fn write(
        &self,
        primary: &str,
        secondary: &str,
        key: &str,
        value: Vec<u8>,
    ) -> impl Future<Output = io::Result<()>> + 'static + Send {
        let commit = self.put(place(primary, secondary, key), value);
        async move { commit.await.map_err(io_error) }
    }

    fn remove(
        &self,
        primary: &str,
        secondary: &str,
        key: &str,
        lazy: bool,
    ) -> impl Future<Output = io::Result<()>> + 'static + Send {
        let commit = self.delete(place(primary, secondary, key), lazy);
        async move { commit.await.map_err(io_error) }
    }

    fn list(
        &self,
        primary: &str,
        secondary: &str,
    ) -> impl Future<Output = io::Result<Vec<String>>> + 'static + Send {
        ready(KVStoreSync::list(self, primary, secondary))
    }
}

impl MigratableKVStore for StrongroomStore {
    fn list_all_keys(&self) -> impl Future<Output = io::Result<Vec<Name>>> + 'static + Send {
        ready(MigratableKVStoreSync::list_all_keys(self))
    }
}

impl PaginatedKVStore for StrongroomStore {
    fn list_paginated(
        &self,
        primary: &str,
        secondary: &str,
        token: Option<PageToken>,
    ) -> impl Future<Output = io::Result<PaginatedListResponse>> + 'static + Send {
        ready(PaginatedKVStoreSync::list_paginated(self, primary, secondary, token))
    }
}

fn to_token(cursor: &Cursor) -> PageToken {
    PageToken::new(cursor.sequence().to_string())
}

/// A token that is none of ours is a wrong name.
fn from_token(token: &PageToken) -> Result<Cursor, Error> {
    let found = token.as_str().chars().find(|c| !c.is_ascii_digit()).unwrap_or(' ');
    let sequence = token.as_str().parse();
    sequence.map(Cursor::from_sequence).map_err(|_| InvalidName::Character { found }.into())
}

impl BroadcasterInterface for verify::Sent {
    fn broadcast_transactions(&self, txs: &[(&Transaction, TransactionType)]) {
        self.note(txs.iter().map(|(tx, _)| *tx));
    }
}
