//! The messages of a channel, and their conversion from the server's text frames.

use kite_conn::OneLine;
use kite_wire::text;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::models::{Order, TickBatch};

/// One message of a channel.
///
/// Order updates and errors share the channel with the ticks and can be lost to its lag; the event
/// stream of the typed manager keeps them separate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum TickerMessage {
    /// The ticks of one frame.
    Ticks(TickBatch),
    /// A copy of a binary frame. No channel carries it any more, because the raw channels carry
    /// frames without copying.
    Raw(Vec<u8>),
    /// One line: the server reported an error; or a connection was lost, could not be opened or is parked; or
    /// a frame was unreadable, wholly or in part. The channel stays open.
    Error(String),
    /// An order update; `Err` describes what was received instead of an order.
    OrderPostback(Result<Box<Order>, String>),
    /// The data of a message from the broker; a whole text frame of unknown type; or, when a lost
    /// connection is restored, `{"type":"connection","connection":1,"state":"up","epoch":2}`.
    Message(Value),
    /// The connection was stopped, and the channel ends:
    /// `{"type":"connection","connection":1,"state":"closed","epoch":null}`.
    ClosingMessage(Value),
}

// A channel allocates its slots up front and rounds their number up to a power of two.
const _: () = assert!(size_of::<TickerMessage>() <= 64);

/// A text frame from the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextMessage {
    /// `order`, `error`, `message`, or a type that is not documented.
    #[serde(rename = "type")]
    pub message_type: String,
    /// The payload; null if the frame has none.
    #[serde(default)]
    pub data: Value,
}

/// Converts a text frame to the message that the channels carry, without dropping anything.
pub(crate) fn from_text(message: &text::TextMessage) -> TickerMessage {
    match message {
        text::TextMessage::Order(order) => {
            TickerMessage::OrderPostback(Ok(Box::new(Order::from((**order).clone()))))
        }
        text::TextMessage::UnreadableOrder { raw } => {
            let found = raw.get("data").map_or("missing", kind);
            TickerMessage::OrderPostback(Err(format!(
                "order update whose data is {found}, not an object: {}",
                OneLine(raw)
            )))
        }
        text::TextMessage::Error(text) => TickerMessage::Error(OneLine(text).to_string()),
        text::TextMessage::Message(data) => TickerMessage::Message(data.clone()),
        text::TextMessage::Other { kind: Some(kind), raw } if kind == "error" => {
            TickerMessage::Error(OneLine(raw.get("data").unwrap_or(raw)).to_string())
        }
        other => match serde_json::to_value(other) {
            Ok(raw) => TickerMessage::Message(raw),
            Err(error) => TickerMessage::Error(format!("unreadable text frame: {error}")),
        },
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::models::{OrderStatus, Tick, TickMessage};

    fn read(frame: &Value) -> TickerMessage {
        from_text(&text::TextMessage::parse(&frame.to_string()).unwrap())
    }

    #[test]
    fn an_order_with_any_object_is_ok() {
        for data in [json!({}), json!({"order_id": "7", "status": "OPEN", "price": [1]})] {
            match read(&json!({"type": "order", "data": data})) {
                TickerMessage::OrderPostback(Ok(order)) => {
                    assert_eq!(Value::Object(order.raw().clone()), data);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn an_order_without_an_object_is_an_error_that_names_what_was_received() {
        for (frame, named) in [
            (
                json!({"type": "order", "data": "soon"}),
                r#"a string, not an object: {"data":"soon""#,
            ),
            (json!({"type": "order", "data": null}), "null, not an object"),
            (json!({"type": "order", "id": 5}), "missing, not an object"),
        ] {
            match read(&frame) {
                TickerMessage::OrderPostback(Err(text)) => {
                    assert!(text.contains(named), "{text}");
                    assert!(text.ends_with(&frame.to_string()), "{text}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn errors_keep_their_text_or_their_json() {
        for (frame, text) in [
            (json!({"type": "error", "data": "Too many."}), "Too many."),
            (json!({"type": "error", "data": {"code": [1, 2]}}), r#"{"code":[1,2]}"#),
            (json!({"type": "error", "data": null}), "null"),
            (json!({"type": "error"}), r#"{"type":"error"}"#),
        ] {
            assert!(
                matches!(read(&frame), TickerMessage::Error(found) if found == text),
                "{frame}"
            );
        }
    }

    #[test]
    fn a_message_carries_its_data_and_an_unknown_type_the_whole_frame() {
        let data = json!({"title": "Holiday"});
        let frame = json!({"type": "message", "data": data});
        assert!(matches!(read(&frame), TickerMessage::Message(found) if found == data));
        for frame in [
            json!({"type": "instruments_meta", "data": {"count": 86_481, "etag": "W/\"6\""}}),
            json!({"type": "app_code", "timestamp": "2025-08-04T13:50:28+05:30"}),
            json!({"type": "message"}),
            json!({"type": 5}),
            json!({}),
        ] {
            assert!(matches!(read(&frame), TickerMessage::Message(found) if found == frame));
        }
    }

    #[test]
    fn messages_survive_json() {
        let order = Order::from(json!({"order_id": "7"}).as_object().unwrap().clone());
        let tick = TickMessage::from(Tick::try_from(&[3; 8][..]).unwrap());
        let batch = TickBatch::try_from(&[tick.clone()][..]).unwrap();
        for (message, json) in [
            (TickerMessage::Ticks(batch), json!({"Ticks": [tick]})),
            (TickerMessage::Raw(vec![0, 1]), json!({"Raw": [0, 1]})),
            (TickerMessage::Error("e".into()), json!({"Error": "e"})),
            (
                TickerMessage::OrderPostback(Ok(Box::new(order))),
                json!({"OrderPostback": {"Ok": {"order_id": "7"}}}),
            ),
            (
                TickerMessage::OrderPostback(Err("odd".into())),
                json!({"OrderPostback": {"Err": "odd"}}),
            ),
            (TickerMessage::Message(json!([1])), json!({"Message": [1]})),
            (TickerMessage::ClosingMessage(json!("bye")), json!({"ClosingMessage": "bye"})),
        ] {
            assert_eq!(serde_json::to_value(&message).unwrap(), json);
            let again: TickerMessage = serde_json::from_value(json.clone()).unwrap();
            assert_eq!(serde_json::to_value(&again).unwrap(), json);
        }
    }

    #[test]
    fn the_status_of_an_order_update_reaches_the_program() {
        let frame = json!({"type": "order", "data": {"status": "COMPLETE"}});
        let message = read(&frame);
        assert!(matches!(
            message,
            TickerMessage::OrderPostback(Ok(order)) if order.status == OrderStatus::COMPLETE
        ));
    }

    #[test]
    fn a_text_message_is_read_from_a_frame_without_data() {
        let frame = json!({"type": "app_code"});
        let message: TextMessage = serde_json::from_value(frame).unwrap();
        assert_eq!((message.message_type.as_str(), &message.data), ("app_code", &Value::Null));
        assert_eq!(
            serde_json::to_value(&message).unwrap(),
            json!({"type": "app_code", "data": null})
        );
    }
}
