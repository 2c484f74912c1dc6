//! The table of ticks as Parquet. One row group is filled while the columns of the previous one are
//! encoded, each by any free thread.

use std::io::Write;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::FieldRef;
use kite_wire::Packet;
use kite_wire::tape::Received;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::ZstdLevel;
use parquet::errors::Result;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedFileWriter;

use super::failure::failure;
use super::metadata::account;
use super::properties::properties;
use crate::arrow::{Columns, TickSchema};
use crate::chunk::Chunk;
use crate::error::{ExportError, Target};
use crate::output::Counted;
use crate::pool::Pool;
use crate::summary::Summary;
use crate::table::{TickFiles, TickTable};

/// Packets that wait to be decoded together.
const CHUNK_ROWS: usize = 128;

/// Settings of the files.
pub(crate) struct ParquetSettings {
    pub(crate) schema: TickSchema,
    pub(crate) row_group_rows: usize,
    pub(crate) level: ZstdLevel,
    pub(crate) threads: usize,
    /// Metadata on the files' origin, known before their rows.
    pub(crate) metadata: Vec<KeyValue>,
}

/// Opens the table as one file.
pub(crate) fn open_ticks<'a, W: Write + Send + 'a>(
    out: W,
    target: Target,
    settings: ParquetSettings,
) -> std::result::Result<Box<dyn TickTable + 'a>, ExportError> {
    // A row group is always filled.
    let room = settings.row_group_rows;
    let files = ParquetFiles::<W>::new(settings, room)?;
    Ok(Box::new(ParquetTicks::new(out, target, files)?))
}

/// Prepares several files, which share the threads.
pub(crate) fn tick_files<'a, W: Write + Send + 'a>(
    settings: ParquetSettings,
) -> std::result::Result<Box<dyn TickFiles<W> + 'a>, ExportError> {
    Ok(Box::new(ParquetFiles::<W>::new(settings, 0)?))
}

/// Parquet files of ticks, whose columns are encoded by shared threads.
struct ParquetFiles<W: Write + Send> {
    properties: WriterPropertiesPtr,
    /// The row group being filled.
    columns: Columns,
    /// Rows for which it has room at first.
    room: usize,
    pool: Pool<Job, Result<ArrowColumnChunk>>,
    /// The file of the row group being encoded.
    encoding: usize,
    files: Vec<ParquetFile<W>>,
}

struct ParquetFile<W: Write + Send> {
    target: Target,
    row_groups: usize,
    factory: ArrowRowGroupWriterFactory,
    writer: SerializedFileWriter<Counted<W>>,
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

impl<W: Write + Send> ParquetFiles<W> {
    /// Starts the threads; each row group has room for this many rows at first.
    fn new(settings: ParquetSettings, room: usize) -> std::result::Result<Self, ExportError> {
        let threads = settings.threads;
        let pool = Pool::start(threads, || Job::encode)
            .map_err(|source| ExportError::Thread { threads, source })?;
        let mut columns = Columns::new(&settings.schema);
        columns.reserve(room);
        let properties = properties(&settings.schema.described(), settings.level);
        let mut properties = properties.set_key_value_metadata(Some(settings.metadata)).build();
        add_encoded_arrow_schema_to_metadata(columns.schema(), &mut properties);
        Ok(Self {
            columns,
            room,
            properties: Arc::new(properties),
            pool,
            encoding: 0,
            files: Vec::new(),
        })
    }

    /// Writes the row group being encoded, then starts to encode the one just filled.
    fn next_row_group(&mut self, file: usize) -> std::result::Result<(), ExportError> {
        self.write_encoded()?;
        let Some(it) = self.files.get_mut(file).filter(|_| self.columns.rows() > 0) else {
            return Ok(());
        };
        self.encoding = file;
        let failed = |error| failure(&it.target, error);
        let arrays = self.columns.take().map_err(|error| failed(error.into()))?;
        self.columns.reserve(self.room);
        let writers = it.factory.create_column_writers(it.row_groups).map_err(failed)?;
        it.row_groups += 1;
        let fields = self.columns.schema().fields();
        for ((array, writer), field) in arrays.into_iter().zip(writers).zip(fields) {
            self.pool.submit(Job { writer, field: Arc::clone(field), array });
        }
        Ok(())
    }

