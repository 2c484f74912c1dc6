//! The class `Recording`: opened tapes, and the names of their instruments.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kite_export::kite_candles::{Config, Sessions};
use kite_export::{Export, ExportError, Prices, TimeUnit, TimeZone};
use kite_tape::{Entries, ReadConfig, Reel, Windows};
use kite_wire::ist::Day;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use super::frames::Frames;
use super::gaps;
use super::outcome::{self, Outcome};
use super::table::TapeTable;
use crate::arguments;
use crate::instruments::{DayNames, Instruments, Wanted};

/// Time past the end of the windows to search for gaps recorded late, as `kite export` does.
const READ_PAST: Duration = Duration::from_secs(600);

/// Opened tapes.
#[pyclass(frozen)]
#[derive(Debug)]
pub struct Recording {
    reel: Reel,
    names: Arc<DayNames>,
}

/// Ranges of times in nanoseconds since the Unix epoch; the end of each is excluded.
type Ranges = Option<Vec<(u64, u64)>>;

#[pymethods]
impl Recording {
    /// Opens tapes, and finds the names of their days.
    #[new]
    fn new(
        py: Python<'_>,
        paths: Vec<PathBuf>,
        instruments: Option<Py<Instruments>>,
    ) -> PyResult<Self> {
        let given = instruments.map(|it| it.get().list().clone());
        let (reel, names, warnings) = py.detach(|| {
            let reel = Reel::open(&paths).map_err(|error| PyOSError::new_err(error.to_string()))?;
            let (names, warnings) = DayNames::of_tapes(&reel, given.as_ref());
            PyResult::Ok((reel, names, warnings))
        })?;
        for file in reel.passed_over().iter().filter(|file| file.is_loss()) {
            outcome::warn(py, &file.to_string())?;
        }
        for text in warnings {
            outcome::warn(py, &text)?;
        }
        Ok(Self { reel, names: Arc::new(names) })
    }

    /// The first and the last receive time of each file.
    #[getter]
    fn spans(&self) -> Vec<(u64, u64)> {
        self.reel.files().iter().filter_map(kite_tape::TapeFile::span).collect()
    }

    /// The files.
    #[getter]
    fn files(&self) -> Vec<PathBuf> {
        self.reel.files().iter().map(|file| file.path().to_owned()).collect()
    }

    /// Returns the table of ticks.
    #[pyo3(signature = (wanted, ranges, columns, prices, times, time_zone))]
    fn ticks(
        &self,
        wanted: Option<Vec<Wanted>>,
        ranges: Ranges,
        columns: Option<&Bound<'_, PyAny>>,
        prices: &str,
        times: &str,
        time_zone: &str,
    ) -> PyResult<TapeTable> {
        let tokens = wanted.map(|wanted| self.names.resolve_by_day(&wanted)).transpose()?;
        let mut options = self.options(ranges, times, time_zone)?;
        options.tokens = tokens;
        options.columns = columns.map(arguments::column_names).transpose()?;
        options.prices = prices_named(prices)?;
        let reel = self.reel.clone();
        let open = move |outcome| options.export(&reel, outcome)?.to_batches();
        TapeTable::new(Arc::clone(&self.names), open)
    }

    /// Returns the table of bars.
    #[expect(clippy::too_many_arguments, reason = "called with names in Python")]
    fn candles(
        &self,
        every: Vec<String>,
        wanted: Option<Vec<Wanted>>,
        ranges: Ranges,
        fill: bool,
        pre_open: bool,
        grace: f64,
        sessions: Option<&str>,
        prices: &str,
    ) -> PyResult<TapeTable> {
        let seconds = Duration::try_from_secs_f64(grace);
        let text = || format!("grace is {grace}; it must be seconds, 0 or more");
        let grace = seconds.map_err(|_| PyValueError::new_err(text()))?;
        let sessions = sessions.map_or(Ok(Sessions::default()), |rules| self.sessions(rules))?;
        let mut configs: Vec<Config> = Vec::with_capacity(every.len());
        for length in every {
            let invalid = |error| PyValueError::new_err(format!("every is {length:?}: {error}"));
            let mut config = Config::default();
            config.every = length.parse().map_err(invalid)?;
            if configs.iter().any(|other| other.every == config.every) {
                return Err(PyValueError::new_err(format!("every has {length} twice")));
            }
            (config.build_with_no_updates, config.pre_open, config.grace) = (fill, pre_open, grace);
            config.sessions = sessions.clone();
            configs.push(config);
        }
        let mut options = self.options(ranges, "us", "ist")?;
        options.tokens = wanted.map(|wanted| self.names.resolve_by_day(&wanted)).transpose()?;
        options.prices = prices_named(prices)?;
        let reel = self.reel.clone();
        let open = move |outcome| {
            options.export(&reel, outcome)?.bars(configs.iter().cloned()).to_batches()
        };
        TapeTable::new(Arc::clone(&self.names), open)
    }

