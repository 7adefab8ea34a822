//! Objects by hand, from the format pages alone: a second implementation to compare with.

use backup::{Class, ObjectHash, ObjectId, ObjectRef};
use bytes::Bytes;
use serde::Serialize;
use vault::{Aad, Keys};

/// The encoding of all plaintexts: little-endian, fixed width, lengths u64.
pub fn encode(value: &impl Serialize) -> Vec<u8> {
    let config = bincode::config::standard().with_little_endian().with_fixed_int_encoding();
    bincode::serde::encode_to_vec(value, config).unwrap()
}

/// The encoding of what stays on the device: the same, but a number below 251 takes one byte, and
/// a larger one 251, 252 or 253 and then two, four or eight.
pub fn encode_small(value: &impl Serialize) -> Vec<u8> {
    let config = bincode::config::standard().with_little_endian().with_variable_int_encoding();
    bincode::serde::encode_to_vec(value, config).unwrap()
}

pub fn aad(keys: &Keys, id: &ObjectId, previous: ObjectHash) -> Aad {
    let class = match id.class {
        Class::Head => "head",
        Class::Segment => "segment",
        Class::DumpPart => "dump-part",
        Class::DumpIndex => "dump-index",
    };
    Aad::new("strongroom/v1/object")
        .bytes(&keys.wallet_id())
        .text(class)
        .bytes(id.writer.as_bytes())
        .number(id.epoch.into())
        .number(id.from)
        .number(id.to)
        .number(id.part.into())
        .bytes(previous.as_bytes())
}

/// Compresses, writes both lengths, pads.
pub fn pack(plain: &[u8]) -> Vec<u8> {
    let compressed = zstd::bulk::compress(plain, 3).unwrap();
    let mut packed = (plain.len() as u64).to_le_bytes().to_vec();
    packed.extend((compressed.len() as u64).to_le_bytes());
    packed.extend(compressed);
    packed.resize(padded(packed.len()), 0);
    packed
}

/// Padme: keep as many leading bits as the exponent has, round the rest up.
pub fn padded(len: usize) -> usize {
    let exponent = (len as f64).log2().floor() as u32;
    let kept = (f64::from(exponent)).log2().floor() as u32 + 1;
    let step = 1usize << (exponent - kept);
    len.div_ceil(step) * step
}

/// Seals any packed bytes as the object of this id.
pub fn seal(keys: &Keys, id: ObjectId, previous: ObjectHash, packed: &[u8]) -> (ObjectRef, Bytes) {
    let sealed = vault::seal(keys.backup_content(), &aad(keys, &id, previous), packed).unwrap();
    (ObjectRef { id, hash: ObjectHash::of(&sealed) }, sealed.into())
}

/// The plaintext of an object.
pub fn plaintext(keys: &Keys, id: &ObjectId, previous: ObjectHash, sealed: &[u8]) -> Vec<u8> {
    unpack(keys, &aad(keys, id, previous), sealed)
}

/// The plaintext of a fencing head.
pub fn fence_plaintext(keys: &Keys, sealed: &[u8]) -> Vec<u8> {
    unpack(keys, &Aad::new("strongroom/v1/fixed").bytes(&keys.wallet_id()).text("fence"), sealed)
}

fn unpack(keys: &Keys, aad: &Aad, sealed: &[u8]) -> Vec<u8> {
    let packed = vault::open(keys.backup_content(), aad, sealed).unwrap();
    let len = |at: usize| u64::from_le_bytes(packed[at..at + 8].try_into().unwrap()) as usize;
    let (plain, compressed) = (len(0), len(8));
    assert_eq!(packed.len(), padded(16 + compressed));
    assert!(packed[16 + compressed..].iter().all(|byte| *byte == 0));
    let plaintext = zstd::bulk::decompress(&packed[16..16 + compressed], plain).unwrap();
    assert_eq!(plaintext.len(), plain);
    plaintext
}
