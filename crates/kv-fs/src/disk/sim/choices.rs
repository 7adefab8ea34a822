//! Which fates of the pending units are tried: everything where that is few, else what is telling.

use super::crash::{Fate, Unit};

/// Up to so many units every subset is tried.
const ALL_SUBSETS: usize = 8;
/// How many random fates are tried of more units.
const SAMPLES: u64 = 64;

pub(super) fn of(units: &[Unit], seed: u64) -> Vec<Vec<Fate>> {
    let count = units.len();
    let mut random = Random(seed);
    let mut choices = Vec::new();
    let mut choose = |kept: &dyn Fn(usize) -> bool| {
        let fate = |at| if kept(at) { Fate::Kept } else { Fate::Lost };
        choices.push((0..count).map(fate).collect::<Vec<_>>());
    };
    if count <= ALL_SUBSETS {
        for subset in 0..1u32 << count {
            choose(&|at| subset & (1 << at) != 0);
        }
    } else {
        for end in 0..=count {
            choose(&|at| at < end);
        }
        for one in 0..count {
            choose(&|at| at == one);
            choose(&|at| at != one);
        }
        for _ in 0..SAMPLES {
            let fate = |unit: &Unit| random.fate(unit);
            choices.push(units.iter().map(fate).collect());
        }
    }
    for (at, unit) in units.iter().enumerate() {
        let Unit::Block { sectors, .. } = *unit else { continue };
        for broken in [Fate::Zeroed, Fate::Torn(random.sectors(sectors))] {
            if broken == Fate::Torn(0) {
                continue;
            }
            for rest in [Fate::Lost, Fate::Kept] {
                let mut fates = vec![Fate::Kept; at];
                fates.push(broken);
                fates.resize(count, rest);
                choices.push(fates);
            }
        }
    }
    choices
}

/// SplitMix64, as the tests' own generator: the same seed gives the same fates.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).checked_rem(end).unwrap_or(0)
    }

    /// Some but not all sectors of a block; 0 if it has but one.
    fn sectors(&mut self, sectors: u8) -> u8 {
        if sectors < 2 { 0 } else { 1 + self.below(u64::from(sectors) - 1) as u8 }
    }

    fn fate(&mut self, unit: &Unit) -> Fate {
        match (unit, self.below(8)) {
            (Unit::Block { sectors, .. }, 0) => Fate::Torn(self.sectors(*sectors)),
            (Unit::Block { .. }, 1) => Fate::Zeroed,
            (_, n) if n % 2 == 0 => Fate::Kept,
            _ => Fate::Lost,
        }
    }
}
