//! Decodes packets directly into Arrow arrays, one per column, without rows in between.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use arrow_array::types::{Int32Type, Int64Type, UInt8Type, UInt32Type};
use arrow_array::{ArrayRef, ArrowPrimitiveType, DictionaryArray, PrimitiveArray, StringArray};
use arrow_buffer::{NullBuffer, NullBufferBuilder};
use arrow_schema::{ArrowError, DataType, SchemaRef};
use kite_wire::tape::Received;
use kite_wire::{DepthEntry, FullPacket, Mode, Ohlc, Packet, PacketView, QuotePacket, UnixSeconds};

use super::prices::PriceType;
use super::times;
use crate::column::DEPTH_LEVELS;
use crate::column::segment_name;
use crate::settings::TimeUnit;
use crate::symbols::CachedSymbols;

/// The rows of one row group. A null cell holds a default value and takes the same space.
pub(super) struct Columns<P: PriceType> {
    rows: usize,
    capacity: usize,
    unit: TimeUnit,
    recv_time: Vec<i64>,
    account: Vec<u8>,
    connection: Vec<u8>,
    instrument_token: Vec<u32>,
    symbol: Option<SymbolColumn>,
    segment: Vec<i32>,
    segments: Segments,
    mode: Vec<i32>,
    last_price: Vec<P::Native>,
    quote: QuoteColumns<P>,
    has_quote: NullBufferBuilder,
    ohlc: [Vec<P::Native>; 4],
    has_ohlc: NullBufferBuilder,
    change: Vec<P::Native>,
    has_change: NullBufferBuilder,
    last_trade_time: TimeColumn,
    open_interest: [Vec<i64>; 3],
    has_full: NullBufferBuilder,
    exchange_time: TimeColumn,
    /// Bids, then asks; `None` without market depth.
    depth: Option<[[LevelColumns<P>; DEPTH_LEVELS]; 2]>,
}

/// Fields of quote and full packets, except open, high, low and close, which indices have too.
struct QuoteColumns<P: PriceType> {
    last_quantity: Vec<i64>,
    average_price: Vec<P::Native>,
    volume: Vec<i64>,
    total_buy_quantity: Vec<i64>,
    total_sell_quantity: Vec<i64>,
}

struct LevelColumns<P: PriceType> {
    price: Vec<P::Native>,
    quantity: Vec<i64>,
    orders: Vec<i32>,
}

/// Milliseconds since the Unix epoch.
struct TimeColumn {
    values: Vec<i64>,
    known: NullBufferBuilder,
}

struct SymbolColumn {
    cache: CachedSymbols,
    keys: Vec<i32>,
    known: NullBufferBuilder,
}

/// Segments found so far, numbered in that order.
#[derive(Default)]
struct Segments {
    keys: HashMap<u8, i32>,
    names: Vec<String>,
    /// Rows of one segment usually follow each other.
    last: Option<(u8, i32)>,
}

