//! Prices of every segment in rupees, from end to end.
//!
//! The divisors are those of the official clients: 10,000,000 for CDS, 10,000 for BCD and NCO, 100
//! for all others.

use std::time::Duration;

use kite_sim::{Instrument, Sim};
use kiteticker_async_manager::kite_wire;
use kiteticker_async_manager::{Exchange, Mode, Tick};

use crate::rig::{
    all_in, manager, mark, only_channel, quiet_sim, settle, start, ticks_of, up_to_mark, within,
};

const SEED: u64 = 77;
const MARKET_OPENS_UNIX_S: u32 = 1_754_279_100;

/// An instrument's token, exchange and divisor.
const SEGMENTS: [(u32, Exchange, f64); 10] = [
    (5_000 << 8 | 1, Exchange::NSE, 100.0),
    (5_000 << 8 | 2, Exchange::NFO, 100.0),
    (5_000 << 8 | 3, Exchange::CDS, 10_000_000.0),
    (5_000 << 8 | 4, Exchange::BSE, 100.0),
    (5_000 << 8 | 5, Exchange::BFO, 100.0),
    (5_000 << 8 | 6, Exchange::BCD, 10_000.0),
    (5_000 << 8 | 7, Exchange::MCX, 100.0),
    (5_000 << 8 | 8, Exchange::MCXSX, 100.0),
    (5_000 << 8 | 9, Exchange::INDICES, 100.0),
    (5_000 << 8 | 12, Exchange::NCO, 10_000.0),
];

#[track_caller]
fn assert_price(found: Option<f64>, raw: i32, divisor: f64) {
    let expected = f64::from(raw) / divisor;
    assert!(
        found.is_some_and(|found| (found - expected).abs() < 1e-9),
        "{found:?} is not {raw} / {divisor}"
    );
}

#[track_caller]
fn assert_tick(
    found: &Tick,
    instrument: &Instrument,
    mode: Mode,
    exchange: Exchange,
    divisor: f64,
) {
    let expected = instrument.tick(mode.into());
    assert_eq!(found.instrument_token, instrument.token());
    assert_eq!((found.mode, found.exchange), (mode, exchange));
    let is_index = exchange == Exchange::INDICES;
    assert_eq!((found.is_index, found.is_tradable), (is_index, !is_index));
    assert_price(found.last_price, expected.last_price, divisor);

    let unix = |seconds: u32| Some(Duration::from_secs(seconds.into()));
    if let Some(index) = expected.index() {
        let ohlc = found.ohlc.unwrap();
        assert_price(Some(ohlc.open), index.open, divisor);
        assert_price(Some(ohlc.high), index.high, divisor);
        assert_price(Some(ohlc.low), index.low, divisor);
        assert_price(Some(ohlc.close), index.close, divisor);
        assert_price(found.net_change, index.change, divisor);
        let at = (mode == Mode::Full).then_some(MARKET_OPENS_UNIX_S).and_then(unix);
        assert_eq!(found.exchange_timestamp, at);
        assert_eq!((found.volume_traded, found.depth.is_some()), (None, false));
    }
    assert_eq!(found.avg_traded_price.is_some(), expected.quote().is_some());
    if let Some(quote) = expected.quote() {
        let ohlc = found.ohlc.unwrap();
        assert_price(found.avg_traded_price, quote.average_price, divisor);
        assert_price(Some(ohlc.open), quote.open, divisor);
        assert_price(Some(ohlc.high), quote.high, divisor);
        assert_price(Some(ohlc.low), quote.low, divisor);
        assert_price(Some(ohlc.close), quote.close, divisor);
        assert_price(found.net_change, expected.last_price - quote.close, divisor);
        assert_eq!(found.last_traded_qty, Some(quote.last_quantity));
        assert_eq!(found.volume_traded, Some(quote.volume));
        assert_eq!(found.total_buy_qty, Some(quote.total_buy_quantity));
        assert_eq!(found.total_sell_qty, Some(quote.total_sell_quantity));
    }
    assert_eq!(found.depth.is_some(), expected.full().is_some());
    if let (Some(full), Some(depth)) = (expected.full(), &found.depth) {
        let found_levels = depth.buy.iter().chain(&depth.sell);
        for (found, level) in found_levels.zip(full.bids.iter().chain(&full.asks)) {
            assert_price(Some(found.price), level.price, divisor);
            assert_eq!((found.qty, found.orders), (level.quantity, level.orders));
        }
        assert_eq!(found.oi, Some(full.open_interest));
        assert_eq!(found.oi_day_high, Some(full.open_interest_high));
        assert_eq!(found.oi_day_low, Some(full.open_interest_low));
        assert_eq!(found.last_traded_timestamp, unix(full.last_trade_timestamp));
        assert_eq!(found.exchange_timestamp, unix(full.exchange_timestamp));
    }
}

