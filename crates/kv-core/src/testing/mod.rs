//! Tools to test stores and decorators: the conformance suite, the model test, faults and clocks.
//!
//! A store provides a [`Testbed`] and calls [`crate::conformance!`]; it then runs one test per law.

pub mod child;
mod clock;
pub mod conformance;
mod executor;
mod faulty;
mod history;
#[cfg(target_os = "linux")]
pub mod memory;
mod model;
mod random;
mod testbed;
mod torment;

pub use clock::ManualClock;
pub use executor::block_on;
pub use faulty::{Fault, FaultyStore, Landing};
pub use history::{Call, Event, History, check_linearizable};
pub use model::{check_model, run_model};
pub use random::Random;
pub use testbed::{Damage, Testbed};
pub use torment::{Opener, torment};
