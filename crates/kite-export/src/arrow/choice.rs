//! Which columns a table of ticks has, and the types of its prices and times.

use arrow_schema::SchemaRef;
use kite_wire::ist::Day;

use super::schema::arrow_schema;
use crate::column::{Column, tick_columns};
use crate::settings::{Prices, TimeFormat, TimeUnit, TimeZone};
use crate::symbols::Symbols;

/// The columns of a table of ticks, and the types of its prices and times.
///
/// By default it has all of [`tick_columns`] but `symbol`, exact prices, and times in nanoseconds
/// and UTC.
#[derive(Debug, Clone, Default)]
pub struct TickSchema {
    /// `None` is all columns.
    chosen: Option<Vec<Column>>,
    without_depth: bool,
    pub(crate) prices: Prices,
    pub(crate) times: TimeFormat,
    pub(crate) symbols: Option<Symbols>,
}

impl TickSchema {
    /// Creates the default schema.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps only these columns of [`tick_columns`], in this order. `symbol` is null in all rows
    /// unless [`TickSchema::symbols`] names instruments.
    ///
    /// # Errors
    /// Returns a [`ColumnError`] if there is no such column, a name comes twice, or there is none.
    pub fn columns<N: AsRef<str>>(
        mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Self, ColumnError> {
        let mut all = tick_columns(true, true);
        let mut chosen: Vec<Column> = Vec::new();
        for name in names {
            let name = name.as_ref();
            let Some(at) = all.iter().position(|column| column.name == name) else {
                let is_repeated = chosen.iter().any(|column| column.name == name);
                let name = name.to_owned();
                return Err(match is_repeated {
                    true => ColumnError::Repeated { name },
                    false => ColumnError::Unknown { name },
                });
            };
            chosen.push(all.swap_remove(at));
        }
        if chosen.is_empty() {
            return Err(ColumnError::Empty);
        }
        self.chosen = Some(chosen);
        Ok(self)
    }

    /// Sets whether there are columns of market depth, unless [`TickSchema::columns`] chooses.
    /// Default: yes.
    #[must_use]
    pub fn depth(mut self, wanted: bool) -> Self {
        self.without_depth = !wanted;
        self
    }

    /// Sets the type of prices. Default: [`Prices::Decimal`].
    #[must_use]
    pub fn prices(mut self, prices: Prices) -> Self {
        self.prices = prices;
        self
    }

    /// Sets the precision of receive times. Default: [`TimeUnit::Nanoseconds`].
    #[must_use]
    pub fn time_unit(mut self, unit: TimeUnit) -> Self {
        self.times.unit = unit;
        self
    }

    /// Sets the time zone of the times. Default: [`TimeZone::Utc`].
    #[must_use]
    pub fn time_zone(mut self, zone: TimeZone) -> Self {
        self.times.zone = zone;
        self
    }

    /// Adds the column `symbol`; see [`Export::symbols`](crate::Export::symbols).
    #[must_use]
    pub fn symbols(
        mut self,
        lookup: impl Fn(Day, u32) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.symbols = Some(Symbols::new(lookup));
        self
    }

    /// Returns whether columns were chosen by name.
    pub(crate) fn is_chosen(&self) -> bool {
        self.chosen.is_some()
    }

    /// Returns the schema without the column `symbol`, which a partition's path has.
    pub(crate) fn without_symbol(mut self) -> Result<Self, ColumnError> {
        self.symbols = None;
        if let Some(chosen) = &mut self.chosen {
            chosen.retain(|column| column.name != "symbol");
            if chosen.is_empty() {
                return Err(ColumnError::Empty);
            }
        }
        Ok(self)
    }

    pub(crate) fn has_depth(&self) -> bool {
        !self.without_depth
    }

    /// Returns the schema as Arrow has it. Each field has its meaning as metadata `description`.
    #[must_use]
    pub fn arrow(&self) -> SchemaRef {
        arrow_schema(&self.described(), self.prices, self.times)
    }

    /// Returns the columns with their meaning, in order.
    #[must_use]
    pub fn described(&self) -> Vec<Column> {
        let all = || tick_columns(self.symbols.is_some(), !self.without_depth);
        self.chosen.clone().unwrap_or_else(all)
    }
}

/// Why columns cannot be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ColumnError {
    /// There is no column of this name.
    #[error("there is no column {name:?}; docs/export.md lists them")]
    Unknown {
        /// The name.
        name: String,
    },
    /// A name comes twice.
    #[error("the column {name:?} is chosen twice")]
    Repeated {
        /// The name.
        name: String,
    },
    /// No column is chosen.
    #[error("no column is chosen")]
    Empty,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_the_order_in_which_they_are_chosen() {
        let schema = TickSchema::new().columns(["volume", "recv_time", "symbol"]).unwrap();
        let arrow = schema.arrow();
        let names: Vec<_> = arrow.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["volume", "recv_time", "symbol"]);
    }

    #[test]
    fn a_choice_that_is_no_table_is_refused() {
        let chosen = |names: &[&str]| TickSchema::new().columns(names).unwrap_err().to_string();
        assert_eq!(chosen(&["price"]), "there is no column \"price\"; docs/export.md lists them");
        assert_eq!(chosen(&["oi", "mode", "oi"]), "the column \"oi\" is chosen twice");
        assert_eq!(chosen(&[]), "no column is chosen");
    }
}
