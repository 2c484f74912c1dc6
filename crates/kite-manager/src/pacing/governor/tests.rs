use proptest::prelude::*;

use super::*;

const LEASE: Duration = Duration::from_secs(20);

const REFUSED: Failure = Failure::TooManyRequests { retry_after: None };

/// A governor and its clock.
#[derive(Clone)]
struct Timeline {
    start: Instant,
    governor: Governor,
}

impl Timeline {
    fn new() -> Self {
        Self { start: Instant::now(), governor: Governor::new(Pace::new(LEASE)) }
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    fn ask(&mut self, millis: u64, id: u64) {
        self.governor.ask(self.at(millis), id);
    }

    fn opened(&mut self, millis: u64, id: u64) {
        self.governor.on_opened(self.at(millis), id);
    }

    fn failed(&mut self, millis: u64, id: u64, failure: Failure) {
        self.governor.on_failed(self.at(millis), id, failure);
    }

    fn lost(&mut self, millis: u64, id: u64) {
        self.governor.on_lost(self.at(millis), id);
    }

    fn poll(&mut self, millis: u64) -> Next {
        self.governor.poll(self.at(millis))
    }

    fn wait_until(&self, millis: u64) -> Next {
        Next::Wait(Some(self.at(millis)))
    }
}

#[test]
fn handshakes_go_one_after_the_other_and_not_too_soon() {
    let mut line = Timeline::new();
    assert_eq!(line.poll(0), Next::Wait(None));
    for id in [7, 3, 5, 3] {
        line.ask(0, id);
    }
    assert_eq!(line.poll(0), Next::Go(7), "the first does not wait");
    assert_eq!(line.poll(0), line.wait_until(20_000), "one in flight at a time");
    line.opened(100, 7);
    assert_eq!(line.poll(100), line.wait_until(250));
    assert_eq!(line.poll(250), Next::Go(3));
    line.failed(900, 3, Failure::Other);
    assert_eq!(line.poll(900), Next::Go(5), "others do not wait");
    line.opened(1_000, 5);
    assert_eq!(line.poll(5_000), Next::Wait(None), "a failed connection must ask again");
}

#[test]
fn the_fourth_waits_for_a_slot() {
    let mut line = Timeline::new();
    for id in 0..4 {
        line.ask(0, id);
    }
    for (second, id) in (0..3).enumerate() {
        let now = second as u64 * 1_000;
        assert_eq!(line.poll(now), Next::Go(id));
        line.opened(now, id);
    }
    assert_eq!(line.poll(10_000), Next::Wait(None));
    line.lost(11_000, 1);
    line.ask(11_000, 1);
    assert_eq!(line.poll(11_000), Next::Go(3), "it was queued first");
    line.opened(11_000, 3);
    line.governor.withdraw(0);
    assert_eq!(line.poll(12_000), Next::Go(1));
}

#[test]
fn after_a_429_all_wait_longer_each_time_until_one_succeeds() {
    let mut line = Timeline::new();
    let mut now = 0;
    for hold in [1, 2, 4, 8, 16, 30, 30] {
        line.ask(now, 0);
        line.ask(now, 1);
        let Next::Go(id) = line.poll(now) else { panic!("its turn at {now}") };
        line.failed(now, id, REFUSED);
        assert_eq!(line.poll(now), line.wait_until(now + hold * 1_000));
        now += hold * 1_000;
    }
    line.ask(now, 2);
    let Next::Go(id) = line.poll(now) else { panic!("its turn at {now}") };
    line.opened(now, id);
    now += 250;
    let Next::Go(id) = line.poll(now) else { panic!("its turn at {now}") };
    line.failed(now, id, REFUSED);
    line.ask(now, id);
    assert_eq!(line.poll(now), line.wait_until(now + 1_000));
}

#[test]
fn retry_after_applies_if_it_is_longer() {
    let mut line = Timeline::new();
    let after =
        |seconds| Failure::TooManyRequests { retry_after: Some(Duration::from_secs(seconds)) };
    line.ask(0, 0);
    assert_eq!(line.poll(0), Next::Go(0));
    line.failed(0, 0, after(60));
    line.ask(0, 0);
    assert_eq!(line.poll(0), line.wait_until(60_000));
    assert_eq!(line.poll(60_000), Next::Go(0));
    line.failed(60_000, 0, after(1));
    line.ask(60_000, 0);
    assert_eq!(line.poll(60_000), line.wait_until(62_000));
    assert_eq!(line.poll(62_000), Next::Go(0));
    line.failed(62_000, 0, after(u64::MAX));
    line.ask(62_000, 0);
    assert_eq!(line.poll(62_000), line.wait_until(62_000 + 86_400_000));
}

#[test]
fn a_withdrawn_connection_blocks_no_other() {
    let mut line = Timeline::new();
    for id in 0..3 {
        line.ask(0, id);
    }
    assert_eq!(line.poll(0), Next::Go(0));
    line.governor.withdraw(0);
    line.governor.withdraw(1);
    assert_eq!(line.poll(250), Next::Go(2));
    // Connection 2 never reports.
    line.ask(300, 4);
    assert_eq!(line.poll(300), line.wait_until(20_250));
    assert_eq!(line.poll(20_250), Next::Go(4));
    line.opened(20_300, 4);
    line.opened(30_000, 2);
    assert_eq!(line.governor.open, [4, 2], "late, but it has a slot");
}

#[test]
fn a_connection_that_asks_releases_its_socket() {
    let mut line = Timeline::new();
    for id in 0..3 {
        line.ask(id * 1_000, id);
        assert_eq!(line.poll(id * 1_000), Next::Go(id));
        line.opened(id * 1_000, id);
    }
    line.ask(5_000, 1);
    assert_eq!(line.poll(5_000), Next::Go(1));
    line.ask(5_100, 1);
    assert_eq!(line.poll(5_100), line.wait_until(5_250), "its handshake was given up");
}

#[test]
fn reports_out_of_order_do_not_turn_time_back() {
    let mut line = Timeline::new();
    line.ask(1_000, 0);
    assert_eq!(line.poll(1_000), Next::Go(0));
    line.failed(400, 0, REFUSED);
    line.ask(300, 1);
    assert_eq!(line.poll(200), line.wait_until(2_000));
}

#[derive(Debug, Clone)]
enum Op {
    Pass(u64),
    Ask(u64),
    Opened(u64),
    Failed(u64, Failure),
    Lost(u64),
    Withdraw(u64),
    /// Reports on the handshake in flight.
    Report(Option<Failure>),
}

fn op() -> impl Strategy<Value = Op> {
    let id = || 0_u64..6;
    let failure = || {
        let retry_after = proptest::option::of((0_u64..40).prop_map(Duration::from_secs));
        let refused = retry_after.prop_map(|retry_after| Failure::TooManyRequests { retry_after });
        prop_oneof![Just(Failure::Other), refused]
    };
    prop_oneof![
        6 => (0_u64..1_000).prop_map(Op::Pass),
        1 => (0_u64..40_000).prop_map(Op::Pass),
        6 => id().prop_map(Op::Ask),
        1 => id().prop_map(Op::Opened),
        1 => (id(), failure()).prop_map(|(id, failure)| Op::Failed(id, failure)),
        2 => id().prop_map(Op::Lost),
        1 => id().prop_map(Op::Withdraw),
        5 => proptest::option::of(failure()).prop_map(Op::Report),
    ]
}

/// The state known from all reports; times in milliseconds.
#[derive(Debug, Default)]
struct Observer {
    asking: Vec<u64>,
    /// The id of the handshake in flight, and when it began.
    in_flight: Option<(u64, u64)>,
    open: Vec<u64>,
    last_began: Option<u64>,
    held_until: u64,
    refusals: u32,
}

impl Observer {
    fn forget(&mut self, id: u64) {
        self.open.retain(|other| *other != id);
        self.in_flight = self.in_flight.filter(|(other, _)| *other != id);
    }

