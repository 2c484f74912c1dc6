//! The page about exported tables describes every column.

use kite_export::{Column, ColumnKind, bar_columns, event_columns, tick_columns};

fn type_name(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Nanoseconds => "timestamp ns, UTC",
        ColumnKind::Seconds => "timestamp ms, UTC",
        ColumnKind::U8 => "uint8",
        ColumnKind::Token => "uint32",
        ColumnKind::I32 => "int32",
        ColumnKind::I64 => "int64",
        ColumnKind::U64 => "uint64",
        ColumnKind::Price => "decimal(18, 7) or double",
        ColumnKind::Category => "dictionary of utf8",
        _ => "utf8",
    }
}

/// Returns the type of a column of bars, whose times are in microseconds.
fn bar_type_name(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Nanoseconds | ColumnKind::Start => "timestamp us, Asia/Kolkata",
        other => type_name(other),
    }
}

fn line(column: &Column, type_name: fn(ColumnKind) -> &'static str) -> String {
    let nulls = if column.nullable { "yes" } else { "no" };
    let (name, description) = (&column.name, &column.description);
    format!("| `{name}` | {} | {nulls} | {description} |", type_name(column.kind))
}

fn assert_described(page: &str, columns: &[Column], type_name: fn(ColumnKind) -> &'static str) {
    let path = format!("{}/../../docs/{page}", env!("CARGO_MANIFEST_DIR"));
    // A published package comes without the page.
    let Ok(text) = std::fs::read_to_string(path) else { return };
    let table = columns.iter().map(|it| line(it, type_name)).collect::<Vec<_>>().join("\n");
    assert!(text.contains(&format!("\n{table}\n")), "docs/{page} lacks:\n{table}");
}

#[test]
fn every_column_is_on_the_pages_as_the_code_describes_it() {
    assert_described("export.md", &tick_columns(true, true), type_name);
    assert_described("export.md", &event_columns(), type_name);
    assert_described("candles.md", &bar_columns(true), bar_type_name);
}
