//! The expected contents of every gap, recomputed from what was received.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use kite_conn::{Gap, Stamp, VolumeMissed};
use kite_wire::ist::Day;
use kite_wire::{Mode, TickBatch};

/// The volume of the last tick of each instrument, if it has one.
type Volumes = HashMap<u32, Option<u32>>;

/// Follows the ticks of one connection and its losses.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    last: Volumes,
    /// Instruments that are always subscribed, with their modes.
    permanent: BTreeMap<u32, Mode>,
    /// The desired instruments, and those that were not desired at some time since the last loss.
    desired: BTreeSet<u32>,
    interrupted: BTreeSet<u32>,
    /// Those whose volume has changed.
    moved: BTreeSet<u32>,
    open: Option<Open>,
    /// Number of gaps reported, and the sum of the known volumes.
    pub(crate) reported: u64,
    pub(crate) volume: u64,
    /// Number of volumes reported as known.
    pub(crate) known: u64,
}

#[derive(Debug)]
struct Open {
    lost_epoch: u32,
    last_heard: Stamp,
    before: Volumes,
    /// Those whose volume had changed before.
    moved: BTreeSet<u32>,
    after: Volumes,
    up: Option<u32>,
    resumed: Option<Stamp>,
}

impl Gaps {
    pub(crate) fn expect(&mut self, permanent: BTreeMap<u32, Mode>) {
        self.desired = permanent.keys().copied().collect();
        self.permanent = permanent;
    }

    /// An instrument is about to be desired, or no longer.
    pub(crate) fn on_desired_change(&mut self, token: u32, is_desired: bool) {
        let has_changed =
            if is_desired { self.desired.insert(token) } else { self.desired.remove(&token) };
        // An instrument that becomes desired was not until now, nor since a loss in between.
        if has_changed {
            self.interrupted.insert(token);
        }
    }

    /// Returns the volume of the last tick of an instrument.
    pub(crate) fn last_volume(&self, token: u32) -> Option<u32> {
        self.last.get(&token).copied().flatten()
    }

    /// A socket was lost. Returns what is wrong, if anything.
    pub(crate) fn on_down(&mut self, lost_epoch: u32, last_heard: Stamp) -> Option<String> {
        let unreported = self.open.take().map(|open| {
            format!(
                "no gap was reported between epoch {} and the loss of {lost_epoch}",
                open.lost_epoch
            )
        });
        self.interrupted.clear();
        let (before, after) = (self.last.clone(), Volumes::default());
        let moved = self.moved.clone();
        self.open =
            Some(Open { lost_epoch, last_heard, before, moved, after, up: None, resumed: None });
        unreported
    }

    pub(crate) fn on_up(&mut self, epoch: u32) {
        if let Some(open) = &mut self.open {
            open.up = Some(epoch);
        }
    }

    pub(crate) fn on_ticks(&mut self, ticks: &TickBatch, received: Stamp) {
        for packet in ticks.packets() {
            let (token, volume) = (packet.instrument_token(), packet.volume());
            let before = self.last.insert(token, volume);
            if before.is_some_and(|before| before != volume) {
                self.moved.insert(token);
            }
            if let Some(open) = &mut self.open {
                open.after.entry(token).or_insert(volume);
                open.resumed.get_or_insert(received);
            }
        }
    }

