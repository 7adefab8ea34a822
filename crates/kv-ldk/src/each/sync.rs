//! The waiting calls of a store, which are the same in each version.

use super::ldk::{io, util::persist::KVStoreSync};
use crate::{
    StrongroomStore,
    store::{place, space},
    trouble::io_error,
};

impl KVStoreSync for StrongroomStore {
    fn read(&self, primary: &str, secondary: &str, key: &str) -> io::Result<Vec<u8>> {
        self.get(place(primary, secondary, key)).map_err(io_error)
    }

    fn write(&self, primary: &str, secondary: &str, key: &str, value: Vec<u8>) -> io::Result<()> {
        let place = self.may_wait(place(primary, secondary, key)).map_err(io_error)?;
        self.put(Ok(place), value).wait().map_err(io_error)
    }

    fn remove(&self, primary: &str, secondary: &str, key: &str, lazy: bool) -> io::Result<()> {
        let place = self.may_wait(place(primary, secondary, key)).map_err(io_error)?;
        self.delete(Ok(place), lazy).wait().map_err(io_error)
    }

    fn list(&self, primary: &str, secondary: &str) -> io::Result<Vec<String>> {
        self.names(space(primary, secondary)).map_err(io_error)
    }
}
