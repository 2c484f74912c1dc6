//! Reads the bytes of a list and decompresses them, within a size limit.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::error::LoadError;

/// Maximum size of a decompressed list in bytes, 256 MiB. Kite's full list has about 8 MB.
///
/// A small compressed file could otherwise decompress to any size.
pub const MAX_LIST_BYTES: u64 = 256 << 20;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Returns the bytes as they are, or decompressed if they start with the gzip magic.
pub(crate) fn unpack(bytes: &[u8], limit_bytes: u64) -> Result<Cow<'_, [u8]>, LoadError> {
    let plain = if bytes.starts_with(&GZIP_MAGIC) {
        let mut plain = Vec::new();
        match MultiGzDecoder::new(bytes).take(limit_bytes.saturating_add(1)).read_to_end(&mut plain)
        {
            Ok(_) => Cow::Owned(plain),
            Err(source) => {
                return Err(LoadError::Gzip { unpacked_bytes: plain.len() as u64, source });
            }
        }
    } else {
        Cow::Borrowed(bytes)
    };
    if plain.len() as u64 > limit_bytes {
        Err(LoadError::TooLarge { limit_bytes })
    } else {
        Ok(plain)
    }
}

/// Reads a whole file, unless it is larger than the limit.
pub(crate) fn read_file(path: &Path, limit_bytes: u64) -> Result<Vec<u8>, LoadError> {
    let read = || -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        let len = file.metadata()?.len().min(limit_bytes);
        let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        file.take(limit_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    if bytes.len() as u64 > limit_bytes {
        let source = Box::new(LoadError::TooLarge { limit_bytes });
        return Err(LoadError::File { path: path.to_owned(), source });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn plain_bytes_are_borrowed_and_gzip_is_decompressed() {
        assert!(matches!(unpack(b"a,b", 3), Ok(Cow::Borrowed(b"a,b"))));
        assert_eq!(unpack(&packed(b"a,b"), 3).unwrap(), b"a,b".as_slice());
        let both = [packed(b"a,"), packed(b"b")].concat();
        assert_eq!(unpack(&both, 3).unwrap(), b"a,b".as_slice(), "two members");
    }

    #[test]
    fn input_that_decompresses_beyond_the_limit_is_rejected() {
        let bomb = packed(&vec![b'0'; 10_000_000]);
        assert!(bomb.len() < 100_000);
        let error = unpack(&bomb, 1_000_000).unwrap_err();
        assert!(matches!(error, LoadError::TooLarge { limit_bytes: 1_000_000 }), "{error}");
        assert!(matches!(unpack(b"abcd", 3), Err(LoadError::TooLarge { limit_bytes: 3 })));
    }

    #[test]
    fn truncated_gzip_is_rejected_at_every_length() {
        let whole = packed(&b"instrument_token,".repeat(1000));
        for len in 2..whole.len() {
            let error = unpack(&whole[..len], 1 << 20).unwrap_err();
            assert!(matches!(error, LoadError::Gzip { .. }), "{len}: {error}");
        }
    }
}
