//! Text frames from the server: order updates, errors, messages, and anything else it sends.
//!
//! Besides its documented `order`, `error` and `message` frames Kite sends undocumented ones right
//! after the handshake (`instruments_meta`; `app_code`, which has no `data`), and a strict parser
//! breaks on them. Here every representable JSON object is a frame; one that is not understood is
//! returned whole, as [`TextMessage::Other`]. Anything else is an error, and the caller still has
//! the text. A few objects that JSON's grammar allows are not representable: those with a number
//! beyond `f64` (`1e999`), with half of a surrogate pair in a string (`"\ud800"`), or nested more
//! than 127 levels deep. Integers beyond 64 bits become the nearest `f64`.
//!
//! ```
//! use kite_wire::text::TextMessage;
//!
//! let message = TextMessage::parse(r#"{"type":"error","data":"Token is not valid."}"#)?;
//! assert!(matches!(message, TextMessage::Error(text) if text == "Token is not valid."));
//!
//! let odd = TextMessage::parse(r#"{"type":"instruments_meta","data":{"count":86481}}"#)?;
//! assert_eq!(odd.kind(), Some("instruments_meta"));
//! assert_eq!(serde_json::to_value(&odd).unwrap()["data"]["count"], 86_481);
//! # Ok::<(), kite_wire::text::TextError>(())
//! ```

use alloc::{boxed::Box, string::String};
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value, error::Category};

use crate::order::Order;

/// The content of a text frame.
///
/// Serde uses the wire format: `{"type": …, "data": …}`, or the original object if the frame was
/// not understood.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TextMessage {
    /// An order update, sent on every socket of the api_key.
    Order(Box<Order>),
    /// An order update without an object in `data`.
    UnreadableOrder {
        /// The whole frame, a JSON object.
        raw: Value,
    },
    /// The server refuses a request, for instance to subscribe to more than 3,000 instruments.
    /// The socket stays up.
    Error(String),
    /// A broadcast from the broker: `data` as received, usually a string.
    Message(Value),
    /// A frame of another `type` or none, an `error` whose `data` is not a string, or a `message`
    /// without `data`.
    Other {
        /// The `type`; `None` if it is missing or not a string.
        kind: Option<String>,
        /// The whole frame, a JSON object.
        raw: Value,
    },
}

impl TextMessage {
    /// Reads a text frame.
    ///
    /// Of an order, error or message frame, members other than `type` and `data` are not part of
    /// the message; [`TextFrame`] keeps them.
    ///
    /// # Errors
    /// Returns [`TextError`] if the text is not a representable JSON object, because it is not
    /// JSON, is not an object, has a number beyond `f64` or half of a surrogate pair, or nests more
    /// than 127 levels deep.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        TextFrame::parse(text).map(|frame| frame.message)
    }

    /// Returns an upper bound of the memory that the message of a text takes: often three times the
    /// text, and up to a hundred times for many small objects. Reads the text once.
    #[must_use]
    pub fn most_bytes(text: &[u8]) -> usize {
        // A node of a map has room for eleven members and is at least five elevenths full, except
        // the first one. An array grows by doubling, from four values. Characters within strings
        // are counted too, which only raises the bound.
        const NODE: usize = 11 * (size_of::<String>() + size_of::<Value>()) + 120;
        const VALUE: usize = 2 * size_of::<Value>();
        let of = |byte: &u8| match byte {
            b'{' => NODE + VALUE,
            b':' => NODE / 5 + 16,
            b'[' => 2 * VALUE,
            b',' => VALUE + 16,
            _ => 2,
        };
        // An order's fields are read in addition to its object.
        size_of::<Order>() + text.iter().map(of).sum::<usize>()
    }

    /// Returns the `type` of the frame; `None` if it is missing or not a string.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        match self {
            Self::Order(_) | Self::UnreadableOrder { .. } => Some(ORDER),
            Self::Error(_) => Some(ERROR),
            Self::Message(_) => Some(MESSAGE),
            Self::Other { kind, .. } => kind.as_deref(),
        }
    }
}

/// A complete text frame: its message and all other members.
///
/// Serialises to JSON equal to that received.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TextFrame {
    /// The frame's content.
    pub message: TextMessage,
    /// Members other than `type` and `data` of an order, error or message. None are documented, so
    /// it is usually empty; it is also empty if the message holds the whole frame.
    pub extra: Map<String, Value>,
}

