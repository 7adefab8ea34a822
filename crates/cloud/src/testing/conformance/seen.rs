//! A law is tried as it is known of a cloud, and what was seen is noted: the book's table of clouds is
//! made of it.

use std::{
    env,
    fs::OpenOptions,
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// The variable that names the file where it is noted. Without it nothing is.
const FILE: &str = "STRONGROOM_SEEN";

/// Chance may be kind to a cloud that breaks a law, but not so often.
const TRIES: usize = 20;

/// Runs a law. One that the cloud is known not to keep (its name, and the reason) must be broken.
pub fn try_law(cloud: &str, law: &str, known: &[(&str, &str)], check: impl Fn()) {
    match known.iter().find(|(broken, _)| *broken == law) {
        None => {
            check();
            saw(cloud, law, "yes");
        }
        Some((_, why)) => {
            let broke = (0..TRIES).any(|_| breaks(&check));
            assert!(broke, "it holds now, but was known not to: {why}");
            saw(cloud, law, "no");
        }
    }
}

/// Whether a law is broken.
pub fn breaks(check: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(check)).is_err()
}

/// Notes what was seen: "yes", "no" or "not always".
pub fn saw(cloud: &str, law: &str, what: &str) {
    let Some(path) = env::var_os(FILE) else { return };
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    // In one piece, because other processes do so at the same time.
    file.write_all(format!("{cloud} {law} {what}\n").as_bytes()).unwrap();
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const KNOWN: [(&str, &str); 1] = [("broken", "for a reason")];

    fn passes(law: &str, holds: impl Fn() -> bool) -> bool {
        !breaks(|| try_law("nobody", law, &KNOWN, || assert!(holds())))
    }

    #[test]
    fn a_law_that_is_known_to_be_broken_must_be() {
        assert!(passes("kept", || true) && !passes("kept", || false));
        assert!(passes("broken", || false) && !passes("broken", || true));
    }

    #[test]
    fn a_law_that_is_broken_at_times_is_broken() {
        let tries = Cell::new(0);
        assert!(passes("broken", || tries.replace(tries.get() + 1) < 3));
        assert_eq!(tries.get(), 4);
    }
}
