//! Compares what is on the tapes, and what they report missing, with what was sent.

use std::path::PathBuf;

use kite_tape::{Entry, Reel};

/// The token of the numbered frames, which no simulated instrument has.
const TOKEN: u32 = 4_242_424;

/// Returns the frame with this number: one packet with a last price.
#[must_use]
pub fn frame(number: u32) -> Vec<u8> {
    let mut frame = vec![0, 1, 0, 8];
    frame.extend(TOKEN.to_be_bytes());
    frame.extend(number.to_be_bytes());
    frame
}

/// The sums of a whole recording.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Numbered frames on the tapes.
    pub found: u64,
    /// Numbered frames that are missing where the tapes report a known number.
    pub counted: u64,
    /// Numbered frames that are missing where the tapes report a gap of unknown size.
    pub uncounted: u64,
    /// Gaps on the tapes.
    pub gaps: u64,
}

impl Account {
    /// Reads the tapes of directories, in the order in which they were recorded, and accounts for
    /// the numbers from 1 to `sent`. The order of the records counts, not their times, because the
    /// clock is set.
    ///
    /// # Errors
    /// Returns what does not add up: a number that is repeated or out of order, or is missing
    /// without a gap, or with gaps of too few frames.
    pub fn of(directories: &[PathBuf], sent: u64) -> Result<Self, String> {
        let mut walk = Walk::default();
        for directory in directories {
            let reel = Reel::open([directory]).map_err(|error| error.to_string())?;
            for entry in reel.entries() {
                walk.take(&entry.map_err(|damage| damage.to_string())?)?;
            }
        }
        walk.reach(sent + 1)?;
        Ok(walk.account)
    }
}

/// The state between two numbered frames.
#[derive(Debug, Default)]
struct Walk {
    account: Account,
    last: u64,
    /// Frames in the gaps since the last number, if all are known.
    known: u64,
    has_unknown: bool,
}

impl Walk {
    fn take(&mut self, entry: &Entry) -> Result<(), String> {
        if let Some(gap) = entry.gap() {
            self.account.gaps += 1;
            match gap.frames {
                Some(frames) => self.known += frames,
                None => self.has_unknown = true,
            }
        }
        match number(entry) {
            Some(number) => {
                self.reach(number)?;
                self.account.found += 1;
                self.last = number;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Accounts for the numbers before this one.
    fn reach(&mut self, number: u64) -> Result<(), String> {
        let last = self.last;
        if number <= last {
            return Err(format!("frame {number} follows frame {last}"));
        }
        let missing = number - last - 1;
        // Frames of the simulated market are in the gaps too.
        match (self.has_unknown, self.known) {
            (false, known) if known < missing => {
                return Err(format!(
                    "{missing} frames are missing before {number}, {known} reported"
                ));
            }
            (false, _) => self.account.counted += missing,
            (true, _) => self.account.uncounted += missing,
        }
        (self.known, self.has_unknown) = (0, false);
        Ok(())
    }
}

/// Returns the number of a numbered frame.
fn number(entry: &Entry) -> Option<u64> {
    let frame = entry.frame()?;
    let packet = frame.packets().find(|it| it.instrument_token() == TOKEN)?;
    let price = packet.as_bytes().get(4..8)?;
    Some(u64::from(u32::from_be_bytes(price.try_into().ok()?)))
}
