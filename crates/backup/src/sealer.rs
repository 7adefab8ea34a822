//! Objects: encode, compress, pad, seal, name; and back, trusting nothing.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use vault::{Aad, EnvelopeError, Keys};

use crate::{
    Body, Class, Error, ObjectHash, ObjectId, ObjectName, ObjectRef, Result, Sealed, Spare, codec,
    pad::padme,
};

/// The largest plaintext of an object. Parts hold 4 MiB; only the references in a dump's index and
/// to the segment before grow with the wallet, by less than 100 bytes for each part.
const MAX_PLAIN: usize = 64 << 20;

/// Speed over ratio: most of what a wallet changes is small and already dense. A reader need not
/// know the level.
const ZSTD_LEVEL: i32 = 3;

/// For the parts of a dump, where compressing is the most of the work. Records of a few hundred bytes
/// become even smaller than at level 3.
const ZSTD_LEVEL_OF_PARTS: i32 = 1;

/// The lengths before the compressed bytes: plain and compressed, u64 each.
const LENGTHS: usize = 16;

/// Seals and opens the objects of one wallet. Clones share the keys.
#[derive(Clone)]
pub struct ObjectSealer {
    tag: [u8; 16],
    keys: Arc<RwLock<Option<Keys>>>,
}

impl std::fmt::Debug for ObjectSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ObjectSealer(..)")
    }
}

impl ObjectSealer {
    /// For the wallet of these keys.
    pub fn new(keys: Keys) -> Self {
        Self { tag: keys.cloud_tag(), keys: Arc::new(RwLock::new(Some(keys))) }
    }

