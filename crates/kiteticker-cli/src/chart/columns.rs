//! Places candles in columns of equal length of time, with breaks between days.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use kite_candles::Sessions;
use kite_wire::ist::Day;

use super::{Candle, Chart};

const DAY_S: i64 = 86_400;

/// Lengths of columns, in seconds: those that people use.
const LENGTHS: [i64; 19] =
    [1, 2, 3, 5, 10, 15, 20, 30, 60, 120, 180, 300, 600, 900, 1_200, 1_800, 3_600, 7_200, 14_400];

/// One column of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    /// When it starts, in seconds since the Unix epoch.
    pub(super) start: u32,
    /// Whether it is the first of its day.
    pub(super) is_first: bool,
    pub(super) content: Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Candle(Candle),
    Empty,
    /// Between two days.
    Break,
}

impl Column {
    /// Returns the candle, if there was a trade.
    pub(super) fn candle(&self) -> Option<&Candle> {
        match &self.content {
            Content::Candle(candle) => Some(candle).filter(|it| it.is_traded),
            Content::Empty | Content::Break => None,
        }
    }

    /// Returns whether part of it was without a feed.
    pub(super) fn is_missed(&self) -> bool {
        matches!(&self.content, Content::Candle(candle) if candle.is_missed)
    }
}

/// The columns of a chart, from left to right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) columns: Vec<Column>,
    /// Length of a column in seconds; a day for a column a day.
    pub(super) secs: i64,
    /// Seconds after midnight at which the first day's session starts.
    pub(super) open_s: i64,
    /// The oldest days, for which there was no room.
    pub(super) left_out_days: usize,
}

impl Columns {
    /// Places the candles in at most `room` columns. A column has as many bars as it must.
    pub(super) fn of(chart: &Chart<'_>, room: usize) -> Self {
        let every = i64::from(chart.every.as_secs());
        let days = by_day(chart);
        let open_s = days.first().map_or(0, |day| day.open_s);
        if every >= DAY_S {
            return Self::daily(days, room);
        }
        let (secs, len) = lengths(every)
            .map(|secs| (secs, len(&days, secs)))
            .find(|&(_, len)| len <= room)
            .unwrap_or((DAY_S, usize::MAX));
        if len == usize::MAX {
            return Self::daily(days, room);
        }
        let mut columns = Vec::with_capacity(len);
        for day in &days {
            if let Some(before) = columns.last() {
                columns.push(Column { content: Content::Break, is_first: false, ..*before });
            }
            day.columns(secs, &mut columns);
        }
        Self { columns, secs, open_s, left_out_days: 0 }
    }

    /// Places one column a day, the newest that fit.
    fn daily(days: Vec<TradingDay<'_>>, room: usize) -> Self {
        let left_out_days = days.len().saturating_sub(room);
        let columns = days.iter().skip(left_out_days).filter_map(|day| {
            let (first, rest) = day.candles.split_first()?;
            let mut candle = **first;
            rest.iter().for_each(|later| candle.add(later));
            Some(Column { start: candle.start, is_first: true, content: Content::Candle(candle) })
        });
        Self { columns: columns.collect(), secs: DAY_S, open_s: 0, left_out_days }
    }

    /// Returns whether there is a column a day.
    pub(super) fn are_daily(&self) -> bool {
        self.secs >= DAY_S
    }

    /// Iterates over the candles with a trade.
    pub(super) fn candles(&self) -> impl Iterator<Item = &Candle> {
        self.columns.iter().filter_map(Column::candle)
    }
}

/// The candles of one day, by start; at least one.
struct TradingDay<'a> {
    midnight: i64,
    open_s: i64,
    candles: Vec<&'a Candle>,
}

impl TradingDay<'_> {
    /// Returns the column in which a candle is, counted from the start of the session.
    fn place(&self, candle: &Candle, secs: i64) -> i64 {
        (i64::from(candle.start) - self.midnight - self.open_s).div_euclid(secs)
    }

    /// Returns the first and the last column.
    fn span(&self, secs: i64) -> Option<(i64, i64)> {
        let place = |candle: &&Candle| self.place(candle, secs);
        self.candles.first().map(place).zip(self.candles.last().map(place))
    }

    fn columns(&self, secs: i64, columns: &mut Vec<Column>) {
        let Some((first, last)) = self.span(secs) else { return };
        let mut candles = self.candles.iter().peekable();
        for place in first..=last {
            let at = self.midnight + self.open_s + place * secs;
            let start = u32::try_from(at).unwrap_or(0);
            let mut column = Column { start, is_first: place == first, content: Content::Empty };
            while let Some(candle) = candles.next_if(|it| self.place(it, secs) == place) {
                match &mut column.content {
                    Content::Candle(sum) => sum.add(candle),
                    content => *content = Content::Candle(**candle),
                }
            }
            columns.push(column);
        }
    }
}

/// Groups the candles by day.
fn by_day<'a>(chart: &Chart<'a>) -> Vec<TradingDay<'a>> {
    let mut days: BTreeMap<Day, TradingDay<'a>> = BTreeMap::new();
    for candle in chart.candles {
        let day = Day::at_unix_s(candle.start.into());
        match days.entry(day) {
            Entry::Occupied(mut found) => found.get_mut().candles.push(candle),
            Entry::Vacant(vacant) => {
                vacant.insert(TradingDay {
                    midnight: day.start_unix_s(),
                    open_s: open_s(chart.sessions, chart.token, day),
                    candles: vec![candle],
                });
            }
        }
    }
    let mut days: Vec<_> = days.into_values().collect();
    days.iter_mut().for_each(|day| day.candles.sort_by_key(|candle| candle.start));
    days
}

fn open_s(sessions: &Sessions, token: u32, day: Day) -> i64 {
    sessions.of(token, day).map_or(0, |session| session.open_s().into())
}

/// Returns the number of columns, with the breaks between days.
fn len(days: &[TradingDay<'_>], secs: i64) -> usize {
    let of_day = |day: &TradingDay<'_>| day.span(secs).map_or(0, |(first, last)| last - first + 1);
    let columns: i64 = days.iter().map(of_day).sum();
    usize::try_from(columns).unwrap_or(usize::MAX).saturating_add(days.len().saturating_sub(1))
}

/// Returns the lengths that a column can have: of one bar, then of several.
fn lengths(every: i64) -> impl Iterator<Item = i64> {
    let usual = LENGTHS.into_iter().filter(move |secs| *secs > every && secs % every == 0);
    // Lengths that divide none of those are doubled.
    let has_usual = LENGTHS.into_iter().any(|secs| secs > every && secs % every == 0);
    let doubled = std::iter::successors(Some(every * 2), |secs| Some(secs * 2));
    let doubled = doubled.take_while(|secs| *secs < DAY_S).filter(move |_| !has_usual);
    std::iter::once(every).chain(usual).chain(doubled)
}
