//! Gaps of instruments that move between connections.

use proptest::prelude::*;

use super::*;
use crate::observe::instruments::Instruments;

/// Several connections that share a clock, and the instruments each is to carry.
struct Group {
    connections: Vec<Member>,
    start: Stamp,
}

struct Member {
    tracker: GapTracker,
    instruments: Arc<Instruments>,
    desired: BTreeMap<u32, Mode>,
    epoch: u32,
    is_up: bool,
}

impl Group {
    /// Creates connections that are up.
    fn new(connections: usize) -> Self {
        NOW_UNIX_S.set(MORNING_UNIX_S.into());
        let member = |_| {
            let (instruments, unsettled) = (Arc::new(Instruments::default()), Arc::default());
            let writer = InstrumentWriter::new(Arc::clone(&instruments));
            let tracker = GapTracker::new(Some(writer), unsettled, SETTLE, wall_clock);
            Member { tracker, instruments, desired: BTreeMap::new(), epoch: 1, is_up: true }
        };
        Self { connections: (0..connections).map(member).collect(), start: Stamp::now() }
    }

    fn at(&self, seconds: u64) -> Stamp {
        Stamp::at(self.start.to_instant() + Duration::from_secs(seconds))
    }

    fn subscribe(&mut self, connection: usize, tokens: &[u32]) {
        self.connections[connection].desired.extend(tokens.iter().map(|&it| (it, Mode::Quote)));
    }

    fn unsubscribe(&mut self, connection: usize, tokens: &[u32]) -> Vec<Gap> {
        let member = &mut self.connections[connection];
        member.desired.retain(|token, _| !tokens.contains(token));
        member.tracker.on_unsubscribed(tokens);
        member.gaps()
    }

    fn lose(&mut self, connection: usize, seconds: u64) -> Vec<Gap> {
        let (last_heard, lost) = (self.at(seconds - 1), self.at(seconds));
        let member = &mut self.connections[connection];
        member.is_up = false;
        member.tracker.on_lost(member.epoch, last_heard, lost, member.desired.clone());
        member.gaps()
    }

    fn up(&mut self, connection: usize, seconds: u64) -> Vec<Gap> {
        let now = self.at(seconds);
        let member = &mut self.connections[connection];
        (member.is_up, member.epoch) = (true, member.epoch + 1);
        member.tracker.on_up(member.epoch, now, &member.desired);
        member.gaps()
    }

    /// Moves instruments as a manager does; returns the gaps that this settles.
    fn relocate(&mut self, from: usize, to: usize, tokens: &[u32], seconds: u64) -> Vec<Gap> {
        let now = self.at(seconds);
        let former = &self.connections[from];
        let unsettled = &former.tracker.unsettled;
        let handover = Handover::take(tokens, from, &former.instruments, unsettled);
        self.subscribe(to, tokens);
        let mut gaps = self.unsubscribe(from, tokens);
        let member = &mut self.connections[to];
        let epoch = member.is_up.then_some(member.epoch);
        member.tracker.on_taken_over(handover, now, epoch, &member.desired);
        gaps.extend(member.gaps());
        gaps
    }

    fn tick(&mut self, connection: usize, seconds: u64, ticks: &[(u32, u32)]) -> Vec<Gap> {
        let now = self.at(seconds);
        let ticks: Vec<Tick> = ticks.iter().map(|&(token, volume)| quote(token, volume)).collect();
        let member = &mut self.connections[connection];
        let tokens: Vec<u32> = ticks.iter().map(|tick| tick.instrument_token).collect();
        member.tracker.on_subscribed(&tokens);
        member.tracker.on_frame(&frame(&ticks), now);
        member.gaps()
    }

    fn end(&mut self, connection: usize) -> Vec<Gap> {
        self.connections[connection].tracker.settle();
        self.connections[connection].gaps()
    }
}

impl Member {
    fn gaps(&mut self) -> Vec<Gap> {
        std::iter::from_fn(|| self.tracker.poll_settled()).collect()
    }
}