impl<P: PriceType> Columns<P> {
    pub(super) fn new(
        capacity: usize,
        symbols: Option<CachedSymbols>,
        depth: bool,
        unit: TimeUnit,
    ) -> Self {
        let prices = || Vec::with_capacity(capacity);
        let numbers = || Vec::with_capacity(capacity);
        let validity = || NullBufferBuilder::new(capacity);
        let level = || LevelColumns {
            price: prices(),
            quantity: numbers(),
            orders: Vec::with_capacity(capacity),
        };
        let side = || std::array::from_fn(|_| level());
        Self {
            rows: 0,
            capacity,
            unit,
            recv_time: numbers(),
            account: Vec::with_capacity(capacity),
            connection: Vec::with_capacity(capacity),
            instrument_token: Vec::with_capacity(capacity),
            symbol: symbols.map(|cache| SymbolColumn {
                cache,
                keys: Vec::with_capacity(capacity),
                known: validity(),
            }),
            segment: Vec::with_capacity(capacity),
            segments: Segments::default(),
            mode: Vec::with_capacity(capacity),
            last_price: prices(),
            quote: QuoteColumns {
                last_quantity: numbers(),
                average_price: prices(),
                volume: numbers(),
                total_buy_quantity: numbers(),
                total_sell_quantity: numbers(),
            },
            has_quote: validity(),
            ohlc: std::array::from_fn(|_| prices()),
            has_ohlc: validity(),
            change: prices(),
            has_change: validity(),
            last_trade_time: TimeColumn { values: numbers(), known: validity() },
            open_interest: std::array::from_fn(|_| numbers()),
            has_full: validity(),
            exchange_time: TimeColumn { values: numbers(), known: validity() },
            depth: depth.then(|| [side(), side()]),
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    #[inline]
    pub(super) fn push(&mut self, received: Received, packet: Packet<'_>) {
        self.rows += 1;
        let token = packet.instrument_token();
        self.recv_time.push(times::received(received.recv_unix_ns, self.unit));
        self.account.push(received.source.account);
        self.connection.push(received.source.connection);
        self.instrument_token.push(token);
        if let Some(symbol) = &mut self.symbol {
            symbol.push(received.recv_unix_ns, token);
        }
        self.segment.push(self.segments.key(packet));
        self.mode.push(mode_key(packet.mode()));
        self.last_price.push(P::of(packet.last_price()));
        match packet.view() {
            PacketView::Full(full) => {
                self.push_quote(Some(full));
                self.push_ohlc(Some(full.ohlc()));
                self.push_change(None);
                self.push_full(Some(full));
                self.exchange_time.push(full.exchange_timestamp());
            }
            PacketView::Quote(quote) => {
                self.push_quote(Some(quote));
                self.push_ohlc(Some(quote.ohlc()));
                self.push_change(None);
                self.push_full(None);
                self.exchange_time.push(None);
            }
            PacketView::IndexFull(index) => {
                self.push_quote(None);
                self.push_ohlc(Some(index.ohlc()));
                self.push_change(Some(P::of(index.change())));
                self.push_full(None);
                self.exchange_time.push(index.exchange_timestamp());
            }
            PacketView::IndexQuote(index) => {
                self.push_quote(None);
                self.push_ohlc(Some(index.ohlc()));
                self.push_change(Some(P::of(index.change())));
                self.push_full(None);
                self.exchange_time.push(None);
            }
            // An LTP packet, or a layout of a later version, has only the common fields.
            _ => {
                self.push_quote(None);
                self.push_ohlc(None);
                self.push_change(None);
                self.push_full(None);
                self.exchange_time.push(None);
            }
        }
    }

    #[inline]
    fn push_quote(&mut self, quote: Option<&QuotePacket>) {
        self.has_quote.append(quote.is_some());
        let number = |field: fn(&QuotePacket) -> u32| quote.map_or(0, |it| i64::from(field(it)));
        let columns = &mut self.quote;
        columns.last_quantity.push(number(QuotePacket::last_quantity));
        columns
            .average_price
            .push(quote.map_or_else(Default::default, |it| P::of(it.average_price())));
        columns.volume.push(number(QuotePacket::volume));
        columns.total_buy_quantity.push(number(QuotePacket::total_buy_quantity));
        columns.total_sell_quantity.push(number(QuotePacket::total_sell_quantity));
    }

    #[inline]
    fn push_ohlc(&mut self, ohlc: Option<Ohlc>) {
        self.has_ohlc.append(ohlc.is_some());
        let values = match ohlc {
            Some(ohlc) => [ohlc.open, ohlc.high, ohlc.low, ohlc.close].map(P::of),
            None => [P::Native::default(); 4],
        };
        for (column, value) in self.ohlc.iter_mut().zip(values) {
            column.push(value);
        }
    }

    #[inline]
    fn push_change(&mut self, change: Option<P::Native>) {
        self.has_change.append(change.is_some());
        self.change.push(change.unwrap_or_default());
    }

    #[inline]
    fn push_full(&mut self, full: Option<&FullPacket>) {
        self.has_full.append(full.is_some());
        self.last_trade_time.push(full.and_then(FullPacket::last_trade_timestamp));
        let open_interest = full.map_or([0; 3], |it| {
            [it.open_interest(), it.open_interest_high(), it.open_interest_low()]
        });
        for (column, value) in self.open_interest.iter_mut().zip(open_interest) {
            column.push(value.into());
        }
        let Some([bids, asks]) = &mut self.depth else { return };
        match full {
            Some(full) => {
                push_side(bids, full.depth().bids(), full);
                push_side(asks, full.depth().asks(), full);
            }
            None => bids.iter_mut().chain(asks).for_each(LevelColumns::push_null),
        }
    }

    /// Returns the rows so far as columns of the schema, and starts new ones.
    pub(super) fn take(&mut self, schema: &SchemaRef) -> Result<Vec<ArrayRef>, ArrowError> {
        let rows = mem::take(&mut self.rows);
        let room = self.capacity;
        let mut out =
            Gather { types: schema, room, arrays: Vec::with_capacity(schema.fields().len()) };
        out.add_times(&mut self.recv_time, None);
        out.add::<UInt8Type>(&mut self.account, None);
        out.add::<UInt8Type>(&mut self.connection, None);
        out.add::<UInt32Type>(&mut self.instrument_token, None);
        if let Some(symbol) = &mut self.symbol {
            let known = symbol.known.finish();
            out.add_dictionary(&mut symbol.keys, known, symbol.cache.names())?;
        }
        out.add_dictionary(&mut self.segment, None, &self.segments.names)?;
        out.add_dictionary(&mut self.mode, None, &Mode::ALL.map(Mode::as_str))?;
        out.add::<P>(&mut self.last_price, None);
        let nulls = self.has_quote.finish();
        out.add::<Int64Type>(&mut self.quote.last_quantity, nulls.clone());
        out.add::<P>(&mut self.quote.average_price, nulls.clone());
        out.add::<Int64Type>(&mut self.quote.volume, nulls.clone());
        out.add::<Int64Type>(&mut self.quote.total_buy_quantity, nulls.clone());
        out.add::<Int64Type>(&mut self.quote.total_sell_quantity, nulls);
        let nulls = self.has_ohlc.finish();
        for column in &mut self.ohlc {
            out.add::<P>(column, nulls.clone());
        }
        let nulls = self.has_change.finish();
        out.add::<P>(&mut self.change, nulls);
        let full = self.has_full.finish();
        out.add_times(&mut self.last_trade_time.values, self.last_trade_time.known.finish());
        for column in &mut self.open_interest {
            out.add::<Int64Type>(column, full.clone());
        }
        out.add_times(&mut self.exchange_time.values, self.exchange_time.known.finish());
        for level in self.depth.iter_mut().flatten().flatten() {
            out.add::<P>(&mut level.price, full.clone());
            out.add::<Int64Type>(&mut level.quantity, full.clone());
            out.add::<Int32Type>(&mut level.orders, full.clone());
        }
        debug_assert!(out.arrays.iter().all(|array| array.len() == rows));
        Ok(out.arrays)
    }
}

/// Collects arrays in the order of the schema, each of its field's type.
struct Gather<'a> {
    types: &'a SchemaRef,
    /// Capacity of the next row group in rows.
    room: usize,
    arrays: Vec<ArrayRef>,
}

impl Gather<'_> {
    fn add<T: ArrowPrimitiveType>(
        &mut self,
        values: &mut Vec<T::Native>,
        nulls: Option<NullBuffer>,
    ) {
        let values = mem::replace(values, Vec::with_capacity(self.room));
        let data_type = self.next_type();
        let array = PrimitiveArray::<T>::new(values.into(), nulls).with_data_type(data_type);
        self.arrays.push(Arc::new(array));
    }

