//! LDK 0.2: its traits, and what is the same in each version, with its types.

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

use lightning as ldk;
use lightning::{
    bitcoin::{BlockHash as Locator, Transaction},
    chain::chaininterface::BroadcasterInterface,
    io,
    util::{
        async_poll::AsyncResult,
        persist::{KVStore, MigratableKVStore},
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

// A change is submitted by the call, so that the order of calls counts and not that of awaiting.
impl KVStore for StrongroomStore {
    fn read(
        &self,
        primary: &str,
        secondary: &str,
        key: &str,
    ) -> AsyncResult<'static, Vec<u8>, io::Error> {
        let value = self.get(place(primary, secondary, key)).map_err(io_error);
        Box::pin(async move { value })
    }

    fn write(
        &self,
        primary: &str,
        secondary: &str,
        key: &str,
        value: Vec<u8>,
    ) -> AsyncResult<'static, (), io::Error> {
        let commit = self.put(place(primary, secondary, key), value);
        Box::pin(async move { commit.await.map_err(io_error) })
    }

    fn remove(
        &self,
        primary: &str,
        secondary: &str,
        key: &str,
        lazy: bool,
    ) -> AsyncResult<'static, (), io::Error> {
        let commit = self.delete(place(primary, secondary, key), lazy);
        Box::pin(async move { commit.await.map_err(io_error) })
    }

    fn list(&self, primary: &str, secondary: &str) -> AsyncResult<'static, Vec<String>, io::Error> {
        let names = self.names(space(primary, secondary)).map_err(io_error);
        Box::pin(async move { names })
    }
}

impl MigratableKVStore for StrongroomStore {
    fn list_all_keys(&self) -> io::Result<Vec<Name>> {
        self.all_names().map_err(io_error)
    }
}

impl BroadcasterInterface for verify::Sent {
    fn broadcast_transactions(&self, txs: &[&Transaction]) {
        self.note(txs.iter().copied());
    }
}