    /// Drops the keys, for all clones: whoever still holds one gets [`kv_core::Error::Locked`].
    pub fn forget(&self) {
        drop(self.keys.write().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// The tag under which the wallet's objects lie in a cloud.
    pub fn tag(&self) -> [u8; 16] {
        self.tag
    }

    /// Seals one object. `previous` is the hash of the segment before for segments,
    /// [`ObjectHash::NONE`] for all others.
    pub fn seal(
        &self,
        id: ObjectId,
        previous: ObjectHash,
        body: &impl Body,
    ) -> Result<(ObjectRef, Sealed)> {
        check_class(body, &id)?;
        self.seal_encoded(id, previous, &codec::encode(body))
    }

    /// As [`ObjectSealer::seal`], of a body of the class of `id` that is encoded already.
    pub(crate) fn seal_encoded(
        &self,
        id: ObjectId,
        previous: ObjectHash,
        plain: &[u8],
    ) -> Result<(ObjectRef, Sealed)> {
        self.seal_using(&mut Vec::new(), id, previous, plain)
    }

    /// As [`ObjectSealer::seal_encoded`], with a buffer for what is compressed.
    pub(crate) fn seal_using(
        &self,
        compressed: &mut Vec<u8>,
        id: ObjectId,
        previous: ObjectHash,
        plain: &[u8],
    ) -> Result<(ObjectRef, Sealed)> {
        let level = match id.class {
            Class::DumpPart => ZSTD_LEVEL_OF_PARTS,
            _ => ZSTD_LEVEL,
        };
        compress(level, plain, compressed).ok_or(Error::TooLarge)?;
        let (lengths, padded) = lengths(plain, compressed);
        let (keys, pieces) = (self.keys()?, [&lengths[..], compressed]);
        let aad = aad(&keys, &id, previous);
        let sealed =
            vault::seal_padded(keys.backup_content(), &aad, &pieces, padded).map_err(seal_error)?;
        let object = ObjectRef { id, hash: ObjectHash::of(&sealed) };
        Ok((object, Sealed::new(object.name(&self.tag()), sealed.into())))
    }

    /// An object as it was fetched from one cloud, to be put into another one: exactly the bytes that
    /// its name stands for. It is not opened.
    pub fn copy(&self, object: &ObjectRef, sealed: Bytes) -> Result<Sealed> {
        let name = object.name(&self.tag());
        if ObjectHash::of(&sealed) != object.hash {
            return Err(Error::Damaged { name });
        }
        Ok(Sealed::new(name, sealed))
    }

    /// Opens what was fetched under the name of `object`: hash, envelope, padding, compression and
    /// encoding must all be right.
    pub fn open<T: Body>(
        &self,
        object: &ObjectRef,
        previous: ObjectHash,
        sealed: &Bytes,
    ) -> Result<T> {
        let plain = self.open_encoded(object, previous, sealed)?;
        let damaged = |_| Error::Damaged { name: object.name(&self.tag()) };
        let body = codec::decode("object", &plain).map_err(damaged)?;
        check_class(&body, &object.id)?;
        Ok(body)
    }

    /// As [`ObjectSealer::open`], without decoding the body.
    pub(crate) fn open_encoded(
        &self,
        object: &ObjectRef,
        previous: ObjectHash,
        sealed: &Bytes,
    ) -> Result<Vec<u8>> {
        if ObjectHash::of(sealed) != object.hash {
            return Err(Error::Damaged { name: object.name(&self.tag()) });
        }
        self.open_exact(&Spare::default(), object, previous, sealed)
    }

    /// As [`ObjectSealer::open_encoded`], of bytes that are known to be those of the name.
    pub(crate) fn open_exact(
        &self,
        spare: &Spare,
        object: &ObjectRef,
        previous: ObjectHash,
        sealed: &Bytes,
    ) -> Result<Vec<u8>> {
        let name = || object.name(&self.tag());
        let (keys, mut packed, mut plain) = (self.keys()?, spare.take(), spare.take());
        let aad = aad(&keys, &object.id, previous);
        vault::open_into(&mut packed, keys.backup_content(), &aad, sealed)
            .map_err(|e| open_error(e, name()))?;
        unpack_into(&packed, &mut plain).ok_or_else(|| Error::Damaged { name: name() })?;
        spare.give(packed);
        Ok(plain)
    }

    /// Seals the one object of a kind, which is replaced and therefore has a fixed name.
    pub(crate) fn seal_fixed(&self, kind: &'static str, body: &impl Serialize) -> Result<Bytes> {
        let packed = pack(&codec::encode(body)).ok_or(Error::TooLarge)?;
        let keys = self.keys()?;
        let sealed = vault::seal(keys.backup_content(), &fixed_aad(&keys, kind), &packed);
        sealed.map(Bytes::from).map_err(seal_error)
    }

    /// Opens what [`ObjectSealer::seal_fixed`] made.
    pub(crate) fn open_fixed<T: DeserializeOwned>(
        &self,
        kind: &'static str,
        name: &ObjectName,
        sealed: &Bytes,
    ) -> Result<T> {
        let damaged = || Error::Damaged { name: name.clone() };
        let keys = self.keys()?;
        let packed = vault::open(keys.backup_content(), &fixed_aad(&keys, kind), sealed)
            .map_err(|e| open_error(e, name.clone()))?;
        let plain = unpack(&packed).ok_or_else(damaged)?;
        codec::decode(kind, &plain).map_err(|_| damaged())
    }

    /// Seals bytes that nothing has packed.
    #[cfg(feature = "testing")]
    pub(crate) fn seal_raw(&self, id: &ObjectId, packed: &[u8]) -> Result<Bytes> {
        let keys = self.keys()?;
        let aad = aad(&keys, id, ObjectHash::NONE);
        vault::seal(keys.backup_content(), &aad, packed).map(Bytes::from).map_err(seal_error)
    }

    /// The keys, while they are there.
    pub(crate) fn keys(&self) -> Result<Keys> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        keys.ok_or_else(|| kv_core::Error::Locked { store: "backup" }.into())
    }
}

fn fixed_aad(keys: &Keys, kind: &str) -> Aad {
    Aad::new("strongroom/v1/fixed").bytes(&keys.wallet_id()).text(kind)
}

fn aad(keys: &Keys, id: &ObjectId, previous: ObjectHash) -> Aad {
    Aad::new("strongroom/v1/object")
        .bytes(&keys.wallet_id())
        .text(match id.class {
            Class::Head => "head",
            Class::Segment => "segment",
            Class::DumpPart => "dump-part",
            Class::DumpIndex => "dump-index",
        })
        .bytes(id.writer.as_bytes())
        .number(id.epoch.into())
        .number(id.from)
        .number(id.to)
        .number(id.part.into())
        .bytes(previous.as_bytes())
}

fn check_class<T: Body>(_: &T, id: &ObjectId) -> Result<()> {
    if id.class == T::CLASS {
        Ok(())
    } else {
        Err(Error::BrokenChain { what: "an object is taken for one of another class" })
    }
}

fn seal_error(error: EnvelopeError) -> Error {
    match error {
        EnvelopeError::TooLarge => Error::TooLarge,
        _ => Error::NoRandomness,
    }
}

fn open_error(error: EnvelopeError, name: ObjectName) -> Error {
    match error {
        EnvelopeError::WrongKey => Error::WrongKey { name },
        EnvelopeError::TooNew { .. } => Error::TooNew { name },
        _ => Error::Damaged { name },
    }
}

pub(crate) fn pack(plain: &[u8]) -> Option<Vec<u8>> {
    let mut compressed = Vec::new();
    compress(ZSTD_LEVEL, plain, &mut compressed)?;
    let (lengths, padded) = lengths(plain, &compressed);
    let mut packed = [&lengths[..], &compressed].concat();
    packed.resize(padded, 0);
    Some(packed)
}

fn compress(level: i32, plain: &[u8], compressed: &mut Vec<u8>) -> Option<()> {
    if plain.len() > MAX_PLAIN {
        return None;
    }
    compressed.clear();
    compressed.reserve(zstd::compress_bound(plain.len()));
    let mut compressor = zstd::bulk::Compressor::new(level).ok()?;
    compressor.compress_to_buffer(plain, compressed).ok().map(drop)
}

/// What stands before the compressed bytes, and how long all is with the zeros behind them.
fn lengths(plain: &[u8], compressed: &[u8]) -> ([u8; LENGTHS], usize) {
    let mut lengths = [0; LENGTHS];
    let both = [plain.len(), compressed.len()].map(|len| (len as u64).to_le_bytes());
    lengths.copy_from_slice(both.as_flattened());
    (lengths, padme((LENGTHS + compressed.len()) as u64) as usize)
}

/// What [`pack`] packed, for the fuzzers.
#[cfg(feature = "testing")]
pub(crate) fn open_packed(packed: &[u8]) -> Option<Vec<u8>> {
    unpack(packed)
}

fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    unpack_into(packed, &mut plain)?;
    Some(plain)
}

