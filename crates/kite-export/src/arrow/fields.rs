//! Which field of a packet each column has.

use arrow_array::types::{Int32Type, Int64Type, UInt8Type, UInt32Type};
use kite_wire::{DepthEntry, FullPacket, IndexQuotePacket, Ohlc, Price, QuotePacket, UnixSeconds};

use super::presence::Group;
use super::prices::PriceType;
use super::row::Row;
use super::times;
use super::values::{self, Values};
use crate::column::DEPTH_LEVELS;
use crate::settings::TimeUnit;
use crate::symbols::CachedSymbols;

/// A column under construction, and the rows in which it is not null.
pub(super) struct Field {
    pub(super) group: Group,
    pub(super) values: Box<dyn Values>,
}

/// Returns the column with a name of [`tick_columns`](crate::tick_columns), with prices of type `P`;
/// `None` if it has no column of this name.
pub(super) fn field<P: PriceType>(
    name: &str,
    unit: TimeUnit,
    symbols: impl FnOnce() -> Option<CachedSymbols>,
) -> Option<Field> {
    use Group::{Always, ExchangeTime, LastTrade};
    let (group, values) = match name {
        "recv_time" => {
            let time = move |row: &Row<'_>| times::received(row.received.recv_unix_ns, unit);
            (Always, values::times(time))
        }
        "account" => {
            (Always, values::numbers::<UInt8Type>(|row: &Row<'_>| row.received.source.account))
        }
        "connection" => {
            (Always, values::numbers::<UInt8Type>(|row: &Row<'_>| row.received.source.connection))
        }
        "instrument_token" => {
            (Always, values::numbers::<UInt32Type>(|row: &Row<'_>| row.packet.instrument_token()))
        }
        "symbol" => (Always, values::symbols(symbols())),
        "segment" => (Always, values::segments()),
        "mode" => (Always, values::modes()),
        "last_price" => {
            (Always, values::numbers::<P>(|row: &Row<'_>| P::of(row.packet.last_price())))
        }
        "last_trade_time" => {
            (LastTrade, values::times(|row: &Row<'_>| milliseconds(row.last_trade_time())))
        }
        "exchange_time" => {
            (ExchangeTime, values::times(|row: &Row<'_>| milliseconds(row.exchange_time())))
        }
        name => return quote::<P>(name).or_else(|| full::<P>(name)),
    };
    Some(Field { group, values })
}

/// Returns a column of quote packets.
fn quote<P: PriceType>(name: &str) -> Option<Field> {
    use Group::{Index, Ohlc as HasOhlc, Quote};
    let (group, values) = match name {
        "last_quantity" => (Quote, quantity(QuotePacket::last_quantity)),
        "average_price" => (Quote, price_of_quote::<P>(QuotePacket::average_price)),
        "volume" => (Quote, quantity(QuotePacket::volume)),
        "total_buy_quantity" => (Quote, quantity(QuotePacket::total_buy_quantity)),
        "total_sell_quantity" => (Quote, quantity(QuotePacket::total_sell_quantity)),
        "open" => (HasOhlc, price_of_day::<P>(|it| it.open)),
        "high" => (HasOhlc, price_of_day::<P>(|it| it.high)),
        "low" => (HasOhlc, price_of_day::<P>(|it| it.low)),
        "close" => (HasOhlc, price_of_day::<P>(|it| it.close)),
        "change" => (
            Index,
            values::numbers::<P>(|row: &Row<'_>| {
                row.index.map(IndexQuotePacket::change).map_or_else(P::Native::default, P::of)
            }),
        ),
        _ => return None,
    };
    Some(Field { group, values })
}

/// Returns a column of full packets.
fn full<P: PriceType>(name: &str) -> Option<Field> {
    let values = match name {
        "oi" => open_interest(FullPacket::open_interest),
        "oi_day_high" => open_interest(FullPacket::open_interest_high),
        "oi_day_low" => open_interest(FullPacket::open_interest_low),
        name => {
            let (column, level) = name.rsplit_once('_')?;
            let level = level.parse::<usize>().ok()?.checked_sub(1)?;
            (level < DEPTH_LEVELS).then_some(())?;
            match column {
                "bid_price" => level_price::<P>(|full| full.depth().bids(), level),
                "bid_quantity" => level_quantity(|full| full.depth().bids(), level),
                "bid_orders" => level_orders(|full| full.depth().bids(), level),
                "ask_price" => level_price::<P>(|full| full.depth().asks(), level),
                "ask_quantity" => level_quantity(|full| full.depth().asks(), level),
                "ask_orders" => level_orders(|full| full.depth().asks(), level),
                _ => return None,
            }
        }
    };
    Some(Field { group: Group::Full, values })
}

fn quantity(of: impl Fn(&QuotePacket) -> u32 + Send + 'static) -> Box<dyn Values> {
    values::numbers::<Int64Type>(move |row: &Row<'_>| row.quote.map_or(0, |it| of(it).into()))
}

fn open_interest(of: impl Fn(&FullPacket) -> u32 + Send + 'static) -> Box<dyn Values> {
    values::numbers::<Int64Type>(move |row: &Row<'_>| row.full.map_or(0, |it| of(it).into()))
}

fn price_of_quote<P: PriceType>(
    of: impl Fn(&QuotePacket) -> Price + Send + 'static,
) -> Box<dyn Values> {
    values::numbers::<P>(move |row: &Row<'_>| {
        row.quote.map_or_else(P::Native::default, |it| P::of(of(it)))
    })
}

fn price_of_day<P: PriceType>(of: impl Fn(Ohlc) -> Price + Send + 'static) -> Box<dyn Values> {
    values::numbers::<P>(move |row: &Row<'_>| {
        row.ohlc().map_or_else(P::Native::default, |it| P::of(of(it)))
    })
}

/// One side of the market depth.
type Side = [DepthEntry; DEPTH_LEVELS];

fn level_price<P: PriceType>(
    side: impl Fn(&FullPacket) -> &Side + Send + 'static,
    level: usize,
) -> Box<dyn Values> {
    values::numbers::<P>(move |row: &Row<'_>| {
        row.full.map_or_else(P::Native::default, |it| P::of(side(it)[level].price(it.segment())))
    })
}

fn level_quantity(
    side: impl Fn(&FullPacket) -> &Side + Send + 'static,
    level: usize,
) -> Box<dyn Values> {
    values::numbers::<Int64Type>(move |row: &Row<'_>| {
        row.full.map_or(0, |it| side(it)[level].quantity().into())
    })
}

fn level_orders(
    side: impl Fn(&FullPacket) -> &Side + Send + 'static,
    level: usize,
) -> Box<dyn Values> {
    values::numbers::<Int32Type>(move |row: &Row<'_>| {
        row.full.map_or(0, |it| side(it)[level].orders().into())
    })
}

#[inline]
fn milliseconds(seconds: Option<UnixSeconds>) -> i64 {
    seconds.map_or(0, |it| i64::from(it.get()) * 1_000)
}
