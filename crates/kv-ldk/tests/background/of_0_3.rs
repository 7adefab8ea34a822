//! On LDK 0.3.

#![expect(clippy::duplicate_mod, reason = "one text for both versions of LDK")]

#[path = "cases.rs"]
mod cases;
#[path = "deferred.rs"]
mod deferred;
#[path = "keeps.rs"]
mod keeps;
#[path = "killed.rs"]
mod killed;
#[path = "processor.rs"]
mod processor;

use std::future::{Future, ready};

use lightning_0_3::{bitcoin::ScriptBuf, sign::ChangeDestinationSource};
use lightning_background_processor_0_3 as background;

use crate::ldk_0_3::{deferred_async_monitors, deferred_monitors, ldk, ours, small};

impl ChangeDestinationSource for processor::Nowhere {
    fn get_change_destination_script(&self) -> impl Future<Output = Result<ScriptBuf, ()>> + Send {
        ready(Err(()))
    }
}