    /// Returns the table of events.
    fn events(&self, ranges: Ranges, times: &str, time_zone: &str) -> PyResult<TapeTable> {
        let options = self.options(ranges, times, time_zone)?;
        let reel = self.reel.clone();
        let open = move |outcome| options.export(&reel, outcome)?.to_event_batches();
        TapeTable::new(Arc::clone(&self.names), open)
    }

    /// Reads the gaps.
    fn gaps(&self, py: Python<'_>, ranges: Ranges) -> PyResult<Vec<gaps::Row>> {
        let windows = windows(ranges);
        let (entries, stop_unix_ns) = self.entries(windows.as_ref());
        gaps::read(py, entries, windows.as_ref(), stop_unix_ns)
    }

    /// Iterates over the frames.
    fn frames(&self, ranges: Ranges) -> Frames {
        let windows = windows(ranges);
        let (entries, stop_unix_ns) = self.entries(windows.as_ref());
        Frames::new(entries, windows, stop_unix_ns)
    }

    fn __repr__(&self) -> String {
        format!("<Recording of {} files>", self.reel.files().len())
    }
}

impl Recording {
    /// Reads from the start of the windows; also returns the time at which to stop. Without threads,
    /// which would not survive a fork.
    fn entries(&self, windows: Option<&Windows>) -> (Entries, Option<u64>) {
        let span = windows.and_then(Windows::span);
        let from_unix_ns = span.map_or(0, |(from, _)| from);
        let entries = self.reel.entries_with(ReadConfig { from_unix_ns, threads: 0 });
        (entries, span.map(|(_, end)| end.saturating_add(READ_PAST.as_nanos() as u64)))
    }

    /// Reads hours that replace the usual ones.
    fn sessions(&self, rules: &str) -> PyResult<Sessions> {
        let resolve = |name: &str| self.names.newest(&Wanted::Name(name.to_owned()));
        let sessions = Sessions::from_rules(rules, resolve);
        sessions.map_err(|error| PyValueError::new_err(format!("sessions: {error}")))
    }

    fn options(&self, ranges: Ranges, times: &str, time_zone: &str) -> PyResult<Options> {
        Ok(Options {
            names: Arc::clone(&self.names),
            windows: windows(ranges),
            tokens: None,
            columns: None,
            prices: Prices::Decimal,
            unit: match times {
                "ns" => TimeUnit::Nanoseconds,
                "us" => TimeUnit::Microseconds,
                other => return Err(unknown("times", other, "\"ns\" or \"us\"")),
            },
            zone: match time_zone {
                "utc" => TimeZone::Utc,
                "ist" => TimeZone::Ist,
                other => return Err(unknown("time_zone", other, "\"utc\" or \"ist\"")),
            },
        })
    }
}

/// What is read, and how.
struct Options {
    names: Arc<DayNames>,
    windows: Option<Windows>,
    tokens: Option<BTreeSet<(Day, u32)>>,
    columns: Option<Vec<String>>,
    prices: Prices,
    unit: TimeUnit,
    zone: TimeZone,
}

impl Options {
    fn export(&self, reel: &Reel, outcome: Outcome) -> Result<Export<'static>, ExportError> {
        let names = Arc::clone(&self.names);
        let mut export = Export::new(reel)
            .symbols(move |day, token| names.known_on(day, token))
            .prices(self.prices)
            .time_unit(self.unit)
            .time_zone(self.zone)
            .on_damage(move |damage| outcome.add_damage(damage));
        if let Some(windows) = &self.windows {
            export = export.windows(windows.clone()).read_past(READ_PAST);
        }
        if let Some(tokens) = &self.tokens {
            export = export.tokens_by_day(tokens.iter().copied());
        }
        match &self.columns {
            Some(columns) => Ok(export.columns(columns)?),
            None => Ok(export),
        }
    }
}

fn windows(ranges: Ranges) -> Option<Windows> {
    ranges.map(|ranges| Windows::new(ranges.into_iter().map(|(from, to)| from..to)))
}

fn prices_named(name: &str) -> PyResult<Prices> {
    match name {
        "decimal" => Ok(Prices::Decimal),
        "float" => Ok(Prices::Float),
        other => Err(unknown("prices", other, "\"decimal\" or \"float\"")),
    }
}

fn unknown(name: &str, value: &str, known: &str) -> PyErr {
    PyValueError::new_err(format!("{name} is {value:?}; it must be {known}"))
}
