//! The serde forms for people: what they write, and that they read it back.
#![cfg(feature = "serde")]

use kite_wire::{Price, Segment, UnixSeconds, readable};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, from_value, json, to_value};

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Row {
    #[serde(with = "readable::price")]
    last_price: Price,
    #[serde(with = "readable::price::option", default)]
    change: Option<Price>,
    #[serde(with = "readable::segment")]
    segment: Segment,
    #[serde(with = "readable::unix_seconds::option", default)]
    exchange_time: Option<UnixSeconds>,
    #[serde(with = "readable::unix_ns")]
    recv_time: u64,
}

fn row() -> Row {
    Row {
        last_price: Price::new(157_370, Segment::Nse),
        change: Some(Price::new(-5, Segment::Nse)),
        segment: Segment::Nse,
        exchange_time: Some(UnixSeconds(1_795_405_500)),
        recv_time: 1_795_405_500_025_000_000,
    }
}

fn json_of_row() -> Value {
    json!({
        "last_price": "1573.70",
        "change": "-0.05",
        "segment": "NSE",
        "exchange_time": "2026-11-23T09:15:00+05:30",
        "recv_time": "2026-11-23T09:15:00.025+05:30",
    })
}

#[test]
fn prices_times_and_segments_are_written_for_people() {
    assert_eq!(to_value(row()).unwrap(), json_of_row());
    let none = Row { change: None, exchange_time: None, ..row() };
    let json = to_value(none).unwrap();
    assert_eq!((&json["change"], &json["exchange_time"]), (&Value::Null, &Value::Null));
    assert_eq!(from_value::<Row>(json).unwrap(), none);
}

#[test]
fn times_with_another_offset_or_layout_are_read() {
    for time in ["2026-11-23T03:45:00.025Z", "23-11-2026 09:15:00.025", "1795405500025"] {
        let mut json = json_of_row();
        json["recv_time"] = time.into();
        json["exchange_time"] = time.into();
        assert_eq!(from_value::<Row>(json).unwrap(), row(), "{time}");
    }
}

#[test]
fn a_string_that_is_no_value_is_an_error_that_names_the_reason() {
    for (field, value, reason) in [
        ("last_price", json!("1573.705"), "3 decimals; segments have 2, 4 or 7"),
        ("last_price", json!(1573.7), "expected a price such as \"1573.70\""),
        ("segment", json!("nse"), "unknown segment"),
        ("exchange_time", json!("1969-12-31 00:00:00"), "time is before 1970"),
        ("exchange_time", json!("2106-12-31 00:00:00"), "too late for the type"),
        ("recv_time", json!("yesterday"), "timestamp of 9 bytes is not laid out"),
        ("recv_time", json!("2600-01-01 00:00:00"), "too late for the type"),
    ] {
        let mut json = json_of_row();
        json[field] = value;
        let error = from_value::<Row>(json).unwrap_err().to_string();
        assert!(error.contains(reason), "{field}: {error}");
    }
}

proptest! {
    #[test]
    fn every_value_reads_back(raw: i32, change: Option<i32>, code: u8, seconds: Option<u32>, recv_time: u64) {
        let segment = Segment::from_code(code);
        let row = Row {
            last_price: Price::new(raw, segment),
            change: change.map(|raw| Price::new(raw, segment)),
            segment,
            exchange_time: seconds.map(UnixSeconds),
            recv_time,
        };
        let read: Row = from_value(to_value(row).unwrap()).unwrap();
        prop_assert_eq!(read, row);
        prop_assert_eq!(read.last_price.decimals(), row.last_price.decimals());
    }
}
