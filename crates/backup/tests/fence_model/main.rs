//! The fence protocol, checked over every interleaving of two devices' cloud calls.
//!
//! The devices run the very code that the wallet runs; the clouds are a few lines. Each call may be
//! answered, be lost, land without an answer, land much later, or be refused without a reason, and
//! a device may crash between any two steps, all within a budget of faults.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test panics"
)]

mod device;
mod explore;
mod world;

use device::{Break, Op};
use explore::{Found, explore};
use world::{Faults, World};

fn sound(world: World, name: &str) -> Found {
    let found = explore(world);
    println!("{name}: {} states, {} ends", found.states, found.ends);
    assert_eq!(found.violation, None, "{name}");
    found
}

const WRITE_TWICE: &[Op] = &[Op::Write, Op::Write];
const MOVE_IN: &[Op] = &[Op::Restore, Op::TakeOver, Op::Write];

#[test]
fn a_writer_and_a_takeover_are_never_both_acknowledged() {
    let faults = Faults { calls: 2, crashes: 1 };
    let world = World::new(1, 1, [WRITE_TWICE, MOVE_IN], faults);
    let found = sound(world, "writer and takeover, one cloud");
    assert!(found.both_finished && found.first_was_fenced && found.second_was_refused, "{found:?}");
}

#[test]
fn two_takeovers_are_never_both_acknowledged() {
    let faults = Faults { calls: 2, crashes: 1 };
    let mut world = World::new(1, 1, [MOVE_IN, MOVE_IN], faults);
    world.abandon_a_fence();
    let found = sound(world, "two takeovers, one cloud");
    assert!(found.first_was_fenced && found.second_was_refused, "{found:?}");
}

#[test]
fn two_new_wallets_of_one_key_are_never_both_acknowledged() {
    let faults = Faults { calls: 3, crashes: 1 };
    let world = World::new(1, 1, [WRITE_TWICE, WRITE_TWICE], faults);
    let found = sound(world, "two first claims, one cloud");
    assert!(found.first_was_fenced, "{found:?}");
}

#[test]
fn a_takeover_among_two_clouds_is_never_both_acknowledged() {
    for acknowledged_by in [1, 2] {
        let faults = Faults { calls: 1, crashes: 0 };
        let world = World::new(2, acknowledged_by, [&[Op::Write], MOVE_IN], faults);
        let found = sound(world, &format!("two clouds, acknowledged by {acknowledged_by}"));
        assert!(found.first_was_fenced && found.second_was_refused, "{found:?}");
    }
}

/// Half a takeover stops nobody, and is in nobody's way.
#[test]
fn a_takeover_among_three_clouds_is_never_both_acknowledged() {
    let faults = Faults { calls: 0, crashes: 0 };
    let world = World::new(3, 2, [&[Op::Write], MOVE_IN], faults);
    let found = sound(world, "three clouds, acknowledged by two");
    assert!(found.first_was_fenced && found.second_was_refused, "{found:?}");
}

#[test]
fn an_old_copy_of_a_folder_is_never_acknowledged_beside_the_newest() {
    let faults = Faults { calls: 2, crashes: 1 };
    let mut world = World::new(1, 1, [WRITE_TWICE, WRITE_TWICE], faults);
    world.clone_the_first();
    let found = sound(world, "a folder and its copy, one cloud");
    assert!(found.was_copied, "{found:?}");
}

#[test]
fn a_broken_protocol_is_caught() {
    let faults = Faults { calls: 2, crashes: 0 };
    let one = |how| World::new(1, 1, [WRITE_TWICE, MOVE_IN], faults).broken(how);
    for how in [
        Break::AcknowledgeBeforeReplacing,
        Break::TakeALostAnswerForSuccess,
        Break::ReplaceWhateverIsThere,
        Break::TakeOverWithoutLookingAtTheBase,
    ] {
        let found = explore(one(how));
        println!("{how:?}: {} states until {:?}", found.states, found.violation);
        assert!(found.violation.is_some(), "{how:?} was not noticed");
    }
    let world = World::new(2, 1, [&[Op::Write], MOVE_IN], faults);
    let found = explore(world.broken(Break::OneCloudIsEnoughToTakeOver));
    assert!(found.violation.is_some(), "a takeover without its quorum was not noticed");
    let mut world = World::new(1, 1, [WRITE_TWICE, WRITE_TWICE], faults);
    world.clone_the_first();
    let found = explore(world.broken(Break::ForgetWhoPutIt));
    assert!(
        found.violation.is_some(),
        "a copy that takes the other's put for its own was not noticed"
    );
}
