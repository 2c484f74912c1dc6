//! The columns of tables, with builders that are kept from one batch to the next.
//!
//! A builder with its schema takes longer to create than the columns of a small batch.

use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use kite_conn::Stamp;
use kite_export::{ColumnError, EncodeFailure, Prices, TickBatches, TickSchema};
use kite_wire::Packet;
use kite_wire::ist::Day;
use kite_wire::tape::Received;

use crate::feed::lock;
use crate::stream::symbols::Symbols;

/// Layouts that are kept. Most programs have a few; one that always chooses other columns must not
/// fill the memory.
const MOST_LAYOUTS: usize = 8;

/// The layouts that were used last, the newest first.
///
/// No Python code runs while they are locked: a thread that holds them could wait for the
/// interpreter.
#[derive(Debug, Default)]
pub(crate) struct Layouts(Mutex<Vec<Arc<Layout>>>);

impl Layouts {
    /// Returns the layout with these columns; `None` is all.
    pub(crate) fn get(
        &self,
        columns: Option<Vec<String>>,
        prices: Prices,
        symbols: &Symbols,
    ) -> Result<Arc<Layout>, ColumnError> {
        let mut kept = lock(&self.0);
        match kept.iter().position(|it| it.columns == columns && it.prices == prices) {
            Some(at) => kept[..=at].rotate_right(1),
            None => {
                kept.insert(0, Arc::new(Layout::new(columns, prices, symbols)?));
                kept.truncate(MOST_LAYOUTS);
            }
        }
        Ok(Arc::clone(&kept[0]))
    }
}

/// The columns of a table, their types, and what builds them.
#[derive(Debug)]
pub(crate) struct Layout {
    columns: Option<Vec<String>>,
    prices: Prices,
    schema: TickSchema,
    symbols: Symbols,
    builder: Mutex<Option<(Known, TickBatches)>>,
}

/// The names that a builder may have looked up, which it keeps for each day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    changes: u64,
    day: Day,
}

impl Layout {
    fn new(
        columns: Option<Vec<String>>,
        prices: Prices,
        symbols: &Symbols,
    ) -> Result<Self, ColumnError> {
        let names = symbols.clone();
        let mut schema =
            TickSchema::new().prices(prices).symbols(move |_, token| names.name(token));
        if let Some(columns) = &columns {
            schema = schema.columns(columns)?;
        }
        let (symbols, builder) = (symbols.clone(), Mutex::default());
        Ok(Self { columns, prices, schema, symbols, builder })
    }

    /// Returns the schema of the tables.
    pub(crate) fn arrow(&self) -> SchemaRef {
        self.schema.arrow()
    }

    /// Builds a table.
    pub(crate) fn build<'p>(
        &self,
        packets: impl Iterator<Item = (Received, Packet<'p>)>,
    ) -> Result<RecordBatch, EncodeFailure> {
        // Read first: a builder that works while names are added is then not used again.
        let changes = self.symbols.changes();
        let known = Known { changes, day: Day::at_unix_ns(Stamp::now().to_unix_ns()) };
        // Taken, not held, so that nothing waits.
        let kept = lock(&self.builder).take().filter(|(of, _)| *of == known);
        let (_, mut builder) = kept.unwrap_or_else(|| (known, TickBatches::new(&self.schema)));
        let table = builder.build(packets)?;
        *lock(&self.builder) = Some((known, builder));
        Ok(table)
    }
}
