//! Which times of the tapes a command uses: a window of each day, chosen days, or moments.

use std::collections::BTreeSet;
use std::ops::Range;

use clap::Args;
use kite_instruments::Date;
use kite_tape::{Reel, Windows};
use kite_wire::ist::Day;

use crate::exit::CliError;
use crate::format::times::{Moment, SECOND_NS, ist};

/// The times of the tapes to use.
#[derive(Debug, Clone, Args)]
pub(crate) struct Period {
    /// Start at 09:15 on each day in India, or at 2026-11-23T09:15
    #[arg(long, value_name = "TIME")]
    from: Option<Moment>,
    /// End before 15:30 on each day, or before 2026-11-24
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// Only this day in India, such as 2026-11-23; repeatable
    #[arg(long = "day", value_name = "DATE")]
    days: Vec<Date>,
}

impl Period {
    /// Builds a period from options with a help of their own.
    pub(crate) fn new(from: Option<Moment>, until: Option<Moment>, days: Vec<Date>) -> Self {
        Self { from, until, days }
    }

    /// Returns the options: from, until and days.
    pub(crate) fn parts(&self) -> (Option<Moment>, Option<Moment>, &[Date]) {
        (self.from, self.until, &self.days)
    }

    /// Returns the windows on the days of the tapes; `None` without any option.
    pub(crate) fn windows(&self, reel: &Reel) -> Result<Option<Windows>, CliError> {
        let spans = reel.files().iter().filter_map(kite_tape::TapeFile::span);
        self.within(&spans.collect::<Vec<_>>())
    }

    /// Returns the windows on the days of these spans of time.
    fn within(&self, spans: &[(u64, u64)]) -> Result<Option<Windows>, CliError> {
        if self.from.is_none() && self.until.is_none() && self.days.is_empty() {
            return Ok(None);
        }
        self.check_order()?;
        let recorded = days(spans);
        let wanted = self.wanted(&recorded)?;
        let (first, end) = (moment(self.from).unwrap_or(0), moment(self.until).unwrap_or(u64::MAX));
        let windows = wanted.into_iter().map(|day| {
            let Range { start, end: day_end } = self.of_day(day);
            start.max(first)..day_end.min(end)
        });
        let windows = Windows::new(windows);
        match spans.iter().any(|&(first, last)| windows.overlap(first, last)) {
            true => Ok(Some(windows)),
            false => Err(CliError::usage(format!("nothing is left between {}", self.described()))
                .help(held_between(spans))),
        }
    }

    /// Checks that two times of day, or two moments, are in order.
    fn check_order(&self) -> Result<(), CliError> {
        let is_wrong = match (self.from, self.until) {
            (Some(Moment::OfDay(from)), Some(Moment::OfDay(until))) => from >= until,
            (Some(Moment::Unix(from)), Some(Moment::Unix(until))) => from >= until,
            _ => false,
        };
        if !is_wrong {
            return Ok(());
        }
        let (from, until) = (shown(self.from), shown(self.until));
        Err(CliError::usage(format!("--from {from} is not before --until {until}")))
    }

    fn wanted(&self, recorded: &BTreeSet<i32>) -> Result<BTreeSet<i32>, CliError> {
        if self.days.is_empty() {
            return Ok(recorded.clone());
        }
        match self.days.iter().find(|day| !recorded.contains(&day.days())) {
            Some(missing) => {
                let error = CliError::usage(format!("--day {missing} is not on the tapes"));
                Err(error.help(held(recorded)))
            }
            None => Ok(self.days.iter().map(|day| day.days()).collect()),
        }
    }

    /// Returns the window of a day, or the whole day.
    fn of_day(&self, day: i32) -> Range<u64> {
        let (midnight, next) = (midnight(day), midnight(day.saturating_add(1)));
        let at = |time: Option<Moment>| match time {
            Some(Moment::OfDay(of_day)) => Some(midnight.saturating_add(of_day)),
            _ => None,
        };
        at(self.from).unwrap_or(midnight)..at(self.until).unwrap_or(next)
    }

    fn described(&self) -> String {
        let from = self.from.map(|_| format!("--from {}", shown(self.from)));
        let until = self.until.map(|_| format!("--until {}", shown(self.until)));
        let from = from.unwrap_or_else(|| "the start of the tapes".to_owned());
        let until = until.unwrap_or_else(|| "the end of the tapes".to_owned());
        format!("{from} and {until}")
    }
}

fn moment(time: Option<Moment>) -> Option<u64> {
    match time {
        Some(Moment::Unix(unix_ns)) => Some(unix_ns),
        _ => None,
    }
}

fn shown(time: Option<Moment>) -> String {
    match time {
        Some(Moment::Unix(unix_ns)) => {
            format!("{} {} IST", ist(unix_ns).date(), ist(unix_ns).clock())
        }
        Some(Moment::OfDay(of_day)) => {
            // A day that starts with the epoch in India.
            let start = midnight(1);
            ist(start.saturating_add(of_day)).clock()
        }
        None => String::new(),
    }
}

/// Returns the days in India that the spans touch.
fn days(spans: &[(u64, u64)]) -> BTreeSet<i32> {
    let day = |unix_ns| Day::at_unix_ns(unix_ns).unix_days();
    spans.iter().flat_map(|&(from, to)| day(from)..=day(to)).collect()
}

