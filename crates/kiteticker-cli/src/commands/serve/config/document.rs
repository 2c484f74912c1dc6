//! A TOML file as sections of keys, read one key after the other.
//!
//! Not by serde: its errors end the reading at the first one, and show the value that is wrong.
//! Here a section knows which keys were asked for; the others are unknown.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{list_of, nearest, shown_key, whole_key};
use super::problems::Problems;
use crate::format::numbers::grouped;

/// Keys that stand for a secret, which the file does not take.
const SECRETS: [&str; 4] = ["api_key", "access_token", "api_secret", "token"];

/// A value and its line.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) line: usize,
}

/// The text of a file, parsed.
#[derive(Debug)]
pub(super) struct Document<'d> {
    text: &'d str,
    table: DeTable<'d>,
}

impl<'d> Document<'d> {
    /// Parses a text. What is no TOML is noted.
    pub(super) fn parse(text: &'d str, problems: &Problems) -> Self {
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let span = error.span().unwrap_or_default();
            let line = line_of(text, span.start);
            // The error itself would show the whole line.
            match (error.message(), text.get(span.clone())) {
                ("duplicate key", Some(key)) => {
                    let text = format!("{} stands twice", whole_key(text, span.start, key));
                    match list_of(key) {
                        Some(help) => problems.add_with(line, text, help),
                        None => problems.add(line, text),
                    }
                }
                (message, _) => problems.add(line, format!("not valid TOML: {message}")),
            }
        }
        Self { text, table: table.into_inner() }
    }

    /// Returns the section that holds all others.
    pub(super) fn root<'a>(&'a self, problems: &'a Problems) -> Section<'a> {
        let place = Place { text: self.text, problems };
        Section::new(place, String::new(), 1, &self.table)
    }

    /// Returns everything.
    pub(super) fn table(&self) -> &DeTable<'d> {
        &self.table
    }

    /// Returns the line of a key in a section, if it is set.
    pub(super) fn line_of(&self, section: &str, key: &str) -> Option<usize> {
        let DeValue::Table(section) = self.table.get(section)?.as_ref() else { return None };
        let (key, _) = section.get_key_value(key)?;
        Some(line_of(self.text, key.span().start))
    }
}

#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    text: &'a str,
    problems: &'a Problems,
}

/// A table of the file, or an empty one for a table that is not there.
#[derive(Debug)]
pub(super) struct Section<'a> {
    place: Place<'a>,
    /// The keys that lead to it, such as `relay.client`; empty for the whole file.
    path: String,
    /// Where it begins.
    pub(super) line: usize,
    entries: BTreeMap<&'a str, (usize, &'a Spanned<DeValue<'a>>)>,
    known: Vec<&'static str>,
    required: Vec<&'static str>,
}

impl<'a> Section<'a> {
    fn new(place: Place<'a>, path: String, line: usize, table: &'a DeTable<'a>) -> Self {
        let entries = table.iter().map(|(key, value)| {
            let line = line_of(place.text, key.span().start);
            (&**key.get_ref(), (line, value))
        });
        Self {
            place,
            path,
            line,
            entries: entries.collect(),
            known: Vec::new(),
            required: Vec::new(),
        }
    }

    /// Returns the whole name of a key.
    pub(super) fn key(&self, key: &str) -> String {
        match self.path.is_empty() {
            true => key.to_owned(),
            false => format!("{}.{key}", self.path),
        }
    }

    /// Notes what is wrong with a key.
    pub(super) fn wrong(&self, line: usize, key: &str, text: impl Display) {
        self.place.problems.add(line, format!("{}: {text}", self.key(key)));
    }

    /// Does the same, with advice.
    pub(super) fn wrong_with(&self, line: usize, key: &str, text: &str, help: &str) {
        self.place.problems.add_with(line, format!("{}: {text}", self.key(key)), help);
    }

    /// Requires a key: [`finish`](Self::finish) notes that it is missing, unless it probably is what
    /// an unknown key was meant to be.
    pub(super) fn require(&mut self, key: &'static str) {
        self.required.push(key);
    }

    /// Returns whether anything is set.
    pub(super) fn is_there(&self) -> bool {
        !self.entries.is_empty()
    }

    /// Returns the line of a key that is set.
    pub(super) fn line_of(&self, key: &str) -> Option<usize> {
        self.entries.get(key).map(|&(line, _)| line)
    }

