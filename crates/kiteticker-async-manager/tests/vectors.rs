//! Kite's published packets and postback, decoded through the facade.
//!
//! The vectors are not part of this repository; if they are absent, the tests print that and pass.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the tests' helper functions unwrap and print too"
)]

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kite_wire::order::IstDateTime;
use kiteticker_async_manager::{
    DepthItem, Exchange, Mode, Order, OrderStatus, OrderTransactionType, OrderValidity, Tick,
    as_tick_raw,
};
use serde_json::Value;

/// Reads a vector; prints that it is missing and returns `None` if so.
fn vector(name: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors").join(name);
    match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("skipped: {} does not exist", path.display());
            None
        }
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

/// Reads a packet and its JSON form.
fn packet_and_json(name: &str) -> Option<(Vec<u8>, Value)> {
    let packet = vector(&format!("{name}.packet"))?;
    let json = vector(&format!("{name}.json"))?;
    let packet = BASE64_STANDARD.decode(packet.trim()).unwrap();
    Some((packet, serde_json::from_str(&json).unwrap()))
}

fn count(json: &Value) -> u32 {
    json.as_u64().unwrap().try_into().unwrap()
}

/// Reads a JSON time in Indian Standard Time.
fn time(json: &Value) -> Duration {
    let text = json.as_str().unwrap().strip_suffix("+05:30").unwrap().replace('T', " ");
    let at: IstDateTime = text.parse().unwrap();
    Duration::from_secs(at.unix_seconds().try_into().unwrap())
}

/// Compares the fields that quote and full packets share, except the change.
fn assert_same_quote(tick: &Tick, json: &Value) {
    assert_eq!(tick.mode.to_websocket_string(), json["mode"]);
    assert_eq!(tick.is_tradable, json["tradable"]);
    assert_eq!(tick.is_index, json["tradable"] == false);
    assert_eq!(tick.instrument_token, json["instrument_token"]);
    assert_eq!(tick.exchange, Exchange::NSE);
    assert_eq!(tick.last_price, json["last_price"].as_f64());
    assert_eq!(tick.last_traded_qty, Some(count(&json["last_quantity"])));
    assert_eq!(tick.avg_traded_price, json["average_price"].as_f64());
    assert_eq!(tick.volume_traded, Some(count(&json["volume"])));
    assert_eq!(tick.total_buy_qty, Some(count(&json["buy_quantity"])));
    assert_eq!(tick.total_sell_qty, Some(count(&json["sell_quantity"])));
    let ohlc = tick.ohlc.unwrap();
    for (field, name) in
        [(ohlc.open, "open"), (ohlc.high, "high"), (ohlc.low, "low"), (ohlc.close, "close")]
    {
        assert_eq!(Some(field), json["ohlc"][name].as_f64(), "{name}");
    }
}

#[test]
fn the_published_full_packet_equals_its_json() {
    let Some((packet, json)) = packet_and_json("ticker_full") else { return };
    let tick = Tick::try_from(&packet[..]).unwrap();
    assert_eq!(tick.mode, Mode::Full);
    assert_same_quote(&tick, &json);
    // The published change is absolute.
    let change = json["change"].as_f64().unwrap();
    assert!((tick.net_change.unwrap() - change).abs() < 1e-9, "{:?}", tick.net_change);
    assert_eq!(tick.last_traded_timestamp, Some(time(&json["last_trade_time"])));
    assert_eq!(tick.exchange_timestamp, Some(time(&json["timestamp"])));
    assert_eq!(tick.oi, Some(count(&json["oi"])));
    assert_eq!(tick.oi_day_high, Some(count(&json["oi_day_high"])));
    assert_eq!(tick.oi_day_low, Some(count(&json["oi_day_low"])));
    let depth = tick.depth.unwrap();
    for (side, name) in [(depth.buy, "buy"), (depth.sell, "sell")] {
        let levels = json["depth"][name].as_array().unwrap();
        assert_eq!(levels.len(), side.len());
        for (item, level) in side.iter().zip(levels) {
            let expected = DepthItem {
                qty: count(&level["quantity"]),
                price: level["price"].as_f64().unwrap(),
                orders: count(&level["orders"]).try_into().unwrap(),
            };
            assert_eq!(*item, expected);
        }
    }
    let raw = as_tick_raw(&packet).unwrap();
    assert_eq!(raw.header.instrument_token.get(), tick.instrument_token);
    assert_eq!(raw.depth.buy[0].qty.get(), depth.buy[0].qty);
}

