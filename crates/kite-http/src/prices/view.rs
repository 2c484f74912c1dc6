//! What a browser asks for in the URL of its event stream: the rows of the table of prices that it
//! shows, and what it has already got.

use thiserror::Error;

/// The most rows that a browser gets.
pub(crate) const MOST_ROWS: usize = 100;

/// The rows of a browser that does not say how many.
const USUAL_ROWS: usize = 25;

/// The longest filter, in bytes.
const LONGEST_FILTER: usize = 64;

/// What a browser shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// Words that all must be in the name of an instrument, in capitals.
    pub(crate) words: Vec<String>,
    /// How many of the instruments found come before the first row.
    pub(crate) from: usize,
    /// The number of rows.
    pub(crate) rows: usize,
    /// The instrument whose depth is shown.
    pub(crate) depth: Option<u32>,
    /// The run of the server whose rates the browser has, and the number of the newest point.
    pub(crate) has: Option<(String, u64)>,
}

/// Why a query is refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum ViewError {
    /// A value is not a number, or too large a one.
    #[error("{parameter} must be a whole number from 0 to {most}")]
    Number {
        /// The parameter.
        parameter: &'static str,
        /// The largest value.
        most: u64,
    },
    /// The filter is too long.
    #[error("filter is longer than {LONGEST_FILTER} bytes")]
    Filter,
    /// There is no such parameter.
    #[error("parameters are filter, from, rows, depth, run and since")]
    Parameter,
}

impl Default for View {
    fn default() -> Self {
        Self { words: Vec::new(), from: 0, rows: USUAL_ROWS, depth: None, has: None }
    }
}

impl View {
    /// Reads the query of a URL.
    pub(crate) fn from_query(query: &str) -> Result<Self, ViewError> {
        let (mut view, mut run, mut since) = (Self::default(), None, 0);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "filter" if value.len() > LONGEST_FILTER => return Err(ViewError::Filter),
                "filter" => {
                    view.words = value.split_whitespace().map(str::to_uppercase).collect();
                }
                "from" => view.from = number("from", &value, u32::MAX as usize)?,
                "rows" => view.rows = number("rows", &value, MOST_ROWS)?,
                "depth" if value.is_empty() => view.depth = None,
                "depth" => view.depth = Some(number("depth", &value, u32::MAX)?),
                "run" => run = Some(value.into_owned()),
                "since" => since = number("since", &value, u64::MAX)?,
                _ => return Err(ViewError::Parameter),
            }
        }
        view.has = run.map(|run| (run, since));
        Ok(view)
    }
}

/// Reads a number.
fn number<N>(parameter: &'static str, value: &str, most: N) -> Result<N, ViewError>
where
    N: Copy + TryFrom<u64> + TryInto<u64>,
{
    let most_u64 = most.try_into().unwrap_or(u64::MAX);
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    let read = value.parse::<u64>().ok().filter(|read| is_number && *read <= most_u64);
    let read = read.and_then(|read| N::try_from(read).ok());
    read.ok_or(ViewError::Number { parameter, most: most_u64 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_query_says_which_rows_are_shown() {
        assert_eq!(View::from_query(""), Ok(View::default()));
        let query = "filter=nifty%2050+fut&from=25&rows=50&depth=408065&run=ab&since=9";
        assert_eq!(
            View::from_query(query),
            Ok(View {
                words: ["NIFTY", "50", "FUT"].map(str::to_owned).to_vec(),
                from: 25,
                rows: 50,
                depth: Some(408_065),
                has: Some(("ab".to_owned(), 9)),
            })
        );
    }

    #[test]
    fn a_wrong_query_is_refused_with_what_is_allowed() {
        for (query, error) in [
            ("rows=101", "rows must be a whole number from 0 to 100"),
            ("rows=%2B5", "rows must be a whole number from 0 to 100"),
            ("from=-1", "from must be a whole number from 0 to 4294967295"),
            ("depth=4294967296", "depth must be a whole number from 0 to 4294967295"),
            ("since=", "since must be a whole number from 0 to 18446744073709551615"),
            ("colour=red", "parameters are filter, from, rows, depth, run and since"),
        ] {
            assert_eq!(View::from_query(query).unwrap_err().to_string(), error, "{query}");
        }
        let long = format!("filter={}", "x".repeat(LONGEST_FILTER + 1));
        assert_eq!(View::from_query(&long), Err(ViewError::Filter));
    }

    proptest! {
        #[test]
        fn any_query_is_read_or_refused(query in "([a-z]{1,6}=[%+0-9a-zA-Z&]{0,20}&?){0,6}|\\PC{0,80}") {
            if let Ok(view) = View::from_query(&query) {
                prop_assert!(view.rows <= MOST_ROWS && view.words.len() <= LONGEST_FILTER);
            }
        }
    }
}
