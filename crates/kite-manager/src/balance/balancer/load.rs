//! The load of instruments on the connections that carry them.
//!
//! Integers throughout, so that sums do not drift when instruments are added and removed, and the
//! same observations yield the same places on every machine.

use kite_wire::{
    FullPacket, IndexFullPacket, IndexQuotePacket, LtpPacket, Mode, QuotePacket, Segment,
};

use super::Place;

/// Size of the length field before each packet.
const LENGTH_FIELD: usize = 2;

/// Tick rate of an instrument in millionths of a tick per second; at most 4,294 ticks per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate(u32);

impl Rate {
    /// Assumed while no instrument has been observed in the mode.
    const UNKNOWN: Self = Self(1_000_000);

    /// Converts from ticks per second; invalid rates (negative, not a number) become zero.
    pub(super) fn per_second(ticks: f64) -> Self {
        Self((ticks * 1e6) as u32)
    }
}

/// The loads of all connections, in millionths of a byte per second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loads {
    connections: Vec<Carried>,
    observed: [Observed; Mode::ALL.len()],
}

/// The load of one connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Carried {
    /// The load of the observed instruments.
    observed: u64,
    /// The sum of the update sizes of all other instruments in bytes, by mode. Kept apart because
    /// their assumed rate changes with each observation.
    unobserved_bytes: [u64; Mode::ALL.len()],
}

/// The observed instruments in one mode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Observed {
    instruments: u64,
    rates: u64,
}

impl Observed {
    fn mean(self) -> u64 {
        self.rates.checked_div(self.instruments).unwrap_or(Rate::UNKNOWN.0.into())
    }
}

impl Loads {
    pub(super) fn new(connections: usize) -> Self {
        Self {
            connections: vec![Carried::default(); connections],
            observed: [Observed::default(); Mode::ALL.len()],
        }
    }

    pub(super) fn add(&mut self, place: &Place) {
        let (bytes, mode) = (update_bytes(place.token, place.mode), place.mode as usize);
        let carried = &mut self.connections[usize::from(place.connection)];
        let Some(Rate(rate)) = place.rate else {
            carried.unobserved_bytes[mode] += bytes;
            return;
        };
        carried.observed += bytes * u64::from(rate);
        self.observed[mode].instruments += 1;
        self.observed[mode].rates += u64::from(rate);
    }

    /// Removes a place; it must be unchanged since it was added.
    pub(super) fn remove(&mut self, place: &Place) {
        let (bytes, mode) = (update_bytes(place.token, place.mode), place.mode as usize);
        let carried = &mut self.connections[usize::from(place.connection)];
        let Some(Rate(rate)) = place.rate else {
            carried.unobserved_bytes[mode] -= bytes;
            return;
        };
        carried.observed -= bytes * u64::from(rate);
        self.observed[mode].instruments -= 1;
        self.observed[mode].rates -= u64::from(rate);
    }

    /// Returns the load of each connection, by number.
    pub(super) fn of_connections(&self) -> impl Iterator<Item = u64> {
        let means = self.observed.map(Observed::mean);
        self.connections.iter().map(move |carried| {
            let unobserved = carried.unobserved_bytes.iter().zip(means);
            carried.observed + unobserved.map(|(bytes, mean)| bytes * mean).sum::<u64>()
        })
    }

    /// Returns the load of an instrument: its update size times its observed rate, or times the
    /// mean rate of its mode if it was not observed.
    pub(super) fn of_instrument(&self, place: &Place) -> u64 {
        match place.rate {
            Some(Rate(rate)) => update_bytes(place.token, place.mode) * u64::from(rate),
            None => self.of_new(place.mode)(place.token),
        }
    }

    /// Returns the assumed load of a new instrument in a mode, as a function of its token.
    pub(super) fn of_new(&self, mode: Mode) -> impl Fn(u32) -> u64 {
        let mean = self.observed[mode as usize].mean();
        move |token| update_bytes(token, mode) * mean
    }
}

/// Returns the size of one update of an instrument on the wire, in bytes.
fn update_bytes(token: u32, mode: Mode) -> u64 {
    let is_index = Segment::of_token(token) == Segment::Indices;
    let packet = match mode {
        Mode::Ltp => LtpPacket::LEN,
        Mode::Quote if is_index => IndexQuotePacket::LEN,
        Mode::Quote => QuotePacket::LEN,
        Mode::Full if is_index => IndexFullPacket::LEN,
        Mode::Full => FullPacket::LEN,
    };
    (LENGTH_FIELD + packet) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_its_packet_plus_the_length_field() {
        let (share, index) = (408_065, 256_265);
        let bytes = |token| Mode::ALL.map(|mode| update_bytes(token, mode));
        assert_eq!(bytes(share), [10, 46, 186]);
        assert_eq!(bytes(index), [10, 30, 34]);
    }

    #[test]
    fn unobserved_instruments_are_assumed_to_tick_like_the_mean_of_their_mode() {
        let mut loads = Loads::new(1);
        let load = |loads: &Loads| loads.of_connections().next().unwrap();
        let place = |token, mode, ticks: Option<f64>| Place {
            rate: ticks.map(Rate::per_second),
            ..Place::new(token, mode, 0)
        };
        loads.add(&place(1, Mode::Ltp, None));
        assert_eq!(load(&loads), 10_000_000, "one tick a second while nothing was observed");
        loads.add(&place(2, Mode::Quote, Some(7.0)));
        assert_eq!(load(&loads), (10 + 46 * 7) * 1_000_000, "other modes do not count");
        let (quick, slow) = (place(3, Mode::Ltp, Some(2.0)), place(4, Mode::Ltp, Some(0.5)));
        loads.add(&quick);
        loads.add(&slow);
        assert_eq!(load(&loads), 46 * 7_000_000 + 10 * (2_000_000 + 500_000 + 1_250_000));
        assert_eq!(loads.of_new(Mode::Ltp)(5), 12_500_000);
        assert_eq!(loads.of_instrument(&slow), 5_000_000);
        loads.remove(&quick);
        assert_eq!(load(&loads), 46 * 7_000_000 + 10 * (500_000 + 500_000));
    }

    #[test]
    fn invalid_rates_count_as_zero() {
        for ticks in [0.0, -3.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(Rate::per_second(ticks), Rate(0), "{ticks}");
        }
        assert_eq!(Rate::per_second(f64::INFINITY), Rate(u32::MAX));
    }
}
