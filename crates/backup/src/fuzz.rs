//! What the fuzzers call: every reader meets arbitrary bytes, also where hash, seal and compression
//! fit. None may panic, and what a reader accepts must write back to the same bytes.

use std::{fmt::Debug, sync::Arc};

use bytes::Bytes;
use kv_core::{Batch, Clock, Key, KvStore, KvStoreExt, Namespace, Timestamp, Value};
use serde::{Serialize, de::DeserializeOwned};
use vault::{Keys, RootSecret};

use crate::{
    BackupState, Body, ChainWalk, Class, DumpIndex, DumpPart, EntryDigest, Fence, FenceState, Head,
    History, ObjectHash, ObjectId, ObjectName, ObjectRef, ObjectSealer, Recorder, RecorderSettings,
    Rule, Rules, SegmentBody, WriterId, check_dump, codec, frame,
    log::{self, DirtyPage, LogEntry, Places},
    others::{HeadOthers, Others},
    restore::Mark,
    sealer::{open_packed, pack},
    tombstones::Removals,
};

/// The plaintexts of objects, and what an installation keeps of its backups.
///
/// # Panics
/// If one of them breaks its promise.
pub fn plain(data: &[u8]) {
    writes_back::<SegmentBody>(data);
    writes_back::<DumpPart>(data);
    if let Some(index) = writes_back::<DumpIndex>(data) {
        let object = index.parts.first().or(index.base.as_ref()).copied();
        object.map(|own| (check_dump(own.id.writer, &own, &index).ok(), index.floor(&own)));
    }
    if let Some(head) = writes_back::<Head>(data) {
        head.retired();
        head.known();
        if let Ok(walk) = ChainWalk::new(&head) {
            walk.next_link().ok();
        }
    }
    writes_back::<HeadOthers>(data);
    writes_back::<Mark>(data);
    writes_back::<Fence>(data);
    writes_back::<BackupState>(data);
    writes_back::<FenceState>(data);
    writes_back::<History>(data);
    writes_back::<Others>(data);
    writes_back::<Removals>(data);
    // A short number has several spellings; whatever is read must be read again as it is.
    if let Ok(entry) = codec::decode_small::<LogEntry>("fuzz", data) {
        let again = log::write_small(&entry);
        assert_eq!(codec::decode_small::<LogEntry>("fuzz", &again).ok(), Some(entry));
    }
    if let Ok(page) = codec::decode_small::<DirtyPage>("fuzz", data) {
        let again = log::write_small(&page);
        assert_eq!(codec::decode_small::<DirtyPage>("fuzz", &again).ok(), Some(page));
    }
    if let Ok((stamp, value)) = frame::unwrap(Value::from(data)) {
        assert_eq!(&*frame::wrap(&stamp, &value), data, "a frame does not write back");
    }
}

/// What these bytes are, if they are one.
fn writes_back<T: Serialize + DeserializeOwned + Debug>(data: &[u8]) -> Option<T> {
    let value = codec::decode::<T>("fuzz", data).ok()?;
    assert_eq!(codec::encode(&value), data, "{value:?} does not write back");
    Some(value)
}

/// Objects: arbitrary bytes as what an envelope holds, and objects of every class that are well
/// sealed and packed around arbitrary bytes.
///
/// # Panics
/// If one of them breaks its promise.
pub fn object(data: &[u8]) {
    let sealer = sealer();
    let whole = Bytes::copy_from_slice(data);
    let packed = pack(data).unwrap_or_default();
    for class in [Class::Head, Class::Segment, Class::DumpPart, Class::DumpIndex] {
        let writer = WriterId::from_bytes([3; 16]);
        let id = ObjectId { class, writer, epoch: 0, from: 1, to: 2, part: 0 };
        let named = |bytes: &Bytes| ObjectRef { id, hash: ObjectHash::of(bytes) };
        assert!(open_as(&sealer, class, &named(&whole), &whole).is_none(), "nobody sealed this");
        for content in [data, &packed] {
            let Ok(sealed) = sealer.seal_raw(&id, content) else { continue };
            let Some(entries) = open_as(&sealer, class, &named(&sealed), &sealed) else { continue };
            let Ok(mut digest) = EntryDigest::new(&sealer) else { continue };
            for entry in &entries {
                digest.add(entry);
                entry.name.place().ok();
            }
            digest.finish();
        }
    }
    if let Some(plain) = open_packed(data) {
        let again = pack(&plain).as_deref().and_then(open_packed);
        assert_eq!(again, Some(plain), "what is packed does not read back");
    }
}

