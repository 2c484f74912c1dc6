//! CRC-32C (Castagnoli), table-driven, 16 bytes per step.
//!
//! The tables are 16 KiB of constants. Hardware instructions would need `unsafe`.

/// The polynomial 0x1EDC6F41, bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// `TABLES[k][b]` is the remainder of byte `b` followed by `k` zero bytes.
static TABLES: [[u32; 256]; 16] = tables();

const fn tables() -> [[u32; 256]; 16] {
    let mut tables = [[0; 256]; 16];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg());
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut zeros = 1;
    while zeros < 16 {
        let mut byte = 0;
        while byte < 256 {
            let crc = tables[zeros - 1][byte];
            tables[zeros][byte] = (crc >> 8) ^ tables[0][(crc & 0xff) as usize];
            byte += 1;
        }
        zeros += 1;
    }
    tables
}

/// Returns the checksum of the bytes. Initial value and final exclusive-or are all ones.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    #[cfg(test)]
    work::add(bytes.len());

    let (chunks, rest) = bytes.as_chunks::<16>();
    let mut crc = u32::MAX;
    for chunk in chunks {
        let [first, others @ ..] = chunk.as_chunks::<4>().0 else { break };
        // Only the first four bytes wait for the checksum before; the others are looked up ahead.
        let mut next = 0;
        for (number, bytes) in others.iter().enumerate() {
            next ^= remainder(*bytes, 2 - number);
        }
        crc = next ^ remainder((crc ^ u32::from_le_bytes(*first)).to_le_bytes(), 3);
    }
    for byte in rest {
        crc = (crc >> 8) ^ TABLES[0][usize::from(crc.to_le_bytes()[0] ^ byte)];
    }
    !crc
}

/// Returns the remainder of four bytes followed by this many groups of four zero bytes.
#[inline]
fn remainder([a, b, c, d]: [u8; 4], groups: usize) -> u32 {
    let tables = &TABLES[4 * groups..4 * groups + 4];
    tables[3][usize::from(a)]
        ^ tables[2][usize::from(b)]
        ^ tables[1][usize::from(c)]
        ^ tables[0][usize::from(d)]
}

/// Counts the bytes read, so that tests can show that reading takes linear time.
#[cfg(test)]
pub(super) mod work {
    use core::cell::Cell;

    std::thread_local! {
        static BYTES: Cell<usize> = const { Cell::new(0) };
    }

    pub(in crate::tape) fn add(bytes: usize) {
        BYTES.with(|sum| sum.set(sum.get() + bytes));
    }

    /// Returns the count and resets it.
    pub(in crate::tape) fn take() -> usize {
        BYTES.with(Cell::take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, appendix B.4, read as little-endian numbers; the second is the usual check value.
    #[test]
    fn known_checksums_match() {
        assert_eq!(crc32c(b""), 0);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        let rising: std::vec::Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&rising), 0x46dd_794e);
    }

    #[test]
    fn all_lengths_agree_with_the_bitwise_definition() {
        let bytes: std::vec::Vec<u8> = (0..100_u8).map(|n| n.wrapping_mul(37) ^ 0x5a).collect();
        for length in 0..bytes.len() {
            let mut crc = u32::MAX;
            for byte in &bytes[..length] {
                crc ^= u32::from(*byte);
                for _ in 0..8 {
                    crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
                }
            }
            assert_eq!(crc32c(&bytes[..length]), !crc, "{length} bytes");
        }
    }
}
