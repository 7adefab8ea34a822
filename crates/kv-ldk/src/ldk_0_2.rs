//! The traits of LDK 0.2.

use lightning::{
    io,
    util::{
        async_poll::AsyncResult,
        persist::{KVStore, KVStoreSync, MigratableKVStore},
    },
};

use crate::{
    StrongroomStore,
    store::{Name, place, space},
    trouble::io_error,
};

impl KVStoreSync for StrongroomStore {
    fn read(&self, primary: &str, secondary: &str, key: &str) -> io::Result<Vec<u8>> {
        self.get(place(primary, secondary, key)).map_err(io_error)
    }

    fn write(&self, primary: &str, secondary: &str, key: &str, value: Vec<u8>) -> io::Result<()> {
        self.may_wait().map_err(io_error)?;
        self.put(place(primary, secondary, key), value).wait().map_err(io_error)
    }

    fn remove(&self, primary: &str, secondary: &str, key: &str, lazy: bool) -> io::Result<()> {
        self.may_wait().map_err(io_error)?;
        self.delete(place(primary, secondary, key), lazy).wait().map_err(io_error)
    }

    fn list(&self, primary: &str, secondary: &str) -> io::Result<Vec<String>> {
        self.names(space(primary, secondary)).map_err(io_error)
    }
}

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
