//! Instruments by name and by token, for Python.

mod day_names;
mod instrument;
mod list;
mod wanted;

pub(crate) use day_names::DayNames;
pub use instrument::Instrument;
pub use list::Instruments;
pub(crate) use wanted::Wanted;
