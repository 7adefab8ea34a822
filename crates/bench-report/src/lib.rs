//! What the benchmarks share: figures and their targets, the machine they were taken on, the page of
//! the book that shows them, and its plots.

pub mod chart;
pub mod child;
pub mod grid;
pub mod ground;
pub mod machine;
pub mod page;
pub mod random;
pub mod results;
pub mod run;

use std::error::Error;

/// A failure of any kind ends the run: there is nobody to react to it.
pub type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;
