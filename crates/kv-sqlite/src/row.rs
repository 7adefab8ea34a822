//! The checksums that SQLite's pages do not have: one of each row, one over all names.

use kv_core::{Key, Namespace};

/// The checksum of a row: CRC-32C of its numbers, its names with their lengths, and its value.
pub(crate) fn checksum(created: u64, changed: u64, ns: &Namespace, key: &Key, value: &[u8]) -> u32 {
    let mut crc = crc32c::crc32c(&changed.to_le_bytes());
    crc = crc32c::crc32c_append(crc, &name_bytes(created, ns, key));
    crc32c::crc32c_append(crc, value)
}

/// What one name adds to the sum over all names: the sum of all is in the row of the table `state`.
pub(crate) fn name_sum(created: u64, ns: &Namespace, key: &Key) -> u64 {
    u64::from(crc32c::crc32c(&name_bytes(created, ns, key)))
}

fn name_bytes(created: u64, ns: &Namespace, key: &Key) -> Vec<u8> {
    let names = [ns.primary(), ns.secondary(), key.as_str()];
    let mut bytes = Vec::with_capacity(11 + names.iter().map(|name| name.len()).sum::<usize>());
    bytes.extend_from_slice(&created.to_le_bytes());
    for name in names {
        // No name has more than 121 bytes.
        bytes.push(name.len() as u8);
        bytes.extend_from_slice(name.as_bytes());
    }
    bytes
}

/// The one row of the table `state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StateRow {
    /// Sequence of the last batch that took effect.
    pub(crate) sequence: u64,
    /// The creation number of the next key.
    pub(crate) next_created: u64,
    /// How many keys there are, and the wrapping sum of [`name_sum`] over them.
    pub(crate) keys: u64,
    pub(crate) names: u64,
    /// Everything is in the database file, and the log can be done without.
    pub(crate) clean: bool,
}

impl StateRow {
    pub(crate) const EMPTY: Self =
        Self { sequence: 0, next_created: 1, keys: 0, names: 0, clean: true };

    /// Over the other columns, as 64-bit little-endian numbers in the order of the table.
    pub(crate) fn checksum(&self) -> u32 {
        let numbers =
            [self.sequence, self.next_created, self.keys, self.names, u64::from(self.clean)];
        crc32c::crc32c(&numbers.map(u64::to_le_bytes).concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_row_counts() {
        let (a, k) = (Namespace::new("a", "b").unwrap(), Key::new("k").unwrap());
        let whole = checksum(1, 2, &a, &k, b"value");
        let other_ns = Namespace::new("ab", "").unwrap();
        let other_key = Key::new("l").unwrap();
        for other in [
            checksum(2, 2, &a, &k, b"value"),
            checksum(1, 1, &a, &k, b"value"),
            checksum(1, 2, &other_ns, &k, b"value"),
            checksum(1, 2, &a, &other_key, b"value"),
            checksum(1, 2, &a, &k, b"valuf"),
        ] {
            assert_ne!(other, whole);
        }
    }
}