impl TextFrame {
    /// Reads a text frame.
    ///
    /// If a key occurs twice, the last value counts.
    ///
    /// # Errors
    /// Returns [`TextError`] if the text is not a representable JSON object, because it is not
    /// JSON, is not an object, has a number beyond `f64` or half of a surrogate pair, or nests more
    /// than 127 levels deep.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let len_bytes = text.len();
        let value = serde_json::from_str(text).map_err(|error| match error.classify() {
            Category::Eof => TextError::Truncated { len_bytes },
            Category::Syntax | Category::Data | Category::Io => {
                TextError::InvalidJson { line: error.line(), column: error.column(), len_bytes }
            }
        })?;
        let found = match value {
            Value::Object(object) => return Ok(Self::from(object)),
            Value::Null => JsonKind::Null,
            Value::Bool(_) => JsonKind::Bool,
            Value::Number(_) => JsonKind::Number,
            Value::String(_) => JsonKind::String,
            Value::Array(_) => JsonKind::Array,
        };
        Err(TextError::NotAnObject { found, len_bytes })
    }
}

const ORDER: &str = "order";
const ERROR: &str = "error";
const MESSAGE: &str = "message";

impl From<Map<String, Value>> for TextFrame {
    /// Reads a frame from parsed JSON.
    fn from(mut object: Map<String, Value>) -> Self {
        let kind = object.get("type").and_then(Value::as_str).map(String::from);
        let data = object.remove("data");
        let message = match (kind.as_deref(), data) {
            (Some(ORDER), Some(Value::Object(order))) => {
                TextMessage::Order(Box::new(Order::from(order)))
            }
            (Some(ERROR), Some(Value::String(text))) => TextMessage::Error(text),
            (Some(MESSAGE), Some(data)) => TextMessage::Message(data),
            (_, data) => {
                if let Some(data) = data {
                    object.insert("data".into(), data);
                }
                let raw = Value::Object(object);
                let message = if kind.as_deref() == Some(ORDER) {
                    TextMessage::UnreadableOrder { raw }
                } else {
                    TextMessage::Other { kind, raw }
                };
                return Self { message, extra: Map::new() };
            }
        };
        object.remove("type");
        Self { message, extra: object }
    }
}

impl Serialize for TextMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_frame(self, &Map::new(), serializer)
    }
}

impl Serialize for TextFrame {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_frame(&self.message, &self.extra, serializer)
    }
}

fn write_frame<S: Serializer>(
    message: &TextMessage,
    extra: &Map<String, Value>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut frame = match message {
        TextMessage::UnreadableOrder { raw } | TextMessage::Other { raw, .. } => {
            return raw.serialize(serializer);
        }
        _ => serializer.serialize_map(Some(2 + extra.len()))?,
    };
    frame.serialize_entry("type", &message.kind())?;
    match message {
        TextMessage::Order(order) => frame.serialize_entry("data", order)?,
        TextMessage::Error(text) => frame.serialize_entry("data", text)?,
        TextMessage::Message(data) => frame.serialize_entry("data", data)?,
        TextMessage::UnreadableOrder { .. } | TextMessage::Other { .. } => {}
    }
    for (name, value) in extra {
        frame.serialize_entry(name, value)?;
    }
    frame.end()
}

impl<'de> Deserialize<'de> for TextMessage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        TextFrame::deserialize(deserializer).map(|frame| frame.message)
    }
}

impl<'de> Deserialize<'de> for TextFrame {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(Self::from)
    }
}

/// Why a string is not a text frame.
///
/// Contains the position of the error, never any part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// The text ends before its JSON is complete.
    #[error("text frame of {len_bytes} bytes ends in the middle of its JSON")]
    Truncated {
        /// Length of the text, in bytes.
        len_bytes: usize,
    },
    /// The text is not JSON, or JSON that cannot be represented: a number beyond `f64`, half of a
    /// surrogate pair, or more than 127 levels of nesting. The error does not distinguish these.
    #[error("text frame of {len_bytes} bytes is not valid JSON at line {line}, column {column}")]
    InvalidJson {
        /// Line of the error, from 1.
        line: usize,
        /// Column of the error, in bytes.
        column: usize,
        /// Length of the text, in bytes.
        len_bytes: usize,
    },
    /// The text is JSON, but not an object.
    #[error("text frame of {len_bytes} bytes holds {found} instead of a JSON object")]
    NotAnObject {
        /// The type of the value found.
        found: JsonKind,
        /// Length of the text, in bytes.
        len_bytes: usize,
    },
}

/// The type of a JSON value found in place of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JsonKind {
    /// The literal `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
}

impl fmt::Display for JsonKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
        })
    }
}

/// JSON of every shape, for property tests.
#[cfg(test)]
pub(crate) mod arbitrary {
    use alloc::string::String;

