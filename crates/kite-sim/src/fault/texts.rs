//! Text frames that no client of Kite's protocol expects.

/// A text frame of an undocumented type.
pub(crate) fn unknown() -> String {
    r#"{"type":"sim_unknown","data":{"answer":42}}"#.into()
}

/// A text frame that is not JSON because its end is missing.
pub(crate) fn unparsable() -> String {
    r#"{"type":"order","data":{"order_id":"#.into()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_unknown_text_is_json_with_a_type_and_the_unparsable_one_is_not_json() {
        let value: Value = serde_json::from_str(&unknown()).unwrap();
        assert!(value["type"].is_string());
        assert!(serde_json::from_str::<Value>(&unparsable()).is_err());
    }
}
