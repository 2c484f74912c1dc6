//! Which of several hand-driven streams is polled, when, and which waker is woken.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::task::ready;

use proptest::prelude::*;
use tokio::task::coop;

use super::*;

/// The test's side of a [`Feed`].
#[derive(Debug, Default)]
struct Source {
    state: Mutex<(VecDeque<u32>, bool, Option<Waker>)>,
    polls: AtomicUsize,
}

impl Source {
    fn push(&self, item: u32) {
        let mut state = self.state.lock().unwrap();
        state.0.push_back(item);
        state.2.take().map(Waker::wake).unwrap_or_default();
    }

    fn end(&self) {
        let mut state = self.state.lock().unwrap();
        state.1 = true;
        state.2.take().map(Waker::wake).unwrap_or_default();
    }

    fn wake(&self) {
        self.state.lock().unwrap().2.take().map(Waker::wake).unwrap_or_default();
    }

    fn polls(&self) -> usize {
        self.polls.swap(0, Ordering::SeqCst)
    }
}

/// Returns the items pushed to its source, and wakes once for them, as a socket does.
#[derive(Debug)]
struct Feed(Arc<Source>);

impl Stream for Feed {
    type Item = u32;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<u32>> {
        self.0.polls.fetch_add(1, Ordering::SeqCst);
        let mut state = self.0.state.lock().unwrap();
        if let Some(item) = state.0.pop_front() {
            return Poll::Ready(Some(item));
        }
        if state.1 {
            return Poll::Ready(None);
        }
        state.2 = Some(cx.waker().clone());
        Poll::Pending
    }
}

fn merged<const N: usize>() -> ([Arc<Source>; N], Merge<Feed>) {
    let sources: [Arc<Source>; N] = std::array::from_fn(|_| Arc::default());
    let merge = Merge::new(sources.iter().map(Arc::clone).map(Feed));
    (sources, merge)
}

/// Counts wake-ups.
#[derive(Debug, Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn consumer() -> (Arc<Woken>, Waker) {
    let woken = Arc::new(Woken::default());
    (Arc::clone(&woken), Waker::from(woken))
}

#[test]
fn only_woken_or_busy_streams_are_polled() {
    let ([busy, idle, other], mut merge) = merged();
    let (woken, waker) = consumer();
    let mut cx = Context::from_waker(&waker);
    assert!(merge.poll_next(&mut cx).is_pending());
    assert_eq!([&busy, &idle, &other].map(|it| it.polls()), [1, 1, 1], "all at first");
    assert!(merge.poll_next(&mut cx).is_pending());
    assert_eq!([&busy, &idle, &other].map(|it| it.polls()), [0, 0, 0]);
    for item in 0..10 {
        busy.push(item);
    }
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    for item in 0..10 {
        assert_eq!(merge.poll_next(&mut cx), Poll::Ready(Some(item)));
    }
    assert!(merge.poll_next(&mut cx).is_pending());
    assert_eq!([&busy, &idle, &other].map(|it| it.polls()), [11, 0, 0]);
    idle.wake();
    assert_eq!(woken.0.load(Ordering::SeqCst), 2);
    assert!(merge.poll_next(&mut cx).is_pending());
    assert_eq!([&busy, &idle, &other].map(|it| it.polls()), [0, 1, 0]);
}

#[test]
fn busy_streams_take_turns_and_ended_ones_are_not_polled() {
    let ([first, second, third], mut merge) = merged();
    let (_, waker) = consumer();
    let mut cx = Context::from_waker(&waker);
    for item in 0..100 {
        first.push(item);
    }
    for item in 200..202 {
        second.push(item);
        third.push(item + 100);
    }
    let mut taken = Vec::new();
    for _ in 0..6 {
        let Poll::Ready(Some(item)) = merge.poll_next(&mut cx) else { panic!("{taken:?}") };
        taken.push(item);
    }
    assert_eq!(taken, [0, 200, 300, 1, 201, 301]);
    second.end();
    for item in 2..100 {
        assert_eq!(merge.poll_next(&mut cx), Poll::Ready(Some(item)));
    }
    assert!(merge.poll_next(&mut cx).is_pending());
    let polls = second.polls();
    first.end();
    assert!(merge.poll_next(&mut cx).is_pending());
    third.end();
    assert_eq!(merge.poll_next(&mut cx), Poll::Ready(None));
    assert_eq!(merge.poll_next(&mut cx), Poll::Ready(None));
    assert_eq!((second.polls(), polls), (0, 3));
    assert_eq!(Merge::<Feed>::new([]).poll_next(&mut cx), Poll::Ready(None));
}