/// Connection 0 has 1 and 2, connection 1 has 9; all have ticked, with volumes of today.
fn group() -> Group {
    let mut group = Group::new(3);
    group.subscribe(0, &[1, 2]);
    group.subscribe(1, &[9]);
    for volume in [90, 100] {
        group.tick(0, 0, &[(1, volume), (2, volume)]);
        group.tick(1, 0, &[(9, volume)]);
    }
    group
}

#[track_caller]
fn only(gaps: Vec<Gap>) -> Gap {
    let [gap] = &gaps[..] else { panic!("{gaps:?}") };
    gap.clone()
}

fn known(token: u32, volume: u32) -> (u32, VolumeMissed) {
    (token, VolumeMissed::Known(volume))
}

#[test]
fn the_gap_of_a_move_is_reported_once_by_the_new_connection() {
    let mut group = group();
    assert_eq!(group.lose(0, 3), []);
    assert_eq!(group.relocate(0, 1, &[1, 2], 5), []);
    assert_eq!(group.tick(1, 5, &[(9, 110)]), [], "its own instruments do not end the gap");
    assert_eq!(group.tick(1, 6, &[(1, 5_257)]), []);
    let gap = only(group.tick(1, 7, &[(2, 100), (1, 6_000)]));
    assert_eq!((gap.moved_from, gap.lost_epoch, gap.epoch), (Some(0), 1, 1));
    assert_eq!((gap.last_heard, gap.lost, gap.up), (group.at(2), group.at(3), group.at(5)));
    assert_eq!(gap.resumed, Some(group.at(6)));
    assert_eq!(volumes(&gap), [known(1, 5_157), known(2, 0)]);

    let own = only(group.up(0, 8));
    assert_eq!((own.moved_from, own.instruments.len()), (None, 0), "they were moved away");
    assert_eq!(group.relocate(1, 0, &[1, 2], 9), []);
    assert_eq!(group.tick(0, 9, &[(1, 6_500), (2, 100)]), []);
    assert_eq!(group.tick(0, 30, &[(1, 7_000)]), []);
    assert_eq!(group.end(1), []);
}

#[test]
fn instruments_that_stay_are_in_the_own_gap_of_the_returning_connection() {
    let mut group = group();
    group.lose(0, 3);
    group.relocate(0, 1, &[1], 5);
    assert_eq!(volumes(&only(group.tick(1, 6, &[(1, 150)]))), [known(1, 50)]);
    assert_eq!(group.up(0, 7), []);
    assert_eq!(volumes(&only(group.tick(0, 8, &[(2, 130)]))), [known(2, 30)]);
}

#[test]
fn a_loss_after_the_move_back_does_not_count_what_the_other_connection_received() {
    let mut group = group();
    group.lose(0, 3);
    group.relocate(0, 1, &[1, 2], 5);
    group.tick(1, 6, &[(1, 150), (2, 150)]);
    group.up(0, 7);
    group.tick(1, 8, &[(1, 1_000), (2, 1_000)]);
    group.relocate(1, 0, &[1, 2], 9);
    group.lose(0, 10);
    group.up(0, 11);
    let gap = only(group.tick(0, 12, &[(1, 1_003), (2, 1_004)]));
    assert_eq!(volumes(&gap), [known(1, 3), known(2, 4)]);
}

#[test]
fn a_second_failover_reports_the_open_gap_and_the_volume_across_both() {
    let mut group = group();
    group.lose(0, 3);
    group.relocate(0, 1, &[1, 2], 5);
    assert_eq!(group.tick(1, 6, &[(2, 120)]), []);
    let first = only(group.lose(1, 7));
    assert_eq!((first.moved_from, first.resumed), (Some(0), Some(group.at(6))));
    assert_eq!(volumes(&first), [(1, VolumeMissed::NotBack), known(2, 20)]);
    assert_eq!(group.relocate(1, 2, &[1, 2, 9], 9), []);
    let second = only(group.tick(2, 10, &[(1, 300), (2, 121), (9, 100)]));
    assert_eq!((second.moved_from, second.lost), (Some(1), group.at(7)));
    assert_eq!(volumes(&second), [known(1, 200), known(2, 1), known(9, 0)]);
}

