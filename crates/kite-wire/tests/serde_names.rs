//! The names in serialised values, which files and programs rely on.
#![cfg(feature = "serde")]
#![expect(clippy::unwrap_used, reason = "a test that cannot read its own JSON has failed")]

use kite_wire::{
    Fields, FullFields, IndexFields, Mode, PacketKind, Price, QuoteFields, Segment, Tick,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Serialises the value and checks that it reads back.
#[track_caller]
fn json_of<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: T) -> Value {
    let json = serde_json::to_value(&value).unwrap();
    assert_eq!(serde_json::from_value::<T>(json.clone()).unwrap(), value);
    json
}

#[test]
fn variants_are_named_in_snake_case() {
    assert_eq!(Mode::ALL.map(json_of), ["ltp", "quote", "full"].map(Value::from));
    let kinds = [
        PacketKind::Ltp,
        PacketKind::IndexQuote,
        PacketKind::IndexFull,
        PacketKind::Quote,
        PacketKind::Full,
    ];
    let names = ["ltp", "index_quote", "index_full", "quote", "full"];
    assert_eq!(kinds.map(json_of), names.map(Value::from));

    let index = Fields::IndexFull { quote: IndexFields::default(), exchange_timestamp: 7 };
    let full = Fields::Full { quote: QuoteFields::default(), full: FullFields::default() };
    let fields = [
        Fields::Ltp,
        Fields::IndexQuote(IndexFields::default()),
        index,
        Fields::Quote(QuoteFields::default()),
        full,
    ];
    for (fields, name) in fields.into_iter().zip(names) {
        let json = json_of(fields);
        assert!(json == name || json.get(name).is_some(), "{json}");
    }
}

#[test]
fn a_tick_serialises_under_its_field_names() {
    let index = IndexFields { high: 4, low: 1, open: 2, close: 3, change: -1 };
    let fields = Fields::IndexFull { quote: index, exchange_timestamp: 9 };
    let tick = Tick { instrument_token: 256_265, last_price: 2, fields };
    let expected = json!({
        "instrument_token": 256_265,
        "last_price": 2,
        "fields": {"index_full": {
            "quote": {"high": 4, "low": 1, "open": 2, "close": 3, "change": -1},
            "exchange_timestamp": 9,
        }},
    });
    assert_eq!(json_of(tick), expected);
}

#[test]
fn segments_and_prices_serialise_as_numbers_and_amounts_as_text() {
    assert_eq!(json_of(Segment::Cds), json!(3));
    assert_eq!(json_of(Segment::from_code(200)), json!(200));
    assert_eq!(json_of(Price::new(5, Segment::Nse)), json!({"raw": 5, "decimals": 2}));
    assert_eq!(json_of(Price::new(5, Segment::Nse) * 3), json!("0.15"));
}