    fn ask(&mut self, id: u64) {
        self.forget(id);
        if !self.asking.contains(&id) {
            self.asking.push(id);
        }
    }

    fn opened(&mut self, id: u64) {
        self.forget(id);
        self.asking.retain(|other| *other != id);
        self.open.push(id);
        self.refusals = 0;
    }

    fn failed(&mut self, now: u64, id: u64, failure: Failure) {
        self.forget(id);
        if let Failure::TooManyRequests { retry_after } = failure {
            let hold = [1, 2, 4, 8, 16, 30][self.refusals.min(5) as usize];
            let hold = hold.max(retry_after.map_or(0, |delay| delay.as_secs()));
            self.held_until = self.held_until.max(now + hold * 1_000);
            self.refusals += 1;
        }
    }

    /// Returns who may go next, and the earliest time.
    fn next(&self) -> Option<(u64, u64)> {
        let id = *self.asking.first()?;
        let staggered = self.last_began.map_or(0, |began| began + 250);
        let written_off = self.in_flight.map_or(0, |(_, began)| began + 20_000);
        (self.open.len() < 3).then(|| (id, staggered.max(written_off).max(self.held_until)))
    }

    fn began(&mut self, now: u64, id: u64) {
        assert!(self.in_flight.is_none_or(|(_, began)| now >= began + 20_000), "two in flight");
        assert!(self.last_began.is_none_or(|began| now >= began + 250), "too soon");
        assert!(now >= self.held_until, "before the hold has ended");
        assert!(self.open.len() < 3, "a fourth socket");
        assert_eq!(self.asking.remove(0), id, "first come, first served");
        (self.in_flight, self.last_began) = (Some((id, now)), Some(now));
    }
}

proptest! {
    #[test]
    fn no_handshake_begins_too_soon_and_all_are_admitted_eventually(
        ops in proptest::collection::vec(op(), 0..150),
    ) {
        let (mut line, mut observer, mut now) = (Timeline::new(), Observer::default(), 0);
        for op in ops {
            match op {
                Op::Pass(millis) => now += millis,
                Op::Ask(id) => {
                    line.ask(now, id);
                    observer.ask(id);
                }
                Op::Opened(id) => {
                    line.opened(now, id);
                    observer.opened(id);
                }
                Op::Failed(id, failure) => {
                    line.failed(now, id, failure);
                    observer.failed(now, id, failure);
                }
                Op::Lost(id) => {
                    line.lost(now, id);
                    observer.forget(id);
                }
                Op::Withdraw(id) => {
                    line.governor.withdraw(id);
                    observer.forget(id);
                    observer.asking.retain(|other| *other != id);
                }
                Op::Report(failure) => {
                    let Some((id, _)) = observer.in_flight else { continue };
                    match failure {
                        Some(failure) => {
                            line.failed(now, id, failure);
                            observer.failed(now, id, failure);
                        }
                        None => {
                            line.opened(now, id);
                            observer.opened(id);
                        }
                    }
                }
            }
            let deadline = match line.poll(now) {
                Next::Wait(deadline) => deadline,
                Next::Go(id) => {
                    observer.began(now, id);
                    let Next::Wait(deadline) = line.poll(now) else {
                        return Err(TestCaseError::fail("two at once"));
                    };
                    deadline
                }
            };
            let next = observer.next();
            prop_assert_eq!(deadline, next.map(|(_, at)| line.at(at)), "woken when needed only");
            let Some((id, at)) = next else { continue };
            prop_assert!(at > now);
            let mut later = line.clone();
            prop_assert_eq!(later.poll(at - 1), line.wait_until(at));
            prop_assert_eq!(later.poll(at), Next::Go(id), "the deadline admits one");
        }

        // Every later handshake succeeds, and its socket is lost immediately.
        for id in std::mem::take(&mut observer.open) {
            line.lost(now, id);
        }
        let asking = observer.asking.clone();
        let in_flight = observer.in_flight.map_or(0, |(_, began)| began + 20_000);
        let clear = now.max(in_flight).max(observer.held_until) + 250;
        for (ahead, id) in asking.iter().enumerate() {
            let Some((_, at)) = observer.next() else {
                return Err(TestCaseError::fail("someone asks"));
            };
            now = now.max(at);
            prop_assert_eq!(line.poll(now), Next::Go(*id));
            observer.began(now, *id);
            prop_assert!(now <= clear + ahead as u64 * 250, "{} waits for too long", id);
            line.opened(now, *id);
            line.lost(now, *id);
            observer.forget(*id);
        }
        prop_assert_eq!(line.poll(now), Next::Wait(None));
    }
}
