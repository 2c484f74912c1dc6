//! Removes from texts what must not be printed: characters that control a terminal, and secrets.

use std::borrow::Cow;
use std::cmp::Reverse;

use anstyle::Style;
use kite_conn::OneLine;
use serde_json::Value;

use super::output::{BOLD, DIM, GREEN, RED, YELLOW};
use super::paths::KEYS;

/// The styles of results.
const STYLES: [Style; 5] = [BOLD, DIM, RED, YELLOW, GREEN];

/// Names of parameters whose values are secret, wherever they are written.
const SECRET_NAMES: [&str; 5] =
    ["access_token=", "request_token=", "api_secret=", "enctoken=", "password="];

/// Cleans a result of several lines as [`OneLine`] does; its line breaks and its own styles stay.
pub(crate) fn lines(text: &str, keeps_styles: bool) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (mut line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        while let Some((before, style)) = keeps_styles.then(|| next_style(line)).flatten() {
            cleaned += &OneLine(&line[..before]).to_string();
            cleaned += &line[before..before + style];
            line = &line[before + style..];
        }
        cleaned += &OneLine(line).to_string();
        cleaned += end;
    }
    cleaned
}

/// Returns where the next sequence of a result's own style begins, and its length.
fn next_style(line: &str) -> Option<(usize, usize)> {
    // Most lines have none.
    line.contains('\u{1b}').then_some(())?;
    let sequences = STYLES.iter().flat_map(|it| [format!("{it}"), format!("{it:#}")]);
    let found = sequences.filter_map(|it| Some((line.find(&it)?, it.len())));
    // A sequence may begin with another one.
    found.min_by_key(|&(at, length)| (at, Reverse(length)))
}

/// Returns whether [`OneLine`] hides a character.
pub(super) fn is_hidden(symbol: char) -> bool {
    !symbol.is_ascii_graphic() && symbol != ' ' && OneLine(symbol).to_string() == " "
}

/// Returns a JSON value as text, with its texts cleaned as [`OneLine`] does. The names of files, by
/// which a program opens them, are as they are; what must not be printed is escaped in them.
pub(crate) fn json(value: &Value) -> String {
    let mut escaped = String::new();
    for symbol in cleaned(value, true).to_string().chars() {
        match is_hidden(symbol) {
            // Only strings have such a character.
            true => symbol
                .encode_utf16(&mut [0; 2])
                .iter()
                .for_each(|unit| escaped += &format!("\\u{unit:04x}")),
            false => escaped.push(symbol),
        }
    }
    escaped
}

/// Cleans all texts of a JSON value other than the names of files, if it has such.
fn cleaned(value: &Value, has_paths: bool) -> Value {
    let text = |text: &str| OneLine(text).to_string();
    let member = |(key, value): (&String, &Value)| {
        let is_path = has_paths && KEYS.contains(&key.as_str());
        let value = match value {
            Value::String(_) if is_path => value.clone(),
            Value::Array(all) if is_path && all.iter().all(Value::is_string) => value.clone(),
            // The metadata of a tape can be any JSON.
            other => cleaned(other, has_paths && key != "metadata"),
        };
        (text(key), value)
    };
    match value {
        Value::String(it) => Value::String(text(it)),
        Value::Array(all) => all.iter().map(|it| cleaned(it, has_paths)).collect(),
        Value::Object(all) => all.iter().map(member).collect::<serde_json::Map<_, _>>().into(),
        other => other.clone(),
    }
}

/// Hides what may be secret in the URLs of a text, which a user may have written in a wrong place:
/// user information, the values of queries, and access tokens without a URL.
pub(crate) fn without_secrets(text: &str) -> Cow<'_, str> {
    if !text.contains(['@', '=']) && !text.contains("://") {
        return text.into();
    }
    let is_between = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '`');
    let words = text.split_inclusive(is_between).map(|word| {
        let end = word.trim_end_matches(is_between).len();
        hidden(&word[..end]) + &word[end..]
    });
    words.collect::<String>().into()
}