/// Returns midnight in India, in nanoseconds since the Unix epoch.
fn midnight(day: i32) -> u64 {
    let day = Day::from_unix_days(day.into()).unwrap_or(Day::LAST);
    u64::try_from(day.start_unix_s()).unwrap_or(0).saturating_mul(SECOND_NS)
}

/// Returns the days that the tapes hold, in words.
fn held(recorded: &BTreeSet<i32>) -> String {
    let name = |day: &i32| Day::from_unix_days((*day).into()).unwrap_or(Day::LAST).to_string();
    match (recorded.first(), recorded.last()) {
        (Some(first), Some(last)) if first == last => format!("the tapes hold {}", name(first)),
        (Some(first), Some(last)) => format!("the tapes hold {} to {}", name(first), name(last)),
        _ => "the tapes hold no records".to_owned(),
    }
}

/// Returns the times of the first and the last record of the tapes, in words.
fn held_between(spans: &[(u64, u64)]) -> String {
    let first = spans.iter().map(|&(first, _)| first).min();
    let last = spans.iter().map(|&(_, last)| last).max();
    match first.zip(last) {
        Some((first, last)) => {
            let shown = [first, last].map(|at| shown(Some(Moment::Unix(at))));
            format!("the tapes hold {} to {}", shown[0], shown[1])
        }
        None => "the tapes hold no records".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600 * SECOND_NS;
    const DAY: u64 = 24 * HOUR;
    /// Midnight in India before 23 November 2026.
    const MONDAY: u64 = 1_795_372_200 * SECOND_NS;

    fn period(from: &str, until: &str, days: &[&str]) -> Period {
        let time = |text: &str| {
            (!text.is_empty()).then(|| text.parse().unwrap_or_else(|_| panic!("{text}")))
        };
        let days = days.iter().map(|day| day.parse().unwrap_or_else(|_| panic!("{day}")));
        Period { from: time(from), until: time(until), days: days.collect() }
    }

    /// Returns the windows on tapes of Monday and Wednesday, from 09:00 to 16:00, in hours since
    /// Monday's midnight.
    fn hours(period: &Period) -> Result<Vec<(u64, u64)>, String> {
        let spans = [MONDAY, MONDAY + 2 * DAY].map(|day| (day + 9 * HOUR, day + 16 * HOUR));
        let hours = |at: u64| at.saturating_sub(MONDAY) / HOUR;
        match period.within(&spans) {
            Ok(windows) => Ok(windows
                .iter()
                .flat_map(Windows::iter)
                .map(|it| (hours(it.start), hours(it.end)))
                .collect()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_window_is_taken_of_each_day_that_the_tapes_hold() {
        assert_eq!(hours(&period("", "", &[])), Ok(vec![]), "everything");
        assert_eq!(hours(&period("10:00", "15:00", &[])), Ok(vec![(10, 15), (58, 63)]));
        assert_eq!(hours(&period("10:00", "", &[])), Ok(vec![(10, 24), (58, 72)]));
        assert_eq!(hours(&period("", "10:00", &[])), Ok(vec![(0, 10), (48, 58)]));
        let wednesday = ["2026-11-25"];
        assert_eq!(hours(&period("10:00", "15:00", &wednesday)), Ok(vec![(58, 63)]));
        assert_eq!(hours(&period("", "", &wednesday)), Ok(vec![(48, 72)]));
        let both = ["2026-11-25", "2026-11-23"];
        assert_eq!(hours(&period("", "", &both)), Ok(vec![(0, 24), (48, 72)]));
    }

    #[test]
    fn moments_limit_the_windows() {
        assert_eq!(hours(&period("2026-11-23T12:00", "2026-11-25", &[])), Ok(vec![(12, 24)]));
        assert_eq!(hours(&period("2026-11-24", "", &[])), Ok(vec![(48, 72)]));
        assert_eq!(hours(&period("2026-11-23T12:00", "15:00", &[])), Ok(vec![(12, 15), (48, 63)]));
        let utc = period("2026-11-23T06:30:00Z", "2026-11-23 15:00", &[]);
        assert_eq!(hours(&utc), Ok(vec![(12, 15)]));
    }

    #[test]
    fn a_period_without_any_time_is_an_error_that_names_the_options() {
        let refused = |period: &Period| hours(period).unwrap_err();
        let wrong = refused(&period("15:30", "09:15", &[]));
        assert_eq!(wrong, "--from 15:30:00 is not before --until 09:15:00");
        let wrong = refused(&period("2026-11-24", "2026-11-23T09:15", &[]));
        assert_eq!(
            wrong,
            "--from 2026-11-24 00:00:00 IST is not before --until 2026-11-23 09:15:00 IST"
        );
        let wrong = refused(&period("", "", &["2026-11-24"]));
        assert_eq!(wrong, "--day 2026-11-24 is not on the tapes");
        let wrong = refused(&period("2026-12-01", "", &[]));
        assert_eq!(
            wrong,
            "nothing is left between --from 2026-12-01 00:00:00 IST and the end of the tapes"
        );
        // On the days of the tapes, but before and after their records.
        for (from, until) in [("22:00", ""), ("", "08:59"), ("16:01", "22:00")] {
            let wrong = refused(&period(from, until, &[]));
            assert!(wrong.starts_with("nothing is left between "), "{wrong}");
        }
        assert_eq!(hours(&period("16:00", "22:00", &[])), Ok(vec![(16, 22), (64, 70)]));
    }
}
