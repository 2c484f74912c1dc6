//! Converts errors of the encoder to errors of the export.

use parquet::errors::ParquetError;

use crate::error::{EncodeFailure, ExportError, Target};

/// Separates system errors from encoder errors.
pub(super) fn failure(target: &Target, error: ParquetError) -> ExportError {
    let target = target.clone();
    match error {
        ParquetError::External(cause) => match cause.downcast::<std::io::Error>() {
            Ok(source) => ExportError::Write { target, source: *source },
            Err(cause) => ExportError::Encode { target, source: EncodeFailure::new(cause) },
        },
        other => ExportError::Encode { target, source: EncodeFailure::new(other) },
    }
}
