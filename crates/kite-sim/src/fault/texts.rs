//! Texts that no client of Kite's protocol expects.

/// A text of a type that nobody has documented.
pub(crate) fn unknown() -> String {
    r#"{"type":"sim_unknown","data":{"answer":42}}"#.into()
}

/// What is no JSON: a text that lacks its end.
pub(crate) fn unparsable() -> String {
    r#"{"type":"order","data":{"order_id":"#.into()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_unknown_text_is_json_with_a_type_and_the_unparsable_one_is_no_json() {
        let value: Value = serde_json::from_str(&unknown()).unwrap();
        assert!(value["type"].is_string());
        assert!(serde_json::from_str::<Value>(&unparsable()).is_err());
    }
}