    /// Returns the tables in this one under a key, or an empty one if there is none.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'a> {
        let (place, path) = (self.place, self.key(key));
        let empty = |line| {
            let (entries, known, required) = Default::default();
            Section { place, path: path.clone(), line, entries, known, required }
        };
        let Some((line, value)) = self.take(key) else { return empty(self.line) };
        match value.as_ref() {
            DeValue::Table(table) => Section::new(place, path, line, table),
            other => {
                self.wrong(
                    line,
                    key,
                    format_args!("expected a table, [{path}], found {}", kind(other)),
                );
                empty(line)
            }
        }
    }

    /// Returns the tables of a list of them.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let (place, path) = (self.place, self.key(key));
        let Some((line, value)) = self.take(key) else { return Vec::new() };
        let DeValue::Array(all) = value.as_ref() else {
            let found = kind(value.as_ref());
            self.wrong(line, key, format_args!("expected tables, [[{path}]], found {found}"));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for value in all.iter() {
            let line = line_of(place.text, value.span().start);
            match value.as_ref() {
                DeValue::Table(table) => {
                    sections.push(Section::new(place, path.clone(), line, table));
                }
                other => {
                    let found = kind(other);
                    self.wrong(
                        line,
                        key,
                        format_args!("expected tables, [[{path}]], found {found}"),
                    );
                }
            }
        }
        sections
    }

    /// Returns a truth value.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<At<bool>> {
        let (line, value) = self.take(key)?;
        match value.as_ref() {
            &DeValue::Boolean(value) => Some(At { value, line }),
            other => {
                self.wrong(
                    line,
                    key,
                    format_args!("expected true or false, found {}", kind(other)),
                );
                None
            }
        }
    }

    /// Returns a whole number of a range.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        range: RangeInclusive<usize>,
    ) -> Option<At<usize>> {
        let (line, value) = self.take(key)?;
        let number = match value.as_ref() {
            DeValue::Integer(it) => usize::from_str_radix(it.as_str(), it.radix()).ok(),
            _ => None,
        };
        let Some(value) = number.filter(|it| range.contains(it)) else {
            let (least, most) = range.into_inner();
            self.wrong(
                line,
                key,
                format_args!(
                    "expected a number from {} to {}",
                    grouped(least as u64),
                    grouped(most as u64)
                ),
            );
            return None;
        };
        Some(At { value, line })
    }

    /// Returns a text.
    pub(super) fn text(&mut self, key: &'static str) -> Option<At<String>> {
        let (line, value) = self.take(key)?;
        match value.as_ref() {
            DeValue::String(text) if text.is_empty() => {
                self.wrong(line, key, "is empty");
                None
            }
            DeValue::String(text) => Some(At { value: text.clone().into_owned(), line }),
            other => {
                self.wrong(
                    line,
                    key,
                    format_args!("expected a text in quotes, found {}", kind(other)),
                );
                None
            }
        }
    }

    /// Returns what a text, a number or a time stands for.
    pub(super) fn parsed<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<At<T>> {
        let (line, value) = self.take(key)?;
        self.parse_one(key, line, value.as_ref(), &parse)
    }

    /// Does the same for each value of a list; a value alone is a list of one.
    pub(super) fn all_parsed<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<At<T>> {
        let Some((line, value)) = self.take(key) else { return Vec::new() };
        let DeValue::Array(all) = value.as_ref() else {
            return self.parse_one(key, line, value.as_ref(), &parse).into_iter().collect();
        };
        let each = all.iter().filter_map(|value| {
            let line = line_of(self.place.text, value.span().start);
            self.parse_one(key, line, value.as_ref(), &parse)
        });
        each.collect()
    }

    /// Notes the keys that are missing, and those that were not asked for.
    pub(super) fn finish(self) {
        let unknown = || self.entries.keys().filter(|key| !self.known.contains(key));
        for &key in &self.required {
            let is_misspelt = || unknown().any(|it| nearest(it, &self.known) == Some(key));
            if !self.entries.contains_key(key) && !is_misspelt() {
                self.wrong(self.line, key, "is missing");
            }
        }
        for (key, &(line, _)) in &self.entries {
            if self.known.contains(key) {
                continue;
            }
            let shown = shown_key(key);
            if SECRETS.contains(key) {
                let text = format!("{}: this file takes no credentials", self.key(&shown));
                let help = "write them to a file of their own (chmod 600), and name it by a key for \
                            files, such as credentials";
                self.place.problems.add_with(line, text, help);
                continue;
            }
            let advice = match (nearest(key, &self.known), list_of(key)) {
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, Some(list)) => list.to_owned(),
                (None, None) => {
                    let mut known = self.known.clone();
                    known.sort_unstable();
                    format!("known here are {}", known.join(", "))
                }
            };
            let text = format!("{}: unknown key", self.key(&shown));
            self.place.problems.add_with(line, text, advice);
        }
    }

    fn take(&mut self, key: &'static str) -> Option<(usize, &'a Spanned<DeValue<'a>>)> {
        self.known.push(key);
        self.entries.get(key).copied()
    }

    fn parse_one<T, E: Display>(
        &self,
        key: &str,
        line: usize,
        value: &DeValue<'_>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<At<T>> {
        let text = match value {
            DeValue::String(text) => text.clone().into_owned(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
            DeValue::Float(number) => number.as_str().to_owned(),
            DeValue::Datetime(time) => time.to_string(),
            other => {
                self.wrong(
                    line,
                    key,
                    format_args!("expected a text in quotes, found {}", kind(other)),
                );
                return None;
            }
        };
        match parse(&text) {
            Ok(value) => Some(At { value, line }),
            Err(error) => {
                self.wrong(line, key, error);
                None
            }
        }
    }
}

/// Returns the line of a byte, counted from 1.
fn line_of(text: &str, at: usize) -> usize {
    let before = &text.as_bytes()[..at.min(text.len())];
    1 + before.iter().filter(|&&byte| byte == b'\n').count()
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