    fn add_times(&mut self, values: &mut Vec<i64>, nulls: Option<NullBuffer>) {
        let values = mem::replace(values, Vec::with_capacity(self.room));
        let values = PrimitiveArray::<Int64Type>::new(values.into(), nulls);
        self.arrays.push(times::column(values, self.next_type()));
    }

    fn add_dictionary<S: AsRef<str>>(
        &mut self,
        keys: &mut Vec<i32>,
        nulls: Option<NullBuffer>,
        names: &[S],
    ) -> Result<(), ArrowError> {
        let keys = mem::replace(keys, Vec::with_capacity(self.room));
        let keys = PrimitiveArray::<Int32Type>::new(keys.into(), nulls);
        let names = StringArray::from_iter_values(names);
        self.arrays.push(Arc::new(DictionaryArray::try_new(keys, Arc::new(names))?));
        Ok(())
    }

    fn next_type(&self) -> DataType {
        self.types.field(self.arrays.len()).data_type().clone()
    }
}

fn push_side<P: PriceType>(
    columns: &mut [LevelColumns<P>; DEPTH_LEVELS],
    levels: &[DepthEntry; DEPTH_LEVELS],
    full: &FullPacket,
) {
    let segment = full.segment();
    for (column, level) in columns.iter_mut().zip(levels) {
        column.price.push(P::of(level.price(segment)));
        column.quantity.push(level.quantity().into());
        column.orders.push(level.orders().into());
    }
}

impl<P: PriceType> LevelColumns<P> {
    #[inline]
    fn push_null(&mut self) {
        self.price.push(P::Native::default());
        self.quantity.push(0);
        self.orders.push(0);
    }
}

impl TimeColumn {
    #[inline]
    fn push(&mut self, seconds: Option<UnixSeconds>) {
        self.known.append(seconds.is_some());
        self.values.push(seconds.map_or(0, |it| i64::from(it.get()) * 1_000));
    }
}

impl SymbolColumn {
    #[inline]
    fn push(&mut self, recv_unix_ns: u64, instrument_token: u32) {
        let key = self.cache.key(recv_unix_ns, instrument_token);
        self.known.append(key.is_some());
        self.keys.push(key.unwrap_or(0));
    }
}

impl Segments {
    #[inline]
    fn key(&mut self, packet: Packet<'_>) -> i32 {
        let segment = packet.segment();
        let code = segment.code();
        match self.last {
            Some((last, key)) if last == code => key,
            _ => {
                let names = &mut self.names;
                let key = *self.keys.entry(code).or_insert_with(|| {
                    names.push(segment_name(segment).into_owned());
                    // At most 256 of them.
                    names.len() as i32 - 1
                });
                self.last = Some((code, key));
                key
            }
        }
    }
}

/// Returns the mode's index in [`Mode::ALL`].
fn mode_key(mode: Mode) -> i32 {
    match mode {
        Mode::Ltp => 0,
        Mode::Quote => 1,
        Mode::Full => 2,
    }
}
