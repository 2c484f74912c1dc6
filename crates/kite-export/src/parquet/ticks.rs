//! The table of ticks as Parquet. One row group is filled while the columns of the previous one are
//! encoded, each by any free thread.

use std::io::Write;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::types::{Decimal128Type, Float64Type};
use arrow_schema::{FieldRef, SchemaRef};
use kite_wire::Packet;
use kite_wire::tape::Received;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::ZstdLevel;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::writer::SerializedFileWriter;

use super::arrays::Columns;
use super::failure::failure;
use super::metadata::account;
use super::prices::PriceType;
use super::schema;
use crate::column::tick_columns;
use crate::error::{ExportError, Target};
use crate::pool::Pool;
use crate::settings::{Prices, TimeFormat};
use crate::summary::Summary;
use crate::symbols::CachedSymbols;
use crate::table::TickTable;

/// Settings of the table.
pub(crate) struct ParquetSettings {
    pub(crate) prices: Prices,
    pub(crate) times: TimeFormat,
    pub(crate) depth: bool,
    pub(crate) symbols: Option<CachedSymbols>,
    pub(crate) row_group_rows: usize,
    pub(crate) level: ZstdLevel,
    pub(crate) threads: usize,
    /// Metadata on the file's origin, known before its rows.
    pub(crate) metadata: Vec<KeyValue>,
}

/// Opens the table.
pub(crate) fn open_ticks<'a, W: Write + Send + 'a>(
    out: W,
    target: Target,
    settings: ParquetSettings,
) -> std::result::Result<Box<dyn TickTable + 'a>, ExportError> {
    Ok(match settings.prices {
        Prices::Decimal => Box::new(ParquetTicks::<W, Decimal128Type>::new(out, target, settings)?),
        Prices::Float => Box::new(ParquetTicks::<W, Float64Type>::new(out, target, settings)?),
    })
}

struct ParquetTicks<W: Write + Send, P: PriceType> {
    target: Target,
    schema: SchemaRef,
    columns: Columns<P>,
    row_group_rows: usize,
    row_groups: usize,
    factory: ArrowRowGroupWriterFactory,
    pool: Pool<Job, Result<ArrowColumnChunk>>,
    writer: SerializedFileWriter<W>,
}

/// One column of one row group.
struct Job {
    writer: ArrowColumnWriter,
    field: FieldRef,
    array: ArrayRef,
}

impl Job {
    fn encode(mut self) -> Result<ArrowColumnChunk> {
        for leaf in compute_leaves(&self.field, &self.array)? {
            self.writer.write(&leaf)?;
        }
        self.writer.close()
    }
}

impl<W: Write + Send, P: PriceType> ParquetTicks<W, P> {
    fn new(
        out: W,
        target: Target,
        settings: ParquetSettings,
    ) -> std::result::Result<Self, ExportError> {
        let threads = settings.threads;
        let pool = Pool::start(threads, || Job::encode)
            .map_err(|source| ExportError::Thread { threads, source })?;
        let described = tick_columns(settings.symbols.is_some(), settings.depth);
        let schema = schema::arrow_schema(&described, settings.prices, settings.times);
        let mut properties = schema::properties(&described, settings.level)
            .set_key_value_metadata(Some(settings.metadata))
            .build();
        add_encoded_arrow_schema_to_metadata(&schema, &mut properties);
        let writer = ArrowSchemaConverter::new().convert(&schema).and_then(|parquet| {
            SerializedFileWriter::new(out, parquet.root_schema_ptr(), Arc::new(properties))
        });
        let writer = writer.map_err(|error| failure(&target, error))?;
        let row_group_rows = settings.row_group_rows;
        Ok(Self {
            columns: Columns::new(
                row_group_rows,
                settings.symbols,
                settings.depth,
                settings.times.unit,
            ),
            factory: ArrowRowGroupWriterFactory::new(&writer, Arc::clone(&schema)),
            row_groups: 0,
            row_group_rows,
            target,
            schema,
            pool,
            writer,
        })
    }

    /// Writes the row group being encoded, then starts to encode the one just filled.
    fn next_row_group(&mut self) -> std::result::Result<(), ExportError> {
        self.write_encoded()?;
        if self.columns.rows() == 0 {
            return Ok(());
        }
        self.encode_filled().map_err(|error| failure(&self.target, error))
    }

    fn encode_filled(&mut self) -> Result<()> {
        let arrays = self.columns.take(&self.schema).map_err(ParquetError::from)?;
        let writers = self.factory.create_column_writers(self.row_groups)?;
        self.row_groups += 1;
        for ((array, writer), field) in arrays.into_iter().zip(writers).zip(self.schema.fields()) {
            self.pool.submit(Job { writer, field: Arc::clone(field), array });
        }
        Ok(())
    }

    fn write_encoded(&mut self) -> std::result::Result<(), ExportError> {
        if self.pool.outstanding() == 0 {
            return Ok(());
        }
        let failed = |error| failure(&self.target, error);
        let mut row_group = self.writer.next_row_group().map_err(failed)?;
        while let Some(chunk) = self.pool.take() {
            let chunk =
                chunk.map_err(|_| ExportError::ThreadLost { target: self.target.clone() })?;
            chunk.and_then(|it| it.append_to_row_group(&mut row_group)).map_err(failed)?;
        }
        row_group.close().map_err(failed)?;
        Ok(())
    }
}

impl<W: Write + Send, P: PriceType> TickTable for ParquetTicks<W, P> {
    #[inline]
    fn push(
        &mut self,
        received: Received,
        packet: Packet<'_>,
    ) -> std::result::Result<(), ExportError> {
        self.columns.push(received, packet);
        if self.columns.rows() >= self.row_group_rows { self.next_row_group() } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>, summary: &Summary) -> std::result::Result<u64, ExportError> {
        self.next_row_group()?;
        self.write_encoded()?;
        account(summary).for_each(|it| self.writer.append_key_value_metadata(it));
        self.writer.finish().map_err(|error| failure(&self.target, error))?;
        Ok(self.writer.bytes_written() as u64)
    }
}