#[test]
fn the_published_quote_packet_equals_its_json() {
    let Some((packet, json)) = packet_and_json("ticker_quote") else { return };
    let tick = Tick::try_from(&packet[..]).unwrap();
    assert_eq!(tick.mode, Mode::Quote);
    assert_same_quote(&tick, &json);
    // The change is not on the wire, and the published one (5.90) is that of the full packet: by
    // the published last price and close it is 5.35.
    let change = json["last_price"].as_f64().unwrap() - json["ohlc"]["close"].as_f64().unwrap();
    assert!((tick.net_change.unwrap() - change).abs() < 1e-9, "{:?}", tick.net_change);
    assert_eq!((tick.last_traded_timestamp, tick.exchange_timestamp), (None, None));
    assert_eq!((tick.oi, tick.depth), (None, None));
}

#[test]
fn the_first_8_bytes_of_the_published_quote_packet_equal_the_published_ltp_json() {
    let (Some((packet, _)), Some(json)) =
        (packet_and_json("ticker_quote"), vector("ticker_ltp.json"))
    else {
        return;
    };
    let json: Value = serde_json::from_str(&json).unwrap();
    let tick = Tick::try_from(&packet[..8]).unwrap();
    let expected = Tick {
        mode: Mode::LTP,
        instrument_token: count(&json["instrument_token"]),
        exchange: Exchange::NSE,
        is_tradable: json["tradable"] == true,
        last_price: json["last_price"].as_f64(),
        ..Tick::default()
    };
    assert_eq!(tick, expected);
}

#[test]
fn the_published_postback_is_read_as_an_order() {
    let Some(text) = vector("postback.json") else { return };
    let order: Order = serde_json::from_str(&text).unwrap();
    assert!(order.unreadable().is_empty(), "{:?}", order.unreadable());
    assert_eq!((&*order.user_id, order.app_id), ("AB1234", 1234));
    assert_eq!((&*order.placed_by, &*order.order_id), ("AB1234", "220303000308932"));
    assert_eq!(order.exchange_order_id.as_deref(), Some("1000000001482421"));
    assert_eq!((order.parent_order_id.as_ref(), order.tag.as_ref()), (None, None));
    assert_eq!(order.status, OrderStatus::COMPLETE);
    assert_eq!((order.exchange, &*order.tradingsymbol), (Exchange::NSE, "SBIN"));
    assert_eq!((order.instrument_token, &*order.order_type), (779_521, "MARKET"));
    assert_eq!(order.transaction_type, OrderTransactionType::Buy);
    assert_eq!(
        (order.validity.clone(), order.product.as_deref()),
        (OrderValidity::DAY, Some("CNC"))
    );
    assert_eq!((order.quantity, order.filled_quantity, order.unfilled_quantity), (1, 1, 0));
    assert_eq!((order.pending_quantity, order.cancelled_quantity), (0, 0));
    assert_eq!((order.average_price, order.price, order.trigger_price), (470.0, 0.0, 0.0));
    let at: IstDateTime = "2022-03-03 09:24:25".parse().unwrap();
    assert_eq!(order.order_timestamp, Some(at));
    assert_eq!(order.exchange_timestamp, Some(at));
    assert_eq!(order.exchange_update_timestamp, Some(at));
    assert!(order.meta.as_object().unwrap().is_empty());
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_value(&order).unwrap(), json);
}
