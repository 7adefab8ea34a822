//! What the fuzzers call: every reader meets arbitrary bytes, also behind checksums and seals that
//! fit. None may panic, and what a reader accepts must write back to the same bytes.

use std::{collections::BTreeMap, sync::Arc};

use kv_core::{Batch, Change, Key, KvStore, KvStoreExt, Namespace};

use crate::{
    Aad, EnvelopeError, Keys, Passphrase, RootSecret, SealedStore, SignatureRequest, Words,
    codec::Reader,
    directory::{ENTRIES, PAGES, decode_directory, namespace_of},
    header::Header,
    open, seal,
};

/// The root secret that everything here is sealed with.
fn root() -> RootSecret {
    RootSecret::from_bytes([7; 32])
}

/// Envelopes: arbitrary bytes, and ones whose clear part is right.
///
/// # Panics
/// If one opens that nobody sealed.
pub fn envelope(data: &[u8]) {
    let keys = Keys::derive(&root());
    let (key, aad) = (keys.backup_content(), Aad::new("fuzz").bytes(data));
    assert!(open(key, &aad, data).is_err(), "bytes that nobody sealed open");
    let Ok(sealed) = seal(key, &aad, data) else { return };
    assert_eq!(open(key, &aad, &sealed).ok().as_deref(), Some(data));
    // The clear part is that of a good envelope, all behind it is not.
    let clear = sealed.get(..66).unwrap_or_default();
    let forged = [clear, data].concat();
    assert!(matches!(open(key, &aad, &forged), Err(EnvelopeError::Damaged)));
}

/// Headers: arbitrary bytes, and bytes behind a magic, a version and a checksum that fit.
///
/// # Panics
/// If the header breaks its promise.
pub fn header(data: &[u8]) {
    let mut framed = b"SRhd\x01\x01".to_vec();
    framed.extend_from_slice(data);
    framed.extend_from_slice(&crc32c::crc32c(&framed).to_le_bytes());
    for bytes in [data, &framed] {
        let Some(header) = Header::decode_good(bytes) else { continue };
        let mut expected = bytes.to_vec();
        // One byte is ignored when it is read; the checksum goes with it.
        if let Some(reserved) = expected.get_mut(7) {
            *reserved = 0;
        }
        expected.truncate(expected.len().saturating_sub(4));
        expected.extend_from_slice(&crc32c::crc32c(&expected).to_le_bytes());
        assert_eq!(header.encode(), expected, "a header does not write back");
        header.wrapped().ok();
    }
}

/// The plaintexts of the name directory.
///
/// # Panics
/// If one of them breaks its promise.
pub fn directory(data: &[u8]) {
    for again in decode_directory(data) {
        assert_eq!(again, data, "a part of the directory does not write back");
    }
}

/// What people type or hand over in files.
///
/// # Panics
/// If one of the parsers does.
pub fn secrets(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(words) = Words::parse(&text) {
        assert!(Words::parse(&words.to_text()).is_ok(), "words do not read back");
    }
    RootSecret::from_hex(&text).ok();
    Passphrase::new(&text).ok();
    let (domain, address) = text.split_once(' ').unwrap_or((&text, ""));
    SignatureRequest::new(domain, address).ok();
    let address = "0x4a62316623ad457f02cdc5d997ded67a383ec569";
    if let Ok(request) = SignatureRequest::new("strongroom", address) {
        request.unlock(data).ok();
    }
}

/// Unlocks an empty store that was filled with a header and a directory made of these bytes, all
/// sealed as they must be, and uses what opens; whether it opened.
///
/// # Panics
/// If the sealed store does.
pub fn unlock(data: &[u8], store: Arc<dyn KvStore>) -> bool {
    let keys = Keys::derive(&root());
    let mut parts = BTreeMap::new();
    let mut reader = Reader::new(data);
    while let (Ok(what), Ok(number), Ok(len)) = (reader.u8(), reader.u8(), reader.u8()) {
        let class = if what % 2 == 0 { ENTRIES } else { PAGES };
        let Ok(content) = reader.bytes(len.into()) else { break };
        let number = match number {
            255 => u64::MAX,
            254 => u64::MAX - 1,
            number => u64::from(number % 4),
        };
        parts.insert((class, number), (what, content.to_vec()));
    }
    let pages = parts.keys().filter(|(class, _)| *class == PAGES).count() as u64;
    let mut batch = Header::new(keys.wallet_tag()).write();
    for ((class, number), (what, mut content)) in parts {
        // A page tells how many there are; mostly it shall be right.
        if class == PAGES
            && what % 8 != 1
            && let Some(count) = content.get_mut(8..16)
        {
            count.copy_from_slice(&pages.to_le_bytes());
        }
        let aad = Aad::new(class).bytes(&keys.wallet_id()).number(number);
        let Ok(sealed) = seal(keys.at_rest_content(), &aad, &content) else { return false };
        let value = if what < 250 { sealed } else { content };
        batch.insert(namespace_of(class), Key::number(number), Change::Put(value.into()));
    }
    if store.submit(batch).wait().is_err() {
        return false;
    }
    for _ in 0..2 {
        let Ok(opened) = SealedStore::open(store.clone(), &root()) else { return false };
        use_it(&opened);
        opened.lock();
    }
    true
}

fn use_it(store: &SealedStore) {
    let namespaces = store.namespaces().unwrap_or_default();
    for ns in &namespaces {
        for key in store.list_all(ns).unwrap_or_default() {
            store.read(ns, &key).ok();
            store.write(ns, &key, b"again").ok();
            store.submit(Batch::new().remove(ns, &key)).wait().ok();
        }
    }
    if let Ok(ns) = Namespace::new("new", "") {
        store.write(&ns, &Key::number(1), b"value").ok();
    }
    store.capabilities().verify.map(|verify| verify.verify(&mut |_| ()).ok());
}
