//! The table of events as Parquet. It is small, so the reading thread writes it.

use std::io::Write;
use std::sync::Arc;

use arrow_array::builder::{
    PrimitiveBuilder, StringBuilder, StringDictionaryBuilder, TimestampNanosecondBuilder,
    UInt8Builder, UInt64Builder,
};
use arrow_array::types::{ArrowPrimitiveType, Int32Type};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::ZstdLevel;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;

use super::failure::failure;
use super::metadata::account;
use super::schema;
use crate::column::event_columns;
use crate::error::{ExportError, Target};
use crate::settings::Prices;
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
    recv_time: TimestampNanosecondBuilder,
    account: UInt8Builder,
    connection: UInt8Builder,
    kind: StringDictionaryBuilder<Int32Type>,
    reason: StringDictionaryBuilder<Int32Type>,
    from_time: TimestampNanosecondBuilder,
    to_time: TimestampNanosecondBuilder,
    frames: UInt64Builder,
    text: StringBuilder,
}

impl<W: Write + Send> ParquetEvents<W> {
    pub(crate) fn new(
        out: W,
        target: Target,
        level: ZstdLevel,
        metadata: Vec<KeyValue>,
    ) -> std::result::Result<Self, ExportError> {
        let described = event_columns();
        let schema = schema::arrow_schema(&described, Prices::Decimal);
        let properties =
            schema::properties(&described, level).set_key_value_metadata(Some(metadata)).build();
        let writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties))
            .map_err(|error| failure(&target, error))?;
        Ok(Self { rows: Rows::new(&schema), target, schema, writer })
    }

    fn write(&mut self) -> Result<()> {
        if self.rows.count == 0 {
            return Ok(());
        }
        let columns = self.rows.take();
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
    fn new(schema: &SchemaRef) -> Self {
        fn of<T: ArrowPrimitiveType>(schema: &SchemaRef, index: usize) -> PrimitiveBuilder<T> {
            PrimitiveBuilder::new().with_data_type(schema.field(index).data_type().clone())
        }
        Self {
            count: 0,
            text_bytes: 0,
            recv_time: of(schema, 0),
            account: of(schema, 1),
            connection: of(schema, 2),
            kind: StringDictionaryBuilder::new(),
            reason: StringDictionaryBuilder::new(),
            from_time: of(schema, 5),
            to_time: of(schema, 6),
            frames: of(schema, 7),
            text: StringBuilder::new(),
        }
    }

    fn push(&mut self, event: &Event<'_>) {
        self.count += 1;
        self.text_bytes += event.text.as_ref().map_or(0, |text| text.len());
        let time = |unix_ns: Option<u64>| unix_ns.map(u64::cast_signed);
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

    fn take(&mut self) -> Vec<ArrayRef> {
        self.count = 0;
        self.text_bytes = 0;
        vec![
            Arc::new(self.recv_time.finish()),
            Arc::new(self.account.finish()),
            Arc::new(self.connection.finish()),
            Arc::new(self.kind.finish()),
            Arc::new(self.reason.finish()),
            Arc::new(self.from_time.finish()),
            Arc::new(self.to_time.finish()),
            Arc::new(self.frames.finish()),
            Arc::new(self.text.finish()),
        ]
    }
}
