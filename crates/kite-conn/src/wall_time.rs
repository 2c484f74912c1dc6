//! The wall-clock time of stamps: how far the wall clock is ahead of the monotonic one, now and
//! earlier.
//!
//! Pure: the readings of the clocks are passed in. Converting a stamp takes no lock.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering, fence};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::clock::Stamp;

/// Interval at which a connection compares the clocks.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Difference from which a change of the wall clock is a step.
const STEP_NS: u64 = 500_000_000;
/// Difference from which a change is followed. Below it are slewing and the time that a reading of
/// several clocks takes.
const FOLLOWED_NS: u64 = 5_000_000;
/// Longest time that a usable reading may take.
const MOST_SPREAD: Duration = Duration::from_millis(1);
/// Number of slots for offsets. Where the monotonic clock is not slewed along with the wall clock,
/// 50 ppm fill them in a day; on Linux they last for as many steps and nights.
const SLOTS: usize = 1_024;

/// What the clocks showed at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// The monotonic clock.
    pub(crate) at: Stamp,
    /// The wall clock.
    pub(crate) wall: SystemTime,
    /// How long the machine has slept since it was started; `None` where the system does not say.
    pub(crate) asleep: Option<Duration>,
    /// How long it took to read them. The task may have been interrupted in between.
    pub(crate) spread: Duration,
}

impl Reading {
    /// Returns whether the clocks were read together.
    pub(crate) fn is_usable(&self) -> bool {
        self.spread <= MOST_SPREAD
    }
}

/// The steps of the wall clock since the process began to look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Steps {
    /// Their number.
    pub(crate) count: u64,
    /// Their sum.
    pub(crate) sum_ns: i64,
}

/// The offsets of the wall clock from the monotonic clock: the current one and earlier ones.
pub(crate) struct WallTime {
    /// Number of offsets ever added, at least one.
    count: AtomicUsize,
    /// The last ones; the offset number `n` is in slot `n % SLOTS`.
    slots: Box<[Slot]>,
    /// Number of steps, as in the writer.
    steps: AtomicU64,
    writer: Mutex<Writer>,
}

/// An offset, in force from a stamp on.
#[derive(Debug, Default)]
struct Slot {
    from: AtomicU64,
    offset_ns: AtomicI64,
}

#[derive(Debug)]
struct Writer {
    looked: Stamp,
    offset_ns: i64,
    /// [`Reading::asleep`] when the current offset was added.
    asleep: Option<Duration>,
    steps: Steps,
}

impl WallTime {
    pub(crate) fn new(reading: &Reading) -> Self {
        let slots: Box<[Slot]> = (0..SLOTS).map(|_| Slot::default()).collect();
        let offset_ns = offset_ns(reading);
        slots[0].offset_ns.store(offset_ns, Ordering::Relaxed);
        let (looked, asleep) = (reading.at, reading.asleep);
        let writer = Writer { looked, offset_ns, asleep, steps: Steps::default() };
        Self {
            count: AtomicUsize::new(1),
            slots,
            steps: AtomicU64::new(0),
            writer: Mutex::new(writer),
        }
    }

    /// Compares the clocks with the current offset, and follows a change: stamps taken from the
    /// reading on have the new offset. Returns all steps so far.
    ///
    /// The time slept since the last change is not part of a step, because the monotonic clock
    /// stood still.
    pub(crate) fn look(&self, reading: &Reading) -> Steps {
        let mut writer = self.writer.lock();
        // Another connection may have looked later and come first.
        if !reading.is_usable() || reading.at < writer.looked {
            return writer.steps;
        }
        writer.looked = reading.at;
        let offset_ns = offset_ns(reading);
        let moved_ns = offset_ns.saturating_sub(writer.offset_ns);
        let slept = reading.asleep.zip(writer.asleep);
        let slept = slept.map_or(Duration::ZERO, |(now, before)| now.saturating_sub(before));
        let stepped_ns = moved_ns.saturating_sub(nanos(slept));
        let is_step = stepped_ns.unsigned_abs() >= STEP_NS;
        if !is_step && moved_ns.unsigned_abs() < FOLLOWED_NS {
            return writer.steps;
        }
        if is_step {
            writer.steps.count += 1;
            self.steps.store(writer.steps.count, Ordering::Relaxed);
            writer.steps.sum_ns = writer.steps.sum_ns.saturating_add(stepped_ns);
        }
        (writer.offset_ns, writer.asleep) = (offset_ns, reading.asleep);
        self.add(reading.at, offset_ns);
        writer.steps
    }

    /// Returns all steps so far.
    pub(crate) fn steps(&self) -> Steps {
        self.writer.lock().steps
    }

