//! Ticks as lines, where there is no terminal: for pipes, files and other programs.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};
use std::pin::pin;
use std::time::Duration;

use kite_manager::{Manager, StreamConfig, StreamItem};
use kite_wire::{Packet, Tick};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::console::output;
use crate::console::signals::Stop;
use crate::exit::CliError;
use crate::format::numbers::ist;
use crate::format::times;
use crate::instruments::names::Named;

const SECOND: Duration = Duration::from_secs(1);

/// Writes every tick as a line of JSON, or once a second a line for each instrument that ticked,
/// until the user or the reader ends it.
///
/// Ticks are not dropped where the reader is slow: the sockets wait for it.
pub(super) async fn run(
    manager: &Manager,
    instruments: &[Named],
    is_json: bool,
    stop: &Stop,
) -> Result<(), CliError> {
    let names: HashMap<u32, &str> =
        instruments.iter().map(|named| (named.token, named.name.as_str())).collect();
    let mut stream = manager
        .stream(StreamConfig::default())
        .map_err(|error| CliError::unable("cannot stream").because(error))?;
    let mut start = pin!(manager.start());
    let mut is_started = false;
    let mut out = BufWriter::new(io::stdout());
    let mut newest: HashMap<u32, Tick> = HashMap::new();
    let mut seconds = interval_at(Instant::now() + SECOND, SECOND);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.asked() => break,
            started = &mut start, if !is_started => {
                started.map_err(|error| CliError::unable("cannot connect").because(error))?;
                is_started = true;
            }
            _ = seconds.tick(), if !is_json => {
                let ticked = instruments.iter().filter_map(|named| {
                    newest.remove(&named.token).map(|tick| line(&named.name, &tick))
                });
                let clock = ist(times::now_unix_ns() / super::SECOND_NS);
                for text in ticked {
                    output::written(writeln!(out, "{clock}  {text}"))?;
                }
                output::written(out.flush())?;
            }
            item = stream.recv() => {
                let ticks = match item {
                    Some(StreamItem::Ticks(ticks) | StreamItem::Conflated { ticks, .. }) => ticks,
                    Some(_) => continue,
                    None if is_started => break,
                    // Its end may be noticed before it is told why it never began.
                    None => {
                        let started = (&mut start).await;
                        return started
                            .map_err(|error| CliError::unable("cannot connect").because(error));
                    }
                };
                let received = ticks.batch.received.to_system_time();
                for packet in ticks.batch.ticks.packets() {
                    let token = packet.instrument_token();
                    if is_json {
                        let value = as_json(packet, names.get(&token).copied(), received);
                        output::written(writeln!(out, "{value}"))?;
                    } else {
                        newest.insert(token, packet.into());
                    }
                }
                // Who reads it wants it now; there is no more for the moment.
                if is_json && stream.stats().queued_frames == 0 {
                    output::written(out.flush())?;
                }
            }
        }
    }
    output::written(out.flush())
}

/// Gives the line of an instrument: name, last price, change, volume, bid, ask.
fn line(name: &str, tick: &Tick) -> String {
    let mut text = format!("{name:<20} {:>14}", tick.last_price().to_string());
    if let Some(change) = tick.change_percent() {
        text.push_str(&format!(" {change:>+8.2}%"));
    }
    if let Some(quote) = tick.quote() {
        text.push_str(&format!("  volume {}", quote.volume));
    }
    if let Some(full) = tick.full() {
        let (bid, ask) = (tick.price(full.bids[0].price), tick.price(full.asks[0].price));
        text.push_str(&format!("  bid {bid}  ask {ask}"));
    }
    text
}

/// Gives a tick for machines; fields that its mode lacks are left out.
fn as_json(packet: Packet<'_>, name: Option<&str>, received: std::time::SystemTime) -> Value {
    let mut value = Map::new();
    let mut put = |name: &str, field: Option<Value>| {
        if let Some(field) = field {
            value.insert(name.to_owned(), field);
        }
    };
    let unix_ns = received.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
    put("received_unix_ns", u64::try_from(unix_ns).ok().map(Value::from));
    put("instrument_token", Some(packet.instrument_token().into()));
    put("name", name.map(Value::from));
    put("mode", Some(packet.mode().as_str().into()));
    put("last_price", Some(packet.last_price().to_f64().into()));
    put("change_percent", packet.change_percent().map(Value::from));
    put("last_quantity", packet.last_quantity().map(Value::from));
    put("average_price", packet.average_price().map(|price| price.to_f64().into()));
    put("volume", packet.volume().map(Value::from));
    put("buy_quantity", packet.total_buy_quantity().map(Value::from));
    put("sell_quantity", packet.total_sell_quantity().map(Value::from));
    if let Some(ohlc) = packet.ohlc() {
        put("open", Some(ohlc.open.to_f64().into()));
        put("high", Some(ohlc.high.to_f64().into()));
        put("low", Some(ohlc.low.to_f64().into()));
        put("close", Some(ohlc.close.to_f64().into()));
    }
    put("open_interest", packet.open_interest().map(Value::from));
    put("last_trade_unix_s", packet.last_trade_timestamp().map(|time| time.get().into()));
    put("exchange_unix_s", packet.exchange_timestamp().map(|time| time.get().into()));
    let tick = Tick::from(packet);
    if let Some(full) = tick.full() {
        let side = |levels: &[kite_wire::DepthLevel; 5]| -> Value {
            let level = |level: &kite_wire::DepthLevel| {
                json!({
                    "price": tick.price(level.price).to_f64(),
                    "quantity": level.quantity,
                    "orders": level.orders,
                })
            };
            levels.iter().map(level).collect()
        };
        put("bids", Some(side(&full.bids)));
        put("asks", Some(side(&full.asks)));
    }
    Value::Object(value)
}
