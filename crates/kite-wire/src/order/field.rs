//! Reads one field of an order from any JSON type.
//!
//! Values are read exactly or not at all. A number that may have been rounded is never returned as
//! an integer or as text.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use serde_json::{Map, Value};

use super::{IstDateTime, OrderStatus, TransactionType, Validity};
use crate::ist::layout;

/// 2^53: whole floats below it are exact, above it some integers share a float.
const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;

/// The zero times that Go and MySQL write for a time that is not set.
const GO_ZERO_TIME: &str = "0001-01-01T00:00:00Z";
const MYSQL_ZERO_TIME: &str = "0000-00-00 00:00:00";

/// The type of an order's field.
pub(super) trait Field: Sized {
    /// Returns whether a value means the same as null.
    fn is_absent(value: &Value) -> bool {
        value.as_str().is_some_and(|text| text.trim().is_empty())
    }

    /// Reads a value that is present; `None` if it does not fit.
    fn read(value: &Value) -> Option<Self>;
}

/// Reads field `name` of `object`; if its value does not fit, adds the name to `unreadable`.
pub(super) fn read<T: Field>(
    object: &Map<String, Value>,
    name: &'static str,
    unreadable: &mut Vec<&'static str>,
) -> Option<T> {
    let value = match object.get(name)? {
        Value::Null => return None,
        value if T::is_absent(value) => return None,
        value => value,
    };
    let field = T::read(value);
    if field.is_none() {
        unreadable.push(name);
    }
    field
}

impl Field for String {
    fn is_absent(_: &Value) -> bool {
        false
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(text.clone()),
            // Identifiers are sometimes numbers; their digits must be those received.
            Value::Number(number)
                if number.is_u64()
                    || number.is_i64()
                    || number.as_f64().is_some_and(|float| float.abs() < EXACT_BELOW) =>
            {
                Some(number.to_string())
            }
            _ => None,
        }
    }
}

impl Field for u64 {
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
            Value::String(text) => {
                let text = text.trim();
                let digits = match text.split_once('.') {
                    Some((digits, zeros)) if zeros.bytes().all(|byte| byte == b'0') => digits,
                    _ => text,
                };
                digits.parse().ok().or_else(|| whole(text.parse().ok()?))
            }
            _ => None,
        }
    }
}

/// Returns the integer that a float stands for, if it stands for exactly one.
fn whole(float: f64) -> Option<u64> {
    if !(0.0..EXACT_BELOW).contains(&float) {
        return None;
    }
    let integer = float as u64;
    (integer as f64 == float).then_some(integer)
}

impl Field for u32 {
    fn read(value: &Value) -> Option<Self> {
        u64::read(value)?.try_into().ok()
    }
}

impl Field for f64 {
    fn read(value: &Value) -> Option<Self> {
        let float: f64 = match value {
            Value::Number(number) => number.as_f64()?,
            Value::String(text) => text.trim().parse().ok()?,
            _ => return None,
        };
        float.is_finite().then_some(float)
    }
}

impl Field for bool {
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) if text.trim().eq_ignore_ascii_case("true") => Some(true),
            Value::String(text) if text.trim().eq_ignore_ascii_case("false") => Some(false),
            _ => match u64::read(value)? {
                0 => Some(false),
                1 => Some(true),
                _ => None,
            },
        }
    }
}

impl Field for IstDateTime {
    fn is_absent(value: &Value) -> bool {
        match value {
            Value::String(text) => matches!(text.trim(), "" | "0" | MYSQL_ZERO_TIME | GO_ZERO_TIME),
            value => value.as_f64() == Some(0.0),
        }
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => {
                // A fraction of a second is dropped, as in strings.
                let floor =
                    |float: f64| (0.0..EXACT_BELOW).contains(&float).then_some(float as u64);
                let count = number.as_u64().or_else(|| floor(number.as_f64()?))?;
                layout::from_epoch(count).map(|(at, _)| at)
            }
            value => value.as_str()?.trim().parse().ok(),
        }
    }
}

impl Field for Vec<String> {
    fn read(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(String::read).collect()
    }
}

impl Field for OrderStatus {
    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(Self::from)
    }
}

impl Field for TransactionType {
    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(Self::from)
    }
}

impl Field for Validity {
    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use proptest::prelude::*;

    use super::*;

