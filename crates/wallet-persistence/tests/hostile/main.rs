//! What a cloud in an attacker's hands can do to a wallet: each lie is prevented, detected or
//! harmless, or this test shows what is out of reach.

#![expect(clippy::unwrap_used, reason = "a test panics")]

mod answers;
mod bed;
mod bytes_and_names;
mod destruction;
mod findings;
mod stale;
mod time;
