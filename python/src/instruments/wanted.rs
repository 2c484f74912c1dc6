//! Names of instruments as programs pass them.

use kite_instruments::Instruments;
use kite_wire::plain::trimmed;
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;

/// A name or a token.
#[derive(Debug, Clone, FromPyObject)]
pub(crate) enum Wanted {
    Token(u32),
    Name(String),
}

impl Wanted {
    /// Returns the token; also that of a text such as `"408065"`.
    pub(crate) fn token(&self) -> Option<u32> {
        match self {
            Self::Token(token) => Some(*token),
            Self::Name(name) => trimmed(name).parse().ok(),
        }
    }

    /// Returns the symbol, with the exchange that one without is of.
    pub(crate) fn symbol(&self) -> Option<String> {
        match self {
            Self::Token(_) => None,
            Self::Name(name) => {
                let name = trimmed(name);
                let is_whole = name.contains(':');
                Some(if is_whole { name.to_owned() } else { format!("NSE:{name}") })
            }
        }
    }

    /// Returns the exception of a name or token that no list has, with similar names.
    pub(crate) fn unknown<'l>(&self, lists: impl IntoIterator<Item = &'l Instruments>) -> PyErr {
        PyKeyError::new_err(self.unknown_text(lists))
    }

    /// Returns the text of [`Wanted::unknown`].
    pub(crate) fn unknown_text<'l>(
        &self,
        lists: impl IntoIterator<Item = &'l Instruments>,
    ) -> String {
        let name = match self {
            Self::Name(name) => name,
            Self::Token(token) => return format!("no instrument has the token {token}"),
        };
        let similar = lists.into_iter().map(|list| list.similar(name)).find(|it| !it.is_empty());
        let similar: Vec<_> = similar.iter().flatten().map(ToString::to_string).collect();
        let advice = match similar.is_empty() {
            true => String::new(),
            false => format!("; did you mean {}?", similar.join(" or ")),
        };
        format!("no instrument is named {}{advice}", trimmed(name))
    }
}
