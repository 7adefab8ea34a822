//! Retired segment files, kept to be used again: to write over them costs no journal entries.

/// Only a very large batch, or the log of an open after a crash, needs a longer segment than this.
const LONGEST: usize = 32 << 20;

/// Segment files (path and length), the largest last.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    files: Vec<(String, usize)>,
    bytes: u64,
}

impl Pool {
    pub(crate) fn put(&mut self, path: String, len: usize) {
        let at = self.files.partition_point(|(_, other)| *other < len);
        self.files.insert(at, (path, len));
        self.bytes += len as u64;
    }

    /// The largest one, if it has at least this length.
    pub(crate) fn take(&mut self, least: usize) -> Option<(String, usize)> {
        let taken = self.files.pop_if(|(_, len)| *len >= least)?;
        self.bytes -= taken.1 as u64;
        Some(taken)
    }

    /// One to be removed: any that is longer than a segment usually gets, and small ones while all
    /// have more bytes than this, and there are more than two.
    pub(crate) fn surplus(&mut self, bytes: u64) -> Option<String> {
        if let Some((path, len)) = self.files.pop_if(|(_, len)| *len > LONGEST) {
            self.bytes -= len as u64;
            return Some(path);
        }
        let (_, len) = self.files.first().filter(|_| self.bytes > bytes && self.files.len() > 2)?;
        self.bytes -= *len as u64;
        Some(self.files.remove(0).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_is_used_first_and_the_smallest_removed_first() {
        let mut pool = Pool::default();
        for len in [30, 10, 40, 20] {
            pool.put(format!("spare-{len}"), len);
        }
        assert_eq!(pool.surplus(100), None);
        assert_eq!(pool.surplus(99).as_deref(), Some("spare-10"));
        assert_eq!(pool.take(41), None);
        assert_eq!(pool.take(5), Some(("spare-40".into(), 40)));
        assert_eq!(pool.bytes, 50);
        // Two are kept.
        assert_eq!(pool.surplus(1), None);
        pool.put("huge".into(), LONGEST + 1);
        assert_eq!(pool.surplus(u64::MAX).as_deref(), Some("huge"));
        assert_eq!((pool.bytes, pool.surplus(1)), (50, None));
    }
}
