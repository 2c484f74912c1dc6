use kite_wire::{Command, ParsedCommand};
use proptest::prelude::*;

use super::*;

const CAPACITY: usize = 4;
const LINGER: Duration = Duration::from_secs(30);
const SETTLE: Duration = Duration::from_millis(250);
const FIXED: (u32, Mode) = (0, Mode::Quote);

type Book = BTreeMap<u32, Mode>;

/// Clients, and a server upstream that accepts only what makes sense.
struct World {
    wishes: Wishes,
    now: Instant,
    books: [Book; 3],
    server: Book,
    fixed: Book,
    past: Vec<State>,
}

/// What was wished and subscribed since an instant.
struct State {
    since: Instant,
    wished: Book,
    server: Book,
}

impl World {
    fn new(capacity: usize, fixed: Option<(u32, Mode)>) -> Self {
        let (now, config) = (Instant::now(), WishesConfig { capacity, ..WishesConfig::default() });
        let wishes = Wishes::new(config, fixed, now).unwrap();
        let (books, server, past) = (Default::default(), Book::new(), Vec::new());
        let fixed = fixed.into_iter().collect();
        let mut world = Self { wishes, now, books, server, fixed, past };
        world.poll();
        world
    }

    fn wished(&self) -> Book {
        let mut wished = Book::new();
        for (&token, &mode) in self.books.iter().chain([&self.fixed]).flatten() {
            let richest = wished.entry(token).or_insert(mode);
            *richest = mode.max(*richest);
        }
        wished
    }

    fn poll(&mut self) {
        let upstream = self.wishes.poll(self.now);
        for token in &upstream.unsubscribe {
            assert!(self.server.remove(token).is_some(), "{token} is not subscribed");
        }
        for (&mode, tokens) in &upstream.subscribe {
            for &token in tokens {
                assert_eq!(self.server.insert(token, mode), None);
            }
        }
        for (&mode, tokens) in &upstream.set_mode {
            for &token in tokens {
                let before = self.server.insert(token, mode);
                assert!(before.is_some_and(|before| before != mode), "{before:?}");
            }
        }
        assert!(self.server.len() <= self.wishes.config.capacity);
        let (wished, server) = (self.wished(), self.server.clone());
        self.past.push(State { since: self.now, wished, server });
    }

    /// Applies a command unless it is refused.
    fn obey(&mut self, client: usize, command: Command<'_>) -> Result<(), UpstreamFull> {
        let (book, text) = (&self.books[client], command.to_string());
        let command = ParsedCommand::parse(&text).unwrap();
        let changes = Changes::of(command, |token| book.get(&token).copied());
        self.wishes.check(&changes)?;
        self.apply(client, &changes);
        Ok(())
    }

    /// Replaces the fixed list unless it is refused.
    fn set_fixed(&mut self, fixed: Book) -> Result<(), UpstreamFull> {
        self.wishes.set_fixed(fixed.clone(), self.now)?;
        self.fixed = fixed;
        self.poll();
        Ok(())
    }

    fn leave(&mut self, client: usize) {
        let book = std::mem::take(&mut self.books[client]);
        self.apply(client, &Changes::leaving(book));
    }

    fn apply(&mut self, client: usize, changes: &Changes) {
        self.wishes.apply(changes, self.now);
        let book = &mut self.books[client];
        for change in changes.iter() {
            match change.to {
                Some(mode) => book.insert(change.token, mode),
                None => book.remove(&change.token),
            };
        }
        self.poll();
    }

    /// Lets time pass, and polls at every deadline.
    fn wait(&mut self, wait: Duration) {
        let until = self.now + wait;
        while let Some(deadline) = self.wishes.next_deadline().filter(|&it| it <= until) {
            assert!(deadline >= self.now);
            self.now = deadline;
            self.poll();
        }
        self.now = until;
        self.poll();
    }

    /// Returns the poorest and the richest mode wished throughout, or at any time of, a period that
    /// ends now.
    fn range(&self, token: u32, period: Duration) -> (Option<Mode>, Option<Mode>) {
        let ends = self.past.iter().skip(1).map(|state| state.since).chain([self.now]);
        let recent = self.past.iter().zip(ends).filter(|(_, end)| *end + period >= self.now);
        let modes = recent.map(|(state, _)| state.wished.get(&token).copied());
        modes
            .fold((Some(Mode::Full), None), |(least, most), mode| (least.min(mode), most.max(mode)))
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for token in 0..8 {
            let upstream = self.server.get(&token).copied();
            let settled = self.range(token, SETTLE).0;
            prop_assert!(upstream >= settled, "{token}: {upstream:?} but {settled:?} is wished");
            let recent = self.range(token, LINGER + SETTLE).1;
            prop_assert!(
                upstream <= recent,
                "{token}: {upstream:?} but at most {recent:?} was wished"
            );
        }
        Ok(())
    }

