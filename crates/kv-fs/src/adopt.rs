//! A folder that is no store yet: empty, or written by LDK.

use kv_core::{Key, Namespace, Operation, Result};

use crate::{
    disk::Disk,
    fault, frame,
    index::Loaded,
    layout,
    own::Own,
    segment::{self, Parsed},
    table::Stamp,
};

/// A folder without an index: a new store, or files that LDK has written. An index that was lost
/// is told apart by what only a store in use has.
pub(crate) fn adopt(disk: &dyn Disk, own: &Own) -> Result<Loaded> {
    let io = || fault::io(Operation::Open);
    let used = own.segments.values().any(|(parsed, bytes)| match parsed {
        Parsed::Good(header) => {
            let frames = bytes.get(segment::HEADER..).unwrap_or_default();
            frame::decode(frames, &header.salt).is_some()
        }
        _ => true,
    });
    if used || !own.big.is_empty() || !disk.list(layout::RESERVED).map_err(io())?.is_empty() {
        return Err(fault::corrupt("the index is missing"));
    }
    let mut loaded = Loaded::default();
    for primary in disk.list("").map_err(io())? {
        if !primary.is_dir || primary.name == layout::HOME {
            continue;
        }
        for secondary in disk.list(&primary.name).map_err(io())? {
            let names = (layout::level(&primary.name), layout::level(&secondary.name));
            let Ok(ns) = Namespace::new(names.0, names.1) else { continue };
            if !secondary.is_dir {
                continue;
            }
            let dir = format!("{}/{}", primary.name, secondary.name);
            for file in disk.list(&dir).map_err(io())? {
                let Ok(key) = Key::new(&file.name) else { continue };
                let path = layout::value(&ns, &key);
                if file.is_dir {
                    continue;
                }
                if let Some(bytes) = disk.read(&path).map_err(io())? {
                    loaded.rows.insert((ns.clone(), key), (0, Stamp::of(&bytes)));
                }
            }
        }
    }
    // Without a log nothing tells the order of creation: the order of names stands for it.
    for ((created, _), number) in loaded.rows.values_mut().zip(1..) {
        *created = number;
    }
    loaded.mark.next_creation = loaded.rows.len() as u64 + 1;
    Ok(loaded)
}
