//! Latencies, counted in buckets about 3 % wide.

use std::time::Duration;

/// Each power of two has this many buckets, as a power of two itself.
const FINE_BITS: u32 = 5;
const FINE: u64 = 1 << FINE_BITS;

/// How often which latency was seen, to the nearest bucket.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    count: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; bucket(u64::MAX) + 1], count: 0, max: 0 }
    }
}

impl Histogram {
    pub(crate) fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(bucket(nanos)) {
            *count += 1;
        }
        self.count += 1;
        self.max = self.max.max(nanos);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, other) in self.counts.iter_mut().zip(&other.counts) {
            *mine += other;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The latency that this share (0 to 1) of all does not exceed, in microseconds.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let rank = (share * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return lowest(index + 1).min(self.max) as f64 / 1e3;
            }
        }
        0.0
    }

    /// The longest latency, in microseconds.
    pub(crate) fn max(&self) -> f64 {
        self.max as f64 / 1e3
    }
}

/// The bucket of a number: exact below [`FINE`], then [`FINE`] buckets for each power of two.
fn bucket(nanos: u64) -> usize {
    if nanos < FINE {
        return nanos as usize;
    }
    let power = nanos.ilog2();
    let fine = (nanos >> (power - FINE_BITS)) & (FINE - 1);
    (u64::from(power - FINE_BITS + 1) * FINE + fine) as usize
}

/// The smallest number of a bucket.
fn lowest(bucket: usize) -> u64 {
    let (power, fine) = (bucket as u64 / FINE, bucket as u64 % FINE);
    match power {
        0 => fine,
        _ => (FINE + fine).checked_shl(power as u32 - 1).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_lies_in_its_bucket() {
        for number in (0..2000).chain([12_345, 987_654_321, u64::MAX / 3]) {
            let at = bucket(number);
            assert!(lowest(at) <= number && number < lowest(at + 1), "{number}");
        }
    }

    #[test]
    fn quantiles_are_within_a_bucket() {
        let mut all = Histogram::default();
        let mut other = Histogram::default();
        for micros in 1..=1000 {
            let histogram = if micros % 2 == 0 { &mut all } else { &mut other };
            histogram.record(Duration::from_micros(micros));
        }
        all.add(&other);
        assert_eq!(all.count(), 1000);
        for (share, expected) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1000.0)] {
            let found = all.quantile(share);
            assert!((found / expected - 1.0).abs() < 0.04, "{share}: {found}");
        }
        assert_eq!(all.max(), 1000.0);
        assert_eq!(Histogram::default().quantile(0.5), 0.0);
    }
}
