//! A crash between any two writes of a node on LDK 0.2: what LDK makes of what is there then.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests panic")]
#![expect(clippy::print_stdout, reason = "what was tried is worth seeing")]

#[path = "../common/mod.rs"]
mod common;
mod killed;
mod pair;
mod power;
#[path = "../tape/mod.rs"]
mod tape;

use kv_ldk::StrongroomStore;
use pair::{Keeps, Pair, load};
use tape::Tape;

fn after_each_batch(keeps: Keeps) {
    let tape = Tape::new();
    let (revoke, idle) = (|| tape.revoke(), || ());
    let pair = Pair::open(keeps, tape.clone(), &revoke, &idle);
    let (first, number_0) = (tape.len(), pair.number());
    pair.pay_both_ways(2);
    let all = tape.len();
    assert!(tape.revoked_before(all) >= 8);
    let mut closed = 0;
    for batches in first..=all {
        let (store, revoked) =
            (StrongroomStore::new(tape.after(batches)), tape.revoked_before(batches));
        closed += usize::from(load(keeps, store, number_0, revoked));
    }
    println!("{} places for a crash, the channel closed after {closed}", all - first + 1);
    // LDK 0.2 does this by design, where the manager is not stored yet.
    assert!(closed > 0 && closed < all - first, "{closed}");
}

#[test]
fn a_crash_between_any_two_writes_leaves_what_ldk_loads() {
    after_each_batch(Keeps::Whole);
}

#[test]
fn the_same_with_updates_stored_one_by_one() {
    after_each_batch(Keeps::Updates);
}
