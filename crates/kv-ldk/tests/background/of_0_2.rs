//! On LDK 0.2.

#[path = "cases.rs"]
mod cases;
#[path = "processor.rs"]
mod processor;

use lightning::{bitcoin::ScriptBuf, sign::ChangeDestinationSource, util::async_poll::AsyncResult};
use lightning_background_processor as background;

use crate::common::ldk_0_2::{ldk, ours, small};

impl ChangeDestinationSource for processor::Nowhere {
    fn get_change_destination_script(&self) -> AsyncResult<'_, ScriptBuf, ()> {
        Box::pin(std::future::ready(Err(())))
    }
}
