use proptest::prelude::*;

use super::*;

const TIMES: FailoverConfig =
    FailoverConfig { after: Duration::from_secs(30), stable_after: Duration::from_secs(10) };

/// A failover and its clock.
struct Timeline {
    start: Instant,
    failover: Failover,
}

impl Timeline {
    fn new(connections: usize, config: Option<FailoverConfig>) -> Self {
        let start = Instant::now();
        Self { start, failover: Failover::new(connections, config, start) }
    }

    fn at(&self, second: u64) -> Instant {
        self.start + Duration::from_secs(second)
    }

    fn all_up(connections: usize) -> Self {
        let mut line = Self::new(connections, Some(TIMES));
        (0..connections).for_each(|connection| line.handle(0, connection, Change::Up));
        line
    }

    fn handle(&mut self, second: u64, connection: usize, change: Change) {
        self.failover.handle(self.at(second), connection, change);
    }

    fn poll(&mut self, second: u64) -> Action {
        self.failover.poll(self.at(second))
    }

    fn wait_until(&self, second: u64) -> Action {
        Action::Wait(Some(self.at(second)))
    }
}

#[test]
fn a_connection_that_stays_down_is_handed_over_and_once_stable_given_back() {
    let mut line = Timeline::all_up(3);
    assert_eq!(line.poll(5), Action::Wait(None));
    line.handle(5, 1, Change::Down);
    assert_eq!(line.poll(5), line.wait_until(35));
    line.handle(20, 1, Change::Parked);
    assert_eq!(line.poll(34), line.wait_until(35), "parked or not, it has been down since 5");
    assert_eq!(line.failover.standing(1), Standing::Down);
    assert_eq!(line.poll(35), Action::HandOver(1));
    assert_eq!(line.failover.standing(1), Standing::Lost);
    assert_eq!(line.poll(500), Action::Wait(None));
    line.handle(500, 1, Change::Up);
    assert_eq!(line.poll(500), line.wait_until(510));
    assert_eq!(line.failover.standing(1), Standing::Lost, "not trusted yet");
    assert_eq!(line.poll(510), Action::GiveBack(1));
    assert_eq!(line.failover.standing(1), Standing::Up);
    assert_eq!(line.poll(900), Action::Wait(None));
}

#[test]
fn a_connection_refused_from_the_start_is_handed_over() {
    let mut line = Timeline::new(2, Some(TIMES));
    line.handle(1, 0, Change::Up);
    line.handle(1, 1, Change::Parked);
    assert_eq!(line.poll(1), line.wait_until(30));
    assert_eq!(line.poll(30), Action::HandOver(1));
}

#[test]
fn a_short_outage_moves_nothing() {
    let mut line = Timeline::all_up(2);
    for second in (0..300).step_by(30) {
        line.handle(second, 0, Change::Down);
        line.handle(second + 29, 0, Change::Up);
        assert_eq!(line.poll(second + 29), Action::Wait(None));
    }
}

#[test]
fn flapping_hands_over_once() {
    let mut line = Timeline::all_up(2);
    line.handle(0, 0, Change::Down);
    assert_eq!(line.poll(30), Action::HandOver(0));
    for second in (40..400).step_by(40) {
        line.handle(second, 0, Change::Up);
        assert_eq!(line.poll(second + 9), line.wait_until(second + 10));
        line.handle(second + 9, 0, Change::Down);
        assert_eq!(line.poll(second + 39), Action::Wait(None));
    }
}

#[test]
fn dark_instruments_are_tried_again_once_there_may_be_room() {
    let mut line = Timeline::all_up(3);
    line.handle(0, 0, Change::Down);
    line.handle(5, 1, Change::Down);
    assert_eq!(line.poll(30), Action::HandOver(0));
    line.failover.on_dark(0);
    assert_eq!(line.poll(30), line.wait_until(35), "nothing has changed");
    line.failover.retry();
    assert_eq!(line.poll(31), Action::HandOver(0), "something was unsubscribed");
    line.failover.on_dark(0);
    line.handle(32, 1, Change::Up);
    assert_eq!(line.poll(32), Action::HandOver(0), "another one came up");
    line.failover.retry();
    assert_eq!(line.poll(33), Action::Wait(None), "nothing is dark");
}

#[test]
fn giving_back_makes_room_for_dark_instruments() {
    let mut line = Timeline::all_up(3);
    line.handle(0, 0, Change::Down);
    line.handle(0, 1, Change::Down);
    assert_eq!(line.poll(30), Action::HandOver(0));
    assert_eq!(line.poll(30), Action::HandOver(1));
    line.failover.on_dark(1);
    line.handle(40, 0, Change::Up);
    assert_eq!(line.poll(50), Action::GiveBack(0));
    assert_eq!(line.poll(50), Action::HandOver(1));
    assert_eq!(line.poll(50), Action::Wait(None));
}

