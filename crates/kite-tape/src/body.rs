//! The records of a block as they are stored: compressed or by columns, and back.

use std::io;

use bytes::Bytes;
use kite_wire::tape::{
    Block, CODEC_COLUMNS, CODEC_STORED, CODEC_ZSTD, ColumnsEncoder, MAX_BODY_LEN,
    MAX_COLUMNS_BODY_LEN, decode_columns,
};
use zstd::bulk::Compressor;

use crate::error::DamageCause;
use crate::file::TapeFile;

/// Returns the records of a block, uncompressed.
///
/// # Errors
/// Returns why the block as a whole is lost. The records of a stored block are checked one by one.
pub(crate) fn load(file: &TapeFile, block: &Block<'_>) -> Result<Bytes, DamageCause> {
    let (stored, len) = (block.stored(), to_usize(block.raw_len()));
    let limit = match block.codec() {
        CODEC_STORED => return Ok(file.bytes().slice_ref(stored)),
        CODEC_ZSTD => MAX_BODY_LEN,
        CODEC_COLUMNS => MAX_COLUMNS_BODY_LEN,
        codec => return Err(DamageCause::UnknownCodec { codec }),
    };
    if len > limit {
        return Err(DamageCause::BlockTooLong { declared: block.raw_len() });
    }
    if !block.is_stored_intact() {
        return Err(DamageCause::BlockChecksum);
    }
    // Never decompresses more than `len` bytes, regardless of what the compressed data declares.
    let raw = zstd::bulk::decompress(stored, len)
        .map_err(|error| DamageCause::Unpack(error.to_string()))?;
    if block.codec() == CODEC_ZSTD {
        return Ok(raw.into());
    }
    let mut body = vec![0; len];
    decode_columns(&raw, &mut body).map_err(DamageCause::Columns)?;
    Ok(body.into())
}

/// How the records of new blocks are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// By columns where that is possible.
    Columns,
    /// As a recorder stores them.
    Records,
}

/// Compresses the records of blocks. It keeps its buffers for the next block.
pub(crate) struct Packer {
    form: Form,
    encoder: ColumnsEncoder,
    columns: Vec<u8>,
    compressor: Compressor<'static>,
}

impl Packer {
    pub(crate) fn new(form: Form, level: i32) -> io::Result<Self> {
        let compressor = Compressor::new(level)?;
        Ok(Self { form, encoder: ColumnsEncoder::new(), columns: Vec::new(), compressor })
    }

    /// Returns the codec for the records of a block and their bytes; `None` to store them as they
    /// are.
    pub(crate) fn pack(&mut self, body: &[u8]) -> Option<(u8, Vec<u8>)> {
        // Readers do not decompress more bytes than the records have.
        let is_by_columns = self.form == Form::Columns
            && self.encoder.encode(body, &mut self.columns).is_ok()
            && self.columns.len() <= body.len();
        let (codec, bytes) = match is_by_columns {
            true => (CODEC_COLUMNS, self.columns.as_slice()),
            false => (CODEC_ZSTD, body),
        };
        let packed = self.compressor.compress(bytes).ok()?;
        (packed.len() < body.len()).then_some((codec, packed))
    }
}

pub(crate) fn to_usize(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
