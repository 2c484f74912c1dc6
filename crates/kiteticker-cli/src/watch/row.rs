//! One row of the table: the newest tick, the direction of the price, and recent prices.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use kite_wire::{Mode, Price, Segment, Tick};

/// Time for which a changed price is bright before it fades.
pub(crate) const BRIGHT: Duration = Duration::from_millis(250);
/// Time until a change has faded.
pub(crate) const FADED: Duration = Duration::from_millis(600);

/// Points kept per instrument; at least the width of the widest sparkline.
const POINTS: usize = 120;
/// The minimum time between two points. Kite sends up to two ticks per second; each becomes a
/// point, even if the first of two was late.
const POINT_EVERY: Duration = Duration::from_millis(400);

/// The direction of a price change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Up,
    Down,
}

/// How strongly a change is highlighted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Glow {
    Bright,
    Fading,
}

/// An instrument in the table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) token: u32,
    /// `EXCHANGE:SYMBOL` if known, else the token.
    pub(crate) name: String,
    /// As requested; the last tick may still be of another mode.
    pub(crate) mode: Mode,
    pub(crate) seen: Option<Seen>,
    /// Whether another row has the same symbol on another exchange.
    pub(crate) is_ambiguous: bool,
    /// What arrived while the display was paused.
    held: Option<Box<Seen>>,
}

/// What has been received for an instrument.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) tick: Tick,
    pub(crate) received: Instant,
    /// The last change of the price, and when it was processed.
    moved: Option<(Direction, Instant)>,
    /// Oldest first, in the segment's smallest unit.
    points: VecDeque<i32>,
    last_point: Instant,
}

impl Seen {
    fn new(tick: Tick, received: Instant) -> Self {
        let points = VecDeque::from([tick.last_price]);
        Self { tick, received, moved: None, points, last_point: received }
    }

    fn take(&mut self, tick: Tick, received: Instant, now: Instant) {
        let before = self.tick.last_price;
        if tick.last_price != before {
            let direction = if tick.last_price > before { Direction::Up } else { Direction::Down };
            self.moved = Some((direction, now));
        }
        (self.tick, self.received) = (tick, received);
        if received.saturating_duration_since(self.last_point) >= POINT_EVERY {
            if self.points.len() == POINTS {
                self.points.pop_front();
            }
            self.points.push_back(tick.last_price);
            self.last_point = received;
        } else if let Some(newest) = self.points.back_mut() {
            *newest = tick.last_price;
        }
    }

    /// Returns the recent prices, oldest first.
    pub(crate) fn points(&self) -> impl DoubleEndedIterator<Item = i32> {
        self.points.iter().copied()
    }
}

impl Row {
    pub(crate) fn new(token: u32, name: String, mode: Mode) -> Self {
        Self { token, name, mode, seen: None, is_ambiguous: false, held: None }
    }

    /// Shows a tick. If several arrive between two frames, the last one decides the direction.
    pub(crate) fn take(&mut self, tick: Tick, received: Instant, now: Instant) {
        match &mut self.seen {
            Some(seen) => seen.take(tick, received, now),
            None => self.seen = Some(Seen::new(tick, received)),
        }
    }

    /// Keeps a tick back until [`Row::release`].
    pub(crate) fn hold(&mut self, tick: Tick, received: Instant, now: Instant) {
        match &mut self.held {
            Some(held) => held.take(tick, received, now),
            None => {
                let mut held = match &self.seen {
                    Some(seen) => seen.clone(),
                    None => Seen::new(tick, received),
                };
                held.take(tick, received, now);
                self.held = Some(Box::new(held));
            }
        }
    }

    /// Shows what was held; returns whether anything was.
    pub(crate) fn release(&mut self) -> bool {
        match self.held.take() {
            Some(held) => {
                self.seen = Some(*held);
                true
            }
            None => false,
        }
    }

    /// Returns the direction of the last change and how strongly to highlight it.
    pub(crate) fn glow(&self, now: Instant) -> Option<(Direction, Glow)> {
        let (direction, at) = self.seen.as_ref()?.moved?;
        match now.saturating_duration_since(at) {
            age if age < BRIGHT => Some((direction, Glow::Bright)),
            age if age < FADED => Some((direction, Glow::Fading)),
            _ => None,
        }
    }

    /// Returns the name without its exchange.
    pub(crate) fn symbol(&self) -> &str {
        self.name.split_once(':').map_or(self.name.as_str(), |(_, symbol)| symbol)
    }

    /// Returns the segment, which is encoded in the token.
    pub(crate) fn segment(&self) -> Segment {
        Segment::of_token(self.token)
    }

    pub(crate) fn tick(&self) -> Option<&Tick> {
        self.seen.as_ref().map(|seen| &seen.tick)
    }

    pub(crate) fn last_price(&self) -> Option<Price> {
        self.tick().map(Tick::last_price)
    }

    pub(crate) fn change_percent(&self) -> Option<f64> {
        self.tick()?.change_percent()
    }

    pub(crate) fn net_change(&self) -> Option<Price> {
        self.tick()?.change()
    }

    pub(crate) fn volume(&self) -> Option<u32> {
        Some(self.tick()?.quote()?.volume)
    }

