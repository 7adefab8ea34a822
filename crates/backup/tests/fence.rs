//! The gate before single-writer data, and the fencing head as an object.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

mod common;

use std::sync::Arc;

use backup::{
    Class, Deposed, Error, Fence, FenceAnswer, FenceMachine, FenceOutcome, FencePlan, FenceState,
    Gate, ObjectHash, ObjectId, ObjectRef, Position, Quorum, Recorder, Refusal, Step, WriterId,
};
use common::{clock, key, ns, recorder, recorder_with, sealer, sealer_of};
use kv_core::{Batch, KvStore, KvStoreExt};
use kv_mem::MemStore;

const A: WriterId = WriterId::from_bytes([1; 16]);
const B: WriterId = WriterId::from_bytes([2; 16]);

fn position(writer: WriterId, sequence: u64) -> Position {
    let id =
        ObjectId { class: Class::Head, writer, epoch: 0, from: sequence, to: sequence, part: 0 };
    let head = ObjectRef { id, hash: ObjectHash::NONE };
    Position { writer, sequence, segment: ObjectHash::NONE, head }
}

fn fence(epoch: u32, writer: WriterId, at: Option<Position>) -> Fence {
    let (put, session) = ([3; 16], [4; 16]);
    let deposed = vec![Deposed { writer: A, epoch: 1, sequence: 7 }];
    let (time, clouds, acknowledged_by) = (5, 3, 2);
    let extensions = Vec::new();
    Fence { epoch, writer, put, session, time, clouds, acknowledged_by, at, deposed, extensions }
}

fn close(recorder: &Recorder, gate: Gate) {
    recorder.set_fence_state(recorder.fence_state().with_gate(gate)).unwrap();
}

#[test]
fn a_closed_gate_refuses_single_writer_data_and_nothing_else() {
    let gates = [
        (Gate::TakeOverFirst, Refusal::TakeOverFirst),
        (Gate::Fenced { epoch: 2, writer: B }, Refusal::Fenced { epoch: 2, writer: B }),
        (Gate::Copied, Refusal::Copied),
    ];
    for (gate, refusal) in gates {
        let store = Arc::new(MemStore::new());
        let device = recorder(store.clone());
        device.write(&ns("s"), &key("before"), b"x").unwrap();
        close(&device, gate);
        // The same after a reopening.
        for device in [device, recorder_with(store, clock(), 0)] {
            let sequence = device.sequence();
            let alone = device.write(&ns("s"), &key("k"), b"x").unwrap_err();
            assert_eq!(Refusal::behind(&alone), Some(refusal), "{alone:?}");
            assert!(alone.is_refusal());
            assert!(device.remove(&ns("s"), &key("before")).is_err(), "a removal is a change");
            let mixed = Batch::new().put(&ns("m"), &key("k"), b"x").put(&ns("s"), &key("k"), b"x");
            assert!(device.submit(mixed).wait().is_err());
            assert_eq!(device.read(&ns("m"), &key("k")).unwrap(), None, "wholly or not at all");
            assert_eq!(device.sequence(), sequence, "a refusal takes no number");

            device.write(&ns("m"), &key("k2"), b"x").unwrap();
            device.write(&ns("local"), &key("k"), b"x").unwrap();
            assert!(device.read(&ns("s"), &key("before")).unwrap().is_some(), "reads go on");
            device.remove(&ns("m"), &key("k2")).unwrap();
        }
    }
}

#[test]
fn a_wallet_that_was_handed_over_takes_nothing() {
    let device = recorder(MemStore::new());
    close(&device, Gate::HandedOver);
    for place in ["s", "m", "local"] {
        let refused = device.write(&ns(place), &key("k"), b"x").unwrap_err();
        assert_eq!(Refusal::behind(&refused), Some(Refusal::HandedOver), "{place}");
    }
    close(&device, Gate::Open);
    device.write(&ns("s"), &key("k"), b"x").unwrap();
}

#[test]
fn what_counts_of_a_writer_is_what_the_fence_says() {
    let own = fence(2, B, Some(position(B, 3)));
    assert_eq!((own.counts_for(B), own.counts_for(A)), (Some(3), Some(7)));
    assert_eq!(own.counts_for(WriterId::from_bytes([9; 16])), None);
    let not_yet = fence(2, B, Some(position(A, 7)));
    assert_eq!((not_yet.counts_for(B), not_yet.counts_for(A)), (None, Some(7)));
    assert!(not_yet.is_covered_by(Some(&position(A, 7))));
    assert!(!not_yet.is_covered_by(Some(&position(A, 6))), "it would lose what is acknowledged");
    assert!(!not_yet.is_covered_by(Some(&position(B, 9))) && !not_yet.is_covered_by(None));
    assert!(fence(1, A, None).is_covered_by(None));
    assert!(own.progress() > not_yet.progress(), "a first write is progress, whatever its number");
    assert!(fence(3, A, None).progress() > own.progress());
}

#[test]
fn a_takeover_needs_so_many_clouds_that_the_old_writer_cannot_reach_its_own_number() {
    for clouds in 1..6 {
        for acknowledged_by in 1..=clouds {
            let fence = Fence { clouds, acknowledged_by, ..fence(1, A, None) };
            let needed = fence.takeover_quorum(clouds);
            assert!(clouds - needed < acknowledged_by && needed >= 1);
            assert!(
                fence.takeover_quorum(clouds + 1) > needed,
                "one more cloud, one more to fence"
            );
        }
    }
    let nonsense = Fence { clouds: 0, acknowledged_by: 9, ..fence(1, A, None) };
    assert_eq!(nonsense.takeover_quorum(0), 1);
}

