//! A server's text frame: reading never panics, and every JSON object comes out whole.

#![no_main]

use std::hint::black_box;

use kite_wire::order::IstDateTime;
use kite_wire::text::{TextFrame, TextMessage};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|text: &str| {
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
});
