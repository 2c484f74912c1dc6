//! The bars of one day, by instrument.

use std::collections::HashMap;

use kite_candles::Bar;
use kite_wire::ist::Day;

/// Instruments whose bars are kept.
const MOST_INSTRUMENTS: usize = 10_000;

/// The bars of the newest day that there are bars of.
///
/// Bounded: a day has at most 1,440 bars of a minute for each instrument.
#[derive(Debug, Default)]
pub(crate) struct DayBars {
    day: Option<Day>,
    /// By token, each in the order of time.
    bars: HashMap<u32, Vec<Bar>>,
    refused: u64,
}

impl DayBars {
    /// Adds a bar, or replaces the one with the same token and start.
    pub(crate) fn set(&mut self, bar: Bar) {
        let day = Day::at_unix_s(bar.start.get().into());
        if self.day.is_some_and(|newest| day < newest) {
            // A correction of an earlier day.
            return;
        }
        if self.day != Some(day) {
            self.bars.clear();
            self.day = Some(day);
        }
        let token = bar.instrument_token;
        if self.bars.len() >= MOST_INSTRUMENTS && !self.bars.contains_key(&token) {
            self.refused += 1;
            return;
        }
        let bars = self.bars.entry(token).or_default();
        let at = bars.partition_point(|before| before.start < bar.start);
        match bars.get_mut(at).filter(|found| found.start == bar.start) {
            Some(found) => *found = bar,
            None => bars.insert(at, bar),
        }
    }

    /// Returns the bars of an instrument on this day; `None` if it has none.
    pub(crate) fn get(&self, token: u32, today: Day) -> Option<&[Bar]> {
        self.bars.get(&token).map(Vec::as_slice).filter(|_| self.day == Some(today))
    }

    /// Returns the number of instruments with bars.
    pub(crate) fn instruments(&self) -> usize {
        self.bars.len()
    }

    /// Returns the number of bars.
    pub(crate) fn len(&self) -> usize {
        self.bars.values().map(Vec::len).sum()
    }

    /// Returns how many bars are not kept, because there were too many instruments.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use kite_candles::{Candles, Config, Item, Scope, Session};
    use kite_wire::{Fields, Frame, FrameEncoder, QuoteFields, Tick};

    use super::*;

    const S: u64 = 1_000_000_000;

    /// Noon in India on 2026-11-23, a Monday.
    fn noon() -> u64 {
        (Day::from_date(2026, 11, 23).unwrap().start_unix_s() as u64 + 12 * 3600) * S
    }

    /// Makes the bars of an instrument that trades at these seconds after noon, as they were passed
    /// on.
    fn bars(token: u32, seconds: &[u64]) -> Vec<Item> {
        let mut config = Config::default();
        let always = Session::new((0, 0), (24, 0)).unwrap();
        config.sessions = config.sessions.with(Scope::All, None, Some(always));
        let mut candles = Candles::live(config).unwrap();
        let mut items = Vec::new();
        for (volume, second) in (1..).zip([&[0], seconds].concat()) {
            let quote = QuoteFields { volume, ..QuoteFields::default() };
            let tick =
                Tick { instrument_token: token, last_price: 100, fields: Fields::Quote(quote) };
            let mut buffer = [0; 64];
            let mut frame = FrameEncoder::new(&mut buffer).unwrap();
            frame.push(&tick).unwrap();
            for packet in Frame::walk(frame.finish()).packets() {
                candles.on_packet(packet, noon() + second * S, &mut |item| items.push(item));
            }
        }
        candles.finish(&mut |item| items.push(item));
        items
    }

    #[test]
    fn a_bar_has_the_size_that_the_documentation_states() {
        assert_eq!(size_of::<Bar>(), 112);
    }

    #[test]
    fn corrections_replace_bars_and_late_bars_find_their_place() {
        let items = bars(1, &[10, 70, 190, 130, 20]);
        let mut day = DayBars::default();
        items.iter().for_each(|item| day.set(*item.bar()));
        // In any order.
        let monday = Day::at_unix_ns(noon());
        let kept = day.get(1, monday).unwrap().to_vec();
        assert_eq!((kept.len(), day.len(), day.instruments()), (4, 4, 1));
        assert!(kept.is_sorted_by_key(|bar| bar.start));
        let mut reversed = DayBars::default();
        kept.iter().rev().for_each(|bar| reversed.set(*bar));
        assert_eq!(reversed.get(1, monday), Some(&kept[..]));
        assert_eq!(day.get(2, monday), None);
    }

    #[test]
    fn a_new_day_replaces_the_one_before() {
        let items = bars(1, &[10, 86_410, 86_470]);
        let [monday, tuesday] = [&items[0], &items[1]].map(|item| *item.bar());
        let [of_monday, of_tuesday] =
            [monday, tuesday].map(|bar| Day::at_unix_s(bar.start.get().into()));
        let mut day = DayBars::default();
        day.set(monday);
        assert_eq!(day.get(1, of_tuesday), None);
        day.set(tuesday);
        day.set(monday);
        assert_eq!((day.get(1, of_monday), day.get(1, of_tuesday)), (None, Some(&[tuesday][..])));
    }

    #[test]
    fn bars_of_too_many_instruments_are_counted() {
        let bar = *bars(1, &[10])[0].bar();
        let mut day = DayBars::default();
        for token in 0..MOST_INSTRUMENTS as u32 + 3 {
            let mut bar = bar;
            bar.instrument_token = token;
            day.set(bar);
        }
        assert_eq!((day.instruments(), day.refused()), (MOST_INSTRUMENTS, 3));
    }
}
