//! What LDK would not read is told and not fallen over; monitors of before it, and damage of each kind.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests panic")]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use kv_core::{
    KvStore, KvStoreExt, Namespace,
    testing::{Fault, FaultyStore, Landing},
};
use kv_ldk::StrongroomStore;
use kv_mem::MemStore;

use super::{
    Locator,
    ldk::{
        chain::channelmonitor::ChannelMonitor,
        ln::{msgs::DecodeError, types::ChannelId},
        sign::InMemorySigner,
        util::{persist::KVStoreSync, ser::ReadableArgs},
    },
    ours::{ChannelReport, ChannelsReport, ForceClose, ManagerVerdict, Verdict},
    small::Parts,
    vectors::{Keeper, Monitor, Two},
};
use crate::common::sealed;

/// Which bytes are tried: a manager and a monitor have some thousands.
const EVERY: usize = 67;

/// Two of the records at the end of a monitor.
const PEER: u8 = 9;
const FUNDING_SPENT_BY: u8 = 1;

/// A stored monitor in its parts: what comes first, and the records of its end by their types.
struct Parted {
    head: Vec<u8>,
    records: Vec<(u8, Vec<u8>)>,
}

impl Parted {
    /// Where the records begin is not written anywhere: they are what fills the rest.
    fn of(bytes: &[u8]) -> Self {
        let records = |start| Some((start, records(size(bytes, start)?)?));
        let (start, records) = (0..bytes.len()).find_map(records).unwrap();
        assert!(records.iter().any(|(kind, value)| *kind == PEER && value.len() == 33));
        Self { head: bytes[..start].to_vec(), records }
    }

    /// The last two bytes of the head tell whether it was closed, and whether it has published its state.
    fn closed(mut self) -> Self {
        let at = self.head.len() - 2;
        assert_eq!(self.head[at..], [0, 0]);
        self.head[at] = 1;
        self
    }

    /// As LDK wrote it before it was told who the peer is.
    fn old(mut self) -> Self {
        self.records.retain(|(kind, _)| *kind != PEER);
        self
    }

    /// Something that is on the chain for good has spent the funding.
    fn spent(mut self) -> Self {
        self.records.insert(0, (FUNDING_SPENT_BY, vec![7; 32]));
        self
    }

    fn join(self) -> Vec<u8> {
        let mut end = Vec::new();
        for (kind, value) in self.records {
            end.push(kind);
            push_size(&mut end, value.len());
            end.extend(value);
        }
        let mut bytes = self.head;
        push_size(&mut bytes, end.len());
        bytes.extend(end);
        bytes
    }
}

fn push_size(to: &mut Vec<u8>, size: usize) {
    match size {
        0..0xfd => to.push(size as u8),
        _ => {
            to.push(0xfd);
            to.extend((size as u16).to_be_bytes());
        }
    }
}

/// What has its size before it here and is the whole rest.
fn size(bytes: &[u8], start: usize) -> Option<&[u8]> {
    let (value, rest) = sized(&bytes[start..])?;
    rest.is_empty().then_some(value)
}

/// What has its size before it, and the rest.
fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    match bytes {
        [0xfd, high, low, rest @ ..] => {
            rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))
        }
        [size @ 0..0xfd, rest @ ..] => rest.split_at_checked(usize::from(*size)),
        _ => None,
    }
}

/// Records fill it, in the order of their types.
fn records(mut bytes: &[u8]) -> Option<Vec<(u8, Vec<u8>)>> {
    let mut records: Vec<(u8, Vec<u8>)> = Vec::new();
    while let [kind, rest @ ..] = bytes {
        let (value, rest) = sized(rest)?;
        if *kind == 0 || records.last().is_some_and(|(last, _)| last >= kind) {
            return None;
        }
        records.push((*kind, value.to_vec()));
        bytes = rest;
    }
    (records.len() > 5).then_some(records)
}

fn of(report: &ChannelsReport, monitor: &Monitor) -> ChannelReport {
    let mut all = report.channels.iter();
    all.find(|found| found.monitor.as_ref() == Some(&monitor.0)).unwrap().clone()
}

