//! The table of bars as Parquet. The reading thread writes it.

use std::io::Write;
use std::sync::Arc;

use parquet::arrow::ArrowWriter;
use parquet::basic::ZstdLevel;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;

use super::failure::failure;
use super::metadata::account;
use super::properties::properties;
use crate::arrow::BarColumns;
use crate::bars::{BarRow, Rows};
use crate::column::bar_columns;
use crate::error::{ExportError, Target};
use crate::output::Counted;
use crate::summary::Summary;

/// Rows of a row group.
const GROUP_ROWS: usize = 131_072;

pub(crate) struct ParquetBars<W: Write + Send> {
    target: Target,
    columns: BarColumns,
    writer: ArrowWriter<Counted<W>>,
}

impl<W: Write + Send> ParquetBars<W> {
    pub(crate) fn new(
        out: W,
        target: Target,
        columns: BarColumns,
        level: ZstdLevel,
        metadata: Vec<KeyValue>,
    ) -> std::result::Result<Self, ExportError> {
        let properties = properties(&bar_columns(columns.has_every()), level);
        let properties = properties.set_key_value_metadata(Some(metadata)).build();
        let (out, schema) = (Counted::new(out), Arc::clone(columns.schema()));
        let writer = ArrowWriter::try_new(out, schema, Some(properties))
            .map_err(|error| failure(&target, error))?;
        Ok(Self { target, columns, writer })
    }

    fn write(&mut self) -> Result<()> {
        if self.columns.rows() == 0 {
            return Ok(());
        }
        let batch = self.columns.take().map_err(ParquetError::from)?;
        self.writer.write(&batch)?;
        self.writer.flush()
    }
}

impl<W: Write + Send> Rows for ParquetBars<W> {
    fn push(&mut self, row: BarRow<'_>) -> std::result::Result<(), ExportError> {
        self.columns.push(row);
        if self.columns.rows() < GROUP_ROWS {
            return Ok(());
        }
        self.write().map_err(|error| failure(&self.target, error))
    }

    fn finish(&mut self, summary: &Summary) -> std::result::Result<u64, ExportError> {
        let written = self.write().and_then(|()| {
            account(summary).for_each(|it| self.writer.append_key_value_metadata(it));
            self.writer.finish()
        });
        written.map_err(|error| failure(&self.target, error))?;
        Ok(self.writer.inner().bytes)
    }
}