    /// Checks that nothing that was subscribed and wished fell before its time. True only if
    /// nothing had to make room.
    fn check_lingering(&self) -> Result<(), TestCaseError> {
        for state in &self.past {
            if state.since + LINGER <= self.now {
                continue;
            }
            for (token, wished) in &state.wished {
                let held = state.server.get(token).copied().min(Some(*wished));
                prop_assert!(self.server.get(token).copied() >= held, "{token} fell too early");
            }
        }
        Ok(())
    }
}

#[derive(Debug, Clone)]
enum Op {
    Subscribe(usize, Vec<u32>),
    Mode(usize, Mode, Vec<u32>),
    Unsubscribe(usize, Vec<u32>),
    Leave(usize),
    Fixed(Book),
    Wait(Duration),
}

fn op() -> impl Strategy<Value = Op> {
    let client = || 0_usize..3;
    let tokens = || prop::collection::vec(0_u32..8, 0..4);
    let mode = prop::sample::select(&Mode::ALL[..]);
    let ms = prop_oneof![Just(250), Just(30_000), 0_u64..300, 0_u64..40_000];
    prop_oneof![
        3 => (client(), tokens()).prop_map(|(client, tokens)| Op::Subscribe(client, tokens)),
        3 => (client(), mode, tokens()).prop_map(|(client, mode, it)| Op::Mode(client, mode, it)),
        3 => (client(), tokens()).prop_map(|(client, tokens)| Op::Unsubscribe(client, tokens)),
        1 => client().prop_map(Op::Leave),
        1 => prop::collection::btree_map(0_u32..8, prop::sample::select(&Mode::ALL[..]), 0..6)
            .prop_map(Op::Fixed),
        5 => ms.prop_map(|ms| Op::Wait(Duration::from_millis(ms))),
    ]
}

fn run(world: &mut World, op: Op) -> Result<(), TestCaseError> {
    let before = world.wished();
    let refused = match op {
        Op::Subscribe(client, tokens) => world.obey(client, Command::Subscribe(&tokens)),
        Op::Mode(client, mode, tokens) => world.obey(client, Command::Mode(mode, &tokens)),
        Op::Unsubscribe(client, tokens) => world.obey(client, Command::Unsubscribe(&tokens)),
        Op::Leave(client) => {
            world.leave(client);
            Ok(())
        }
        Op::Fixed(fixed) => {
            let wished = world.books.iter().chain([&fixed]).flatten().map(|(&token, _)| token);
            let fits = wished.collect::<BTreeSet<_>>().len() <= world.wishes.config.capacity;
            let set = world.set_fixed(fixed);
            prop_assert_eq!(set.is_ok(), fits);
            return world.check();
        }
        Op::Wait(wait) => {
            world.wait(wait);
            Ok(())
        }
    };
    if let Err(UpstreamFull { asked, free, capacity }) = refused {
        prop_assert_eq!(world.wished(), before);
        prop_assert_eq!((free, capacity), (world.wishes.free(), world.wishes.config.capacity));
        prop_assert!(asked > free);
    }
    prop_assert_eq!(world.wishes.free(), world.wishes.config.capacity - world.wished().len());
    world.check()
}

proptest! {
    #[test]
    fn what_is_subscribed_follows_the_wishes_within_capacity(
        ops in prop::collection::vec(op(), 0..40),
    ) {
        let mut world = World::new(CAPACITY, Some(FIXED));
        for op in ops {
            run(&mut world, op)?;
        }
        world.wait(LINGER + SETTLE);
        prop_assert_eq!(&world.server, &world.wished());
        prop_assert_eq!(world.wishes.next_deadline(), None);
        (0..3).for_each(|client| world.leave(client));
        world.set_fixed(Book::from([FIXED])).unwrap();
        world.wait(LINGER);
        prop_assert_eq!(&world.server, &Book::from([FIXED]));
        prop_assert_eq!(world.wishes.wishes.len(), 1);
    }

    #[test]
    fn what_was_subscribed_lingers_while_there_is_room(
        ops in prop::collection::vec(op(), 0..40),
    ) {
        let mut world = World::new(100, Some(FIXED));
        for op in ops {
            run(&mut world, op)?;
            world.check_lingering()?;
        }
    }
}

#[test]
fn a_mode_soon_after_its_subscribe_is_one_request() {
    for mode in Mode::ALL {
        let mut world = World::new(CAPACITY, None);
        world.obey(0, Command::Subscribe(&[1, 2])).unwrap();
        world.wait(SETTLE - Duration::from_millis(1));
        assert_eq!(world.server, Book::new());
        world.obey(0, Command::Mode(mode, &[1])).unwrap();
        assert_eq!(world.server, Book::from([(1, mode)]));
        world.wait(Duration::from_millis(1));
        assert_eq!(world.server, Book::from([(1, mode), (2, Mode::Quote)]));
    }
}