#[test]
fn a_gap_moves_on_if_the_new_connection_was_lost_before_it_subscribed() {
    let mut group = group();
    group.lose(0, 3);
    group.lose(1, 4);
    assert_eq!(group.relocate(0, 1, &[1, 2], 5), []);
    assert_eq!(group.relocate(1, 2, &[1], 7), []);
    let moved_twice = only(group.tick(2, 8, &[(1, 107)]));
    assert_eq!((moved_twice.moved_from, moved_twice.lost), (Some(0), group.at(3)));
    assert_eq!(volumes(&moved_twice), [known(1, 7)]);
    assert_eq!(group.up(1, 9), []);
    let gaps = group.tick(1, 10, &[(9, 104), (2, 105)]);
    let [own, moved] = &gaps[..] else { panic!("{gaps:?}") };
    assert_eq!((own.moved_from, volumes(own)), (None, vec![known(9, 4)]));
    assert_eq!((moved.moved_from, volumes(moved)), (Some(0), vec![known(2, 5)]));
}

#[test]
fn a_gap_of_a_move_settles_after_a_while_at_the_end_or_without_its_instruments() {
    let moved = || {
        let mut group = group();
        group.lose(0, 3);
        assert_eq!(group.relocate(0, 1, &[1, 2], 5), []);
        group
    };
    let not_back = [(1, VolumeMissed::NotBack), (2, VolumeMissed::NotBack)];
    let mut group = moved();
    assert_eq!(group.tick(1, 14, &[(9, 110)]), []);
    let late = only(group.tick(1, 15, &[]));
    assert_eq!((late.resumed, volumes(&late)), (None, not_back.to_vec()));
    assert_eq!(volumes(&only(moved().end(1))), not_back, "the run ends");

    let mut group = moved();
    assert_eq!(group.unsubscribe(1, &[1]), []);
    let gap = only(group.tick(1, 6, &[(2, 103)]));
    assert_eq!(volumes(&gap), [(1, VolumeMissed::Unsubscribed), known(2, 3)]);
    let gap = only(moved().unsubscribe(1, &[1, 2]));
    assert!(gap.instruments.iter().all(|it| it.volume == VolumeMissed::Unsubscribed));
    // Moved back before they ticked.
    let gap = only({
        let mut group = moved();
        group.up(0, 6);
        group.relocate(1, 0, &[1, 2], 7)
    });
    assert!(gap.instruments.iter().all(|it| it.volume == VolumeMissed::Unsubscribed));
}

#[test]
fn a_move_of_instruments_that_were_not_lost_has_no_gap() {
    let mut group = group();
    // Placed on connection 0 while it had no socket.
    group.lose(0, 3);
    group.subscribe(0, &[3]);
    group.relocate(0, 1, &[3], 5);
    // From a connection that is up.
    group.relocate(1, 2, &[9], 5);
    assert_eq!(group.tick(1, 6, &[(3, 1)]), []);
    assert_eq!(group.tick(2, 6, &[(9, 200)]), []);
    assert_eq!((group.end(1), group.end(2)), (vec![], vec![]));
}

#[derive(Debug, Clone)]
enum Op {
    Trade(u32, u32),
    Tick(u32),
    Lose(usize),
    Up(usize),
    Relocate(u32, usize),
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0_u32..4, 1_u32..100).prop_map(|(token, volume)| Op::Trade(token + 1, volume)),
        8 => (0_u32..4).prop_map(|token| Op::Tick(token + 1)),
        2 => (0_usize..3).prop_map(Op::Lose),
        3 => (0_usize..3).prop_map(Op::Up),
        3 => (0_u32..4, 0_usize..3).prop_map(|(token, to)| Op::Relocate(token + 1, to)),
        1 => (0_u64..15).prop_map(Op::Pass),
    ]
}

/// What really happened to an instrument.
#[derive(Debug, Default)]
struct Truth {
    carrier: usize,
    volume: u32,
    /// Its volume at the last tick that any connection received.
    seen: u32,
    /// Whether a socket that carried it was lost since that tick.
    is_lost: bool,
    /// Whether a gap has stated since then that its volume is not known.
    is_excused: bool,
    /// The volumes missed by then that no gap has reported, with the excuse.
    missed: Vec<(u32, bool)>,
}

