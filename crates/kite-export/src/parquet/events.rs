//! The table of events as Parquet. It is small, so the reading thread writes it.

use std::io::Write;
use std::sync::Arc;

use arrow_array::builder::{
    Int64Builder, StringBuilder, StringDictionaryBuilder, UInt8Builder, UInt64Builder,
};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::ZstdLevel;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;

use super::failure::failure;
use super::metadata::account;
use super::{schema, times};
use crate::column::event_columns;
use crate::error::{ExportError, Target};
use crate::settings::{Prices, TimeFormat, TimeUnit};
use crate::summary::Summary;
use crate::table::{Event, EventTable};

/// Rows, and bytes of text, after which a row group ends.
const GROUP_ROWS: usize = 65_536;
const GROUP_TEXT_BYTES: usize = 8 << 20;

pub(crate) struct ParquetEvents<W: Write + Send> {
    target: Target,
    schema: SchemaRef,
    rows: Rows,
    writer: ArrowWriter<W>,
}

struct Rows {
    count: usize,
    text_bytes: usize,
    unit: TimeUnit,
    recv_time: Int64Builder,
    account: UInt8Builder,
    connection: UInt8Builder,
    kind: StringDictionaryBuilder<Int32Type>,
    reason: StringDictionaryBuilder<Int32Type>,
    from_time: Int64Builder,
    to_time: Int64Builder,
    frames: UInt64Builder,
    text: StringBuilder,
}

impl<W: Write + Send> ParquetEvents<W> {
    pub(crate) fn new(
        out: W,
        target: Target,
        times: TimeFormat,
        level: ZstdLevel,
        metadata: Vec<KeyValue>,
    ) -> std::result::Result<Self, ExportError> {
        let described = event_columns();
        let schema = schema::arrow_schema(&described, Prices::Decimal, times);
        let properties =
            schema::properties(&described, level).set_key_value_metadata(Some(metadata)).build();
        let writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties))
            .map_err(|error| failure(&target, error))?;
        Ok(Self { rows: Rows::new(times.unit), target, schema, writer })
    }

    fn write(&mut self) -> Result<()> {
        if self.rows.count == 0 {
            return Ok(());
        }
        let columns = self.rows.take(&self.schema);
        let batch =
            RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(ParquetError::from)?;
        self.writer.write(&batch)?;
        self.writer.flush()
    }
}

impl<W: Write + Send> EventTable for ParquetEvents<W> {
    fn push(&mut self, event: &Event<'_>) -> std::result::Result<(), ExportError> {
        self.rows.push(event);
        if self.rows.count < GROUP_ROWS && self.rows.text_bytes < GROUP_TEXT_BYTES {
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

impl Rows {
    fn new(unit: TimeUnit) -> Self {
        Self {
            count: 0,
            text_bytes: 0,
            unit,
            recv_time: Int64Builder::new(),
            account: UInt8Builder::new(),
            connection: UInt8Builder::new(),
            kind: StringDictionaryBuilder::new(),
            reason: StringDictionaryBuilder::new(),
            from_time: Int64Builder::new(),
            to_time: Int64Builder::new(),
            frames: UInt64Builder::new(),
            text: StringBuilder::new(),
        }
    }

    fn push(&mut self, event: &Event<'_>) {
        self.count += 1;
        self.text_bytes += event.text.as_ref().map_or(0, |text| text.len());
        let unit = self.unit;
        let time = |unix_ns: Option<u64>| unix_ns.map(|unix_ns| times::received(unix_ns, unit));
        self.recv_time.append_option(time(event.recv_unix_ns));
        self.account.append_option(event.source.map(|source| source.account));
        self.connection.append_option(event.source.map(|source| source.connection));
        self.kind.append_value(event.kind);
        self.reason.append_option(event.reason.as_deref());
        self.from_time.append_option(time(event.from_unix_ns));
        self.to_time.append_option(time(event.to_unix_ns));
        self.frames.append_option(event.frames);
        self.text.append_option(event.text.as_deref());
    }

    fn take(&mut self, schema: &SchemaRef) -> Vec<ArrayRef> {
        self.count = 0;
        self.text_bytes = 0;
        let data_type = schema.field(0).data_type();
        let times = |values: &mut Int64Builder| times::column(values.finish(), data_type.clone());
        vec![
            times(&mut self.recv_time),
            Arc::new(self.account.finish()),
            Arc::new(self.connection.finish()),
            Arc::new(self.kind.finish()),
            Arc::new(self.reason.finish()),
            times(&mut self.from_time),
            times(&mut self.to_time),
            Arc::new(self.frames.finish()),
            Arc::new(self.text.finish()),
        ]
    }
}
