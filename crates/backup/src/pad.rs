//! Padmé padding: the size of an object tells little about its content.

/// The padded length for `len` bytes: at most 12% more, and only O(log log) bits of the length leak.
///
/// K. Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with
/// PURBs" (2019), section 4.
pub fn padme(len: u64) -> u64 {
    if len < 2 {
        return len;
    }
    let exponent = len.ilog2();
    let significant = exponent.ilog2() + 1;
    let mask = (1u64 << (exponent - significant.min(exponent))) - 1;
    len.saturating_add(mask) & !mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pads_as_the_paper_says() {
        for (len, padded) in
            [(0, 0), (1, 1), (8, 8), (9, 10), (100, 104), (1000, 1024), (1025, 1088)]
        {
            assert_eq!(padme(len), padded, "{len}");
        }
        for len in (0..5_000_000u64).step_by(977) {
            let padded = padme(len);
            assert!(
                padded >= len && (padded - len) as f64 <= 0.12 * len.max(9) as f64,
                "{len} -> {padded}"
            );
            assert_eq!(padme(padded), padded);
        }
    }
}