/// Hides the secrets of a word.
fn hidden(word: &str) -> String {
    let (start, is_url) = word.find("://").map_or((0, false), |at| (at + 3, true));
    let (scheme, rest) = word.split_at(start);
    let (path, query) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    // A password may contain a slash.
    let path = match path.rsplit_once('@') {
        Some((user, path)) if is_url || user.contains(':') => format!("…@{path}"),
        _ => path.to_owned(),
    };
    let parameters = |text: &str, hides: &dyn Fn(&str) -> bool| -> String {
        let parts = text.split_inclusive(['?', '&', '#', ',', ';']).map(|part| {
            let end = part.trim_end_matches(['?', '&', '#', ',', ';']).len();
            match part[..end].split_once('=') {
                Some((name, _)) if hides(&part[..end]) => format!("{name}=…{}", &part[end..]),
                _ => part.to_owned(),
            }
        });
        parts.collect()
    };
    let is_secret =
        |part: &str| SECRET_NAMES.iter().any(|name| part.to_ascii_lowercase().contains(name));
    format!(
        "{scheme}{}{}",
        parameters(&path, &is_secret),
        parameters(query, &|part| is_url || is_secret(part))
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn urls_are_shown_without_what_may_be_secret() {
        for (text, shown) in [
            ("wss://h?api_key=k&access_token=t/1", "wss://h?api_key=…&access_token=…"),
            ("'wss://u:p@h:1/a?b=c' is not", "'wss://…@h:1/a?b=…' is not"),
            ("wss://u:p/q@h and ws://t@h", "wss://…@h and ws://…@h"),
            ("--to=wss://h/?x=1#access_token=t", "--to=wss://h/?x=…#access_token=…"),
            ("h/?api_key=k&access_token=t", "h/?api_key=k&access_token=…"),
            ("h?ACCESS_TOKEN=t", "h?ACCESS_TOKEN=…"),
            ("access_token=t", "access_token=…"),
            ("u:p@h", "…@h"),
            ("no instrument is named M&M", "no instrument is named M&M"),
            ("set api_key = … and access_token = …", "set api_key = … and access_token = …"),
            ("me@example.com wrote a=b", "me@example.com wrote a=b"),
            ("http://127.0.0.1:1/instruments", "http://127.0.0.1:1/instruments"),
        ] {
            assert_eq!(without_secrets(text), shown);
        }
    }

    #[test]
    fn a_result_keeps_its_lines_and_its_own_styles_only() {
        let bold = format!("{BOLD}files{BOLD:#}");
        let text = format!("{bold} a\u{1b}[2J\u{9b}1m\u{202e}b\n\n{RED}x{RED:#}\tc\n");
        assert_eq!(lines(&text, true), format!("{bold} a [2J 1m b\n\n{RED}x{RED:#} c\n"));
        assert!(!lines(&text, false).contains('\u{1b}'));
        assert_eq!(lines("", true), "");
    }

    #[test]
    fn all_texts_of_a_json_value_are_cleaned() {
        let value = json!({"a\u{1b}": ["\u{9b}2J", {"b": "x\ny"}, 1, null]});
        assert_eq!(json(&value), r#"{"a ":[" 2J",{"b":"x y"},1,null]}"#);
    }

    #[test]
    fn names_of_files_are_escaped_in_json_and_stay_what_they_are() {
        let name = "t\u{1b}\n\u{9b}\u{202e}\u{7f}\u{e0001}₹";
        let metadata = json!({"path": name});
        let value = json!({
            "files": [name], "file": {"path": name}, "name": name, "metadata": metadata
        });
        let text = json(&value);
        assert!(!text.contains(is_hidden), "{text:?}");
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&read["files"][0], &read["file"]["path"]), (&json!(name), &json!(name)));
        assert_eq!(read["name"], OneLine(name).to_string());
        assert_eq!(read["metadata"]["path"], OneLine(name).to_string());
    }

    proptest! {
        #[test]
        fn no_text_can_control_a_terminal(text in any::<String>()) {
            let shown = lines(&text, false);
            prop_assert_eq!(shown.matches('\n').count(), text.matches('\n').count());
            prop_assert!(!shown.replace('\n', "").contains(|c: char| c.is_control()));
        }
    }
}
