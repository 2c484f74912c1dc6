//! Converts ticks in rupees back to wire packets, and fails if the conversion is not exact.

use std::time::Duration;

use bytes::Bytes;
use kite_wire::{
    DepthLevel, EncodeError, Fields, FrameEncoder, FullFields, IndexFields, Price, QuoteFields,
    Segment,
};

use crate::models::{DepthItem, Mode, OHLC, Tick, TickMessage};

/// Ticks that have no exact form on the wire.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeTickError {
    /// No packet decodes to this tick.
    #[error(
        "tick of instrument {instrument_token}: no {} packet decodes to its {field}; \
         set exactly the fields that such packets carry, to values that they can hold",
        mode.to_websocket_string()
    )]
    Inexact {
        /// The tick's instrument token.
        instrument_token: u32,
        /// The tick's mode.
        mode: Mode,
        /// The first field that would decode differently.
        field: &'static str,
    },
    /// The ticks do not fit one frame.
    #[error(transparent)]
    Frame(#[from] EncodeError),
}

impl TryFrom<&Tick> for kite_wire::Tick {
    type Error = EncodeTickError;

    /// Finds the packet that decodes to this tick.
    ///
    /// The change of a tradable instrument is not on the wire. It may differ from last price minus
    /// close by less than half the smallest price unit, as a difference of floats does.
    ///
    /// # Errors
    /// Returns [`EncodeTickError::Inexact`] if no such packet exists, for example because a price
    /// is not a multiple of the segment's smallest unit.
    fn try_from(tick: &Tick) -> Result<Self, EncodeTickError> {
        let nearest = nearest(tick);
        match first_difference(tick, &Tick::from(nearest)) {
            None => Ok(nearest),
            Some(field) => Err(EncodeTickError::Inexact {
                instrument_token: tick.instrument_token,
                mode: tick.mode,
                field,
            }),
        }
    }
}

/// Encodes ticks as one frame, in order.
pub(crate) fn encode_frame(ticks: &[TickMessage]) -> Result<Bytes, EncodeTickError> {
    let exact = |message: &TickMessage| {
        if message.instrument_token != message.content.instrument_token {
            return Err(EncodeTickError::Inexact {
                instrument_token: message.instrument_token,
                mode: message.content.mode,
                field: "instrument_token",
            });
        }
        kite_wire::Tick::try_from(&message.content)
    };
    let ticks = ticks.iter().map(exact).collect::<Result<Vec<_>, _>>()?;
    let length = 2 + ticks.iter().map(|tick| 2 + tick.kind().packet_len()).sum::<usize>();
    let mut buffer = vec![0; length];
    let mut frame = FrameEncoder::new(&mut buffer)?;
    for tick in &ticks {
        frame.push(tick)?;
    }
    Ok(Bytes::from(buffer))
}

/// Returns the nearest tick that can be encoded. The caller checks whether it is exact.
fn nearest(tick: &Tick) -> kite_wire::Tick {
    // Out-of-range values saturate and NaN becomes 0, so both decode to a different price.
    let price = |rupees: f64| (rupees * divisor(tick)).round() as i32;
    let optional = |rupees: Option<f64>| price(rupees.unwrap_or_default());
    let OHLC { open, high, low, close } = tick.ohlc.unwrap_or_default();
    let index = || IndexFields {
        high: price(high),
        low: price(low),
        open: price(open),
        close: price(close),
        change: optional(tick.net_change),
    };
    let quote = || QuoteFields {
        last_quantity: tick.last_traded_qty.unwrap_or_default(),
        average_price: optional(tick.avg_traded_price),
        volume: tick.volume_traded.unwrap_or_default(),
        total_buy_quantity: tick.total_buy_qty.unwrap_or_default(),
        total_sell_quantity: tick.total_sell_qty.unwrap_or_default(),
        open: price(open),
        high: price(high),
        low: price(low),
        close: price(close),
    };
    let level = |item: DepthItem| DepthLevel {
        quantity: item.qty,
        price: price(item.price),
        orders: item.orders,
    };
    // Only packets of tradable instruments carry a volume. The segment is not used here, because
    // the length determines the layout.
    let fields = match (tick.mode, tick.volume_traded) {
        (Mode::LTP, _) => Fields::Ltp,
        (Mode::Quote, None) => Fields::IndexQuote(index()),
        (Mode::Quote, Some(_)) => Fields::Quote(quote()),
        (Mode::Full, None) => Fields::IndexFull {
            quote: index(),
            exchange_timestamp: unix_seconds(tick.exchange_timestamp),
        },
        (Mode::Full, Some(_)) => {
            let depth = tick.depth.unwrap_or_default();
            Fields::Full {
                quote: quote(),
                full: FullFields {
                    last_trade_timestamp: unix_seconds(tick.last_traded_timestamp),
                    open_interest: tick.oi.unwrap_or_default(),
                    open_interest_high: tick.oi_day_high.unwrap_or_default(),
                    open_interest_low: tick.oi_day_low.unwrap_or_default(),
                    exchange_timestamp: unix_seconds(tick.exchange_timestamp),
                    bids: depth.buy.map(level),
                    asks: depth.sell.map(level),
                },
            }
        }
    };
    kite_wire::Tick {
        instrument_token: tick.instrument_token,
        last_price: optional(tick.last_price),
        fields,
    }
}