    /// Returns the number of steps so far, without a lock.
    #[inline]
    pub(crate) fn step_count(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Returns the wall-clock time of a stamp, by the offset in force when it was taken. For a
    /// stamp from before the last 1,023 changes it is the oldest of those.
    pub(crate) fn system_time(&self, stamp: Stamp) -> SystemTime {
        let unix_ns = i128::from(stamp.as_nanos()) + i128::from(self.offset_ns(stamp));
        let distance = u64::try_from(unix_ns.unsigned_abs()).unwrap_or(u64::MAX);
        let distance = Duration::from_nanos(distance);
        if unix_ns < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
    }

    /// Adds an offset. Called with the writer's lock.
    fn add(&self, from: Stamp, offset_ns: i64) {
        let count = self.count.load(Ordering::Relaxed);
        // Pairs with the fence in `offset_ns`: a reader that sees the new contents of the slot sees
        // this count too, or a later one.
        fence(Ordering::Release);
        let slot = &self.slots[count % SLOTS];
        slot.from.store(from.as_nanos(), Ordering::Relaxed);
        slot.offset_ns.store(offset_ns, Ordering::Relaxed);
        self.count.store(count + 1, Ordering::Release);
    }

    fn offset_ns(&self, stamp: Stamp) -> i64 {
        'again: loop {
            let count = self.count.load(Ordering::Acquire);
            // The oldest slot is left out, because the next offset is written there.
            let oldest = count.saturating_sub(SLOTS - 1);
            // The newest is almost always the one.
            for number in (oldest..count).rev() {
                let slot = &self.slots[number % SLOTS];
                let from = slot.from.load(Ordering::Relaxed);
                let offset_ns = slot.offset_ns.load(Ordering::Relaxed);
                fence(Ordering::Acquire);
                if self.count.load(Ordering::Relaxed) >= number + SLOTS {
                    continue 'again;
                }
                if from <= stamp.as_nanos() || number == oldest {
                    return offset_ns;
                }
            }
        }
    }
}

/// Returns how far the wall clock, in Unix time, is ahead of the monotonic one.
fn offset_ns(reading: &Reading) -> i64 {
    let unix_ns = match reading.wall.duration_since(UNIX_EPOCH) {
        Ok(since) => nanos(since),
        Err(before) => -nanos(before.duration()),
    };
    unix_ns.saturating_sub_unsigned(reading.at.as_nanos())
}