#[test]
fn a_fencing_head_opens_only_whole_and_only_for_its_wallet() {
    let fence = fence(2, B, Some(position(B, 3)));
    let sealed = sealer().seal_fence(&fence).unwrap();
    assert_eq!(sealer().open_fence(sealed.bytes()).unwrap(), fence);
    let again = sealer().seal_fence(&fence).unwrap();
    assert_ne!(sealed.bytes(), again.bytes(), "each put has a tag of its own");
    for place in 0..sealed.bytes().len() {
        let mut bytes = sealed.bytes().to_vec();
        bytes[place] ^= 1;
        assert!(
            matches!(sealer().open_fence(&bytes.into()), Err(Error::Damaged { .. })),
            "{place}"
        );
    }
    let foreign = sealer_of(8).open_fence(sealed.bytes());
    assert!(matches!(foreign, Err(Error::WrongKey { .. })), "{foreign:?}");
    let mut lies = vec![Fence { epoch: 0, ..fence.clone() }];
    let head = position(A, 3).head;
    lies.push(Fence { at: Some(Position { head, ..position(B, 3) }), ..fence });
    for lie in lies {
        let sealed = sealer().seal_fence(&lie).unwrap();
        let opened = sealer().open_fence(sealed.bytes());
        assert!(matches!(opened, Err(Error::BrokenChain { .. })), "{opened:?}");
    }
}

#[test]
fn earlier_sessions_are_remembered_and_bounded() {
    let mut state = FenceState::default();
    assert!(state.note_session([0; 16]) && !state.note_session([0; 16]));
    for n in 1..200u8 {
        state.note_session([n; 16]);
    }
    assert_eq!((state.sessions.len(), state.sessions.last()), (64, Some(&[199; 16])));
}

#[test]
fn what_is_held_back_is_refused_while_that_lasts_and_never_written() {
    let store = Arc::new(MemStore::new());
    let device = recorder(store.clone());
    device.write(&ns("s"), &key("before"), b"x").unwrap();
    let (one, two) = (device.hold_back(), device.hold_back());
    drop(one);
    for place in ["s", "m", "local"] {
        let refused = device.write(&ns(place), &key("k"), b"x").unwrap_err();
        assert_eq!(Refusal::behind(&refused), Some(Refusal::HandedOver), "{place}");
    }
    // Whatever is written down meanwhile does not carry it.
    device.note_session([7; 16]).unwrap();
    device.note_owed(1).unwrap();
    assert_eq!(device.fence_state().gate, Gate::Open);
    let killed = recorder_with(store, clock(), 0);
    assert_eq!(
        (killed.fence_state().gate, killed.fence_state().sessions),
        (Gate::Open, vec![[7; 16]])
    );
    killed.write(&ns("s"), &key("k"), b"x").unwrap();
    // What is found out meanwhile stays.
    close(&device, Gate::Copied);
    drop(two);
    device.write(&ns("m"), &key("k"), b"x").unwrap();
    let refused = device.write(&ns("s"), &key("k"), b"x").unwrap_err();
    assert_eq!(Refusal::behind(&refused), Some(Refusal::Copied));
}

/// What the machine does about a fencing head of this writer in a session that it does not know.
fn step_at(sessions: usize, seen: u64, found: Fence) -> Step<u8> {
    let plan = FencePlan {
        wanted: Fence { session: [200; 16], ..fence(2, B, Some(position(B, 9))) },
        takeover: None,
        sessions: (0..sessions).map(|n| [100 + n as u8; 16]).collect(),
        durable: 9,
        floor: Some(fence(2, B, Some(position(B, seen))).progress()),
    };
    let mut machine = FenceMachine::new(plan, None, Vec::new());
    assert_eq!(machine.step([1; 16]), Step::Get);
    machine.answer(FenceAnswer::Found(Some((found, 1))));
    machine.step([1; 16])
}

#[test]
fn what_a_forgotten_session_put_is_known_by_where_it_was_left() {
    let found = || fence(2, B, Some(position(B, 3)));
    let is_copy = |step: Step<u8>| matches!(step, Step::Done(FenceOutcome::Copied(_)));
    assert!(matches!(step_at(64, 3, found()), Step::Put { replaces: Some(1), .. }));
    assert!(is_copy(step_at(64, 2, found())), "somebody has gone on there");
    assert!(is_copy(step_at(63, 3, found())), "no session is forgotten yet");
}

#[test]
fn the_clouds_that_acknowledged_last_are_remembered() {
    let store = Arc::new(MemStore::new());
    let device = recorder(store.clone());
    assert_eq!(device.fence_state().quorum(), None);
    device.note_owed(3).unwrap();
    for clouds in [vec![[1; 8], [2; 8]], vec![[3; 8]], vec![]] {
        let by = Quorum { acknowledged_by: 2, clouds };
        device.note_acknowledged(1, position(A, 1), &by).unwrap();
        let again = recorder_with(store.clone(), clock(), 0).fence_state();
        assert_eq!((again.quorum(), again.owed()), (Some(by), None));
    }
}