impl Truth {
    fn on_tick(&mut self) {
        if self.is_lost {
            self.missed.push((self.volume - self.seen, self.is_excused));
        }
        (self.seen, self.is_lost, self.is_excused) = (self.volume, false, false);
    }

    fn on_missed(&mut self, volume: VolumeMissed) -> Result<(), String> {
        match volume {
            // Gaps of several connections may be reported in another order.
            VolumeMissed::Known(volume) => {
                let first = |wanted| self.missed.iter().position(|&it| it == (volume, wanted));
                let place = first(false).or_else(|| first(true));
                let place = place.ok_or_else(|| format!("{volume} of {:?}", self.missed))?;
                self.missed.remove(place);
                Ok(())
            }
            VolumeMissed::NotBack | VolumeMissed::Unsubscribed => {
                // The gap may be reported after the tick, because it waited for other instruments.
                self.missed.iter_mut().for_each(|(_, is_excused)| *is_excused = true);
                self.is_excused = self.is_lost;
                Ok(())
            }
            other => Err(format!("{other:?}")),
        }
    }
}

impl Group {
    fn apply(&mut self, op: Op, now: &mut u64, truth: &mut BTreeMap<u32, Truth>) -> Vec<Gap> {
        *now += 1;
        match op {
            Op::Trade(token, volume) => truth.get_mut(&token).unwrap().volume += volume,
            Op::Tick(token) => {
                let it = truth.get_mut(&token).unwrap();
                if self.connections[it.carrier].is_up {
                    it.on_tick();
                    return self.tick(it.carrier, *now, &[(token, it.volume)]);
                }
            }
            Op::Lose(connection) if self.connections[connection].is_up => {
                let carried = truth.values_mut().filter(|it| it.carrier == connection);
                carried.for_each(|it| it.is_lost = true);
                return self.lose(connection, *now);
            }
            Op::Up(connection) if !self.connections[connection].is_up => {
                return self.up(connection, *now);
            }
            Op::Relocate(token, to) if truth[&token].carrier != to => {
                let from = std::mem::replace(&mut truth.get_mut(&token).unwrap().carrier, to);
                return self.relocate(from, to, &[token], *now);
            }
            Op::Pass(seconds) => {
                *now += seconds;
                let live = (0..3).filter(|&it| self.connections[it].is_up).collect::<Vec<_>>();
                return live.into_iter().flat_map(|it| self.tick(it, *now, &[])).collect();
            }
            Op::Lose(_) | Op::Up(_) | Op::Relocate(..) => {}
        }
        Vec::new()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Whatever connections are lost and wherever instruments move, the volume between the last tick
    /// before a loss and the first after it is reported exactly and once, unless a gap has stated
    /// that it is not known.
    #[test]
    fn what_is_missed_is_reported_once(ops in prop::collection::vec(op(), 0..120)) {
        let mut group = Group::new(3);
        let mut truth: BTreeMap<u32, Truth> = BTreeMap::new();
        for token in 1..=4 {
            let carrier = token as usize % 3;
            group.subscribe(carrier, &[token]);
            for volume in [999, 1_000] {
                group.tick(carrier, 1, &[(token, volume)]);
            }
            let (volume, seen) = (1_000, 1_000);
            truth.insert(token, Truth { carrier, volume, seen, ..Truth::default() });
        }
        // Every instrument ticks in the end.
        let end = (0..3).map(Op::Up).chain((1..=4).map(Op::Tick)).chain([Op::Pass(20)]);
        let mut now = 2;
        for op in ops.into_iter().chain(end) {
            let gaps = group.apply(op, &mut now, &mut truth);
            for missed in gaps.iter().flat_map(|gap| &gap.instruments) {
                let reported = truth.get_mut(&missed.token).unwrap().on_missed(missed.volume);
                prop_assert_eq!(reported, Ok(()), "{:?}", missed);
            }
        }
        for (token, it) in &truth {
            prop_assert!(it.missed.iter().all(|(_, is_excused)| *is_excused), "{} {:?}", token, it);
        }
    }
}
