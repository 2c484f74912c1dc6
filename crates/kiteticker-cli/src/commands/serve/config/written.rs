//! What a file says, key by key, to be compared with what it said before.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

/// Returns each key that is set outside of tables in lists, and its value in a form in which equal
/// values are equal.
pub(super) fn keys(table: &DeTable<'_>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    flatten("", table, &mut all);
    all
}

fn flatten(path: &str, table: &DeTable<'_>, all: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let key = match path.is_empty() {
            true => key.as_ref().to_string(),
            false => format!("{path}.{}", key.as_ref()),
        };
        match value.as_ref() {
            DeValue::Table(table) => flatten(&key, table, all),
            value => drop(all.insert(key, canonical(value))),
        }
    }
}

fn canonical(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(all) => {
            let all: Vec<String> = all.iter().map(|value| canonical(value.as_ref())).collect();
            format!("[{}]", all.join(","))
        }
        DeValue::Table(table) => {
            let mut all = BTreeMap::new();
            flatten("", table, &mut all);
            format!("{all:?}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_equal_however_they_are_written() {
        let of = |text| keys(DeTable::parse(text).unwrap().get_ref());
        let one = of("[a]\nb = 'x'\nc = [1, 2]\n[[a.d]]\ne = true\n");
        let two = of("# new\na.c = [ 1,\n 2 ]\na.b = \"x\"\na.d = [{ e = true }]\n");
        assert_eq!(one, two);
        assert_eq!(one.keys().collect::<Vec<_>>(), ["a.b", "a.c", "a.d"]);
        assert_ne!(one, of("[a]\nb = 'y'\nc = [1, 2]\n[[a.d]]\ne = true\n"));
    }
}
