//! Names that no instrument has, as an error with advice.

use std::borrow::Cow;
use std::fmt;

use crate::exit::CliError;
use crate::format::numbers::grouped;

/// Advice for an unknown name without a similar one.
pub(super) const HOW_TO_NAME: &str =
    "write EXCHANGE:SYMBOL, such as NSE:INFY; search names with kite instruments";

/// Advice for an unknown name if there is no list. Only names that do not expire are built in.
pub(super) const HOW_TO_LIST: &str = "only a few indices and shares are built in; download the list by kite instruments, or pass \
     one with --instruments-file";

/// Number of unknown names that are listed, with suggestions, each of which requires a scan of the
/// lists. All are counted.
pub(super) const MOST_NAMED: usize = 10;

/// Longest name that is repeated. A line of a file that is no list may have any length.
const LONGEST_CHARS: usize = 100;

/// How several names are written on the command line.
pub(super) const AS_ARGUMENTS: &str = "write several names as separate arguments";

/// How several names are written for the option of an edit or an export.
pub(super) const WITH_COMMAS: &str = "separate several names by commas";

/// How several names are written in a list.
const ON_LINES: &str = "write one name a line";

/// Why the input names no instrument.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    #[error("an empty name names no instrument")]
    Empty,
    #[error("no instrument is named {}", cut(name))]
    Unknown {
        name: String,
        /// Similar names.
        similar: Vec<String>,
        /// Whether only the built-in names are known.
        lacks_list: bool,
    },
    #[error("{} is several names", cut(name))]
    Several {
        name: String,
        /// How to write them.
        how: &'static str,
    },
    #[error("{name} names {} instruments, with the tokens {}", tokens.len(), listed(tokens))]
    Ambiguous { name: String, tokens: Vec<u32> },
    #[error("no instrument has the token {}; tokens range from 256 to 4,294,967,295", cut(token))]
    Token { token: String },
}

impl NameError {
    /// Returns the advice for the user.
    pub(crate) fn advice(&self) -> String {
        match self {
            Self::Unknown { similar, .. } if !similar.is_empty() => {
                format!("did you mean {}?", similar.join(", "))
            }
            Self::Unknown { lacks_list: true, .. } => HOW_TO_LIST.to_owned(),
            Self::Unknown { .. } | Self::Empty => HOW_TO_NAME.to_owned(),
            Self::Several { how, .. } => (*how).to_owned(),
            Self::Ambiguous { .. } => "name it by its token".to_owned(),
            Self::Token { .. } => "search tokens with kite instruments".to_owned(),
        }
    }
}

impl NameError {
    /// Returns the error and the advice where the name stands beside them, the essential first.
    pub(crate) fn below_name(&self) -> String {
        let advice = self.advice();
        match self {
            Self::Empty => format!("a name is needed; {advice}"),
            Self::Unknown { .. } => format!("unknown; {advice}"),
            Self::Several { .. } => "several names; add one after the other".to_owned(),
            Self::Ambiguous { tokens, .. } => {
                format!("several have this name; {advice}: {}", listed(tokens))
            }
            Self::Token { .. } => format!("no such token; {advice}"),
        }
    }
}

/// The inputs that name no instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnknownNames(Vec<Unknown>);

/// An input that names no instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unknown {
    /// Its place among the inputs.
    input: usize,
    error: NameError,
    /// Where the user wrote it, if not on the command line.
    place: Option<String>,
}

impl UnknownNames {
    /// Takes the errors with the places of their inputs; `None` if there are none.
    pub(super) fn new(errors: Vec<(usize, NameError)>) -> Option<Self> {
        let unknown = |(input, error)| Unknown { input, error, place: None };
        let all: Vec<Unknown> = errors.into_iter().map(unknown).collect();
        (!all.is_empty()).then_some(Self(all))
    }

    /// States how several names are written where the inputs are.
    pub(super) fn written_as(mut self, how_to_write: &'static str) -> Self {
        for unknown in &mut self.0 {
            if let NameError::Several { how, .. } = &mut unknown.error {
                *how = how_to_write;
            }
        }
        self
    }

    /// Adds where the inputs were written, by their place among the inputs.
    pub(crate) fn written_at(mut self, place: impl Fn(usize) -> Option<String>) -> Self {
        for unknown in &mut self.0 {
            unknown.place = place(unknown.input);
            if let (NameError::Several { how, .. }, Some(_)) = (&mut unknown.error, &unknown.place)
            {
                *how = ON_LINES;
            }
        }
        self
    }

    /// Returns the error that ends the command.
    pub(crate) fn into_error(self) -> CliError {
        match self.0.as_slice() {
            [Unknown { error, place, .. }] => {
                let place = place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
                CliError::usage(format!("{place}{error}")).help(error.advice())
            }
            all => {
                let count = all.len();
                let several = all.iter().find_map(|unknown| match unknown.error {
                    NameError::Several { how, .. } => Some(how),
                    _ => None,
                });
                let lacks_list = all.iter().any(|unknown| {
                    matches!(unknown.error, NameError::Unknown { lacks_list: true, .. })
                });
                CliError::usage(format!("{count} instruments are unknown: {self}"))
                    .help(several.unwrap_or(if lacks_list { HOW_TO_LIST } else { HOW_TO_NAME }))
            }
        }
    }
}

impl fmt::Display for UnknownNames {
    /// Lists the first inputs, with suggestions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, unknown) in self.0.iter().take(MOST_NAMED).enumerate() {
            f.write_str(if number == 0 { "" } else { ", " })?;
            match &unknown.error {
                NameError::Empty => f.write_str("an empty name")?,
                NameError::Unknown { name, similar, .. } if !similar.is_empty() => {
                    write!(f, "{} (did you mean {}?)", cut(name), similar.join(", "))?;
                }
                NameError::Unknown { name, .. } => f.write_str(&cut(name))?,
                NameError::Several { name, .. } => write!(f, "{} (several names)", cut(name))?,
                NameError::Ambiguous { name, tokens } => {
                    write!(f, "{name} (the tokens {})", listed(tokens))?;
                }
                NameError::Token { token } => write!(f, "{} (not a token)", cut(token))?,
            }
            if let Some(place) = &unknown.place {
                write!(f, " in {place}")?;
            }
        }
        match self.0.len().saturating_sub(MOST_NAMED) {
            0 => Ok(()),
            more => write!(f, " and {} more", grouped(more as u64)),
        }
    }
}

/// Returns the beginning of a long name.
fn cut(name: &str) -> Cow<'_, str> {
    match name.char_indices().nth(LONGEST_CHARS) {
        Some((end, _)) => format!("{}...", &name[..end]).into(),
        None => name.into(),
    }
}

fn listed(tokens: &[u32]) -> String {
    tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}
