//! Times as values of a column, in the type that the schema names.

use std::sync::Arc;

use arrow_array::types::{
    Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
};
use arrow_array::{ArrayRef, PrimitiveArray};
use arrow_schema::{DataType, TimeUnit};

use crate::settings::TimeUnit as Precision;

/// Returns a receive time as a value of its column.
#[inline]
pub(super) fn received(unix_ns: u64, unit: Precision) -> i64 {
    match unit {
        Precision::Nanoseconds => unix_ns.cast_signed(),
        Precision::Microseconds => (unix_ns / 1_000).cast_signed(),
    }
}

/// Returns values as a column of a timestamp type.
pub(super) fn column(values: PrimitiveArray<Int64Type>, data_type: DataType) -> ArrayRef {
    match data_type {
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            let values = values.reinterpret_cast::<TimestampMillisecondType>();
            Arc::new(values.with_data_type(data_type))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let values = values.reinterpret_cast::<TimestampMicrosecondType>();
            Arc::new(values.with_data_type(data_type))
        }
        _ => {
            let values = values.reinterpret_cast::<TimestampNanosecondType>();
            Arc::new(values.with_data_type(data_type))
        }
    }
}