fn unpack_into(packed: &[u8], plain: &mut Vec<u8>) -> Option<()> {
    let (plain_len, rest) = packed.split_first_chunk()?;
    let (compressed_len, rest) = rest.split_first_chunk()?;
    let plain_len = usize::try_from(u64::from_le_bytes(*plain_len)).ok()?;
    let compressed_len = usize::try_from(u64::from_le_bytes(*compressed_len)).ok()?;
    let (compressed, padding) = rest.split_at_checked(compressed_len)?;
    let padded = padme((LENGTHS + compressed_len) as u64);
    if plain_len > MAX_PLAIN
        || packed.len() as u64 != padded
        || padding.iter().any(|byte| *byte != 0)
    {
        return None;
    }
    plain.clear();
    plain.reserve(plain_len);
    zstd::bulk::Decompressor::new().ok()?.decompress_to_buffer(compressed, plain).ok()?;
    (plain.len() == plain_len).then_some(())
}

#[cfg(test)]
mod tests {
    use kv_core::testing::Random;

    use super::*;

    #[test]
    fn packing_reads_back_and_refuses_the_rest() {
        for len in [0, 1, 100, 5000] {
            let plain = Random::seeded(len).bytes(len as usize);
            let packed = pack(&plain).unwrap();
            assert_eq!(unpack(&packed).unwrap(), plain);
            assert_eq!(unpack(&packed[..packed.len() - 1]), None);
            let mut longer = packed.clone();
            longer.push(0);
            assert_eq!(unpack(&longer), None);
            let mut bomb = packed;
            bomb[..8].copy_from_slice(&u64::MAX.to_le_bytes());
            assert_eq!(unpack(&bomb), None);
        }
    }
}
