//! The native part of the Python package `kiteticker`: sockets, ticks and tapes.
//!
//! The package's classes are written in Python, in `python/kiteticker`. This module opens the
//! sockets, keeps them open, and turns frames into lists of dicts. Only a thread that calls
//! [`Feed::next`] runs Python code; the sockets are on a thread of their own, which never attaches
//! to the interpreter. A [`Connections`] is read without waiting in native code.

mod arguments;
mod arrow;
mod counted;
mod feed;
mod instruments;
mod items;
mod loopback_tls;
mod parse;
mod runtime;
mod settings;
mod sim;
mod socket;
mod stream;
mod tape;
mod ticks;

use std::sync::OnceLock;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

pub use feed::Feed;
pub use instruments::{Instrument, Instruments};
pub use sim::Server;
pub use stream::{
    Batch, BatchIterator, Closing, Connections, Depth, DepthLevel, Listener, Lookup, Table, Tick,
};
pub use tape::{Frames, RecordedFrame, Recording, TapeTable, TapeWarning};

/// The address of the module `sys` of the interpreter that imported this module first.
static INTERPRETER: OnceLock<usize> = OnceLock::new();

/// The native part of the package `kiteticker`.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // Each interpreter has its own `sys`, and objects must not pass from one to another.
    let interpreter = module.py().import("sys")?.as_ptr().addr();
    if *INTERPRETER.get_or_init(|| interpreter) != interpreter {
        return Err(PyImportError::new_err(
            "kiteticker does not support subinterpreters: another interpreter of this process has \
             imported it",
        ));
    }
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(parse::parse, module)?)?;
    module.add_class::<Server>()?;
    module.add_class::<Connections>()?;
    module.add_class::<Listener>()?;
    module.add_class::<Lookup>()?;
    module.add_class::<Closing>()?;
    module.add_class::<Batch>()?;
    module.add_class::<Table>()?;
    module.add_class::<Tick>()?;
    module.add_class::<Depth>()?;
    module.add_class::<DepthLevel>()?;
    module.add_class::<Instrument>()?;
    module.add_class::<Instruments>()?;
    module.add_class::<Recording>()?;
    module.add_class::<TapeTable>()?;
    module.add_class::<Frames>()?;
    module.add_class::<RecordedFrame>()?;
    module.add("TapeWarning", module.py().get_type::<TapeWarning>())?;
    module.add_class::<Feed>()
}