/// Returns nanoseconds, of which an `i64` holds 292 years.
fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MILLI: Duration = Duration::from_millis(1);

    /// The clocks of a machine.
    #[derive(Debug, Clone, Copy)]
    struct Machine {
        awake: Duration,
        asleep: Duration,
        /// What the wall clock shows.
        unix: Duration,
    }

    impl Machine {
        fn new() -> Self {
            Self { awake: SECOND, asleep: 40 * SECOND, unix: Duration::from_secs(1_754_279_100) }
        }

        fn run(&mut self, time: Duration) {
            self.awake += time;
            self.unix += time;
        }

        fn sleep(&mut self, time: Duration) {
            self.asleep += time;
            self.unix += time;
        }

        fn step(&mut self, by_ms: i64) {
            let by = MILLI * u32::try_from(by_ms.unsigned_abs()).unwrap();
            self.unix = if by_ms < 0 { self.unix - by } else { self.unix + by };
        }

        fn stamp(&self) -> Stamp {
            Stamp::from_nanos(u64::try_from(self.awake.as_nanos()).unwrap())
        }

        fn wall(&self) -> SystemTime {
            UNIX_EPOCH + self.unix
        }

        fn reading(&self) -> Reading {
            let asleep = Some(self.asleep);
            Reading { at: self.stamp(), wall: self.wall(), asleep, spread: Duration::ZERO }
        }
    }

    fn steps(count: u64, sum_ms: i64) -> Steps {
        Steps { count, sum_ns: sum_ms * 1_000_000 }
    }

    #[test]
    fn a_stamp_keeps_the_offset_in_force_when_it_was_taken() {
        let mut machine = Machine::new();
        let wall_time = WallTime::new(&machine.reading());
        let (stamp, wall) = (machine.stamp(), machine.wall());
        machine.run(SECOND);
        machine.step(-5_400_000);
        assert_eq!(wall_time.look(&machine.reading()), steps(1, -5_400_000));
        assert_eq!(wall_time.system_time(machine.stamp()), machine.wall());
        assert_eq!(wall_time.system_time(stamp), wall);
        machine.run(10 * SECOND);
        assert_eq!(wall_time.look(&machine.reading()), steps(1, -5_400_000), "one step");
        assert_eq!(wall_time.system_time(machine.stamp()), machine.wall());
    }

    #[test]
    fn a_night_asleep_moves_the_wall_time_without_a_step() {
        let mut machine = Machine::new();
        let wall_time = WallTime::new(&machine.reading());
        machine.sleep(36_000 * SECOND);
        assert_eq!(wall_time.look(&machine.reading()), steps(0, 0));
        assert_eq!(wall_time.system_time(machine.stamp()), machine.wall());
        machine.sleep(36_000 * SECOND);
        machine.step(-700);
        assert_eq!(wall_time.look(&machine.reading()), steps(1, -700), "set back while asleep");
    }

    #[test]
    fn small_changes_are_followed_and_are_no_steps() {
        let mut machine = Machine::new();
        let wall_time = WallTime::new(&machine.reading());
        for by_ms in [499, -499, 5, 30] {
            machine.run(SECOND);
            machine.step(by_ms);
            assert_eq!(wall_time.look(&machine.reading()), steps(0, 0), "{by_ms}");
            assert_eq!(wall_time.system_time(machine.stamp()), machine.wall(), "{by_ms}");
        }
        machine.step(500);
        assert_eq!(wall_time.look(&machine.reading()), steps(1, 500));
    }

    #[test]
    fn an_interrupted_or_late_reading_changes_nothing() {
        let mut machine = Machine::new();
        let wall_time = WallTime::new(&machine.reading());
        let early = machine;
        machine.run(SECOND);
        machine.step(9_000);
        let slow = Reading { spread: 2 * MILLI, ..machine.reading() };
        assert_eq!(wall_time.look(&slow), steps(0, 0));
        assert_eq!(wall_time.look(&machine.reading()), steps(1, 9_000));
        assert_eq!(wall_time.look(&early.reading()), steps(1, 9_000), "of another connection");
    }

    #[test]
    fn a_wall_clock_before_1970_converts() {
        let mut machine = Machine::new();
        let wall_time = WallTime::new(&machine.reading());
        machine.run(SECOND);
        let wall = UNIX_EPOCH - 5 * SECOND;
        wall_time.look(&Reading { wall, ..machine.reading() });
        assert_eq!(wall_time.system_time(machine.stamp()), wall);
    }

    #[test]
    fn readers_get_one_of_the_two_offsets_while_the_slots_are_overwritten() {
        let mut machine = Machine::new();
        let (wall_time, done) = (WallTime::new(&machine.reading()), AtomicBool::new(false));
        // Each offset is the same distance from its stamp, so that a mixture would show.
        let unix = |stamp: Stamp| UNIX_EPOCH + Duration::from_nanos(stamp.as_nanos()) * 1_000;
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let newest = wall_time.writer.lock().looked;
                    assert!(wall_time.system_time(newest) >= unix(newest));
                }
            });
            for _ in 0..20 * SLOTS {
                machine.run(SECOND);
                let at = machine.stamp();
                wall_time.look(&Reading { wall: unix(at), ..machine.reading() });
            }
            done.store(true, Ordering::Relaxed);
        });
    }

    #[derive(Debug, Clone)]
    enum Op {
        Run(u32),
        Sleep(u32),
        Step(i64),
        Look,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (1..5_000_u32).prop_map(Op::Run),
            (1..90_000_000_u32).prop_map(Op::Sleep),
            prop_oneof![-2_000..2_000_i64, -90_000_000..90_000_000_i64].prop_map(Op::Step),
            Just(Op::Look),
        ]
    }

    proptest! {
        /// Against a list of all offsets that never forgets.
        #[test]
        fn every_stamp_has_the_wall_time_of_its_moment(
            ops in prop::collection::vec(op(), 1..200),
        ) {
            let mut machine = Machine::new();
            let wall_time = WallTime::new(&machine.reading());
            let mut shown: Vec<(Stamp, SystemTime)> = Vec::new();
            let (mut stepped_ms, mut unseen_ms) = (0, 0_i64);
            for op in ops {
                match op {
                    Op::Run(ms) => machine.run(ms * MILLI),
                    Op::Sleep(ms) => machine.sleep(ms * MILLI),
                    Op::Step(ms) => {
                        machine.step(ms);
                        unseen_ms += ms;
                    }
                    Op::Look => {
                        // No two looks are at the same stamp.
                        machine.run(MILLI);
                        let before = wall_time.steps();
                        let steps = wall_time.look(&machine.reading());
                        let wall = wall_time.system_time(machine.stamp());
                        let off = wall.duration_since(machine.wall()).unwrap_or_else(|it| it.duration());
                        prop_assert!(off < 5 * MILLI, "{off:?}");
                        let (count, sum_ns) =
                            (steps.count - before.count, steps.sum_ns - before.sum_ns);
                        if count == 1 {
                            prop_assert!(sum_ns.abs() >= 500_000_000);
                            stepped_ms += sum_ns / 1_000_000;
                        }
                        prop_assert!(count <= 1);
                        // What is not reported is smaller than a step.
                        prop_assert!(count == 1 || unseen_ms.abs() < 505, "{unseen_ms}");
                        unseen_ms = 0;
                        shown.push((machine.stamp(), wall));
                    }
                }
            }
            for (stamp, wall) in shown {
                prop_assert_eq!(wall_time.system_time(stamp), wall, "a stamp's time never changes");
            }
            prop_assert_eq!(wall_time.steps().sum_ns / 1_000_000, stepped_ms);
        }
    }
}
