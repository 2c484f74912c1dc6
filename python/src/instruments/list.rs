//! The class `Instruments`: Kite's list of a day.

use std::ffi::CString;
use std::path::PathBuf;

use kite_conn::ErrorChain;
use kite_instruments::{
    Contracts, Date, Fetched, KITE_INSTRUMENTS_URL, LoadError, Loaded, Origin, Source,
};
use pyo3::exceptions::{PyOSError, PyTypeError, PyUserWarning, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyList};

use super::instrument::Instrument;
use super::wanted::Wanted;

/// Environment variable with another URL of the list, such as a mirror. The command reads it too.
const URL_VARIABLE: &str = "KITE_INSTRUMENTS_URL";

/// Kite's instrument list of one day.
#[pyclass(module = "kiteticker", frozen)]
#[derive(Debug)]
pub struct Instruments {
    loaded: Loaded,
}

impl Instruments {
    pub(crate) fn list(&self) -> &kite_instruments::Instruments {
        &self.loaded.instruments
    }

    /// Warns of invalid rows.
    fn loaded(py: Python<'_>, loaded: Loaded) -> PyResult<Self> {
        let (rows, invalid) = (loaded.row_count(), loaded.problem_count);
        if let Some(first) = loaded.problems.first() {
            let text = format!("{invalid} of {rows} rows left out as invalid; the first: {first}");
            warn(py, &text)?;
        }
        Ok(Self { loaded })
    }

    fn find(&self, wanted: &Wanted) -> Option<kite_instruments::Instrument<'_>> {
        match (wanted.token(), wanted.symbol()) {
            (Some(token), _) => self.list().by_token(token),
            (None, Some(symbol)) => self.list().by_symbol(&symbol),
            (None, None) => None,
        }
    }
}

#[pymethods]
impl Instruments {
    /// Loads a list: from a file, else the cached one of a day, else today's, which is fetched once
    /// a day.
    #[new]
    #[pyo3(signature = (
        path = None, *, url = None, cache_dir = None, api_key = None, access_token = None, day = None,
        refresh = false,
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments")]
    fn new(
        py: Python<'_>,
        path: Option<PathBuf>,
        url: Option<&str>,
        cache_dir: Option<PathBuf>,
        api_key: Option<&str>,
        access_token: Option<&str>,
        day: Option<&Bound<'_, PyAny>>,
        refresh: bool,
    ) -> PyResult<Self> {
        if let Some(path) = path {
            if day.is_some() || url.is_some() {
                return Err(invalid("path is a list already: pass no day and no url with it"));
            }
            let loaded = py.detach(|| kite_instruments::Instruments::from_file(path));
            return Self::loaded(py, loaded.map_err(unusable)?);
        }
        let mut source = source(url);
        if let Some(folder) = cache_dir {
            source = source.cache_dir(folder);
        }
        match (api_key, access_token) {
            (Some(key), Some(token)) => source = source.credentials(key, token),
            (None, None) => {}
            _ => return Err(invalid("api_key and access_token are given together")),
        }
        if let Some(day) = day {
            let day = date(day)?;
            let kept = py.detach(|| source.kept_on(day));
            let none = || PyOSError::new_err(format!("no instrument list of {day} is cached"));
            return Self::loaded(py, kept.ok_or_else(none)?);
        }
        let fetched = py.detach(|| if refresh { source.refresh() } else { source.today() });
        let Fetched { loaded, origin, .. } = fetched.map_err(|error| {
            PyOSError::new_err(format!("cannot get the instrument list: {}", chain(&error)))
        })?;
        let warning = match origin {
            Origin::Stale { day, why, .. } => {
                format!("using the instrument list of {day}: {}", ErrorChain(&why))
            }
            Origin::Incomplete { day, .. } => format!(
                "using the instrument list of {day}: today's has fewer than half of its rows"
            ),
            _ => return Self::loaded(py, loaded),
        };
        warn(py, &warning)?;
        Self::loaded(py, loaded)
    }

