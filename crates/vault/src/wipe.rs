//! Wiping what calls leave behind on the stack.

/// More than any derivation of ours takes; measured by the test that scans the memory of its process.
const DEPTH: usize = 32 * 1024;

/// Overwrites what calls that have returned left below this thread's frame.
///
/// A value that is moved is copied, and only its last place is wiped when it is dropped. So
/// whatever derives a key runs in a function of its own and is followed by this.
#[inline(never)]
pub(crate) fn wipe_stack() {
    let mut dead = [0u8; DEPTH];
    std::hint::black_box(&mut dead);
}

/// Runs something and wipes the stack behind it.
pub(crate) fn wiped<T>(derive: impl FnOnce() -> T) -> T {
    let derived = apart(derive);
    wipe_stack();
    derived
}

/// In a frame of its own, so that the frame is dead when it returns.
#[inline(never)]
fn apart<T>(derive: impl FnOnce() -> T) -> T {
    derive()
}
