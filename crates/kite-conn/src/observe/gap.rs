//! What was missed between a loss and the ticks after it, as data.

use std::fmt;
use std::time::Duration;

use kite_wire::Mode;

use super::wording::{counted, grouped};
use crate::clock::Stamp;

/// A gap in the feed: from the last message on a lost socket to the first ticks on the next one, or
/// on the connection that the instruments were moved to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// Number of the socket that was lost.
    pub lost_epoch: u32,
    /// Number of the socket that replaced it, on the connection that reports the gap.
    pub epoch: u32,
    /// The connection that lost the socket, if its instruments were moved to the one that reports
    /// the gap: the number passed to [`Connection::hand_over`], which is
    /// `Move::from` of kite-manager. `None` after a plain reconnect.
    ///
    /// [`Connection::hand_over`]: crate::Connection::hand_over
    pub moved_from: Option<usize>,
    /// When anything was last received from the lost socket. What the server sent after this is
    /// missed.
    pub last_heard: Stamp,
    /// When the loss was noticed.
    pub lost: Stamp,
    /// When the handshake of the next socket was done, or when the instruments were moved, if their
    /// new connection had a socket already.
    pub up: Stamp,
    /// When the first of the instruments ticked again; `None` if none had when this gap was
    /// reported.
    pub resumed: Option<Stamp>,
    /// The instruments subscribed on the lost socket, by ascending token. Without those that were
    /// moved away since, which are in a gap of their new connection.
    pub instruments: Vec<Missed>,
}

/// What was missed for one instrument.
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

/// The missed volume of an instrument, or why it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum VolumeMissed {
    /// This volume, in the unit of the packet's volume. Zero means that nothing was traded.
    Known(u32),
    /// Its packets carry no volume: LTP mode, or an index.
    NotCarried,
    /// It had not ticked before the loss.
    NeverSeen,
    /// It had not ticked again when the gap was reported.
    NotBack,
    /// It was unsubscribed, or moved to another connection again, before it ticked.
    Unsubscribed,
    /// Its packets have no exchange time, and its volume was not seen to change before the gap: the
    /// last tick before it may be from an earlier day, though it was received today.
    UnknownDay,
    /// Its ticks before and after are from different days (IST), and volume starts at zero each
    /// day.
    OtherDay,
    /// Its volume fell within the day, because the exchange corrected it or the 32-bit counter
    /// overflowed.
    Fell,
    /// Instruments are not tracked ([`ConnectionConfig::track_instruments`]).
    ///
    /// [`ConnectionConfig::track_instruments`]: crate::ConnectionConfig::track_instruments
    NotTracked,
}

impl Missed {
    /// Creates a value, for programs that test their own sink.
    #[must_use]
    pub fn new(token: u32, mode: Mode, volume: VolumeMissed) -> Self {
        Self { token, mode, volume }
    }
}

impl Gap {
    /// Creates the gap of a reconnect between the sockets 1 and 2, without instruments, for programs
    /// that test their own sink.
    #[must_use]
    pub fn new(last_heard: Stamp, lost: Stamp, up: Stamp) -> Self {
        let (lost_epoch, epoch, instruments) = (1, 2, Vec::new());
        let (moved_from, resumed) = (None, None);
        Self { lost_epoch, epoch, moved_from, last_heard, lost, up, resumed, instruments }
    }

    /// Returns the time without ticks, from the last message to the first tick; `None` if ticks had
    /// not resumed when the gap was reported.
    #[must_use]
    pub fn without_ticks(&self) -> Option<Duration> {
        self.resumed.map(|resumed| resumed.since(self.last_heard))
    }

    /// Returns the sum of the missed volumes that are known.
    #[must_use]
    pub fn known_volume(&self) -> u64 {
        let known = self.instruments.iter().map(|missed| match missed.volume {
            VolumeMissed::Known(volume) => u64::from(volume),
            _ => 0,
        });
        known.sum()
    }
}

/// One line: the time without ticks, the number of instruments, where they were moved from, and the
/// missed volume, if it is known of any. Connections count from 1.
impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.instruments.is_empty() {
            return f.write_str("no instruments were subscribed");
        }
        let instruments = counted(self.instruments.len(), "instrument");
        match self.without_ticks() {
            Some(time) => write!(f, "no ticks from {instruments} for {time:.1?}")?,
            None => write!(f, "no ticks from {instruments} yet")?,
        }
        if let Some(connection) = self.moved_from {
            write!(f, ", moved from connection {}", connection + 1)?;
        }
        let mut volumes = self.instruments.iter().map(|missed| missed.volume);
        if volumes.any(|volume| matches!(volume, VolumeMissed::Known(_))) {
            write!(f, ", missed volume {}", grouped(self.known_volume()))?;
        }
        Ok(())
    }
}