    /// The first invalid rows, which are left out, with their lines.
    #[getter]
    fn problems(&self) -> Vec<String> {
        self.loaded.problems.iter().map(ToString::to_string).collect()
    }

    /// The number of invalid rows.
    #[getter]
    fn problem_count(&self) -> u64 {
        self.loaded.problem_count
    }

    fn __len__(&self) -> usize {
        self.list().len()
    }

    fn __contains__(&self, key: &Bound<'_, PyAny>) -> bool {
        key.extract::<Wanted>().is_ok_and(|wanted| self.find(&wanted).is_some())
    }

    fn __getitem__(&self, key: &Bound<'_, PyAny>) -> PyResult<Instrument> {
        let wanted = wanted(key)?;
        let found = self.find(&wanted).map(|one| Instrument::new(&one));
        found.ok_or_else(|| wanted.unknown([self.list()]))
    }

    #[pyo3(signature = (key, default = None))]
    fn get<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.find(&wanted(key)?) {
            Some(one) => Ok(Some(Bound::new(key.py(), Instrument::new(&one))?.into_any())),
            None => Ok(default),
        }
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        let all = self.list().iter().map(|one| Instrument::new(&one));
        PyList::new(py, all)?.try_iter()
    }

    /// Returns instruments that the words describe, the best match first.
    #[pyo3(signature = (words, limit = 10))]
    fn search(&self, words: &str, limit: usize) -> Vec<Instrument> {
        self.list().search(words, limit).iter().map(Instrument::new).collect()
    }

    /// Chooses contracts by a text, as the option --select does.
    #[pyo3(signature = (text, spot = None, day = None))]
    fn select(
        &self,
        text: &str,
        spot: Option<&Bound<'_, PyAny>>,
        day: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Vec<Instrument>> {
        let contracts: Contracts = text.parse().map_err(|error| invalid(chain(&error)))?;
        let price = |spot: &Bound<'_, PyAny>| {
            let text = spot.str()?.to_string();
            text.parse().map_err(|_| invalid(format!("spot is {text}; it must be a price")))
        };
        let spot = spot.map(price).transpose()?;
        let today = day.map(date).transpose()?.unwrap_or_else(Date::today_in_india);
        let choice = self.list().choose(&contracts, today, spot);
        let choice = choice.map_err(|error| invalid(format!("{text}: {}", chain(&error))))?;
        Ok(choice.instruments.iter().map(Instrument::new).collect())
    }

    fn __repr__(&self) -> String {
        format!("<Instruments, {} of them>", self.list().len())
    }
}

/// Returns the source of the list: of a URL, else of the environment's, else Kite's.
pub(super) fn source(url: Option<&str>) -> Source {
    let of_environment = std::env::var(URL_VARIABLE).ok().filter(|url| !url.is_empty());
    let url = url.map(str::to_owned).or(of_environment);
    Source::new().url(url.unwrap_or_else(|| KITE_INSTRUMENTS_URL.to_owned()))
}

fn warn(py: Python<'_>, text: &str) -> PyResult<()> {
    let text = CString::new(text.replace('\0', " "))?;
    PyErr::warn(py, &py.get_type::<PyUserWarning>(), &text, 1)
}

fn wanted(key: &Bound<'_, PyAny>) -> PyResult<Wanted> {
    let kind = || PyTypeError::new_err("an instrument is named by a str or an int");
    key.extract().map_err(|_| kind())
}

/// Parses a date, or the text of one.
fn date(day: &Bound<'_, PyAny>) -> PyResult<Date> {
    day.str()?.to_string().parse().map_err(|error| invalid(chain(&error)))
}

fn unusable(error: LoadError) -> PyErr {
    let text = chain(&error);
    match error {
        LoadError::Read { .. } => PyOSError::new_err(text),
        _ => PyValueError::new_err(text),
    }
}

fn invalid(text: impl Into<String>) -> PyErr {
    PyValueError::new_err(text.into())
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    ErrorChain(error).to_string()
}
