//! The table of events as Parquet. It is small, so the reading thread writes it.

use std::io::Write;
use std::sync::Arc;

use parquet::arrow::ArrowWriter;
use parquet::basic::ZstdLevel;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;

use super::failure::failure;
use super::metadata::account;
use super::properties::properties;
use crate::arrow::EventRows;
use crate::column::event_columns;
use crate::error::{ExportError, Target};
use crate::settings::TimeFormat;
use crate::summary::Summary;
use crate::table::{Event, EventTable};

pub(crate) struct ParquetEvents<W: Write + Send> {
    target: Target,
    rows: EventRows,
    writer: ArrowWriter<W>,
}

impl<W: Write + Send> ParquetEvents<W> {
    pub(crate) fn new(
        out: W,
        target: Target,
        times: TimeFormat,
        level: ZstdLevel,
        metadata: Vec<KeyValue>,
    ) -> std::result::Result<Self, ExportError> {
        let rows = EventRows::new(times);
        let properties = properties(&event_columns(), level);
        let properties = properties.set_key_value_metadata(Some(metadata)).build();
        let writer = ArrowWriter::try_new(out, Arc::clone(rows.schema()), Some(properties))
            .map_err(|error| failure(&target, error))?;
        Ok(Self { rows, target, writer })
    }

    fn write(&mut self) -> Result<()> {
        let Some(batch) = self.rows.take().map_err(ParquetError::from)? else { return Ok(()) };
        self.writer.write(&batch)?;
        self.writer.flush()
    }
}

impl<W: Write + Send> EventTable for ParquetEvents<W> {
    fn push(&mut self, event: &Event<'_>) -> std::result::Result<(), ExportError> {
        if !self.rows.push(event) {
            return Ok(());
        }
        self.write().map_err(|error| failure(&self.target, error))
    }

    fn finish(mut self: Box<Self>, summary: &Summary) -> std::result::Result<(), ExportError> {
        let written = self.write().and_then(|()| {
            account(summary).for_each(|it| self.writer.append_key_value_metadata(it));
            self.writer.finish()
        });
        written.map(drop).map_err(|error| failure(&self.target, error))
    }
}
