//! A server's text frame: parsing never panics, and every JSON object is kept whole.

use std::hint::black_box;

use kite_wire::order::IstDateTime;
use kite_wire::text::{TextFrame, TextMessage};
use serde_json::Value;

/// Checks one input; bytes that are not UTF-8 are ignored.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(at) = text.parse::<IstDateTime>() {
        assert_eq!(IstDateTime::from_unix_seconds(at.unix_seconds()), Some(at));
    }
    let json = serde_json::from_str::<Value>(text);
    let frame = match TextFrame::parse(text) {
        Ok(frame) => frame,
        Err(error) => {
            assert!(!json.is_ok_and(|json| json.is_object()), "an object is refused: {error}");
            return;
        }
    };
    let json = json.expect("a frame is JSON");
    assert_eq!(TextMessage::parse(text).as_ref(), Ok(&frame.message));
    assert_eq!(frame.message.kind(), json.get("type").and_then(Value::as_str));
    assert_eq!(serde_json::to_value(&frame).expect("a frame is JSON"), json, "nothing is left out");

    if let TextMessage::Order(order) = &frame.message {
        assert_eq!(Some(order.raw()), json["data"].as_object());
        for name in order.unreadable() {
            assert!(!order.raw()[*name].is_null(), "{name} is there");
        }
        black_box((order.meta(), order.unknown_fields().count()));
        black_box(format!("{order:?}"));
    }
}
