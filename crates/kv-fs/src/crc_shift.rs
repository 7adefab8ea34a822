//! Joining two checksums, with the costly half done beforehand.
//!
//! The CRC of `a` and `b` one after the other is crc(a) * x^(8 * len(b)) + crc(b), modulo the
//! polynomial over GF(2), as in `crc32_combine_gen` and `crc32_combine_op` of zlib by Mark Adler.
//! The power depends on a length alone.

/// CRC-32C (Castagnoli), lowest degree in the highest bit.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// Appends bytes that are known by their checksum and number only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Appended {
    crc: u32,
    /// x^(8 * length), modulo the polynomial.
    power: u32,
}

impl Appended {
    pub(crate) fn new(crc: u32, length: usize) -> Self {
        let mut power = 1 << 31;
        // x^8, squared for each bit of the length.
        let mut square = 1 << (31 - 8);
        let mut rest = length;
        while rest > 0 {
            if rest & 1 == 1 {
                power = multiply(power, square);
            }
            square = multiply(square, square);
            rest >>= 1;
        }
        Self { crc, power }
    }

    /// The checksum of what has the checksum `before`, and these bytes behind it.
    pub(crate) fn to(self, before: u32) -> u32 {
        multiply(before, self.power) ^ self.crc
    }
}

/// The product of two polynomials.
fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    for degree in 0..32 {
        if a & (1 << (31 - degree)) != 0 {
            product ^= b;
        }
        b = if b & 1 == 1 { (b >> 1) ^ POLYNOMIAL } else { b >> 1 };
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_checksums_are_those_of_the_whole() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|at| ((at * 31) >> 3) as u8).collect();
        for cut in [0, 1, 44, 4096, 34_463, 99_999, 100_000] {
            let (front, rest) = bytes.split_at(cut);
            let appended = Appended::new(crc32c::crc32c(rest), rest.len());
            assert_eq!(appended.to(crc32c::crc32c(front)), crc32c::crc32c(&bytes), "{cut}");
        }
    }
}
