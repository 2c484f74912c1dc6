//! The page about exported tables describes every column.

use kite_export::{Column, ColumnKind, event_columns, tick_columns};

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

fn line(column: &Column) -> String {
    let nulls = if column.nullable { "yes" } else { "no" };
    let (name, description) = (&column.name, &column.description);
    format!("| `{name}` | {} | {nulls} | {description} |", type_name(column.kind))
}

#[test]
fn every_column_is_on_the_page_as_the_code_describes_it() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/export.md");
    // A published package comes without the page.
    let Ok(page) = std::fs::read_to_string(path) else { return };
    for columns in [tick_columns(true, true), event_columns()] {
        let table = columns.iter().map(line).collect::<Vec<_>>().join("\n");
        assert!(page.contains(&format!("\n{table}\n")), "docs/export.md lacks:\n{table}");
    }
}