#[test]
fn a_monitor_that_ldk_panics_at_is_unreadable() {
    let two = Two::open();
    let [mut x, y] = two.monitors();
    let parted = Parted::of(&x.1);
    assert!(Parted::of(&x.1).join() == x.1, "nothing is lost in between");
    x.1 = parted.old().join();
    let report = two.verify(Some(&two.manager()), &[&x, &y]);
    assert!(!report.is_fine());
    let found = of(&report, &x);
    assert_eq!(found.verdict, Verdict::Unreadable);
    assert_eq!(found.channel, Some(two.channels[0]), "its name tells");
    // LDK's own words say what to do.
    assert!(found.said[0].contains("run a v0.1 release"), "{:?}", found.said);
    assert_eq!(of(&report, &y).verdict, Verdict::NotReached);
    let cause = DecodeError::InvalidValue;
    assert_eq!(report.manager, ManagerVerdict::Refused { cause });
}

#[test]
fn a_monitor_that_ldk_passes_over_is_no_trouble() {
    let two = Two::open();
    let [mut x, y] = two.monitors();
    x.1 = Parted::of(&x.1).old().closed().spent().join();
    let first_only = &two.before[0];
    let report = two.verify(Some(first_only), &[&x]);
    let found = of(&report, &x);
    assert_eq!(found.verdict, Verdict::Closed, "{found:?}");
    assert!(found.said[0].contains("passes over"), "{:?}", found.said);
    assert!(report.is_fine(), "{report:?}");
    assert!(!two.verify(None, &[&x]).is_fine(), "a new manager would not know of it");
    // Where the manager still wants it, it is missing as any other.
    let report = two.verify(Some(&two.manager()), &[&x, &y]);
    assert!(!report.is_fine());
    assert!(matches!(report.manager, ManagerVerdict::Refused { .. }), "{report:?}");
    assert_eq!(of(&report, &x).verdict, Verdict::Unreadable, "{report:?}");
}

#[test]
fn a_channel_that_is_closed_and_not_seen_to_be_is_unclear() {
    let two = Two::open();
    let [mut x, _] = two.monitors();
    let report = two.verify(Some(&two.before[0]), &[&x]);
    let closes = Verdict::WouldBeForceClosed { cause: ForceClose::UnknownToManager };
    assert_eq!(of(&report, &x).verdict, closes);
    // Told to end without its newest state, as when the funding was never sent.
    x.1 = Parted::of(&x.1).closed().join();
    let report = two.verify(Some(&two.before[0]), &[&x]);
    assert_eq!(report.manager, ManagerVerdict::Loads);
    assert_eq!(of(&report, &x).verdict, Verdict::Unclear, "{report:?}");
    assert!(!report.is_fine());
    // Once the spending is on the chain, it is clear.
    x.1 = Parted::of(&x.1).spent().join();
    let report = two.verify(Some(&two.before[0]), &[&x]);
    assert_eq!(of(&report, &x).verdict, Verdict::Closed, "{report:?}");
    assert!(report.is_fine());
}

#[test]
fn a_monitor_that_the_store_finds_damaged_is_unreadable() {
    let two = Two::open();
    let [x, y] = two.monitors();
    let below: Arc<dyn KvStore> = Arc::new(MemStore::new());
    let store = StrongroomStore::new(sealed(below.clone()));
    let entries = || -> Vec<_> {
        let of = |ns: Namespace| {
            below.list_all(&ns).unwrap().into_iter().map(move |key| (ns.clone(), key))
        };
        below
            .namespaces()
            .unwrap()
            .into_iter()
            .filter(|ns| !ns.is_reserved())
            .flat_map(of)
            .collect()
    };
    KVStoreSync::write(&store, "", "", "manager", two.manager()).unwrap();
    KVStoreSync::write(&store, "monitors", "", &y.0, y.1.clone()).unwrap();
    let before = entries();
    KVStoreSync::write(&store, "monitors", "", &x.0, x.1.clone()).unwrap();
    for (ns, key) in entries().into_iter().filter(|entry| !before.contains(entry)) {
        let mut value = below.read_required(&ns, &key).unwrap().to_vec();
        *value.last_mut().unwrap() ^= 1;
        below.write(&ns, &key, value).unwrap();
    }
    let report = two.ask(&store).unwrap();
    assert_eq!(of(&report, &x).verdict, Verdict::Unreadable, "{report:?}");
    assert_eq!(of(&report, &y).verdict, Verdict::NotReached, "{report:?}");
}

#[test]
fn a_monitor_under_the_name_of_another_is_unreadable() {
    let two = Two::open();
    let [x, mut y] = two.monitors();
    y.1.clone_from(&x.1);
    let report = two.verify(Some(&two.manager()), &[&x, &y]);
    let found = of(&report, &y);
    assert_eq!(found.verdict, Verdict::Unreadable);
    assert!(found.said[0].contains("another monitor"), "{:?}", found.said);
}

