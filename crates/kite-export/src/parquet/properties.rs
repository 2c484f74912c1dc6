//! How each column of a file is encoded.

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use crate::column::{Column, ColumnKind};

/// Returns the [`WriterProperties`] of a table's columns.
pub(super) fn properties(columns: &[Column], level: ZstdLevel) -> WriterPropertiesBuilder {
    let builder = WriterProperties::builder()
        .set_created_by(concat!("kite-export ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::Page);
    columns.iter().fold(builder, |builder, column| {
        let path = ColumnPath::from(column.name.as_ref());
        match column.kind {
            // Times follow each other closely, and frames share theirs.
            ColumnKind::Nanoseconds => builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
            _ => builder,
        }
    })
}