fn divisor(tick: &Tick) -> f64 {
    Price::new(0, Segment::of_token(tick.instrument_token)).divisor().into()
}

fn unix_seconds(time: Option<Duration>) -> u32 {
    time.and_then(|time| u32::try_from(time.as_secs()).ok()).unwrap_or_default()
}

/// Returns the name of the first field in which the decoded tick differs from the given one.
fn first_difference(given: &Tick, decoded: &Tick) -> Option<&'static str> {
    macro_rules! first_of {
        ($($field:ident),+) => {
            $(if given.$field != decoded.$field {
                return Some(stringify!($field));
            })+
        };
    }
    first_of!(
        exchange,
        is_tradable,
        is_index,
        last_traded_qty,
        avg_traded_price,
        last_price,
        volume_traded,
        total_buy_qty,
        total_sell_qty,
        ohlc,
        last_traded_timestamp,
        oi,
        oi_day_high,
        oi_day_low,
        exchange_timestamp,
        depth
    );
    let units = |tick: &Tick| tick.net_change.map(|rupees| (rupees * divisor(tick)).round());
    let derived = given.volume_traded.is_some();
    let same = if derived {
        units(given) == units(decoded)
    } else {
        given.net_change == decoded.net_change
    };
    (!same).then_some("net_change")
}

#[cfg(test)]
mod tests {
    use kite_wire::Packet;
    use proptest::prelude::*;

    use super::*;
    use crate::models::Exchange;

    fn full() -> Tick {
        let mut bytes = [1; 184];
        bytes[..4].copy_from_slice(&408_065_u32.to_be_bytes());
        Tick::try_from(&bytes[..]).unwrap()
    }

    fn rejected_field(tick: &Tick) -> &'static str {
        match kite_wire::Tick::try_from(tick) {
            Err(EncodeTickError::Inexact { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_value_that_no_packet_can_hold_is_rejected_by_field() {
        assert!(kite_wire::Tick::try_from(&full()).is_ok());
        type Spoil = fn(&mut Tick);
        let cases: [(Spoil, &str); 12] = [
            (|tick| tick.last_price = Some(1573.701), "last_price"),
            (|tick| tick.last_price = None, "last_price"),
            (|tick| tick.last_price = Some(f64::NAN), "last_price"),
            (|tick| tick.avg_traded_price = Some(1e12), "avg_traded_price"),
            (|tick| tick.exchange = Exchange::BSE, "exchange"),
            (|tick| tick.is_index = true, "is_index"),
            (|tick| tick.oi = None, "oi"),
            (|tick| tick.depth = None, "depth"),
            (|tick| tick.ohlc = None, "ohlc"),
            (|tick| tick.exchange_timestamp = Some(Duration::ZERO), "exchange_timestamp"),
            (|tick| tick.last_traded_timestamp = Some(Duration::MAX), "last_traded_timestamp"),
            (|tick| tick.net_change = Some(77.0), "net_change"),
        ];
        for (spoil, field) in cases {
            let mut tick = full();
            spoil(&mut tick);
            assert_eq!(rejected_field(&tick), field);
        }
    }

    #[test]
    fn fields_of_a_larger_mode_are_rejected() {
        assert_eq!(rejected_field(&Tick { mode: Mode::Quote, ..full() }), "last_traded_timestamp");
        assert_eq!(rejected_field(&Tick { mode: Mode::LTP, ..full() }), "last_traded_qty");
    }

    #[test]
    fn a_change_computed_in_floats_is_accepted() {
        let mut bytes = [0; 44];
        for (at, word) in [(0, 408_065_u32), (4, 157_370), (40, 156_780)] {
            bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
        }
        let mut tick = Tick::try_from(&bytes[..]).unwrap();
        tick.net_change = Some(1573.70 - 1567.80);
        assert_ne!(tick.net_change, Some(5.9));
        assert!(kite_wire::Tick::try_from(&tick).is_ok());
    }

    #[test]
    fn a_message_whose_token_differs_from_its_ticks_is_rejected() {
        let message = TickMessage { instrument_token: 1, content: full() };
        let error = encode_frame(&[message]).unwrap_err();
        assert_eq!(
            error,
            EncodeTickError::Inexact {
                instrument_token: 1,
                mode: Mode::Full,
                field: "instrument_token"
            }
        );
        assert!(error.to_string().starts_with("tick of instrument 1: no full packet"), "{error}");
    }

    proptest! {
        #[test]
        fn every_packet_is_restored_exactly_from_its_tick_in_rupees(
            bytes in prop::sample::select(&[8_usize, 28, 32, 44, 184][..])
                .prop_flat_map(|len| proptest::collection::vec(any::<u8>(), len)),
            segment in prop::option::of(prop::sample::select(&[1_u8, 3, 6, 9, 12][..])),
        ) {
            let mut bytes = bytes;
            bytes[3] = segment.unwrap_or(bytes[3]);
            let wire = kite_wire::Tick::from(Packet::from_bytes(&bytes).unwrap());
            let tick = Tick::try_from(&bytes[..]).unwrap();
            prop_assert_eq!(&Tick::from(wire), &tick);
            prop_assert_eq!(kite_wire::Tick::try_from(&tick), Ok(wire));
        }
    }
}
