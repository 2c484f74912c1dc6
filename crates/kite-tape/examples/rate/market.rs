//! Two markets of random packets, each of 9,000 instruments in full mode on three connections, in
//! frames of up to 50 packets. A seeded generator moves them. They serve only this measurement and
//! are not meant to be realistic otherwise.
//!
//! The busy one is harsh: every instrument is updated twice a second, and every number that can
//! change is drawn from its whole range.
//!
//! - In 40 % of the updates there was a trade since the last one. The last price moves by up to two
//!   ticks in half of those, volume grows by a few lots, the average price follows, and the time of
//!   the last trade is now. The book moves with the price.
//! - In every update one to four of the ten depth levels have a new quantity and number of orders,
//!   and the total quantities change accordingly.
//! - Open interest changes in one trade of four.
//! - The instruments of a connection are in a different order each time.
//!
//! The calm one is nearer to a day of trading:
//!
//! - One instrument in ten is active and updated twice a second, three in ten every second or two,
//!   and six in ten, the quiet strikes, about every 20 seconds. In the first minutes after the open
//!   all are updated more often, up to eight times.
//! - In 25 % of the updates there was a trade. The last price moves by one tick in a quarter of
//!   those, and the book moves with it.
//! - In every update one or two of the ten depth levels change by up to ten lots and one order.
//!   The total quantities change by that, and in half of the updates by other levels too.
//! - The instruments of a connection are always in the same order.
//!
//! In a block of 1 MiB of the busy market each instrument is at most once, so zstd finds repetitions
//! within a packet and between instruments, not between two updates of one.

use bytes::{BufMut as _, Bytes, BytesMut};
use fastrand::Rng;
use kite_tape::{Received, Source};

pub(crate) const INSTRUMENTS: usize = 9_000;
const CONNECTIONS: usize = 3;
pub(crate) const UPDATES_PER_SECOND: u64 = 2;
const PACKETS_PER_FRAME: usize = 50;
const PACKET_LEN: usize = 184;
/// 5 January 2026, 09:15 in India.
const MORNING_S: u64 = 1_767_584_700;

pub(crate) struct Market {
    rng: Rng,
    connections: Vec<Vec<Instrument>>,
    round: u64,
    is_calm: bool,
}

struct Instrument {
    token: u32,
    /// In paise; a tick is five.
    last: u32,
    last_quantity: u32,
    lot: u32,
    volume: u64,
    turnover: u64,
    /// Total quantities to buy and to sell.
    totals: [u32; 2],
    open: u32,
    high: u32,
    low: u32,
    close: u32,
    last_trade_s: u32,
    open_interest: u32,
    /// Quantity and orders: five levels of bids, then five of offers.
    depth: [(u32, u16); 10],
}

impl Market {
    pub(crate) fn new(is_calm: bool) -> Self {
        let mut rng = Rng::with_seed(9_000);
        let per_connection = INSTRUMENTS / CONNECTIONS;
        let connections = (0..CONNECTIONS)
            .map(|_| (0..per_connection).map(|_| Instrument::new(&mut rng)).collect())
            .collect();
        Self { rng, connections, round: 0, is_calm }
    }

    /// Updates every instrument once, or in a calm market those that are due, and passes the frames
    /// to `send`.
    pub(crate) fn round(&mut self, mut send: impl FnMut(Received, Bytes, usize)) {
        let begun_ns = self.round * 1_000_000_000 / UPDATES_PER_SECOND;
        let now_s = (MORNING_S + begun_ns / 1_000_000_000) as u32;
        for (connection, instruments) in self.connections.iter_mut().enumerate() {
            let is_calm = self.is_calm;
            if !is_calm {
                self.rng.shuffle(instruments);
            }
            // Falls from 8 at the open to 2 after seven minutes.
            let seconds = begun_ns as f64 / 1e9;
            let burst = 1.0 + 7.0 / (1.0 + seconds / 60.0);
            let mut due: Vec<&mut Instrument> = Vec::new();
            for (number, instrument) in instruments.iter_mut().enumerate() {
                let chance = match number % 10 {
                    _ if !is_calm => 1.0,
                    0 => 1.0,
                    1..4 => 0.33 * burst,
                    _ => 0.025 * burst,
                };
                if self.rng.f64() < chance {
                    due.push(instrument);
                }
            }
            let source = Source::of(0, connection);
            for (number, packets) in due.chunks_mut(PACKETS_PER_FRAME).enumerate() {
                let mut frame = BytesMut::with_capacity(2 + packets.len() * (2 + PACKET_LEN));
                frame.put_u16(packets.len() as u16);
                for instrument in packets.iter_mut() {
                    match is_calm {
                        true => instrument.drift(&mut self.rng, now_s),
                        false => instrument.update(&mut self.rng, now_s),
                    }
                    frame.put_u16(PACKET_LEN as u16);
                    instrument.put(&mut frame, now_s);
                }
                let within_ns = number as u64 * 8_000_000 + self.rng.u64(..100_000);
                let recv_unix_ns = MORNING_S * 1_000_000_000 + begun_ns + within_ns;
                send(Received { recv_unix_ns, source }, frame.freeze(), packets.len());
            }
        }
        self.round += 1;
    }
}