#[test]
fn a_connection_that_is_up_again_streams_its_dark_instruments() {
    let mut line = Timeline::all_up(2);
    line.handle(0, 0, Change::Down);
    assert_eq!(line.poll(30), Action::HandOver(0));
    line.failover.on_dark(0);
    line.handle(31, 0, Change::Up);
    line.failover.retry();
    assert_eq!(line.poll(31), line.wait_until(41));
    line.handle(32, 0, Change::Down);
    assert_eq!(line.poll(32), Action::HandOver(0), "dark again, and there may be room");
}

#[test]
fn failover_can_be_off_or_wait_for_ever() {
    let for_ever = FailoverConfig { after: Duration::MAX, stable_after: Duration::MAX };
    for config in [None, Some(for_ever)] {
        let mut line = Timeline::new(2, config);
        line.handle(0, 0, Change::Up);
        line.handle(1, 0, Change::Down);
        assert_eq!(line.poll(1_000_000), Action::Wait(None));
        assert_eq!(line.failover.standing(0), Standing::Down);
    }
}

#[test]
fn reports_out_of_order_do_not_turn_time_back() {
    let mut line = Timeline::all_up(2);
    assert_eq!(line.poll(100), Action::Wait(None));
    line.handle(50, 0, Change::Down);
    assert_eq!(line.poll(60), line.wait_until(130));
}

#[derive(Debug, Clone)]
enum Op {
    Pass(u64),
    Change(usize, Change),
    Retry,
    /// Whether later handovers find room for all instruments.
    Room(bool),
    Unplaceable(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let change = prop::sample::select(vec![Change::Up, Change::Down, Change::Parked]);
    prop_oneof![
        4 => (0_u64..40).prop_map(Op::Pass),
        6 => (0_usize..3, change).prop_map(|(connection, change)| Op::Change(connection, change)),
        1 => Just(Op::Retry),
        1 => any::<bool>().prop_map(Op::Room),
        1 => (0_usize..3).prop_map(Op::Unplaceable),
    ]
}

/// The state of one connection known from all reports.
#[derive(Debug, Clone, Copy)]
struct Known {
    is_up: bool,
    /// Since when it is up, or down.
    since: u64,
    is_away: bool,
    is_dark: bool,
    may_fit: bool,
}

proptest! {
    #[test]
    fn each_action_has_a_reason_and_is_returned_once(
        ops in proptest::collection::vec(op(), 0..120),
    ) {
        let mut line = Timeline::new(3, Some(TIMES));
        let unknown =
            Known { is_up: false, since: 0, is_away: false, is_dark: false, may_fit: false };
        let (mut known, mut second, mut has_room) = ([unknown; 3], 0, true);
        for op in ops {
            match op {
                Op::Pass(seconds) => second += seconds,
                Op::Change(connection, change) => {
                    line.handle(second, connection, change);
                    let is_up = change == Change::Up;
                    if is_up && !known[connection].is_up && !known[connection].is_away {
                        known.iter_mut().for_each(|known| known.may_fit |= known.is_dark);
                    }
                    if known[connection].is_up != is_up {
                        (known[connection].is_up, known[connection].since) = (is_up, second);
                    }
                }
                Op::Retry => {
                    line.failover.retry();
                    known.iter_mut().for_each(|known| known.may_fit |= known.is_dark);
                }
                Op::Room(enough) => has_room = enough,
                Op::Unplaceable(connection) => {
                    line.failover.on_dark(connection);
                    known[connection].is_dark |= known[connection].is_away;
                }
            }
            let mut actions = 0;
            let deadline = loop {
                match line.poll(second) {
                    Action::Wait(deadline) => break deadline,
                    Action::HandOver(connection) => {
                        let Known { is_up, since, is_away, is_dark, may_fit } = known[connection];
                        let is_right =
                            if is_away { is_dark && may_fit } else { second >= since + 30 };
                        prop_assert!(!is_up && is_right);
                        if !has_room {
                            line.failover.on_dark(connection);
                        }
                        let now = &mut known[connection];
                        (now.is_away, now.is_dark, now.may_fit) = (true, !has_room, false);
                    }
                    Action::GiveBack(connection) => {
                        let now = &mut known[connection];
                        prop_assert!(now.is_away && now.is_up && second >= now.since + 10);
                        (now.is_away, now.is_dark, now.may_fit) = (false, false, false);
                        known.iter_mut().for_each(|known| known.may_fit |= known.is_dark);
                    }
                }
                actions += 1;
                prop_assert!(actions <= 6, "one of each kind for each connection");
            };
            let due = known.iter().filter_map(|known| match known {
                Known { is_up: false, is_away: false, since, .. } => Some(since + 30),
                Known { is_up: true, is_away: true, since, .. } => Some(since + 10),
                _ => None,
            });
            let due = due.min();
            prop_assert!(due.is_none_or(|due| due > second), "nothing due is left");
            prop_assert_eq!(deadline, due.map(|due| line.at(due)), "woken when and only when due");
            for (connection, known) in known.iter().enumerate() {
                prop_assert!(known.is_up || !known.is_away || !known.may_fit);
                let expected = match known {
                    Known { is_away: true, .. } => Standing::Lost,
                    Known { is_up: true, .. } => Standing::Up,
                    _ => Standing::Down,
                };
                prop_assert_eq!(line.failover.standing(connection), expected);
            }
        }
    }
}
