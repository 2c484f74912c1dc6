//! `--log json`: everything on standard error as JSON, one object a line.

use std::fmt::{self, Display};
use std::io::{self, Write as _};

use clap::ValueEnum;
use kite_conn::OneLine;
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::clean;
use crate::format::times;

/// The form of what is written to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines to read.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The target of what the command itself reports.
const OWN: &str = "kite";

/// Writes what the command itself reports.
pub(crate) fn write(level: &'static str, message: impl Display, help: Option<&str>) {
    let mut line = line(level, OWN, &shown(message));
    if let Some(help) = help {
        line.insert("help".to_owned(), shown(help).into());
    }
    print(line);
}

/// Reports panics as errors in the same form.
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|panic| write("error", panic, None)));
}

/// Returns a text on one line, without secrets that the user wrote in the wrong place.
pub(crate) fn shown(text: impl Display) -> String {
    clean::without_secrets(&OneLine(text).to_string()).into_owned()
}

fn line(level: &str, target: &str, message: &str) -> Map<String, Value> {
    let time = times::ist(times::now_unix_ns()).to_string();
    let object = json!({ "time": time, "level": level, "target": target, "message": message });
    match object {
        Value::Object(line) => line,
        _ => Map::new(),
    }
}

fn print(line: Map<String, Value>) {
    let line = clean::json(&Value::Object(line));
    // If standard error is closed, the failure cannot be reported anywhere.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes the logs of the crates below.
#[derive(Debug)]
pub(super) struct JsonLogs;

impl<S: Subscriber> Layer<S> for JsonLogs {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let level = match *metadata.level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        let mut line = line(level, metadata.target(), &fields.message);
        if !fields.others.is_empty() {
            line.insert("fields".to_owned(), Value::Object(fields.others));
        }
        print(line);
    }
}

/// The fields of an event.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        self.others.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = shown(format_args!("{value:?}"));
        match field.name() {
            "message" => self.message = text,
            _ => self.add(field, text),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, shown(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }
}
