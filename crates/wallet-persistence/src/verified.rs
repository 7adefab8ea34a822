//! The last restore that came out whole: remembered on this device, sealed, not backed up.

use backup::WriterId;
use kv_core::{Key, KvStore, KvStoreExt, Namespace};
use serde::{Deserialize, Serialize};

use crate::{HeadSummary, Result, registry, tower::Tower};

/// The newest version of [`Record`] this program reads.
const VERSION: u32 = 1;

/// A restore point that was read as a whole, every object opened and every digest compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VerifiedRestore {
    /// When that was, in milliseconds since the Unix epoch, by this device's clock.
    pub time: u64,
    /// What read it.
    pub by: VerifiedBy,
    /// Whose restore point it was.
    pub writer: String,
    /// It holds everything up to this change of its writer.
    pub sequence: u64,
    /// Its own time in milliseconds since the Unix epoch, by its writer's clock.
    pub point_time: u64,
    /// In how many clouds: of a verification, those in which every object was read; of a restore,
    /// those with the same newest head.
    pub clouds: usize,
    /// How many clouds were asked.
    pub clouds_asked: usize,
}

/// What verified a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum VerifiedBy {
    /// This wallet was restored from it.
    Restore,
    /// [`crate::Session::verify`] with the clouds, which also compared this device with it.
    Verify,
}

/// What is written down. The version comes first in every later version, too.
#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    verified: VerifiedRestore,
}

/// Of a newer record only this is read.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// The last one, if there was any on this device.
pub(crate) fn last(tower: &Tower) -> Result<Option<VerifiedRestore>> {
    let (ns, key) = place()?;
    let Some(stored) = tower.recorder.read(&ns, &key)? else { return Ok(None) };
    Ok(Some(decode(&stored)?))
}

/// Remembers one. Settings are neither framed nor logged, so it does not matter whether they are
/// written above or below the recorder.
pub(crate) fn remember(kv: &dyn KvStore, verified: VerifiedRestore) -> Result<()> {
    let (ns, key) = place()?;
    Ok(kv.write(&ns, &key, encode(&Record { version: VERSION, verified })?)?)
}

/// Of what several clouds held whole, the furthest of this device's, else the newest.
pub(crate) fn best<'a>(
    whole: impl Iterator<Item = &'a HeadSummary>,
    time: u64,
    asked: usize,
) -> Option<VerifiedRestore> {
    let whole: Vec<&HeadSummary> = whole.collect();
    let best = whole.iter().max_by_key(|head| (head.mine, head.time, head.sequence))?;
    let same = |head: &&&HeadSummary| head.writer == best.writer && head.sequence == best.sequence;
    Some(VerifiedRestore {
        time,
        by: VerifiedBy::Verify,
        writer: best.writer.clone(),
        sequence: best.sequence,
        point_time: best.time,
        clouds: whole.iter().filter(same).count(),
        clouds_asked: asked,
    })
}

impl VerifiedRestore {
    /// By a restore of this point.
    pub(crate) fn restored(
        (writer, sequence, point_time): (WriterId, u64, u64),
        time: u64,
        (clouds, clouds_asked): (usize, usize),
    ) -> Self {
        let (by, writer) = (VerifiedBy::Restore, writer.to_string());
        Self { time, by, writer, sequence, point_time, clouds, clouds_asked }
    }
}

fn encode(record: &Record) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(record).map_err(damaged)?)
}

fn decode(stored: &[u8]) -> Result<VerifiedRestore> {
    let Versioned { version: found } = serde_json::from_slice(stored).map_err(damaged)?;
    match found {
        VERSION => {}
        0 => return Err(kv_core::Error::corrupt(STORE, "a record of version 0").into()),
        _ => return Err(kv_core::Error::TooNew { store: STORE, found, newest: VERSION }.into()),
    }
    let record: Record = serde_json::from_slice(stored).map_err(damaged)?;
    Ok(record.verified)
}

/// Where errors say they come from.
const STORE: &str = "settings";

fn damaged(error: serde_json::Error) -> kv_core::Error {
    kv_core::Error::corrupt(STORE, error)
}

fn place() -> Result<(Namespace, Key)> {
    let name = |e: kv_core::InvalidName| kv_core::Error::from(e);
    Ok((
        Namespace::reserved(registry::SETTINGS, "").map_err(name)?,
        Key::new("verified").map_err(name)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    fn verified() -> VerifiedRestore {
        VerifiedRestore::restored((WriterId::from_bytes([0; 16]), 7, 8), 9, (1, 2))
    }

    #[test]
    fn the_record_is_fixed_to_the_byte_and_a_newer_one_is_too_new() {
        let written = encode(&Record { version: VERSION, verified: verified() }).unwrap();
        let expected = concat!(
            r#"{"version":1,"verified":{"time":9,"by":"restore","#,
            r#""writer":"aaaaaaaaaaaaaaaaaaaaaaaaaa","sequence":7,"point_time":8,"#,
            r#""clouds":1,"clouds_asked":2}}"#
        );
        assert_eq!(String::from_utf8(written).unwrap(), expected);
        assert_eq!(decode(expected.as_bytes()).unwrap(), verified());
        let newer = br#"{"version":2,"verified":[]}"#;
        let too_new = kv_core::Error::TooNew { store: STORE, found: 2, newest: 1 };
        let told = decode(newer).unwrap_err();
        assert!(matches!(&told, Error::Store(e) if e.to_string() == too_new.to_string()), "{told}");
        for bad in ["", "[]", "{}", r#"{"version":0}"#, r#"{"version":1}"#] {
            let told = decode(bad.as_bytes()).unwrap_err();
            assert!(matches!(told, Error::Store(kv_core::Error::Corrupt { .. })), "{bad}: {told}");
        }
    }

    #[test]
    fn the_furthest_point_of_this_device_counts() {
        let head = |mine, sequence, time| HeadSummary {
            writer: if mine { "me" } else { "other" }.to_owned(),
            mine,
            sequence,
            time,
        };
        let heads = [head(true, 5, 50), head(false, 9, 90), head(true, 7, 70), head(true, 7, 70)];
        let found = best(heads.iter(), 100, 5).unwrap();
        assert_eq!((found.sequence, found.clouds, found.clouds_asked), (7, 2, 5));
        assert_eq!((found.by, found.time, found.point_time), (VerifiedBy::Verify, 100, 70));
        assert_eq!(best(heads[1..2].iter(), 100, 1).unwrap().writer, "other");
        assert_eq!(best([].iter(), 100, 1), None);
    }
}