/// The entries of an object that opens.
fn open_as(
    sealer: &ObjectSealer,
    class: Class,
    object: &ObjectRef,
    sealed: &Bytes,
) -> Option<Vec<crate::Entry>> {
    fn open<T: Body>(s: &ObjectSealer, object: &ObjectRef, sealed: &Bytes) -> Option<T> {
        s.open(object, ObjectHash::NONE, sealed).ok()
    }
    match class {
        Class::Head => open::<Head>(sealer, object, sealed).map(|_| Vec::new()),
        Class::Segment => open::<SegmentBody>(sealer, object, sealed)
            .map(|body| [body.mergeable, body.single_writer].concat()),
        Class::DumpPart => open::<DumpPart>(sealer, object, sealed).map(|part| part.entries),
        Class::DumpIndex => open::<DumpIndex>(sealer, object, sealed).map(|_| Vec::new()),
    }
}

/// Names of objects: what is taken for one has one spelling.
///
/// # Panics
/// If a name breaks its promise.
pub fn name(data: &[u8]) {
    let Ok(name) = ObjectName::new(&String::from_utf8_lossy(data)) else { return };
    let tag = sealer().tag();
    if let Ok(object) = ObjectRef::parse(&tag, &name) {
        assert_eq!(object.name(&tag), name, "a name does not write back");
    }
}

/// Opens a recorder on an empty store that was filled with bookkeeping made of these bytes, and uses
/// what opens; whether it opened.
///
/// # Panics
/// If the recorder does.
pub fn log(data: &[u8], store: Arc<dyn KvStore>) -> bool {
    let Ok(places) = Places::new() else { return false };
    let mut rest = data;
    let mut batch = Batch::new();
    while let [what, number, low, high, tail @ ..] = rest {
        let ns = match what % 8 {
            0 | 1 => &places.state,
            2..=4 => &places.log,
            5 | 6 => &places.dirty,
            _ => &places.tombstones,
        };
        let number = match number {
            255 => u64::MAX,
            254 => u64::MAX >> 1,
            number => u64::from(number % 8),
        };
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(tail.len());
        let (content, tail) = tail.split_at(len);
        batch = batch.put(ns, &Key::number(number), content);
        rest = tail;
    }
    store.submit(batch).wait().is_ok() && use_it(store).is_ok()
}

/// Opens a recorder on this store, and does with it what a wallet does.
///
/// # Errors
/// If it does not open.
///
/// # Panics
/// If the recorder does.
pub fn use_it(store: Arc<dyn KvStore>) -> kv_core::Result<()> {
    let rules = Rules::new([("m", Rule::Mergeable)]);
    let recorder = Recorder::open(store, rules, Arc::new(Still), RecorderSettings::default())?;
    let (Ok(merges), Ok(single)) = (Namespace::new("m", ""), Namespace::new("s", "")) else {
        return Ok(());
    };
    for ns in [merges, single] {
        for key in recorder.list_all(&ns).unwrap_or_default() {
            recorder.read(&ns, &key).ok();
        }
        recorder.write(&ns, &Key::number(1), b"value").ok();
        recorder.remove(&ns, &Key::number(2)).ok();
    }
    recorder.lag();
    recorder.cut(recorder.state().backed_up.saturating_add(1)).ok();
    if let Ok(mut dump) = recorder.dump() {
        while let Ok(Some(_)) = dump.next_page() {}
    }
    recorder.close().ok();
    Ok(())
}

fn sealer() -> ObjectSealer {
    ObjectSealer::new(Keys::derive(&RootSecret::from_bytes([7; 32])))
}

/// A clock that stands still.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(1_700_000_000_000)
    }
}
