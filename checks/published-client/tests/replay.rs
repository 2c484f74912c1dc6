//! kiteconnect 1.0.1, with only its URL changed, receives a recorded day.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use kite_sim::{ACCESS_TOKEN, API_KEY, Instrument, Replay, Sim, Speed, Start};
use kite_tape::Reel;
use kite_wire::tape::{BlockBuffer, Received, RecordKind, Source, TapeHeader};
use kite_wire::{DepthLevel, FrameEncoder, Mode, Price, Segment, Tick};
use kiteconnect::{AccessToken, KiteConnect, TickerEvent};
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);
const NINE: u64 = 1_754_279_100_000_000_000;
/// Number of updates of each instrument on the tape.
const UPDATES: u64 = 200;
/// Has all the fields that this client requires.
const ORDER: &str = r#"{"type":"order","data":{"order_id":"250804000000001","placed_by":"AB1234",
"status":"COMPLETE","order_timestamp":"2025-08-04 09:16:00","variety":"regular","exchange":"NSE",
"tradingsymbol":"INFY","instrument_token":408065,"order_type":"LIMIT","transaction_type":"BUY",
"validity":"DAY","product":"CNC","quantity":2,"disclosed_quantity":0,"price":1500.05,
"trigger_price":0,"average_price":1500.05,"filled_quantity":2,"pending_quantity":0,
"cancelled_quantity":0}}"#;

/// An instrument of each price unit and an index, in all modes.
const SUBSCRIBED: [(u32, Mode); 6] = [
    (408_065, Mode::Full),
    (884_737, Mode::Quote),
    (1_003 << 8 | 3, Mode::Full),
    (31_132_428, Mode::Quote),
    (256_265, Mode::Full),
    (1_004 << 8 | 2, Mode::Ltp),
];

/// Returns the ticks of a day, in full mode, update by update.
fn day() -> Vec<Vec<Tick>> {
    let start_unix_s = (NINE / 1_000_000_000) as u32;
    let mut instruments = SUBSCRIBED.map(|(token, _)| Instrument::new(7, token, start_unix_s));
    let updates = (0..UPDATES).map(|_| {
        instruments.iter_mut().for_each(Instrument::advance);
        instruments.iter().map(|instrument| instrument.tick(Mode::Full)).collect()
    });
    updates.collect()
}

/// Records the day as three connections. Each carries two of the instruments and the order update.
fn record(path: &Path, day: &[Vec<Tick>]) {
    let header = TapeHeader { created_unix_ns: NINE, tape_id: 1, metadata: b"{}" };
    let mut file = vec![0; header.encoded_len()];
    header.encode(&mut file).unwrap();
    let mut buffer = vec![0; 1 << 20];
    let mut block = BlockBuffer::new(&mut buffer, 1, 0).unwrap();
    for (number, ticks) in day.iter().enumerate() {
        for (connection, ticks) in (0_u8..).zip(ticks.chunks(2)) {
            let recv_unix_ns = NINE + number as u64 * 500_000_000 + u64::from(connection);
            let received = Received { recv_unix_ns, source: Source { account: 0, connection } };
            let mut frame = [0; 400];
            let mut encoder = FrameEncoder::new(&mut frame).unwrap();
            ticks.iter().for_each(|tick| encoder.push(tick).unwrap());
            block.push(received, RecordKind::Binary, encoder.finish()).unwrap();
            if number == 100 {
                block.push(received, RecordKind::Text, ORDER.as_bytes()).unwrap();
            }
        }
    }
    file.extend_from_slice(block.finish());
    std::fs::write(path, file).unwrap();
}

