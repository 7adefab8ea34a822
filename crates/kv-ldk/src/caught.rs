//! LDK's panics, as answers.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// What LDK makes of what is stored, or the words with which it panics: it does that at a monitor that is
/// too old for it, and may do it at damage. What it has panicked in must not be used any more.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| words(&*panic))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("LDK panics: {}", said.unwrap_or("it does not say why"))
}
