//! Decodes packets directly into Arrow arrays, one per column, without rows in between.

use arrow_array::ArrayRef;
use arrow_array::types::{Decimal128Type, Float64Type};
use arrow_schema::{ArrowError, SchemaRef};
use kite_wire::Packet;
use kite_wire::tape::Received;

use super::choice::TickSchema;
use super::fields::{Field, field};
use super::presence::Presence;
use super::row::Row;
use crate::settings::Prices;

/// Packets that are decoded together, column by column, so that a column costs one call for all of
/// them. Full packets of this number fit the first cache of a core.
const BLOCK_ROWS: usize = 128;

/// The rows of one batch or row group.
pub(crate) struct Columns {
    schema: SchemaRef,
    fields: Vec<Field>,
    presence: Presence,
    rows: usize,
}

impl Columns {
    pub(crate) fn new(choice: &TickSchema) -> Self {
        let unit = choice.times.unit;
        let symbols = || choice.symbols.as_ref().map(|it| it.cached());
        let columns = choice.described();
        let fields = columns.iter().filter_map(|column| match choice.prices {
            Prices::Decimal => field::<Decimal128Type>(&column.name, unit, symbols),
            Prices::Float => field::<Float64Type>(&column.name, unit, symbols),
        });
        let fields: Vec<_> = fields.collect();
        // The choice has names of `tick_columns` only, and a test builds all of those.
        debug_assert_eq!(fields.len(), columns.len());
        let presence = Presence::new(fields.iter().map(|field| field.group));
        Self { schema: choice.arrow(), fields, presence, rows: 0 }
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Prepares for this many rows in all.
    pub(crate) fn reserve(&mut self, rows: usize) {
        self.fields.iter_mut().for_each(|field| field.values.reserve(rows));
    }

    pub(crate) fn extend<'p>(&mut self, packets: impl Iterator<Item = (Received, Packet<'p>)>) {
        let mut packets = packets.map(|(received, packet)| Row::new(received, packet));
        let mut block = Vec::with_capacity(packets.size_hint().0.clamp(4, BLOCK_ROWS));
        loop {
            block.extend(packets.by_ref().take(BLOCK_ROWS));
            if block.is_empty() {
                return;
            }
            self.extend_block(&block);
            block.clear();
        }
    }

    fn extend_block(&mut self, rows: &[Row<'_>]) {
        self.rows += rows.len();
        self.presence.extend(rows);
        self.fields.iter_mut().for_each(|field| field.values.extend(rows));
    }

    /// Returns the rows so far as columns of the schema, and starts new ones.
    pub(crate) fn take(&mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        self.rows = 0;
        let nulls = self.presence.take();
        let fields = self.fields.iter_mut().zip(self.schema.fields());
        fields
            .map(|(field, described)| {
                field.values.take(described.data_type(), nulls.of(field.group))
            })
            .collect()
    }
}
