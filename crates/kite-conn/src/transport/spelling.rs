//! Redacts secrets from a server's text, in any encoding.

use std::fmt;

use serde_json::Value;

use super::endpoint::percent_encode;

const REDACTED: &str = "[redacted]";

/// Number of levels of escaping that are undone.
const ESCAPINGS: usize = 3;

/// The encodings in which a server may echo secrets.
pub(crate) struct Spellings(Vec<String>);

impl fmt::Debug for Spellings {
    /// Shows no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Spellings").field(&self.0.len()).finish()
    }
}

impl Spellings {
    pub(super) fn of(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut spellings = Vec::new();
        for secret in secrets {
            let encoded = percent_encode(&secret);
            spellings.extend([
                // Some servers escape slashes in JSON.
                secret.replace('/', "\\/"),
                lower_case_escapes(&encoded),
                encoded,
                secret,
            ]);
        }
        spellings.retain(|spelling| !spelling.is_empty());
        // Longest first, so that replacing a shorter one leaves no part of a longer one.
        spellings.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        spellings.dedup();
        Self(spellings)
    }

    /// Returns whether a string contains a secret.
    pub(super) fn occur_in(&self, text: &str) -> bool {
        self.0.iter().any(|spelling| text.contains(spelling)) || self.is_hidden_in(text, true)
    }

    /// Redacts a string.
    pub(super) fn redact(&self, text: String) -> String {
        let redacted = self.replace(text);
        if self.is_hidden_in(&redacted, true) { REDACTED.to_owned() } else { redacted }
    }

    /// Redacts a body. A JSON body with hidden secrets is redacted string by string, so that no
    /// escape hides one.
    pub(super) fn redact_body(&self, bytes: &[u8], is_complete: bool) -> String {
        let cut_off = if is_complete { 0 } else { self.cut_off_bytes(bytes) };
        let text = String::from_utf8_lossy(&bytes[..bytes.len() - cut_off]).into_owned();
        let redacted = self.replace(text);
        if !self.is_hidden_in(&redacted, is_complete) {
            return redacted;
        }
        match serde_json::from_slice::<Value>(bytes) {
            Ok(mut value) => {
                self.redact_strings(&mut value);
                self.redact(value.to_string())
            }
            Err(_) => REDACTED.to_owned(),
        }
    }

    fn replace(&self, text: String) -> String {
        self.0.iter().fold(text, |text, spelling| text.replace(spelling, REDACTED))
    }

    /// Returns whether escapes hide a secret, or the start of one that was cut off.
    fn is_hidden_in(&self, text: &str, is_complete: bool) -> bool {
        let mut text = text.to_owned();
        for _ in 0..ESCAPINGS {
            let Some(plain) = unescape(&text) else { return false };
            if self.0.iter().any(|spelling| plain.contains(spelling))
                || (!is_complete && self.cut_off_bytes(plain.as_bytes()) > 0)
            {
                return true;
            }
            text = plain;
        }
        false
    }

    // The recursion is bounded by the parser's limit of 128 levels.
    fn redact_strings(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.redact(std::mem::take(text)),
            Value::Array(values) => values.iter_mut().for_each(|value| self.redact_strings(value)),
            Value::Object(members) => {
                let redacted = std::mem::take(members).into_iter().map(|(name, mut value)| {
                    self.redact_strings(&mut value);
                    (self.redact(name), value)
                });
                *members = redacted.collect();
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Returns the number of bytes at the end that are the start of a secret that was cut off.
    fn cut_off_bytes(&self, bytes: &[u8]) -> usize {
        let starts = self.0.iter().filter_map(|spelling| {
            (1..spelling.len()).rev().find(|&n| bytes.ends_with(&spelling.as_bytes()[..n]))
        });
        starts.max().unwrap_or(0)
    }
}

/// Resolves the escapes of JSON and JavaScript strings anywhere in a string; `None` if there are
/// none. An invalid escape only loses its backslash.
fn unescape(text: &str) -> Option<String> {
    if !text.contains('\\') {
        return None;
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escaped)) = rest.split_once('\\') {
        plain.push_str(before);
        let digits = |prefix: char, count: usize| {
            let digits = escaped.strip_prefix(prefix)?.get(..count)?;
            let unit = u32::from_str_radix(digits, 16).ok()?;
            Some((char::from_u32(unit)?, 1 + count))
        };
        let Some((c, length)) = digits('u', 4).or_else(|| digits('x', 2)).or_else(|| {
            let c = escaped.chars().next()?;
            Some((c, c.len_utf8()))
        }) else {
            rest = "";
            break;
        };
        plain.push(c);
        rest = &escaped[length..];
    }
    plain.push_str(rest);
    Some(plain)
}

/// Writes `%2F` as `%2f` and leaves the text between escapes unchanged.
fn lower_case_escapes(encoded: &str) -> String {
    let mut digits = 0;
    let lower = encoded.chars().map(|c| match c {
        '%' => {
            digits = 2;
            c
        }
        _ if digits > 0 => {
            digits -= 1;
            c.to_ascii_lowercase()
        }
        _ => c,
    });
    lower.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(text: &str, is_complete: bool) -> String {
        let secrets = ["tok3n/+x", "user secret"].map(str::to_owned);
        Spellings::of(secrets).redact_body(text.as_bytes(), is_complete)
    }

    #[test]
    fn json_is_redacted_in_its_strings_and_names() {
        let text = r#"{"a":["\u0074ok3n/+x",1],"\u0075ser secret":null,"b":"user%20secret"}"#;
        let expected = r#"{"[redacted]":null,"a":["[redacted]",1],"b":"[redacted]"}"#;
        assert_eq!(body(text, true), expected);
    }

    #[test]
    fn secrets_escaped_outside_json_redact_the_whole_body() {
        for text in [
            r"<script>url='\x74ok3n\u002f+x'</script>",
            r#"{"log":"{\"url\":\"\\u0074ok3n/+x\"}"}"#,
            r#"{"a":"\u0074ok3n\/+x"#,
        ] {
            let redacted = body(text, true);
            assert!(redacted.contains(REDACTED) && !redacted.contains("ok3n"), "{redacted}");
        }
        assert_eq!(body(r#"{"a":"\u0074ok3"#, false), REDACTED);
    }

    #[test]
    fn bodies_without_a_secret_stay_as_they_are() {
        for text in [r#"{ "a" : "\u0041\/b\n" }"#, "<html>\\", "\\u12", "", "tok3n"] {
            assert_eq!(body(text, true), text);
        }
    }

    proptest! {
        #[test]
        fn no_escaping_of_characters_reveals_a_secret(escaped in any::<[bool; 8]>()) {
            let secret: String = "tok3n/+x"
                .chars()
                .zip(escaped)
                .map(|(c, escaped)| match escaped {
                    true => format!("\\u{:04x}", u32::from(c)),
                    false => c.to_string(),
                })
                .collect();
            for text in [format!(r#"{{"a":"b {secret} c"}}"#), format!("<p>{secret}</p>")] {
                let redacted = body(&text, true);
                prop_assert!(redacted.contains(REDACTED), "{}", redacted);
                prop_assert!(!redacted.contains(&secret), "{}", redacted);
            }
        }

        #[test]
        fn any_text_is_unescaped_without_a_panic(text in r"(\\|u|x|[0-9a-f]|é|.)*") {
            let _ = body(&text, false);
        }
    }
}
