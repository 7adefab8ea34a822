//! Numbers written with the digits of any alphabet: base58btc of DIDs, base36 of stream ids.

/// The alphabet of Bitcoin's base58.
pub(super) const BASE58: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// The digits and lower-case letters.
pub(super) const BASE36: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// The bytes as one big number, most significant digit first. As in multibase, each zero byte at the
/// beginning is one zero digit.
pub(super) fn encode(alphabet: &[u8], bytes: &[u8]) -> String {
    let base = alphabet.len() as u32;
    // The digits found so far, least significant first.
    let mut digits: Vec<u8> = Vec::new();
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = (carry % base) as u8;
            carry /= base;
        }
        while carry > 0 {
            digits.push((carry % base) as u8);
            carry /= base;
        }
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).map(|_| &0);
    let letter = |digit: &u8| alphabet.get(usize::from(*digit)).map(|letter| char::from(*letter));
    zeros.chain(digits.iter().rev()).filter_map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the test vectors of multibase, without their prefix.
    #[test]
    fn known_numbers_are_written_as_others_write_them() {
        let text = b"Decentralize everything!!!";
        assert_eq!(encode(BASE58, text), "36UQrhJq9fNDS7DiAHM9YXqDHMPfr4EMArvt");
        assert_eq!(encode(BASE36, text), "m552ng4dabi4neu1oo8l4i5mndwmpc3mkukwtxy9");
        assert_eq!(encode(BASE58, b"\x00\x00yes mani !"), "117paNL19xttacUY");
        assert_eq!(encode(BASE36, b"\x00yes mani !"), "02lcpzo5yikidynfl");
        assert_eq!(encode(BASE58, b""), "");
    }
}
