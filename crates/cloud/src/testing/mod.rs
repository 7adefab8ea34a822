//! Tools to test clouds and what stands on them: the conformance suite, a flaky cloud and a
//! hostile one.
//!
//! A cloud provides a [`Testbed`] and calls [`crate::conformance!`]; it then runs one test per law.

mod bucket;
#[cfg(feature = "ceramic")]
mod ceramic_node;
pub mod conformance;
mod fake;
mod flaky;
pub mod fuzz;
mod hostile;
mod line;

use std::{io, net, sync::Arc};

pub use bucket::FakeBucket;
#[cfg(feature = "ceramic")]
pub use ceramic_node::CeramicNode;
pub use fake::{FakeAnswer, FakeRequest, FakeServer};
pub use flaky::{Failure, FlakyCloud, Weather};
pub use hostile::{Call, Deed, Fault, HostileCloud, Lie, Malice, Temper};
pub use line::{Line, Trouble};

use crate::CloudBackend;

/// A place where the conformance suite can open a cloud, again and again.
pub trait Testbed: Send + Sync {
    /// Opens the cloud; always the same one. Called within a tokio runtime.
    fn open(&self) -> Arc<dyn CloudBackend>;
}

impl<F: Fn() -> Arc<dyn CloudBackend> + Send + Sync> Testbed for F {
    fn open(&self) -> Arc<dyn CloudBackend> {
        self()
    }
}

/// A port of its own on this machine. Called within a tokio runtime.
fn listen() -> io::Result<tokio::net::TcpListener> {
    let listener = net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}
