//! The text frames that the server sends unprompted.

use kite_wire::UnixSeconds;
use kite_wire::ist::IstDateTime;
use serde_json::Value;

/// Returns the undocumented text frames that Kite sends right after connecting.
#[must_use]
pub fn greetings(now_unix_s: u32) -> [String; 2] {
    [
        r#"{"type":"instruments_meta","data":{"count":86481,"etag":"W/\"68907d60-55bf\""}}"#.into(),
        format!(r#"{{"type":"app_code","timestamp":"{}"}}"#, ist(now_unix_s)),
    ]
}

/// Returns Kite's error frame for a socket with too many instruments.
#[must_use]
pub fn too_many_instruments(limit: usize) -> String {
    error(&format!("Can't subscribe to more than {limit} instruments."))
}

/// Returns an error frame.
#[must_use]
pub fn error(message: &str) -> String {
    format!(r#"{{"type":"error","data":{}}}"#, Value::from(message))
}

/// Returns an order update with this payload.
#[must_use]
pub fn order(data: &Value) -> String {
    format!(r#"{{"type":"order","data":{data}}}"#)
}

/// Returns a message frame with this payload.
#[must_use]
pub fn message(data: &Value) -> String {
    format!(r#"{{"type":"message","data":{data}}}"#)
}

/// Formats a time as `2025-08-04T13:50:28+05:30`.
fn ist(unix_s: u32) -> String {
    IstDateTime::from(UnixSeconds(unix_s)).iso_8601().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_formatted_in_ist() {
        assert_eq!(ist(0), "1970-01-01T05:30:00+05:30");
        assert_eq!(ist(1_754_295_628), "2025-08-04T13:50:28+05:30");
        assert_eq!(ist(951_762_600), "2000-02-29T00:00:00+05:30");
        assert_eq!(ist(1_735_669_799), "2024-12-31T23:59:59+05:30");
        assert_eq!(ist(u32::MAX), "2106-02-07T11:58:15+05:30");
    }

    #[test]
    fn every_text_frame_is_json_with_a_type() {
        let texts = greetings(0).into_iter().chain([
            too_many_instruments(3_000),
            error("a \"quoted\" word"),
            order(&serde_json::json!({"order_id": "1", "tag": null})),
            message(&serde_json::json!("the market opens late")),
        ]);
        for text in texts {
            let value: Value = serde_json::from_str(&text).unwrap();
            assert!(value["type"].is_string(), "{text}");
        }
    }
}