#[test]
fn the_last_poller_is_woken() {
    let ([feed], mut merge) = merged();
    let ((before, first), (after, second)) = (consumer(), consumer());
    assert!(merge.poll_next(&mut Context::from_waker(&first)).is_pending());
    assert!(merge.poll_next(&mut Context::from_waker(&second)).is_pending());
    feed.push(7);
    assert_eq!([before, after].map(|it| it.0.load(Ordering::SeqCst)), [0, 1]);
}

/// Always has an item within the runtime's coop budget, like a socket at full speed.
struct Flood<'a>(&'a Cell<u64>);

impl Stream for Flood<'_> {
    type Item = ();

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
        ready!(coop::poll_proceed(cx)).made_progress();
        self.0.set(self.0.get() + 1);
        Poll::Ready(Some(()))
    }
}

#[tokio::test]
async fn a_flood_lets_other_tasks_run_and_continues() {
    let counts = [const { Cell::new(0) }; 3];
    let mut merge = Merge::new(counts.iter().map(Flood));
    let mut others = tokio::spawn(async {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    });
    while !others.is_finished() {
        std::future::poll_fn(|cx| merge.poll_next(cx)).await.unwrap();
    }
    (&mut others).await.unwrap();
    let counts = counts.each_ref().map(Cell::get);
    assert!(counts[0] > 0 && counts[0] - counts[2] <= 1, "{counts:?}");
}

/// Wakes itself and returns no item, so it yields and must be polled later.
struct Yields;

impl Stream for Yields {
    type Item = ();

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[test]
fn a_yielding_stream_does_not_block_the_thread() {
    let mut merge = Merge::new([Yields]);
    let (woken, waker) = consumer();
    for round in 1..=3 {
        assert!(merge.poll_next(&mut Context::from_waker(&waker)).is_pending());
        assert!(woken.0.load(Ordering::SeqCst) >= round, "it is polled again");
    }
}

#[test]
fn nothing_is_lost_between_threads() {
    const ITEMS: u32 = 20_000;
    let (sources, mut merge) = merged::<3>();
    let pushers = sources.map(|source| {
        std::thread::spawn(move || {
            for item in 0..ITEMS {
                source.push(item);
                if item % 64 == 0 {
                    std::thread::yield_now();
                }
            }
            source.end();
        })
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let sum = runtime.block_on(async {
        let mut sum = 0;
        while let Some(item) = std::future::poll_fn(|cx| merge.poll_next(cx)).await {
            sum += u64::from(item);
        }
        sum
    });
    assert_eq!(sum, 3 * u64::from(ITEMS) * u64::from(ITEMS - 1) / 2);
    for pusher in pushers {
        pusher.join().unwrap();
    }
}

proptest! {
    /// A consumer that polls only after a wake-up or an item receives every item.
    #[test]
    fn a_waiting_consumer_is_woken_for_every_item(steps in prop::collection::vec(0_usize..8, 0..200)) {
        let (sources, mut merge) = merged::<3>();
        let (woken, waker) = consumer();
        let (mut given, mut taken, mut waits) = (0, 0, false);
        let mut poll = |waits: &mut bool| {
            if *waits && woken.0.swap(0, Ordering::SeqCst) == 0 {
                return 0;
            }
            let polled = merge.poll_next(&mut Context::from_waker(&waker));
            *waits = polled.is_pending();
            usize::from(polled.is_ready())
        };
        for step in steps {
            match step {
                0..3 => {
                    sources[step].push(1);
                    given += 1;
                }
                3 => sources[0].wake(),
                _ => taken += poll(&mut waits),
            }
        }
        for _ in 0..=given {
            taken += poll(&mut waits);
        }
        prop_assert_eq!(given, taken);
    }
}