#[test]
fn a_store_that_cannot_read_gives_no_report() {
    let two = Two::open();
    let (manager, monitors) = (two.manager(), two.monitors());
    let fault = Arc::new(Fault::default());
    let faulty = FaultyStore::new(Arc::new(MemStore::new()), fault.clone());
    let store = StrongroomStore::new(Arc::new(faulty));
    KVStoreSync::write(&store, "", "", "manager", manager).unwrap();
    for (name, bytes) in &monitors {
        KVStoreSync::write(&store, "monitors", "", name, bytes.clone()).unwrap();
    }
    let mut reads = 0;
    loop {
        fault.fail_nth(reads + 1, Landing::Absent);
        let report = two.ask(&store);
        if !fault.fired() {
            assert!(report.unwrap().is_fine());
            break;
        }
        assert!(report.is_err(), "{report:?}");
        reads += 1;
    }
    // The list of monitors; of each its bytes and its updates; the manager.
    assert_eq!(reads, 6);
}

/// The channels that LDK itself has after a start, if it starts.
fn started(manager: &[u8], monitors: &[&Monitor]) -> Option<Vec<ChannelId>> {
    let start = || {
        let parts = Parts::new(&[1; 32]);
        let mut read = Vec::new();
        for (_, bytes) in monitors {
            let keys = (&*parts.keys, &*parts.keys);
            type Stored = Option<(Locator, ChannelMonitor<InMemorySigner>)>;
            read.extend(Stored::read(&mut &bytes[..], keys).ok()?);
        }
        let chain = parts.monitors(Arc::new(Keeper::default()));
        let manager = parts.read_manager(manager, chain, &read).ok()?;
        Some(manager.list_channels().iter().map(|channel| channel.channel_id).collect())
    };
    catch_unwind(AssertUnwindSafe(start)).ok().flatten()
}

/// What is called fine is what LDK starts with; whether it was.
fn is_never_wrongly_fine(
    two: &Two,
    manager: &[u8],
    monitors: &[&Monitor],
    what: &dyn Fn() -> String,
) -> bool {
    let report = two.verify(Some(manager), monitors);
    if !report.is_fine() {
        return false;
    }
    let open = started(manager, monitors);
    let mut open = open.unwrap_or_else(|| panic!("{}: LDK does not start: {report:?}", what()));
    let fine = report.channels.iter().filter(|found| found.verdict == Verdict::Fine);
    let mut fine: Vec<_> = fine.filter_map(|found| found.channel).collect();
    open.sort_by_key(|channel| channel.0);
    fine.sort_by_key(|channel| channel.0);
    assert_eq!(fine, open, "{}", what());
    true
}

/// Each byte of these is changed in some ways.
fn changes(bytes: &[u8], every: usize) -> impl Iterator<Item = (usize, u8)> {
    let ways = [0x01, 0x80, 0xff];
    (0..bytes.len()).step_by(every).flat_map(move |at| ways.map(|way| (at, way)))
}

#[test]
fn a_damaged_manager_is_told_and_never_wrongly_fine() {
    let two = Two::open();
    two.pay();
    let ([x, y], manager) = (two.monitors(), two.manager());
    assert!(is_never_wrongly_fine(&two, &manager, &[&x, &y], &|| "as it is".to_owned()));
    let (mut fine, mut not) = (0, 0);
    for (at, way) in changes(&manager, EVERY) {
        let mut damaged = manager.clone();
        damaged[at] ^= way;
        let what = || format!("byte {at} of {} ^ {way}", manager.len());
        if is_never_wrongly_fine(&two, &damaged, &[&x, &y], &what) { fine += 1 } else { not += 1 }
    }
    for cut in (0..manager.len()).step_by(EVERY) {
        assert!(!is_never_wrongly_fine(&two, &manager[..cut], &[&x, &y], &|| format!("cut {cut}")));
    }
    println!("{fine} changes of the manager are fine, {not} are not");
    assert!(not > 0);
}

#[test]
fn a_damaged_monitor_is_told_and_never_wrongly_fine() {
    let two = Two::open();
    two.pay();
    let ([x, y], manager) = (two.monitors(), two.manager());
    let (mut fine, mut not) = (0, 0);
    for (at, way) in changes(&x.1, EVERY) {
        let mut damaged = x.clone();
        damaged.1[at] ^= way;
        let what = || format!("byte {at} of {} ^ {way}", x.1.len());
        if is_never_wrongly_fine(&two, &manager, &[&damaged, &y], &what) {
            fine += 1;
        } else {
            not += 1;
        }
    }
    println!("{fine} changes of a monitor are fine, {not} are not");
    assert!(not > 0);
}