    /// Returns the open interest of a contract.
    pub(crate) fn open_interest(&self) -> Option<u32> {
        let interest = self.tick()?.full()?.open_interest;
        (interest > 0 || self.has_open_interest()).then_some(interest)
    }

    /// Returns the average price of the day, if there was a trade.
    pub(crate) fn average(&self) -> Option<Price> {
        let tick = self.tick()?;
        let average = tick.quote()?.average_price;
        (average != 0).then(|| tick.price(average))
    }

    /// Returns the total quantity of pending buy orders.
    pub(crate) fn buying(&self) -> Option<u32> {
        Some(self.tick()?.quote()?.total_buy_quantity)
    }

    /// Returns the total quantity of pending sell orders.
    pub(crate) fn selling(&self) -> Option<u32> {
        Some(self.tick()?.quote()?.total_sell_quantity)
    }

    /// Returns the quantity of the last trade.
    pub(crate) fn last_quantity(&self) -> Option<u32> {
        Some(self.tick()?.quote()?.last_quantity)
    }

    /// Returns whether the instrument is of a segment of contracts.
    pub(crate) fn has_open_interest(&self) -> bool {
        !matches!(self.segment(), Segment::Nse | Segment::Bse | Segment::Indices)
    }

    /// Forgets the ticks: those to come are of another time.
    pub(crate) fn forget(&mut self) {
        (self.seen, self.held) = (None, None);
    }

    /// Returns the best bid, if there is one.
    pub(crate) fn bid(&self) -> Option<Price> {
        let tick = self.tick()?;
        let best = tick.full()?.bids[0];
        (best.quantity > 0).then(|| tick.price(best.price))
    }

    /// Returns the best ask, if there is one.
    pub(crate) fn ask(&self) -> Option<Price> {
        let tick = self.tick()?;
        let best = tick.full()?.asks[0];
        (best.quantity > 0).then(|| tick.price(best.price))
    }

    /// Returns open, high, low and close.
    pub(crate) fn ohlc(&self) -> Option<[Price; 4]> {
        let tick = self.tick()?;
        let raw = match (tick.quote(), tick.index()) {
            (Some(quote), _) => [quote.open, quote.high, quote.low, quote.close],
            (_, Some(index)) => [index.open, index.high, index.low, index.close],
            _ => return None,
        };
        Some(raw.map(|raw| tick.price(raw)))
    }

    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        self.seen.as_ref().map(|seen| now.saturating_duration_since(seen.received))
    }
}

#[cfg(test)]
mod tests {
    use kite_wire::Fields;

    use super::*;

    fn ltp(last_price: i32) -> Tick {
        Tick { instrument_token: 408_065, last_price, fields: Fields::Ltp }
    }

    fn row() -> Row {
        Row::new(408_065, "NSE:INFY".into(), Mode::Full)
    }

    fn points(row: &Row) -> Vec<i32> {
        row.seen.as_ref().unwrap().points().collect()
    }

    #[test]
    fn a_changed_price_glows_then_fades_and_an_equal_one_does_not() {
        let (mut row, start) = (row(), Instant::now());
        let after = |millis| start + Duration::from_millis(millis);
        row.take(ltp(100), start, start);
        assert_eq!(row.glow(start), None, "the first price is no change");
        row.take(ltp(101), after(1), after(10));
        row.take(ltp(101), after(11), after(20));
        assert_eq!(row.glow(after(259)), Some((Direction::Up, Glow::Bright)));
        assert_eq!(row.glow(after(260)), Some((Direction::Up, Glow::Fading)));
        assert_eq!(row.glow(after(609)), Some((Direction::Up, Glow::Fading)));
        assert_eq!(row.glow(after(610)), None);
        row.take(ltp(100), after(700), after(700));
        assert_eq!(row.glow(after(700)), Some((Direction::Down, Glow::Bright)));
    }

    #[test]
    fn ticks_close_together_are_one_point_with_the_last_price() {
        let (mut row, start) = (row(), Instant::now());
        for (millis, price) in [(0, 1), (100, 2), (500, 3), (899, 4), (900, 5)] {
            let at = start + Duration::from_millis(millis);
            row.take(ltp(price), at, at);
        }
        assert_eq!(points(&row), [2, 4, 5]);
    }

    #[test]
    fn the_oldest_points_are_dropped_beyond_the_limit() {
        let (mut row, start) = (row(), Instant::now());
        for second in 0..200 {
            let at = start + Duration::from_secs(second);
            row.take(ltp(second as i32), at, at);
        }
        let points = points(&row);
        assert_eq!((points.len(), points[0], points[POINTS - 1]), (POINTS, 80, 199));
    }

    #[test]
    fn held_ticks_show_when_released_with_the_points_between() {
        let (mut row, start) = (row(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        row.take(ltp(1), start, start);
        for second in 1..4 {
            row.hold(ltp(1 + second as i32), after(second), after(second));
        }
        assert_eq!((row.tick().unwrap().last_price, points(&row)), (1, vec![1]));
        assert!(row.release());
        assert_eq!((row.tick().unwrap().last_price, points(&row)), (4, vec![1, 2, 3, 4]));
        assert!(!row.release());

        let mut unseen = self::row();
        unseen.hold(ltp(7), start, start);
        assert!(unseen.tick().is_none() && unseen.release());
        assert_eq!(points(&unseen), [7]);
    }
}
