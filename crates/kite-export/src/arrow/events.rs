//! Rows of the table of events under construction.

use std::sync::Arc;

use arrow_array::builder::{
    Int64Builder, StringBuilder, StringDictionaryBuilder, UInt8Builder, UInt64Builder,
};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, SchemaRef};

use super::schema::arrow_schema;
use super::times;
use crate::column::event_columns;
use crate::settings::{Prices, TimeFormat, TimeUnit};
use crate::table::Event;

/// Rows, and bytes of text, after which a batch or row group ends.
const MOST_ROWS: usize = 65_536;
const MOST_TEXT_BYTES: usize = 8 << 20;

/// The events of one batch or row group.
pub(crate) struct EventRows {
    schema: SchemaRef,
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

impl EventRows {
    pub(crate) fn new(times: TimeFormat) -> Self {
        Self {
            schema: arrow_schema(&event_columns(), Prices::Decimal, times),
            count: 0,
            text_bytes: 0,
            unit: times.unit,
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

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Adds a row, and returns whether the batch is full.
    pub(crate) fn push(&mut self, event: &Event<'_>) -> bool {
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
        self.count >= MOST_ROWS || self.text_bytes >= MOST_TEXT_BYTES
    }

    /// Returns the rows so far as a batch, and starts new ones; `None` if there is none.
    pub(crate) fn take(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        if self.count == 0 {
            return Ok(None);
        }
        self.count = 0;
        self.text_bytes = 0;
        let data_type = self.schema.field(0).data_type();
        let times = |values: &mut Int64Builder| times::column(values.finish(), data_type.clone());
        let columns: Vec<ArrayRef> = vec![
            times(&mut self.recv_time),
            Arc::new(self.account.finish()),
            Arc::new(self.connection.finish()),
            Arc::new(self.kind.finish()),
            Arc::new(self.reason.finish()),
            times(&mut self.from_time),
            times(&mut self.to_time),
            Arc::new(self.frames.finish()),
            Arc::new(self.text.finish()),
        ];
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map(Some)
    }
}