/// Compares the decoded tick with the recorded one, in the fields of the mode.
fn compare(mode: Mode, recorded: &Tick, decoded: &kiteconnect::Tick) {
    let segment = Segment::of_token(recorded.instrument_token);
    let rupees = |raw: i32| Some(Price::new(raw, segment).to_f64());
    assert_eq!(decoded.last_price, rupees(recorded.last_price), "{mode}");
    let (quote, index) = (recorded.quote(), recorded.index());
    let ohlc = quote.map(|it| (it.open, it.high, it.low, it.close));
    let ohlc = ohlc.or(index.map(|it| (it.open, it.high, it.low, it.close)));
    let ohlc = ohlc.filter(|_| mode != Mode::Ltp);
    let prices = (decoded.open, decoded.high, decoded.low, decoded.close);
    let expected = ohlc
        .map(|(open, high, low, close)| (rupees(open), rupees(high), rupees(low), rupees(close)));
    assert_eq!(prices, expected.unwrap_or_default(), "{mode}");

    let quote = quote.filter(|_| mode != Mode::Ltp);
    assert_eq!(decoded.volume, quote.map(|it| it.volume.into()), "{mode}");
    assert_eq!(decoded.last_quantity, quote.map(|it| it.last_quantity), "{mode}");
    assert_eq!(decoded.average_price, quote.and_then(|it| rupees(it.average_price)), "{mode}");
    assert_eq!(decoded.buy_quantity, quote.map(|it| it.total_buy_quantity.into()), "{mode}");

    let full = recorded.full().filter(|_| mode == Mode::Full);
    assert_eq!(decoded.oi, full.map(|it| it.open_interest.into()), "{mode}");
    assert_eq!(decoded.last_trade_time, full.map(|it| it.last_trade_timestamp), "{mode}");
    let levels = |levels: &[DepthLevel]| -> Vec<_> {
        levels.iter().map(|it| (it.quantity, rupees(it.price).unwrap(), it.orders)).collect()
    };
    let depth = decoded.depth.as_ref().map(|it| {
        let [bids, asks] = [&it.buy, &it.sell].map(|levels| {
            levels.iter().map(|it| (it.quantity, it.price, it.orders)).collect::<Vec<_>>()
        });
        (bids, asks)
    });
    assert_eq!(depth, full.map(|it| (levels(&it.bids), levels(&it.asks))), "{mode}");
    assert_eq!(decoded.exchange_time.is_some(), mode == Mode::Full);
}

fn client_mode(mode: Mode) -> kiteconnect::Mode {
    match mode {
        Mode::Ltp => kiteconnect::Mode::Ltp,
        Mode::Quote => kiteconnect::Mode::Quote,
        Mode::Full => kiteconnect::Mode::Full,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_client_decodes_what_was_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("day.ktape");
    let day = day();
    record(&path, &day);
    let replay = Replay::new(Reel::open([&path]).unwrap()).speed(Speed::AsRead);
    let sim = Sim::builder().replay(replay.start(Start::OnRequest)).start().await.unwrap();

    let token = AccessToken::new(ACCESS_TOKEN.to_owned()).unwrap();
    let client = KiteConnect::builder(API_KEY).access_token(token).build().unwrap();
    let url = sim.endpoint().parse().unwrap();
    let (ticker, mut events) = client.ticker().url(url).spawn().unwrap();
    for (token, mode) in SUBSCRIBED {
        ticker.subscribe(&[token], client_mode(mode)).unwrap();
    }
    let subscribed = sim.wait_until(|sim| sim.subscriptions() == [SUBSCRIBED.into()]);
    timeout(DEADLINE, subscribed).await.expect("no subscriptions in time");
    sim.begin_replay();

    let mut decoded: BTreeMap<u32, Vec<kiteconnect::Tick>> = BTreeMap::new();
    let (mut left, mut orders) = (UPDATES * SUBSCRIBED.len() as u64, 0);
    while left > 0 {
        match timeout(DEADLINE, events.recv()).await.expect("no event in time").unwrap() {
            TickerEvent::Ticks(ticks) => {
                left -= ticks.len() as u64;
                for tick in ticks {
                    decoded.entry(tick.instrument_token).or_default().push(tick);
                }
            }
            TickerEvent::OrderUpdate(order) => {
                orders += 1;
                assert_eq!((order.order_id.as_str(), order.price), ("250804000000001", 1500.05));
            }
            // The greeting.
            TickerEvent::Connected | TickerEvent::Message(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(orders, 1);
    for (index, (token, mode)) in SUBSCRIBED.into_iter().enumerate() {
        let decoded = &decoded[&token];
        assert_eq!(decoded.len() as u64, UPDATES);
        for (ticks, decoded) in day.iter().zip(decoded) {
            compare(mode, &ticks[index], decoded);
        }
    }
    // The client received everything that was sent, and nothing twice.
    timeout(DEADLINE, sim.replay_finished()).await.expect("the replay did not end in time");
    let progress = sim.replay().unwrap();
    assert_eq!((progress.ticks, progress.ticks_sent), (UPDATES * 6, UPDATES * 6));
    assert_eq!((progress.damages, progress.leaner_packets), (0, 0));
    ticker.close();
}