    use proptest::prelude::*;
    use serde_json::Value;

    pub(crate) fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            // Quarters of small numbers, which every JSON parser reads back exactly.
            any::<i32>().prop_map(|quarters| Value::from(f64::from(quarters) / 4.0)),
            any::<String>().prop_map(Value::from),
            "-?[0-9]{1,20}(\\.[0-9]{0,3})?".prop_map(Value::from),
            "20[0-9]{2}-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9]"
                .prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("type|data|status|quantity|[a-z]{0,4}", inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::{
        format,
        string::{String, ToString},
    };

    use proptest::prelude::*;
    use serde_json::json;

    use super::{arbitrary::any_json, *};
    use crate::order::OrderStatus;

    fn parse(json: &Value) -> TextMessage {
        TextMessage::parse(&json.to_string()).unwrap()
    }

    #[test]
    fn the_documented_frames_are_understood() {
        let order = json!({"type": "order", "data": {"order_id": "7", "status": "OPEN"}});
        match parse(&order) {
            TextMessage::Order(order) => {
                assert_eq!(order.order_id.as_deref(), Some("7"));
                assert_eq!(order.status, Some(OrderStatus::Open));
            }
            other => panic!("{other:?}"),
        }
        let text = "Can't subscribe to more than 3000 instruments.";
        assert_eq!(
            parse(&json!({"type": "error", "data": text})),
            TextMessage::Error(text.to_string())
        );
        for data in [json!("Market closes at three."), json!({"title": "x"}), json!(null)] {
            assert_eq!(
                parse(&json!({"type": "message", "data": data})),
                TextMessage::Message(data)
            );
        }
    }

    #[test]
    fn unknown_or_malformed_frames_are_kept_whole() {
        for (frame, kind) in [
            (
                json!({"type": "instruments_meta", "data": {"count": 86481, "etag": "W/\"6-5\""}}),
                Some("instruments_meta"),
            ),
            (
                json!({"type": "app_code", "timestamp": "2025-08-04T13:50:28+05:30"}),
                Some("app_code"),
            ),
            (json!({"type": "Order", "data": {}}), Some("Order")),
            (json!({"type": "error", "data": {"code": 5}}), Some("error")),
            (json!({"type": "error", "data": null}), Some("error")),
            (json!({"type": "error"}), Some("error")),
            (json!({"type": "message"}), Some("message")),
            (json!({"type": 5, "data": "x"}), None),
            (json!({"type": null}), None),
            (json!({"data": {"order_id": "1"}}), None),
            (json!({}), None),
        ] {
            let message = parse(&frame);
            assert_eq!(message.kind(), kind);
            assert_eq!(
                message,
                TextMessage::Other { kind: kind.map(String::from), raw: frame.clone() }
            );
            assert_eq!(serde_json::to_value(&message).unwrap(), frame);
        }
    }

    #[test]
    fn an_order_without_an_object_is_unreadable_and_kept() {
        for frame in [
            json!({"type": "order"}),
            json!({"type": "order", "data": null}),
            json!({"type": "order", "data": "late"}),
            json!({"type": "order", "data": [{"order_id": "1"}], "more": 1}),
        ] {
            let message = parse(&frame);
            assert_eq!(message.kind(), Some("order"));
            assert_eq!(message, TextMessage::UnreadableOrder { raw: frame.clone() });
            assert_eq!(serde_json::to_value(&message).unwrap(), frame);
        }
    }

    #[test]
    fn members_beside_the_data_are_kept_by_the_frame() {
        let json = json!({"type": "error", "data": "no", "code": 17, "id": "a"});
        let frame = TextFrame::parse(&json.to_string()).unwrap();
        assert_eq!(frame.message, TextMessage::Error("no".into()));
        assert_eq!(frame.extra["code"], 17);
        assert_eq!(frame.extra.len(), 2);
        assert_eq!(serde_json::to_value(&frame).unwrap(), json);
    }

    #[test]
    fn anything_but_a_json_object_is_a_typed_error() {
        for (text, error) in [
            ("", TextError::Truncated { len_bytes: 0 }),
            (r#"{"type":"ord"#, TextError::Truncated { len_bytes: 12 }),
            ("<html>", TextError::InvalidJson { line: 1, column: 1, len_bytes: 6 }),
            ("{}\n}", TextError::InvalidJson { line: 2, column: 1, len_bytes: 4 }),
            ("null", TextError::NotAnObject { found: JsonKind::Null, len_bytes: 4 }),
            ("true", TextError::NotAnObject { found: JsonKind::Bool, len_bytes: 4 }),
            ("1.5", TextError::NotAnObject { found: JsonKind::Number, len_bytes: 3 }),
            (r#""x""#, TextError::NotAnObject { found: JsonKind::String, len_bytes: 3 }),
            ("[{}]", TextError::NotAnObject { found: JsonKind::Array, len_bytes: 4 }),
        ] {
            assert_eq!(TextMessage::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn unrepresentable_objects_are_rejected_and_integers_beyond_64_bits_rounded() {
        for text in [
            r#"{"type":"order","data":{"price":1e999}}"#,
            r#"{"type":"order","data":{"price":-1e999}}"#,
            r#"{"type":"message","data":"\ud800"}"#,
            r#"{"type":"message","data":"\udc00 \ud800"}"#,
        ] {
            let error = TextMessage::parse(text).unwrap_err();
            assert!(matches!(error, TextError::InvalidJson { line: 1, .. }), "{text}: {error}");
        }
        let pair = TextMessage::parse(r#"{"type":"error","data":"\ud83d\ude00"}"#);
        assert_eq!(pair, Ok(TextMessage::Error("\u{1f600}".into())));
        let integer = TextMessage::parse(r#"{"type":"message","data":123456789012345678901234}"#);
        assert_eq!(integer, Ok(TextMessage::Message(json!(123_456_789_012_345_678_901_234.0_f64))));
    }

    #[test]
    fn errors_contain_nothing_of_the_text() {
        let error = TextMessage::parse(r#"{"access_token": secret}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "text frame of 24 bytes is not valid JSON at line 1, column 18"
        );
        assert!(!format!("{error:?}").contains("secret"));
    }

    #[test]
    fn deeply_nested_json_is_rejected() {
        for bomb in ["[".repeat(1_000_000), r#"{"a":"#.repeat(1_000_000)] {
            assert!(matches!(TextMessage::parse(&bomb), Err(TextError::InvalidJson { .. })));
        }
        let inside =
            format!(r#"{{"type":"order","data":{}1{}}}"#, "[".repeat(500), "]".repeat(500));
        assert!(matches!(TextMessage::parse(&inside), Err(TextError::InvalidJson { .. })));
        let nested = |levels: usize| {
            let frame = format!(r#"{{"x":{}1{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1));
            TextMessage::parse(&frame)
        };
        assert!(nested(127).is_ok());
        assert!(nested(128).is_err());
    }

    #[test]
    fn a_megabyte_of_text_is_read() {
        let text = "x".repeat(1 << 20);
        let message = parse(&json!({"type": "message", "data": text}));
        assert_eq!(message, TextMessage::Message(text.into()));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = TextMessage::parse(&text);
        }

        #[test]
        fn nearly_json_never_panics(text in "[\\[\\]{}:,\"\\\\a-e0-9. -]{0,64}") {
            let _ = TextMessage::parse(&text);
        }

        #[test]
        fn every_json_object_is_a_frame_and_round_trips(
            kind in prop_oneof![
                Just(Some(json!("order"))),
                Just(Some(json!("error"))),
                Just(Some(json!("message"))),
                any_json().prop_map(Some),
                Just(None),
            ],
            data in prop::option::of(any_json()),
            rest in prop::collection::btree_map("[a-z]{1,3}", any_json(), 0..3),
        ) {
            let mut object: Map<String, Value> = rest.into_iter().collect();
            object.extend(kind.map(|kind| ("type".into(), kind)));
            object.extend(data.map(|data| ("data".into(), data)));
            let json = Value::Object(object);
            let text = json.to_string();

            let frame = TextFrame::parse(&text).unwrap();
            prop_assert_eq!(&serde_json::to_value(&frame).unwrap(), &json);
            prop_assert_eq!(&serde_json::from_value::<TextFrame>(json).unwrap(), &frame);
            let again = TextFrame::parse(&serde_json::to_string(&frame).unwrap());
            prop_assert_eq!(again.as_ref(), Ok(&frame));

            let message = TextMessage::parse(&text).unwrap();
            prop_assert_eq!(&message, &frame.message);
            let again = TextMessage::parse(&serde_json::to_string(&message).unwrap());
            prop_assert_eq!(again, Ok(message));
        }

        #[test]
        fn every_other_json_value_is_an_error(json in any_json()) {
            let text = json.to_string();
            match TextMessage::parse(&text) {
                Ok(_) => prop_assert!(json.is_object()),
                Err(TextError::NotAnObject { .. }) => prop_assert!(!json.is_object()),
                Err(error) => prop_assert!(false, "{}", error),
            }
        }
    }
}