#[tokio::test]
async fn every_segment_has_the_prices_that_the_protocol_specifies() {
    let builder = Sim::builder().seed(SEED).market_time(MARKET_OPENS_UNIX_S);
    let builder = builder.updates_per_second(0.0).no_heartbeats().greet(false);
    let sim = builder.start().await.unwrap();
    let mut manager = manager(&sim).build();
    let mut channels = manager.get_all_channels();
    start(&mut manager).await;
    let tokens = SEGMENTS.map(|(token, ..)| token);
    manager.subscribe_symbols(&tokens, Some(Mode::Quote)).await.unwrap();
    for mode in [Mode::Quote, Mode::LTP, Mode::Full] {
        manager.change_mode(&tokens, mode).await.unwrap();
        settle(&sim, &all_in(mode.into(), &tokens)).await;
        mark(&sim);
        let mut ticks = Vec::new();
        for (_, channel) in &mut channels {
            ticks.extend(ticks_of(&up_to_mark(channel).await));
        }
        assert_eq!(ticks.len(), SEGMENTS.len());
        ticks.sort_by_key(|tick| tick.instrument_token);
        for (tick, (token, exchange, divisor)) in ticks.iter().zip(SEGMENTS) {
            let instrument = Instrument::new(SEED, token, MARKET_OPENS_UNIX_S);
            assert_tick(&tick.content, &instrument, mode, exchange, divisor);
        }
    }
    // The same after one step, so that not only opening prices are checked.
    sim.tick_now(&tokens);
    within("the pause", sim.pause()).await;
    mark(&sim);
    let mut ticks = Vec::new();
    for (_, channel) in &mut channels {
        ticks.extend(ticks_of(&up_to_mark(channel).await));
    }
    ticks.sort_by_key(|tick| tick.instrument_token);
    assert_eq!(ticks.len(), SEGMENTS.len());
    for (tick, (token, exchange, divisor)) in ticks.iter().zip(SEGMENTS) {
        let mut instrument = Instrument::new(SEED, token, MARKET_OPENS_UNIX_S);
        instrument.advance();
        assert_tick(&tick.content, &instrument, Mode::Full, exchange, divisor);
    }
}

/// NCO packets reported by users, with the prices shown by the exchange (see the prices in
/// docs/protocol.md); a currency price; and a negative price, as some spreads have.
#[tokio::test]
async fn reported_prices_of_commodities_and_currencies_are_decoded_correctly() {
    let sim = quiet_sim().await;
    let mut manager = manager(&sim).max_connections(1).build();
    let mut channel = only_channel(&mut manager);
    start(&mut manager).await;
    let cases: [(u32, i32, f64); 4] = [
        (31_132_428, 3_782_000, 378.20),
        (33_539_084, 84_940_000, 8_494.00),
        (5_000 << 8 | 3, 877_525_000, 87.7525),
        (5_000 << 8 | 2, -125, -1.25),
    ];
    let mut frame = (cases.len() as u16).to_be_bytes().to_vec();
    for (token, raw, _) in cases {
        frame.extend(8_u16.to_be_bytes());
        frame.extend(token.to_be_bytes());
        frame.extend(raw.to_be_bytes());
    }
    sim.send_binary(frame);
    mark(&sim);
    let ticks = ticks_of(&up_to_mark(&mut channel).await);
    assert_eq!(ticks.len(), cases.len());
    for (tick, (token, _, price)) in ticks.iter().zip(cases) {
        assert_eq!((tick.instrument_token, tick.content.last_price), (token, Some(price)));
        assert_eq!(kite_wire::Mode::from(tick.content.mode), kite_wire::Mode::Ltp);
    }
}