#[test]
fn another_subscribe_does_not_delay_the_first() {
    let mut world = World::new(CAPACITY, None);
    for client in [0, 0, 1] {
        world.obey(client, Command::Subscribe(&[1])).unwrap();
        world.wait(SETTLE / 3);
    }
    world.wait(Duration::from_millis(1));
    assert_eq!(world.server, Book::from([(1, Mode::Quote)]));
}

#[test]
fn a_subscribe_that_is_undone_soon_is_never_sent() {
    let mut world = World::new(CAPACITY, None);
    world.obey(0, Command::Subscribe(&[1])).unwrap();
    world.obey(0, Command::Unsubscribe(&[1])).unwrap();
    assert_eq!(world.wishes.next_deadline(), None);
    assert!(world.past.iter().all(|state| state.server.is_empty()));
}

#[test]
fn each_mode_lingers_since_its_own_last_client_left() {
    let mut world = World::new(CAPACITY, None);
    for (client, mode) in [(0, Mode::Full), (1, Mode::Quote), (2, Mode::Ltp)] {
        world.obey(client, Command::Mode(mode, &[1])).unwrap();
    }
    world.leave(0);
    world.wait(LINGER / 3);
    world.leave(1);
    world.wait(LINGER / 3);
    world.leave(2);
    let mut seen = Vec::new();
    while let Some(deadline) = world.wishes.next_deadline() {
        world.wait(deadline - world.now);
        seen.push(world.server.get(&1).copied());
    }
    assert_eq!(seen, [Some(Mode::Quote), Some(Mode::Ltp), None]);
}

#[test]
fn a_full_account_exchanges_what_lingers() {
    let mut world = World::new(2, None);
    world.obey(0, Command::Mode(Mode::Full, &[1, 2])).unwrap();
    world.obey(0, Command::Unsubscribe(&[2])).unwrap();
    world.wait(Duration::from_secs(1));
    world.obey(0, Command::Unsubscribe(&[1])).unwrap();
    world.obey(1, Command::Mode(Mode::Ltp, &[3])).unwrap();
    assert_eq!(world.server, Book::from([(1, Mode::Full), (3, Mode::Ltp)]));
    let refused = world.obey(0, Command::Subscribe(&[1, 4])).unwrap_err();
    assert_eq!(refused, UpstreamFull { asked: 2, free: 1, capacity: 2 });
    assert_eq!(refused.to_string(), "2 more instruments asked, 1 of 2 free upstream");
}

#[test]
fn a_fixed_list_that_does_not_fit_is_refused() {
    let config = WishesConfig { capacity: 1, ..WishesConfig::default() };
    let fixed = [(1, Mode::Ltp), (1, Mode::Full), (2, Mode::Ltp)];
    assert!(Wishes::new(config.clone(), fixed, Instant::now()).is_err());
    let mut wishes = Wishes::new(config, fixed[..2].iter().copied(), Instant::now()).unwrap();
    let now = Instant::now();
    assert_eq!(wishes.poll(now).subscribe, BTreeMap::from([(Mode::Full, vec![1])]));
}

#[test]
fn a_linger_beyond_the_clock_never_ends() {
    let config = WishesConfig { linger: Duration::MAX, ..WishesConfig::default() };
    let now = Instant::now();
    let mut wishes = Wishes::new(config, [], now).unwrap();
    let text = Command::Mode(Mode::Full, &[1]).to_string();
    wishes.apply(&Changes::of(ParsedCommand::parse(&text).unwrap(), |_| None), now);
    assert!(!wishes.poll(now).is_empty());
    wishes.apply(&Changes::leaving([(1, Mode::Full)]), now);
    assert!(wishes.poll(now + Duration::from_secs(86_400 * 365)).is_empty());
}

#[test]
fn a_full_fixed_list_can_be_exchanged_whole() {
    let mut world = World::new(2, None);
    world.set_fixed(Book::from([(1, Mode::Full), (2, Mode::Ltp)])).unwrap();
    world.obey(0, Command::Mode(Mode::Quote, &[2])).unwrap();
    let refused = world.set_fixed(Book::from([(3, Mode::Full), (4, Mode::Ltp)])).unwrap_err();
    assert_eq!(refused, UpstreamFull { asked: 2, free: 1, capacity: 2 });
    assert_eq!(world.server, Book::from([(1, Mode::Full), (2, Mode::Quote)]));
    world.set_fixed(Book::from([(3, Mode::Full)])).unwrap();
    assert_eq!(world.server, Book::from([(2, Mode::Quote), (3, Mode::Full)]));
}
