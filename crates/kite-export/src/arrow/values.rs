//! Columns under construction, one Arrow array each.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{ArrayRef, ArrowPrimitiveType, DictionaryArray, PrimitiveArray, StringArray};
use arrow_buffer::{NullBuffer, NullBufferBuilder};
use arrow_schema::{ArrowError, DataType};
use kite_wire::Mode;

use super::row::Row;
use super::times;
use crate::column::segment_name;
use crate::symbols::CachedSymbols;

/// A column of some type. A null holds a default value and takes the same space.
pub(super) trait Values: Send {
    /// Prepares for this many rows in all.
    fn reserve(&mut self, rows: usize);

    /// Adds a value for each of these rows.
    fn extend(&mut self, rows: &[Row<'_>]);

    /// Returns the values so far as an array of the type, and starts a new one.
    fn take(&mut self, data_type: &DataType, nulls: Option<NullBuffer>) -> Taken;
}

type Taken = Result<ArrayRef, ArrowError>;

/// Returns a column of numbers or prices.
pub(super) fn numbers<T: ArrowPrimitiveType>(
    of: impl Fn(&Row<'_>) -> T::Native + Send + 'static,
) -> Box<dyn Values> {
    let array = |values: PrimitiveArray<T>, data_type: &DataType| -> ArrayRef {
        Arc::new(values.with_data_type(data_type.clone()))
    };
    Box::new(Primitives { values: Vec::new(), of, array })
}

/// Returns a column of times.
pub(super) fn times(of: impl Fn(&Row<'_>) -> i64 + Send + 'static) -> Box<dyn Values> {
    let array = |values: PrimitiveArray<Int64Type>, data_type: &DataType| {
        times::column(values, data_type.clone())
    };
    Box::new(Primitives { values: Vec::new(), of, array })
}

/// Returns a column of symbols; without a source of symbols it has nulls only.
pub(super) fn symbols(symbols: Option<CachedSymbols>) -> Box<dyn Values> {
    Box::new(Names::new(Symbols(symbols)))
}

/// Returns a column of segments.
pub(super) fn segments() -> Box<dyn Values> {
    Box::new(Names::new(Segments::default()))
}

/// Returns a column of modes.
pub(super) fn modes() -> Box<dyn Values> {
    Box::new(Names::new(Modes))
}

struct Primitives<T: ArrowPrimitiveType, F, A> {
    values: Vec<T::Native>,
    of: F,
    array: A,
}

impl<T, F, A> Values for Primitives<T, F, A>
where
    T: ArrowPrimitiveType,
    F: Fn(&Row<'_>) -> T::Native + Send,
    A: Fn(PrimitiveArray<T>, &DataType) -> ArrayRef + Send,
{
    fn reserve(&mut self, rows: usize) {
        self.values.reserve(rows.saturating_sub(self.values.len()));
    }

    fn extend(&mut self, rows: &[Row<'_>]) {
        self.values.extend(rows.iter().map(&self.of));
    }

    fn take(&mut self, data_type: &DataType, nulls: Option<NullBuffer>) -> Taken {
        let values = PrimitiveArray::new(mem::take(&mut self.values).into(), nulls);
        Ok((self.array)(values, data_type))
    }
}

/// Numbers names in the order of their first use.
trait Numbering: Send {
    fn key(&mut self, row: &Row<'_>) -> Option<i32>;

    /// Returns how many names there are.
    fn len(&self) -> usize;

    fn names(&self) -> StringArray;
}

/// A dictionary, which keeps its names from one array to the next.
struct Names<N> {
    numbering: N,
    keys: Vec<i32>,
    known: NullBufferBuilder,
    /// The names as of the last array.
    names: Arc<StringArray>,
}

impl<N: Numbering> Names<N> {
    fn new(numbering: N) -> Self {
        let names = Arc::new(numbering.names());
        Self { numbering, keys: Vec::new(), known: NullBufferBuilder::new(0), names }
    }
}

impl<N: Numbering> Values for Names<N> {
    fn reserve(&mut self, rows: usize) {
        self.keys.reserve(rows.saturating_sub(self.keys.len()));
    }

    fn extend(&mut self, rows: &[Row<'_>]) {
        for row in rows {
            let key = self.numbering.key(row);
            self.known.append(key.is_some());
            self.keys.push(key.unwrap_or(0));
        }
    }

    fn take(&mut self, _: &DataType, _: Option<NullBuffer>) -> Taken {
        use arrow_array::Array as _;
        if self.names.len() < self.numbering.len() {
            self.names = Arc::new(self.numbering.names());
        }
        let keys = mem::take(&mut self.keys).into();
        let keys = PrimitiveArray::<Int32Type>::new(keys, self.known.finish());
        let names: ArrayRef = self.names.clone();
        Ok(Arc::new(DictionaryArray::try_new(keys, names)?))
    }
}

struct Symbols(Option<CachedSymbols>);

impl Numbering for Symbols {
    #[inline]
    fn key(&mut self, row: &Row<'_>) -> Option<i32> {
        self.0.as_mut()?.key(row.received.recv_unix_ns, row.packet.instrument_token())
    }

    fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |symbols| symbols.names().len())
    }

    fn names(&self) -> StringArray {
        StringArray::from_iter_values(self.0.iter().flat_map(CachedSymbols::names))
    }
}

#[derive(Default)]
struct Segments {
    keys: HashMap<u8, i32>,
    names: Vec<String>,
    /// Rows of one segment usually follow each other.
    last: Option<(u8, i32)>,
}

impl Numbering for Segments {
    #[inline]
    fn key(&mut self, row: &Row<'_>) -> Option<i32> {
        let segment = row.packet.segment();
        let code = segment.code();
        if let Some((last, key)) = self.last
            && last == code
        {
            return Some(key);
        }
        let names = &mut self.names;
        let key = *self.keys.entry(code).or_insert_with(|| {
            names.push(segment_name(segment).into_owned());
            // At most 256 of them.
            names.len() as i32 - 1
        });
        self.last = Some((code, key));
        Some(key)
    }

    fn len(&self) -> usize {
        self.names.len()
    }

    fn names(&self) -> StringArray {
        StringArray::from_iter_values(&self.names)
    }
}

struct Modes;

impl Numbering for Modes {
    /// Returns the mode's index in [`Mode::ALL`].
    #[inline]
    fn key(&mut self, row: &Row<'_>) -> Option<i32> {
        Some(match row.packet.mode() {
            Mode::Ltp => 0,
            Mode::Quote => 1,
            Mode::Full => 2,
        })
    }

    fn len(&self) -> usize {
        Mode::ALL.len()
    }

    fn names(&self) -> StringArray {
        StringArray::from_iter_values(Mode::ALL.map(Mode::as_str))
    }
}
