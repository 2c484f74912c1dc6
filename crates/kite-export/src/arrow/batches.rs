//! Record batches of ticks that are not on a tape, such as those of a live connection.

use std::fmt;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use kite_wire::Packet;
use kite_wire::tape::Received;

use super::choice::TickSchema;
use super::columns::Columns;
use crate::error::EncodeFailure;

/// Builds record batches of ticks, with the columns of a [`TickSchema`].
///
/// ```
/// use kite_export::{TickBatches, TickSchema};
/// use kite_wire::Frame;
/// use kite_wire::tape::{Received, Source};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let frame = [0, 1, 0, 8, 0x00, 0x06, 0x3a, 0x01, 0x00, 0x02, 0x66, 0xba];
/// let received = Received { recv_unix_ns: 2, source: Source { account: 0, connection: 1 } };
/// let mut batches = TickBatches::new(&TickSchema::new().columns(["instrument_token", "last_price"])?);
/// let batch = batches.build(Frame::walk(&frame).packets().map(|packet| (received, packet)))?;
/// assert_eq!((batch.num_rows(), batch.num_columns()), (1, 2));
/// # Ok(())
/// # }
/// ```
pub struct TickBatches {
    columns: Columns,
}

impl TickBatches {
    /// Creates a builder of batches with this schema.
    #[must_use]
    pub fn new(schema: &TickSchema) -> Self {
        Self { columns: Columns::new(schema) }
    }

    /// Returns the schema of the batches.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        self.columns.schema()
    }

    /// Builds one batch of these packets, each with its receive time and source, in their order. The
    /// dictionaries of one batch have the names of the batches before it too.
    ///
    /// # Errors
    /// Returns an [`EncodeFailure`] if Arrow refuses the columns, which would be a defect.
    pub fn build<'p>(
        &mut self,
        packets: impl IntoIterator<Item = (Received, Packet<'p>)>,
    ) -> Result<RecordBatch, EncodeFailure> {
        let packets = packets.into_iter();
        self.columns.reserve(packets.size_hint().0);
        self.columns.extend(packets);
        let columns = self.columns.take().map_err(EncodeFailure::new)?;
        RecordBatch::try_new(self.schema().clone(), columns).map_err(EncodeFailure::new)
    }
}

impl fmt::Debug for TickBatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TickBatches").field("schema", self.schema()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Array as _;
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Int32Type, Int64Type};
    use kite_wire::Frame;
    use kite_wire::tape::Source;

    use super::*;
    use crate::column::tick_columns;

    const LTP: [u8; 12] = [0, 1, 0, 8, 0x00, 0x06, 0x3a, 0x01, 0x00, 0x02, 0x66, 0xba];

    fn received(recv_unix_ns: u64) -> Received {
        Received { recv_unix_ns, source: Source { account: 0, connection: 1 } }
    }

    fn packets(bytes: &[u8]) -> impl Iterator<Item = (Received, Packet<'_>)> {
        Frame::walk(bytes).packets().map(|packet| (received(7), packet))
    }

    #[test]
    fn every_column_is_built_in_its_place_and_absent_fields_are_null() {
        let schema = TickSchema::new().symbols(|_, _| Some("NSE:INFY".to_owned()));
        let batch = TickBatches::new(&schema).build(packets(&LTP)).unwrap();
        assert_eq!(batch.schema(), schema.arrow());
        for (column, array) in tick_columns(true, true).iter().zip(batch.columns()) {
            assert_eq!(
                (array.len(), array.is_null(0)),
                (1, column.nullable && column.name != "symbol")
            );
        }
    }

    #[test]
    fn a_full_packet_after_thousands_without_its_fields_is_found_in_its_row() {
        let mut full = vec![0, 1, 0, 184];
        full.extend((0..184).map(|byte| byte % 100));
        let frames: Vec<&[u8]> =
            (0..1_000).map(|at| if at == 777 { &full[..] } else { &LTP }).collect();
        let schema = TickSchema::new().columns(["volume", "ask_quantity_5", "mode"]).unwrap();
        let mut batches = TickBatches::new(&schema);
        let batch = batches.build(frames.iter().flat_map(|frame| packets(frame))).unwrap();
        let quantity = batch.column(1).as_primitive::<Int64Type>();
        assert_eq!((quantity.null_count(), quantity.is_valid(777)), (999, true));
        let frame = Frame::walk(&full);
        let depth = frame.packets().find_map(|packet| packet.depth().copied()).unwrap();
        assert_eq!(quantity.value(777), i64::from(depth.asks()[4].quantity()));
        assert_eq!(batch.column(2).as_dictionary::<Int32Type>().keys().value(777), 2);
        assert_eq!(batches.build([]).unwrap().num_rows(), 0, "a batch starts without rows");
    }

    #[test]
    fn names_of_one_batch_keep_their_numbers_in_the_next() {
        let name = |_, token: u32| (token == 408_065).then(|| "NSE:INFY".to_owned());
        let schema = TickSchema::new().symbols(name).columns(["symbol", "segment"]).unwrap();
        let mut batches = TickBatches::new(&schema);
        for _ in 0..2 {
            let batch = batches.build(packets(&LTP)).unwrap();
            for (column, name) in batch.columns().iter().zip(["NSE:INFY", "NSE"]) {
                let column = column.as_dictionary::<Int32Type>();
                assert_eq!(column.keys().value(0), 0);
                assert_eq!(column.values().as_string::<i32>().value(0), name);
            }
        }
    }
}
