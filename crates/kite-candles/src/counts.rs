//! What was counted beside the bars, so that nothing is left out unreported.

/// Counts of everything that [`Candles`](crate::Candles) was passed.
///
/// For all bars of a run, in their last states:
/// sum of `volume` + sum of `missed_volume` + `outside_volume` = `volume`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Packets.
    pub packets: u64,
    /// Packets that later ones are only compared with: the first of an instrument, and the first of
    /// a day whose start was missed.
    pub baselines: u64,
    /// Packets with an exchange timestamp before that of the packet before, or with a lower volume
    /// than that of another source just before, which are ignored.
    pub out_of_order: u64,
    /// Packets that showed a trade (of an index, a value).
    pub trades: u64,
    /// Of these, how many are in no bar: they were outside the session or, in a recording, of a day
    /// whose bars were passed on before the clock was set back.
    pub outside_trades: u64,
    /// Volume seen to be traded: the rise of the day's volume, summed over instruments.
    pub volume: u64,
    /// Of this, the volume of the trades that are in no bar.
    pub outside_volume: u64,
    /// Gaps, counted for each instrument, that were reported so late that they began before the
    /// oldest bar that is kept or, in a recording, on an earlier day. Bars before it may lack the
    /// flag.
    pub late_gaps: u64,
}

impl Counts {
    /// Counts a trade that is in no bar.
    pub(crate) fn add_outside(&mut self, volume: u64) {
        self.outside_trades += 1;
        self.outside_volume = self.outside_volume.saturating_add(volume);
    }
}
