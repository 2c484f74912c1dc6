//! Numbers as a symbol of one byte, which compresses well, and the bits that it leaves open, which
//! do not compress.
//!
//! A number below 16 is its own symbol. For a larger one the symbol has the position of its highest
//! bit and the two bits below that; the rest are the open bits.

use alloc::vec::Vec;

use super::error::ColumnsError;

/// Bytes after the open bits, so that every read can load eight.
const PADDING: usize = 8;

/// The smallest number with each symbol, and how many open bits the symbol has.
static SYMBOLS: [(u64, u32); 256] = symbols();

const fn symbols() -> [(u64, u32); 256] {
    let mut symbols = [(0, 0); 256];
    let mut symbol = 0;
    while symbol < 256 {
        symbols[symbol] = if symbol < 16 {
            (symbol as u64, 0)
        } else {
            let open = (symbol as u32 - 16) / 4 + 2;
            ((4 | (symbol as u64 & 3)) << open, open)
        };
        symbol += 1;
    }
    symbols
}

/// Returns the symbol of a number, its open bits, and how many they are.
#[inline]
pub(super) fn split(value: u64) -> (u8, u64, u32) {
    if value < 16 {
        return (value as u8, 0, 0);
    }
    let open = 61 - value.leading_zeros();
    let symbol = 16 + (open - 2) * 4 + (value >> open & 3) as u32;
    (symbol as u8, value & ((1 << open) - 1), open)
}

/// Maps numbers close to zero, of either sign, to small ones.
#[inline]
pub(super) fn zigzag(value: i32) -> u32 {
    (value << 1 ^ value >> 31) as u32
}

/// Reverses [`zigzag`].
#[inline]
pub(super) fn unzigzag(value: u32) -> u32 {
    value >> 1 ^ (value & 1).wrapping_neg()
}

/// Maps 64-bit numbers close to zero, of either sign, to small ones.
#[inline]
pub(super) fn zigzag_64(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

/// Reverses [`zigzag_64`].
#[inline]
pub(super) fn unzigzag_64(value: u64) -> u64 {
    value >> 1 ^ (value & 1).wrapping_neg()
}

/// Collects the open bits of all numbers, the lowest first.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    pending: u64,
    /// Number of pending bits, below 32.
    len: u32,
}

impl BitWriter {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        (self.pending, self.len) = (0, 0);
    }

    /// Adds up to 61 bits.
    #[inline]
    pub(super) fn push(&mut self, bits: u64, len: u32) {
        if len > 32 {
            self.push_short(bits & 0xffff_ffff, 32);
            self.push_short(bits >> 32, len - 32);
        } else {
            self.push_short(bits, len);
        }
    }

    #[inline]
    fn push_short(&mut self, bits: u64, len: u32) {
        self.pending |= bits << self.len;
        self.len += len;
        if self.len >= 32 {
            self.bytes.extend_from_slice(&(self.pending as u32).to_le_bytes());
            self.pending >>= 32;
            self.len -= 32;
        }
    }

    /// Returns the bits, followed by zeros.
    pub(super) fn finish(&mut self) -> &[u8] {
        let rest = self.pending.to_le_bytes();
        self.bytes.extend_from_slice(&rest[..self.len.div_ceil(8) as usize]);
        self.bytes.extend_from_slice(&[0; PADDING]);
        &self.bytes
    }
}

/// Reads what a [`BitWriter`] collected.
#[derive(Debug, Clone, Copy)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Returns the number with this symbol.
    #[inline]
    pub(super) fn join(&mut self, symbol: u8) -> Result<u64, ColumnsError> {
        let (base, open) = SYMBOLS[usize::from(symbol)];
        if open > 32 {
            let low = self.bits(32)?;
            return Ok(base + (self.bits(open - 32)? << 32 | low));
        }
        Ok(base + self.bits(open)?)
    }

    /// Reads up to 32 bits.
    #[inline]
    fn bits(&mut self, len: u32) -> Result<u64, ColumnsError> {
        let rest = self.bytes.get(self.at / 8..).ok_or(ColumnsError::Short)?;
        let word = u64::from_le_bytes(*rest.first_chunk().ok_or(ColumnsError::Short)?);
        let bits = word >> (self.at % 8) & ((1 << len) - 1);
        self.at += len as usize;
        Ok(bits)
    }

    /// Returns whether all bits have been read.
    pub(super) fn is_at_end(&self) -> bool {
        self.at.div_ceil(8) + PADDING == self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_sizes_come_back() {
        let mut numbers: Vec<u64> = (0..5_000).collect();
        for shift in 0..64 {
            let bit = 1_u64 << shift;
            numbers.extend([bit - 1, bit, bit | bit >> 1, bit | bit >> 2, bit.wrapping_neg()]);
        }
        let (mut symbols, mut bits) = (Vec::new(), BitWriter::default());
        for &number in &numbers {
            let (symbol, open, len) = split(number);
            symbols.push(symbol);
            bits.push(open, len);
        }
        let mut reader = BitReader::new(bits.finish());
        for (symbol, number) in symbols.into_iter().zip(numbers) {
            assert_eq!(reader.join(symbol), Ok(number));
        }
        assert!(reader.is_at_end());
    }

    #[test]
    fn differences_of_both_signs_are_small_numbers() {
        for value in [0, 1, -1, 77, -77, i32::MAX, i32::MIN] {
            assert_eq!(unzigzag(zigzag(value)), value as u32);
            assert_eq!(unzigzag_64(zigzag_64(i64::from(value))), i64::from(value) as u64);
        }
        assert_eq!([0, -1, 1, -2].map(zigzag), [0, 1, 2, 3]);
    }
}
