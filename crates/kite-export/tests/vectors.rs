//! The published full packet, recorded and exported, equals its published JSON.
//!
//! The vectors are not part of this repository; if they are absent, the test prints so and passes.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

mod tape;

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kite_export::{Export, Format};
use kite_wire::tape::RecordKind;
use serde_json::Value;
use tape::{Maker, OPENING};

#[test]
fn the_published_full_packet_is_exported_as_its_json() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    let read = |name: &str| fs::read_to_string(path.join(name)).ok();
    let (Some(packet), Some(json)) = (read("ticker_full.packet"), read("ticker_full.json")) else {
        println!("skipped: {} does not exist", path.display());
        return;
    };
    let packet = BASE64_STANDARD.decode(packet.trim()).unwrap();
    let published: Value = serde_json::from_str(&json).unwrap();
    let mut maker = Maker::new(1);
    let frame = [&[0, 1, 0, 184][..], &packet].concat();
    maker.record(OPENING, RecordKind::Binary, &frame);
    let mut out = Vec::new();
    Export::new(&maker.reel()).to_writer(&mut out, Format::JsonLines).unwrap();
    let row: Value = serde_json::from_slice(&out).unwrap();

    let same = [
        ("mode", "mode"),
        ("instrument_token", "instrument_token"),
        ("last_price", "last_price"),
        ("last_quantity", "last_quantity"),
        ("average_price", "average_price"),
        ("volume", "volume"),
        ("total_buy_quantity", "buy_quantity"),
        ("total_sell_quantity", "sell_quantity"),
        ("oi", "oi"),
        ("oi_day_high", "oi_day_high"),
        ("oi_day_low", "oi_day_low"),
    ];
    let equal = |ours: &Value, theirs: &Value| match theirs.as_f64() {
        Some(number) => ours.as_f64() == Some(number),
        None => ours == theirs,
    };
    for (ours, theirs) in same {
        assert!(equal(&row[ours], &published[theirs]), "{ours}: {} in {published}", row[ours]);
    }
    for name in ["open", "high", "low", "close"] {
        assert!(equal(&row[name], &published["ohlc"][name]), "{name}");
    }
    // 10:41:27 IST.
    assert_eq!(published["last_trade_time"], "2021-07-05T10:41:27+05:30");
    assert_eq!(row["last_trade_time"], "2021-07-05T05:11:27Z");
    assert_eq!(row["exchange_time"], row["last_trade_time"]);
    for (ours, theirs) in [("bid", "buy"), ("ask", "sell")] {
        for level in 0..5 {
            for cell in ["price", "quantity", "orders"] {
                let name = format!("{ours}_{cell}_{}", level + 1);
                let published = &published["depth"][theirs][level][cell];
                assert!(equal(&row[&name], published), "{name}: {} {published}", row[&name]);
            }
        }
    }
}
