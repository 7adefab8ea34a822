//! LDK's `MonitorUpdatingPersister` on our store, for both versions of LDK.

#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "ldk-0-3")]
#[path = "../common/ldk_0_3.rs"]
mod ldk_0_3;
mod of_0_2;
#[cfg(feature = "ldk-0-3")]
mod of_0_3;
