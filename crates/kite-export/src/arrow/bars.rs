//! The columns of the table of bars under construction.

use std::sync::Arc;

use arrow_array::builder::{Int64Builder, StringDictionaryBuilder, UInt32Builder};
use arrow_array::types::{Decimal128Type, Float64Type, Int32Type};
use arrow_array::{ArrayRef, PrimitiveArray, RecordBatch};
use arrow_schema::{ArrowError, SchemaRef};
use kite_wire::Price;

use super::prices::PriceType;
use super::schema::arrow_schema;
use super::times;
use crate::bars::BarRow;
use crate::column::bar_columns;
use crate::settings::{Prices, TimeFormat, TimeUnit};

/// The bars of one batch or row group.
pub(crate) struct BarColumns {
    schema: SchemaRef,
    unit: TimeUnit,
    decimal: bool,
    rows: usize,
    start: Vec<i64>,
    /// `None` without a column for the length.
    every: Option<StringDictionaryBuilder<Int32Type>>,
    symbol: StringDictionaryBuilder<Int32Type>,
    instrument_token: UInt32Builder,
    prices: [Vec<Price>; 4],
    volume: Int64Builder,
    oi: Int64Builder,
    packets: Int64Builder,
    first_time: Int64Builder,
    last_time: Int64Builder,
    missed_ms: Int64Builder,
    missed_volume: Int64Builder,
    flags: StringDictionaryBuilder<Int32Type>,
}

impl BarColumns {
    /// Creates columns without rows; `every` adds that of the length.
    pub(crate) fn new(every: bool, prices: Prices, times: TimeFormat) -> Self {
        Self {
            schema: arrow_schema(&bar_columns(every), prices, times),
            unit: times.unit,
            decimal: prices == Prices::Decimal,
            rows: 0,
            start: Vec::new(),
            every: every.then(StringDictionaryBuilder::new),
            symbol: StringDictionaryBuilder::new(),
            instrument_token: UInt32Builder::new(),
            prices: std::array::from_fn(|_| Vec::new()),
            volume: Int64Builder::new(),
            oi: Int64Builder::new(),
            packets: Int64Builder::new(),
            first_time: Int64Builder::new(),
            last_time: Int64Builder::new(),
            missed_ms: Int64Builder::new(),
            missed_volume: Int64Builder::new(),
            flags: StringDictionaryBuilder::new(),
        }
    }

    /// Returns whether there is a column for the length.
    pub(crate) fn has_every(&self) -> bool {
        self.every.is_some()
    }

    /// Returns the schema of the batches.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Returns the number of rows collected.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, row: BarRow<'_>) {
        let BarRow { bar, every, symbol } = row;
        self.rows += 1;
        self.start.push(times::received(bar.start.unix_ns(), self.unit));
        if let Some(column) = &mut self.every {
            column.append_value(every.to_string());
        }
        self.symbol.append_option(symbol);
        self.instrument_token.append_value(bar.instrument_token);
        let prices = [bar.open, bar.high, bar.low, bar.close];
        self.prices.iter_mut().zip(prices).for_each(|(column, price)| column.push(price));
        self.volume.append_option(bar.volume.map(whole));
        self.oi.append_option(bar.open_interest.map(i64::from));
        self.packets.append_value(bar.packets.into());
        // A filled bar has no packets.
        let unit = self.unit;
        let time = |unix_ns: u64| (bar.packets > 0).then(|| times::received(unix_ns, unit));
        self.first_time.append_option(time(bar.first_recv_unix_ns));
        self.last_time.append_option(time(bar.last_recv_unix_ns));
        self.missed_ms.append_value(whole(bar.missed_ms));
        self.missed_volume.append_value(whole(bar.missed_volume));
        self.flags.append_value(bar.flags.to_string());
    }

    /// Returns the rows so far as a batch, and starts new ones.
    pub(crate) fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        self.rows = 0;
        let time = self.schema.field(0).data_type().clone();
        let times = |values: &mut Int64Builder| times::column(values.finish(), time.clone());
        let start = PrimitiveArray::from_iter_values(std::mem::take(&mut self.start));
        let mut columns: Vec<ArrayRef> = vec![times::column(start, time.clone())];
        columns.extend(self.every.iter_mut().map(|it| Arc::new(it.finish()) as ArrayRef));
        columns.push(Arc::new(self.symbol.finish()));
        columns.push(Arc::new(self.instrument_token.finish()));
        for column in &mut self.prices {
            let data_type = self.schema.field(columns.len()).data_type().clone();
            let values = std::mem::take(column).into_iter();
            columns.push(if self.decimal {
                let values = values.map(Decimal128Type::of);
                let values = PrimitiveArray::<Decimal128Type>::from_iter_values(values);
                Arc::new(values.with_data_type(data_type))
            } else {
                let values = values.map(Float64Type::of);
                Arc::new(PrimitiveArray::<Float64Type>::from_iter_values(values))
            });
        }
        for column in [&mut self.volume, &mut self.oi, &mut self.packets] {
            columns.push(Arc::new(column.finish()));
        }
        columns.push(times(&mut self.first_time));
        columns.push(times(&mut self.last_time));
        columns.push(Arc::new(self.missed_ms.finish()));
        columns.push(Arc::new(self.missed_volume.finish()));
        columns.push(Arc::new(self.flags.finish()));
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}

/// Returns a count as a value of its column.
fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