    fn parsed<T: Field>(json: &str) -> Option<T> {
        T::read(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn quantities_are_read_from_integers_floats_or_strings() {
        for json in ["5", "5.0", "5e0", r#""5""#, r#""5.0""#, r#""5.""#, r#"" 5 ""#, r#""5e0""#] {
            assert_eq!(parsed::<u64>(json), Some(5), "{json}");
        }
        assert_eq!(parsed::<u64>("0"), Some(0));
        assert_eq!(parsed::<u64>("18446744073709551615"), Some(u64::MAX));
        assert_eq!(parsed::<u64>(r#""18446744073709551615.00""#), Some(u64::MAX));
        assert_eq!(parsed::<u64>(r#""9007199254740993.0""#), Some(9_007_199_254_740_993));
    }

    #[test]
    fn quantities_that_are_not_whole_numbers_are_rejected() {
        for json in [
            "-1",
            "-1.0",
            "5.5",
            "1e300",
            // 2^53 + 1 is not a float; the sender may have rounded it.
            "9007199254740993.0",
            "18446744073709551616",
            r#""-1""#,
            r#""5.5""#,
            r#""5.0.0""#,
            r#"".""#,
            r#""NaN""#,
            r#""inf""#,
            r#""1,000""#,
            r#""five""#,
            "true",
            "[5]",
            "{}",
        ] {
            assert_eq!(parsed::<u64>(json), None, "{json}");
        }
        assert_eq!(parsed::<u32>("4294967295"), Some(u32::MAX));
        assert_eq!(parsed::<u32>("4294967296"), None);
    }

    #[test]
    fn prices_are_read_from_integers_floats_or_strings() {
        for (json, price) in [
            ("470", 470.0),
            ("470.05", 470.05),
            (r#""470.05""#, 470.05),
            (r#""470""#, 470.0),
            ("-1", -1.0),
            ("0", 0.0),
        ] {
            assert_eq!(parsed::<f64>(json), Some(price), "{json}");
        }
        for json in [r#""NaN""#, r#""-inf""#, r#""1e999""#, r#""market""#, "false", "[]"] {
            assert_eq!(parsed::<f64>(json), None, "{json}");
        }
    }

    #[test]
    fn numbers_become_text_digit_by_digit_or_not_at_all() {
        for (json, text) in [
            ("220303000308932", "220303000308932"),
            ("18446744073709551615", "18446744073709551615"),
            ("-7", "-7"),
            ("1.5", "1.5"),
            (r#""007""#, "007"),
            (r#""""#, ""),
        ] {
            assert_eq!(parsed::<String>(json).as_deref(), Some(text), "{json}");
        }
        for json in ["123456789012345678901", "true", "[]", "{}"] {
            assert_eq!(parsed::<String>(json), None, "{json}");
        }
    }

    #[test]
    fn flags_are_read_from_booleans_numbers_or_strings() {
        for json in ["true", "1", "1.0", r#""true""#, r#""True""#, r#""1""#] {
            assert_eq!(parsed::<bool>(json), Some(true), "{json}");
        }
        for json in ["false", "0", r#""FALSE""#, r#""0""#] {
            assert_eq!(parsed::<bool>(json), Some(false), "{json}");
        }
        for json in ["2", r#""yes""#, "[]"] {
            assert_eq!(parsed::<bool>(json), None, "{json}");
        }
    }

    #[test]
    fn timestamps_are_read_from_strings_and_counts() {
        let at = IstDateTime::from_unix_seconds(1_646_279_665);
        for json in [
            r#""2022-03-03 09:24:25""#,
            r#"" 2022-03-03T03:54:25.000Z ""#,
            "1646279665",
            "1646279665.0",
            "1646279665.987",
            "1646279665000",
            "1.646279665e12",
            r#""1646279665000""#,
            "1646279665000000",
            "1646279665000000000",
        ] {
            assert_eq!(parsed::<IstDateTime>(json), at, "{json}");
        }
        for json in ["5", "-1646279665", "1646279665e30", "true", "[]", r#""yesterday""#] {
            assert_eq!(parsed::<IstDateTime>(json), None, "{json}");
        }
    }

    #[test]
    fn a_time_that_is_not_set_is_absent_not_unreadable() {
        for json in
            ["0", "0.0", r#""0""#, r#""""#, r#""0001-01-01T00:00:00Z""#, r#""0000-00-00 00:00:00""#]
        {
            let object = Map::from_iter([("at".into(), serde_json::from_str(json).unwrap())]);
            let mut unreadable = Vec::new();
            assert_eq!(read::<IstDateTime>(&object, "at", &mut unreadable), None);
            assert!(unreadable.is_empty(), "{json}");
        }
    }

    #[test]
    fn tags_are_read_all_or_not_at_all() {
        assert_eq!(parsed::<Vec<String>>(r#"["a", 5]"#), Some(["a".into(), "5".into()].into()));
        assert_eq!(parsed::<Vec<String>>(r#"["a", null]"#), None);
        assert_eq!(parsed::<Vec<String>>(r#""a""#), None);
    }

    proptest! {
        #[test]
        fn any_quantity_reads_the_same_in_every_form(quantity in any::<u64>()) {
            prop_assert_eq!(parsed::<u64>(&format!("{quantity}")), Some(quantity));
            prop_assert_eq!(parsed::<u64>(&format!("\"{quantity}\"")), Some(quantity));
            prop_assert_eq!(parsed::<u64>(&format!("\"{quantity}.0\"")), Some(quantity));
        }

        #[test]
        fn any_price_reads_the_same_in_every_form(paise in -1_000_000_000_i64..1_000_000_000) {
            let price = paise as f64 / 100.0;
            prop_assert_eq!(parsed::<f64>(&format!("{price}")), Some(price));
            prop_assert_eq!(parsed::<f64>(&format!("\"{price}\"")), Some(price));
        }
    }
}
