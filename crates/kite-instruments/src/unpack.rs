//! Bytes of a list: read from a file, unpacked if they are packed, and never too many.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::error::LoadError;

/// The most bytes a list may have, unpacked: 256 MiB. Kite's whole list has about 8 MB.
///
/// A small packed file can unpack to any size; this is where that ends.
pub const MAX_LIST_BYTES: u64 = 256 << 20;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Gives the bytes as they are, or unpacked if they begin as gzip does.
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

/// Reads a file whole, unless it is larger than a list.
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
    fn plain_bytes_are_not_copied_and_packed_ones_are_unpacked() {
        assert!(matches!(unpack(b"a,b", 3), Ok(Cow::Borrowed(b"a,b"))));
        assert_eq!(unpack(&packed(b"a,b"), 3).unwrap(), b"a,b".as_slice());
        let both = [packed(b"a,"), packed(b"b")].concat();
        assert_eq!(unpack(&both, 3).unwrap(), b"a,b".as_slice(), "two members");
    }

    #[test]
    fn what_unpacks_beyond_the_limit_is_refused() {
        let bomb = packed(&vec![b'0'; 10_000_000]);
        assert!(bomb.len() < 100_000);
        let error = unpack(&bomb, 1_000_000).unwrap_err();
        assert!(matches!(error, LoadError::TooLarge { limit_bytes: 1_000_000 }), "{error}");
        assert!(matches!(unpack(b"abcd", 3), Err(LoadError::TooLarge { limit_bytes: 3 })));
    }

    #[test]
    fn cut_packed_bytes_are_told_from_whole_ones() {
        let whole = packed(&b"instrument_token,".repeat(1000));
        for len in 2..whole.len() {
            let error = unpack(&whole[..len], 1 << 20).unwrap_err();
            assert!(matches!(error, LoadError::Gzip { .. }), "{len}: {error}");
        }
    }
}
