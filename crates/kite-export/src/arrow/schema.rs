//! Columns as Arrow fields.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::column::{Column, ColumnKind};
use crate::settings::{Prices, TimeFormat, TimeUnit as Precision};

/// Digits of a decimal price. Up to 18 digits take 64 bits in Parquet.
pub(super) const PRICE_PRECISION: u8 = 18;

/// Decimals of a decimal price. CDS has the most, seven, so all prices are exact. 32 bits in paise
/// need 8 digits before the point; 11 are available.
pub(super) const PRICE_SCALE: i8 = 7;

pub(super) fn arrow_schema(columns: &[Column], prices: Prices, times: TimeFormat) -> SchemaRef {
    let fields: Vec<_> = columns.iter().map(|column| field(column, prices, times)).collect();
    Arc::new(Schema::new(fields))
}

fn field(column: &Column, prices: Prices, times: TimeFormat) -> Field {
    let description = ("description".to_owned(), column.description.to_string());
    Field::new(column.name.as_ref(), data_type(column.kind, prices, times), column.nullable)
        .with_metadata(HashMap::from([description]))
}

fn data_type(kind: ColumnKind, prices: Prices, times: TimeFormat) -> DataType {
    let time = |unit| DataType::Timestamp(unit, Some(times.zone.name().into()));
    match (kind, prices) {
        (ColumnKind::Nanoseconds | ColumnKind::Start, _) => time(match times.unit {
            Precision::Nanoseconds => TimeUnit::Nanosecond,
            Precision::Microseconds => TimeUnit::Microsecond,
        }),
        (ColumnKind::Seconds, _) => time(TimeUnit::Millisecond),
        (ColumnKind::U8, _) => DataType::UInt8,
        (ColumnKind::Token, _) => DataType::UInt32,
        (ColumnKind::I32, _) => DataType::Int32,
        (ColumnKind::I64, _) => DataType::Int64,
        (ColumnKind::U64, _) => DataType::UInt64,
        (ColumnKind::Price, Prices::Decimal) => DataType::Decimal128(PRICE_PRECISION, PRICE_SCALE),
        (ColumnKind::Price, Prices::Float) => DataType::Float64,
        (ColumnKind::Category, _) => {
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
        }
        (ColumnKind::Text, _) => DataType::Utf8,
    }
}
