//! What was missed between a loss and the ticks after it, as data.

use std::fmt;
use std::time::Duration;

use kite_wire::Mode;

use super::wording::counted;
use crate::clock::Stamp;

/// A gap in the feed of one connection: from the last sign of life of a lost socket to the ticks
/// of the next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// Number of the socket that was lost.
    pub lost_epoch: u32,
    /// Number of the socket that came after it.
    pub epoch: u32,
    /// When anything came from the lost socket last. What the server sent after this is missed.
    pub last_heard: Stamp,
    /// When the loss was noticed.
    pub lost: Stamp,
    /// When the handshake of the next socket was done.
    pub up: Stamp,
    /// When ticks came again; `None` where none had come when this gap was told.
    pub resumed: Option<Stamp>,
    /// The instruments that the lost socket was subscribed to, by rising token.
    pub instruments: Vec<Missed>,
}

/// What was missed of one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missed {
    /// The instrument token.
    pub token: u32,
    /// The mode it was subscribed in.
    pub mode: Mode,
    /// The volume traded between its last tick before the gap and its first after it.
    pub volume: VolumeMissed,
}

/// The volume of an instrument that was traded unseen, where it can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum VolumeMissed {
    /// So much, in the unit of the packet's volume. Zero: nothing was traded.
    Known(u32),
    /// Its packets carry no volume: LTP mode, or an index.
    NotCarried,
    /// It had not ticked before the loss.
    NeverSeen,
    /// It had not ticked again when the gap was told.
    NotBack,
    /// It was unsubscribed while no socket was up.
    Unsubscribed,
    /// Its packets have no exchange time, and before the gap its volume was not seen to change: the
    /// last tick before may have been of an earlier day, though it came today.
    UnknownDay,
    /// Its ticks before and after are of different days (IST), and volume starts at zero each day.
    OtherDay,
    /// Its volume fell within the day: a correction of the exchange, or the counter's 32 bits ran
    /// over.
    Fell,
    /// Instruments are not tracked ([`ConnectionConfig::track_instruments`]).
    ///
    /// [`ConnectionConfig::track_instruments`]: crate::ConnectionConfig::track_instruments
    NotTracked,
}

impl Gap {
    /// Gives the time without ticks, from the last sign of life to the first tick; `None` where
    /// none had come when the gap was told.
    #[must_use]
    pub fn without_ticks(&self) -> Option<Duration> {
        self.resumed.map(|resumed| resumed.since(self.last_heard))
    }

    /// Adds up the volumes missed, as far as they are known.
    #[must_use]
    pub fn known_volume(&self) -> u64 {
        let known = self.instruments.iter().map(|missed| match missed.volume {
            VolumeMissed::Known(volume) => u64::from(volume),
            _ => 0,
        });
        known.sum()
    }
}

/// One line: how long no ticks came, of how many instruments, and the volume missed.
impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instruments = counted(self.instruments.len(), "instrument");
        match self.without_ticks() {
            Some(time) => write!(f, "no ticks of {instruments} for {time:.1?}")?,
            None => write!(f, "no ticks of {instruments} yet")?,
        }
        match self.known_volume() {
            0 => Ok(()),
            volume => write!(f, ", volume {volume} traded unseen"),
        }
    }
}