    /// Returns whether a gap is still to be reported.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// A gap was reported. Returns what is wrong with it, if anything.
    pub(crate) fn on_gap(&mut self, gap: &Gap) -> Option<String> {
        self.reported += 1;
        let Some(open) = self.open.take() else {
            return Some(format!("a gap to epoch {} without a loss", gap.epoch));
        };
        let wrong = |what: &str| Some(format!("the gap to epoch {}: {what}", gap.epoch));
        if (Some(gap.epoch), gap.lost_epoch) != (open.up, open.lost_epoch) {
            return wrong("its epochs are not those of the reconnect");
        }
        if gap.last_heard != open.last_heard || gap.resumed != open.resumed {
            return wrong("its times are not those of the loss and of the first tick");
        }
        let times = [Some(gap.last_heard), Some(gap.lost), Some(gap.up), gap.resumed];
        if !times.into_iter().flatten().is_sorted() {
            return wrong("its times are out of order");
        }
        let reported: BTreeMap<u32, Mode> =
            gap.instruments.iter().map(|missed| (missed.token, missed.mode)).collect();
        if self.permanent.iter().any(|(token, mode)| reported.get(token) != Some(mode)) {
            return wrong("it lacks instruments that were subscribed");
        }
        for missed in &gap.instruments {
            let before = open.before.get(&missed.token).copied();
            let after = open.after.get(&missed.token).copied();
            let expected = expected(before, after);
            let may_be = match missed.volume {
                VolumeMissed::OtherDay => is_around_midnight(),
                // Depends on what was desired at the handshake, some time after the loss.
                VolumeMissed::Unsubscribed => {
                    self.interrupted.contains(&missed.token)
                        || !self.desired.contains(&missed.token)
                }
                // If the volume never changed, its day is in doubt.
                VolumeMissed::UnknownDay => {
                    let has_moved = open.moved.contains(&missed.token);
                    matches!(expected, VolumeMissed::Known(_))
                        && !(has_moved && self.permanent.contains_key(&missed.token))
                }
                _ => false,
            };
            if missed.volume != expected && !may_be {
                return wrong(&format!("{missed:?} with {before:?} before and {after:?} after"));
            }
            if let VolumeMissed::Known(volume) = missed.volume {
                self.known += 1;
                self.volume += u64::from(volume);
            }
        }
        // Instruments to which the lost socket was not subscribed are forgotten, because none
        // of their ticks was missed.
        let kept: BTreeSet<u32> = reported.keys().copied().collect();
        self.last.retain(|token, _| kept.contains(token) || open.after.contains_key(token));
        None
    }
}

/// Returns what a gap must report for an instrument, by its last tick before and its first after.
fn expected(before: Option<Option<u32>>, after: Option<Option<u32>>) -> VolumeMissed {
    match (before, after) {
        (None, _) => VolumeMissed::NeverSeen,
        (Some(_), None) => VolumeMissed::NotBack,
        (Some(Some(before)), Some(Some(after))) => match after.checked_sub(before) {
            Some(volume) => VolumeMissed::Known(volume),
            None => VolumeMissed::Fell,
        },
        (Some(_), Some(_)) => VolumeMissed::NotCarried,
    }
}

/// Returns whether midnight in India is less than three minutes away, because quotes carry no time.
fn is_around_midnight() -> bool {
    const MINUTES_S: u64 = 180;
    let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Day::at_unix_s(unix_s.saturating_sub(MINUTES_S)) != Day::at_unix_s(unix_s + MINUTES_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_known_from_both_sides_only() {
        assert_eq!(expected(None, Some(Some(5))), VolumeMissed::NeverSeen);
        assert_eq!(expected(Some(Some(5)), None), VolumeMissed::NotBack);
        assert_eq!(expected(Some(Some(5)), Some(Some(9))), VolumeMissed::Known(4));
        assert_eq!(expected(Some(Some(9)), Some(Some(5))), VolumeMissed::Fell);
        assert_eq!(expected(Some(None), Some(Some(5))), VolumeMissed::NotCarried);
    }

    #[test]
    fn an_instrument_desired_again_was_interrupted() {
        let mut gaps = Gaps::default();
        gaps.expect([(256, Mode::Ltp)].into());
        gaps.on_desired_change(257, true);
        gaps.on_desired_change(257, false);
        gaps.on_desired_change(257, true);
        assert_eq!((gaps.interrupted, gaps.desired), ([257].into(), [256, 257].into()));
    }

    #[test]
    fn an_instrument_desired_again_after_a_loss_was_interrupted() {
        let mut gaps = Gaps::default();
        gaps.expect([(256, Mode::Ltp), (257, Mode::Ltp)].into());
        gaps.on_desired_change(257, false);
        assert_eq!(gaps.on_down(1, Stamp::now()), None);
        gaps.on_desired_change(257, true);
        assert_eq!((gaps.interrupted, gaps.desired), ([257].into(), [256, 257].into()));
    }

    #[test]
    fn a_loss_without_a_gap_is_noticed() {
        let mut gaps = Gaps::default();
        assert_eq!(gaps.on_down(1, Stamp::now()), None);
        gaps.on_up(2);
        assert!(gaps.is_open());
        assert!(gaps.on_down(2, Stamp::now()).is_some());
    }
}