    fn write_encoded(&mut self) -> std::result::Result<(), ExportError> {
        if self.pool.outstanding() == 0 {
            return Ok(());
        }
        let Some(file) = self.files.get_mut(self.encoding) else { return Ok(()) };
        let failed = |error| failure(&file.target, error);
        let mut row_group = file.writer.next_row_group().map_err(failed)?;
        while let Some(chunk) = self.pool.take() {
            let chunk =
                chunk.map_err(|_| ExportError::ThreadLost { target: file.target.clone() })?;
            chunk.and_then(|it| it.append_to_row_group(&mut row_group)).map_err(failed)?;
        }
        row_group.close().map_err(failed)?;
        Ok(())
    }
}

impl<W: Write + Send> TickFiles<W> for ParquetFiles<W> {
    fn add(&mut self, out: W, target: Target) -> std::result::Result<(), ExportError> {
        let writer =
            ArrowSchemaConverter::new().convert(self.columns.schema()).and_then(|parquet| {
                let properties = Arc::clone(&self.properties);
                SerializedFileWriter::new(Counted::new(out), parquet.root_schema_ptr(), properties)
            });
        let writer = writer.map_err(|error| failure(&target, error))?;
        let factory = ArrowRowGroupWriterFactory::new(&writer, Arc::clone(self.columns.schema()));
        self.files.push(ParquetFile { target, row_groups: 0, factory, writer });
        Ok(())
    }

    fn write(&mut self, file: usize, rows: Chunk) -> std::result::Result<(), ExportError> {
        self.columns.extend(rows.iter());
        self.next_row_group(file)
    }

    fn complete(
        &mut self,
        summary_of: &dyn Fn(usize) -> Summary,
    ) -> std::result::Result<Vec<(W, u64)>, ExportError> {
        self.write_encoded()?;
        let complete = self.files.drain(..).enumerate().map(|(file, it)| {
            let ParquetFile { target, mut writer, .. } = it;
            let failed = |error| failure(&target, error);
            account(&summary_of(file)).for_each(|it| writer.append_key_value_metadata(it));
            // Writes the end of the file.
            let Counted { out, bytes } = writer.into_inner().map_err(failed)?;
            Ok((out, bytes))
        });
        complete.collect()
    }
}

/// The table of ticks as one file.
struct ParquetTicks<W: Write + Send> {
    files: ParquetFiles<W>,
    /// The next rows of the row group.
    chunk: Chunk,
}

impl<W: Write + Send> ParquetTicks<W> {
    fn new(
        out: W,
        target: Target,
        mut files: ParquetFiles<W>,
    ) -> std::result::Result<Self, ExportError> {
        files.add(out, target)?;
        Ok(Self { files, chunk: Chunk::with_room(CHUNK_ROWS) })
    }

    /// Decodes the chunk.
    fn decode(&mut self) {
        self.files.columns.extend(self.chunk.iter());
        self.chunk.clear();
    }
}

impl<W: Write + Send> TickTable for ParquetTicks<W> {
    #[inline]
    fn push(
        &mut self,
        received: Received,
        packet: Packet<'_>,
    ) -> std::result::Result<(), ExportError> {
        self.chunk.push(received, packet);
        let is_group = self.files.columns.rows() + self.chunk.rows() >= self.files.room;
        if !is_group && self.chunk.rows() < CHUNK_ROWS {
            return Ok(());
        }
        self.decode();
        if is_group { self.files.next_row_group(0) } else { Ok(()) }
    }

    fn finish(&mut self, summary: &Summary) -> std::result::Result<(u64, u64), ExportError> {
        self.decode();
        self.files.next_row_group(0)?;
        let files = self.files.complete(&|_| summary.clone())?;
        Ok((1, files.iter().map(|(_, bytes)| bytes).sum()))
    }
}