impl Instrument {
    fn new(rng: &mut Rng) -> Self {
        let last = 5 * rng.u32(200..200_000);
        let lot = [1, 1, 1, 25, 50, 75, 500][rng.usize(..7)];
        let mut depth = [(0, 0); 10];
        for level in &mut depth {
            *level = (lot * rng.u32(1..400), rng.u16(1..40));
        }
        let open = last + 5 * rng.u32(..40);
        Self {
            token: rng.u32(256..20_000_000) & !0xff | 1,
            last,
            last_quantity: lot,
            lot,
            volume: u64::from(lot) * rng.u64(..100_000),
            turnover: 0,
            totals: [lot * rng.u32(1_000..20_000), lot * rng.u32(1_000..20_000)],
            open,
            high: open.max(last),
            low: open.min(last),
            close: last,
            last_trade_s: MORNING_S as u32,
            open_interest: lot * rng.u32(..50_000),
            depth,
        }
        .with_turnover()
    }

    fn with_turnover(mut self) -> Self {
        self.turnover = self.volume * u64::from(self.last);
        self
    }

    fn update(&mut self, rng: &mut Rng, now_s: u32) {
        if rng.u32(..100) < 40 {
            self.trade(rng, now_s);
        }
        for _ in 0..rng.u32(1..=4) {
            let at = rng.usize(..10);
            let (quantity, orders) = &mut self.depth[at];
            let before = *quantity;
            *quantity = self.lot * rng.u32(1..400);
            *orders = rng.u16(1..40).min((*quantity / self.lot) as u16).max(1);
            let total = &mut self.totals[at / 5];
            *total = total.saturating_add(*quantity).saturating_sub(before).max(self.lot);
        }
    }

    /// Updates it as in a calm market.
    fn drift(&mut self, rng: &mut Rng, now_s: u32) {
        if rng.u32(..4) == 0 {
            if rng.u32(..4) == 0 {
                self.step(rng, 1);
            }
            self.last_quantity = self.lot * (1 + rng.u32(..6) * rng.u32(..6) / 4);
            self.volume += u64::from(self.last_quantity);
            self.turnover += u64::from(self.last_quantity) * u64::from(self.last);
            self.last_trade_s = now_s;
            if rng.u32(..8) == 0 {
                self.open_interest += self.lot * rng.u32(1..4);
            }
        }
        for _ in 0..rng.u32(1..=2) {
            let at = rng.usize(..10);
            let (quantity, orders) = &mut self.depth[at];
            let before = *quantity;
            let (more, fewer) = (self.lot * rng.u32(..=10), self.lot * rng.u32(..=10));
            *quantity = (*quantity + more).saturating_sub(fewer).max(self.lot);
            *orders = (*orders + rng.u16(..2)).saturating_sub(rng.u16(..2)).max(1);
            let elsewhere = if rng.bool() { self.lot * rng.u32(..=20) } else { 0 };
            let total = &mut self.totals[at / 5];
            *total = (*total + *quantity + elsewhere).saturating_sub(before).max(self.lot);
        }
    }

    /// Moves the last price and the book by up to this many ticks.
    fn step(&mut self, rng: &mut Rng, most: usize) {
        let up = rng.bool();
        let ticks = rng.usize(1..=most);
        let step = 5 * ticks as u32;
        self.last = if up { self.last + step } else { self.last.saturating_sub(step).max(200) };
        // The book shifts by as many levels: bids up and offers up, or both down.
        let (bids, offers) = self.depth.split_at_mut(5);
        let (near, far) = if up { (bids, offers) } else { (offers, bids) };
        near.rotate_right(ticks);
        far.rotate_left(ticks);
        for level in near[..ticks].iter_mut().chain(&mut far[5 - ticks..]) {
            *level = (self.lot * rng.u32(1..400), rng.u16(1..40));
        }
        self.high = self.high.max(self.last);
        self.low = self.low.min(self.last);
    }

    fn trade(&mut self, rng: &mut Rng, now_s: u32) {
        if rng.bool() {
            self.step(rng, 2);
        }
        // Most trades are small.
        self.last_quantity = self.lot * (1 + rng.u32(..60) * rng.u32(..60) / 400);
        self.volume += u64::from(self.last_quantity * rng.u32(1..4));
        self.turnover += u64::from(self.last_quantity) * u64::from(self.last);
        self.last_trade_s = now_s;
        if rng.u32(..4) == 0 {
            self.open_interest = (self.open_interest + self.lot * rng.u32(..10))
                .saturating_sub(self.lot * rng.u32(..9));
        }
    }

    fn put(&self, frame: &mut BytesMut, now_s: u32) {
        let average = self.turnover.checked_div(self.volume).unwrap_or(0) as u32;
        for value in [
            self.token,
            self.last,
            self.last_quantity,
            average,
            self.volume as u32,
            self.totals[0],
            self.totals[1],
            self.open,
            self.high,
            self.low,
            self.close,
            self.last_trade_s,
            self.open_interest,
            self.open_interest,
            self.open_interest,
            now_s,
        ] {
            frame.put_u32(value);
        }
        for (at, (quantity, orders)) in self.depth.iter().enumerate() {
            let away = 5 * (at as u32 % 5 + 1);
            let price = if at < 5 {
                self.last.saturating_sub(away)
            } else {
                self.last.saturating_add(away)
            };
            frame.put_u32(*quantity);
            frame.put_u32(price);
            frame.put_u16(*orders);
            frame.put_u16(0);
        }
    }
}
