//! The gate before single-writer data, and the fencing head as an object.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

mod common;

use std::sync::Arc;

use backup::{
    Class, Deposed, Error, Fence, FenceState, Gate, ObjectHash, ObjectId, ObjectRef, Position,
    Recorder, Refusal, WriterId,
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
