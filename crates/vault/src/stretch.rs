//! Argon2id (RFC 9106): what it costs to try one passphrase.

use std::io;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use kv_core::{Error, Operation};
use zeroize::{Zeroize, Zeroizing};

use crate::{Passphrase, sealed_store::STORE, wipe::wiped};

/// What one try costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    /// In KiB.
    pub(crate) memory: u32,
    pub(crate) passes: u32,
    pub(crate) lanes: u32,
}

impl Cost {
    /// What new wraps cost: the second choice that RFC 9106, section 4, recommends, 64 MiB.
    pub(crate) const USUAL: Self = Self { memory: 64 << 10, passes: 3, lanes: 4 };
    /// Nothing cheaper is believed. It is what OWASP asks for at least.
    pub(crate) const FLOOR: Self = Self { memory: 19 << 10, passes: 2, lanes: 1 };
    /// Nothing dearer is tried: a crafted header must not take all memory, or hours.
    pub(crate) const CEILING: Self = Self { memory: 512 << 10, passes: 16, lanes: 16 };

    /// Whether it lies between floor and ceiling.
    pub(crate) fn is_sane(self) -> bool {
        let within =
            |of: fn(Self) -> u32| (of(Self::FLOOR)..=of(Self::CEILING)).contains(&of(self));
        within(|cost| cost.memory) && within(|cost| cost.passes) && within(|cost| cost.lanes)
    }

    /// What to wrap with instead, if this is cheaper than usual in anything.
    pub(crate) fn stronger(self) -> Option<Self> {
        let usual = Self::USUAL;
        let weak = self.memory < usual.memory || self.passes < usual.passes;
        weak.then_some(Self {
            memory: self.memory.max(usual.memory),
            passes: self.passes.max(usual.passes),
            lanes: usual.lanes,
        })
    }

    /// Stretches a passphrase to the key that wraps with it.
    pub(crate) fn stretch(
        self,
        passphrase: &Passphrase,
        salt: &[u8; 16],
    ) -> Result<Zeroizing<[u8; 32]>, Error> {
        let failed = |kind: io::ErrorKind| Error::io(STORE, Operation::Open, kind.into());
        let params = Params::new(self.memory, self.passes, self.lanes, Some(32))
            .map_err(|_| failed(io::ErrorKind::InvalidInput))?;
        let mut blocks = Vec::new();
        blocks
            .try_reserve_exact(params.block_count())
            .map_err(|_| failed(io::ErrorKind::OutOfMemory))?;
        blocks.resize(params.block_count(), Block::new());
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut key = Zeroizing::new([0; 32]);
        let done = wiped(|| {
            argon2.hash_password_into_with_memory(
                passphrase.as_bytes(),
                salt,
                key.as_mut_slice(),
                blocks.as_mut_slice(),
            )
        });
        blocks.zeroize();
        done.map_err(|_| failed(io::ErrorKind::InvalidInput))?;
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use argon2::{AssociatedData, ParamsBuilder};

    use super::*;

    /// RFC 9106, section 5.3.
    #[test]
    fn rfc_9106_argon2id() {
        let mut params = ParamsBuilder::new();
        params.m_cost(32).t_cost(3).p_cost(4).output_len(32);
        params.data(AssociatedData::new(&[4; 12]).unwrap());
        let (algorithm, version) = (Algorithm::Argon2id, Version::V0x13);
        let argon2 =
            Argon2::new_with_secret(&[3; 8], algorithm, version, params.build().unwrap()).unwrap();
        let mut tag = [0; 32];
        argon2.hash_password_into(&[1; 32], &[2; 16], &mut tag).unwrap();
        let expected = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659";
        assert_eq!(data_encoding::HEXLOWER.encode(&tag), expected);
    }

    #[test]
    fn floor_and_ceiling_hold_for_each_parameter() {
        for sane in [Cost::USUAL, Cost::FLOOR, Cost::CEILING] {
            assert!(sane.is_sane());
        }
        let (floor, ceiling) = (Cost::FLOOR, Cost::CEILING);
        for insane in [
            Cost { memory: floor.memory - 1, ..floor },
            Cost { passes: floor.passes - 1, ..floor },
            Cost { lanes: floor.lanes - 1, ..floor },
            Cost { memory: ceiling.memory + 1, ..ceiling },
            Cost { passes: ceiling.passes + 1, ..ceiling },
            Cost { lanes: ceiling.lanes + 1, ..ceiling },
        ] {
            assert!(!insane.is_sane(), "{insane:?}");
        }
    }

    #[test]
    fn what_is_weak_becomes_stronger_and_never_weaker() {
        assert_eq!(Cost::USUAL.stronger(), None);
        assert_eq!(Cost::CEILING.stronger(), None);
        assert_eq!(Cost::FLOOR.stronger(), Some(Cost::USUAL));
        let few_passes = Cost { passes: 2, ..Cost::CEILING };
        let better = few_passes.stronger().unwrap();
        assert_eq!((better.memory, better.passes), (Cost::CEILING.memory, 3));
    }

    #[test]
    fn every_input_counts() {
        let cheap = Cost { memory: 64, passes: 1, lanes: 1 };
        let [a, b] = ["passphrase a", "passphrase b"].map(|p| Passphrase::new(p).unwrap());
        let key = |cost: Cost, p: &Passphrase, salt| *cost.stretch(p, &[salt; 16]).unwrap();
        let first = key(cheap, &a, 1);
        assert_eq!(first, key(cheap, &a, 1));
        for other in [
            key(cheap, &b, 1),
            key(cheap, &a, 2),
            key(Cost { memory: 72, ..cheap }, &a, 1),
            key(Cost { passes: 2, ..cheap }, &a, 1),
            key(Cost { lanes: 2, ..cheap }, &a, 1),
        ] {
            assert_ne!(other, first);
        }
    }
}
