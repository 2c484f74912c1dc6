//! Kills a recorder, fills its disk, removes its files, sets its clock and disturbs its server, at
//! random, while numbered frames are sent.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use kite_sim::{FaultChance, FaultKind, Sim};
use tokio::time::{Instant, sleep};

use crate::account::{Account, frame};

/// Timeout for each step; generous for slow machines.
const PATIENCE: Duration = Duration::from_secs(60);
/// Interval at which numbered frames are sent.
const SEND_EVERY: Duration = Duration::from_millis(4);

/// Kinds of faults that lose sockets, but none that stops reconnecting.
const KINDS: [FaultKind; 5] = [
    FaultKind::Reset,
    FaultKind::EndOfStream,
    FaultKind::Close,
    FaultKind::InvalidFrame,
    FaultKind::UnparsableText,
];

/// What to do, and how long.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program that records if its first argument is `record`.
    pub program: PathBuf,
    /// An empty directory.
    pub directory: PathBuf,
    /// Whether the file system of the directory may be filled.
    pub fills_disk: bool,
    /// The library that sets the clock of the recorder.
    pub faketime: Option<PathBuf>,
    /// Determines the actions and their times.
    pub seed: u64,
    /// How long to disturb the recorder.
    pub lasts: Duration,
}

/// What was done, and what came of it.
#[derive(Debug)]
pub struct Report {
    /// Numbered frames sent.
    pub sent: u64,
    /// How often each action was taken.
    pub actions: Vec<(Action, u64)>,
    /// The tapes, or what does not add up.
    pub account: Result<Account, String>,
}

/// What is done to the recorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `kill -9`, and a new start.
    Kill,
    /// The disk is full for a while.
    Fill,
    /// The disk is full, and the recorder is killed and started again meanwhile.
    FillAndKill,
    /// The file is removed.
    Remove,
    /// The directory is removed.
    RemoveDirectory,
    /// The file is moved to another directory.
    Move,
    /// The file is truncated to a random length.
    Truncate,
    /// The wall clock is set.
    Clock,
    /// The recorder ends normally, and is started again.
    Stop,
}

const ACTIONS: [Action; 9] = [
    Action::Kill,
    Action::Fill,
    Action::FillAndKill,
    Action::Remove,
    Action::RemoveDirectory,
    Action::Move,
    Action::Truncate,
    Action::Clock,
    Action::Stop,
];

/// Runs the whole check.
///
/// # Panics
/// Panics if a step of the check fails; what does not add up is in the report.
pub async fn run(options: &Options, progress: impl Fn(&str)) -> Report {
    let mut random = fastrand::Rng::with_seed(options.seed);
    let sim = Sim::builder()
        .no_heartbeats()
        .greet(false)
        .updates_per_second(1.0)
        .chance(FaultChance::new(options.seed, Duration::from_secs(2)).kinds(KINDS))
        .start()
        .await
        .unwrap();
    let sim = std::sync::Arc::new(sim);
    let (stop, sending) = send(std::sync::Arc::clone(&sim));
    let mut soak = Soak::new(options, sim.endpoint());
    soak.settle().await;
    let mut actions: Vec<_> = ACTIONS.map(|action| (action, 0)).to_vec();
    let end = Instant::now() + options.lasts;
    while Instant::now() < end {
        sleep(Duration::from_millis(random.u64(100..3_000))).await;
        let chosen = random.usize(0..actions.len());
        let (action, count) = &mut actions[chosen];
        if soak.act(*action, &mut random).await {
            *count += 1;
            progress(&format!("{action:?}"));
        }
    }
    sim.calm();
    soak.settle().await;
    stop.send(()).unwrap();
    let sent = sending.await.unwrap();
    soak.stop().await;
    sim.stop().await;
    Report { sent, actions, account: Account::of(&soak.all_tapes(), sent) }
}

/// Sends numbered frames until stopped; returns the last number.
fn send(
    sim: std::sync::Arc<Sim>,
) -> (tokio::sync::oneshot::Sender<()>, tokio::task::JoinHandle<u64>) {
    let (stop, mut stopped) = tokio::sync::oneshot::channel();
    let sending = tokio::spawn(async move {
        let mut clock = tokio::time::interval(SEND_EVERY);
        let mut number = 0;
        loop {
            tokio::select! {
                _ = &mut stopped => return u64::from(number),
                _ = clock.tick() => {
                    number += 1;
                    sim.send_binary(frame(number));
                }
            }
        }
    });
    (stop, sending)
}

struct Soak<'o> {
    options: &'o Options,
    endpoint: String,
    child: Child,
    figures: mpsc::Receiver<Figures>,
    last: Figures,
    /// Directories of finished tapes.
    archives: Vec<PathBuf>,
}

/// What the recorder reports.
#[derive(Debug, Default, Clone, Copy)]
struct Figures {
    failures: u64,
    blocks: u64,
    is_failing: bool,
}

impl<'o> Soak<'o> {
    fn new(options: &'o Options, endpoint: String) -> Self {
        fs::write(options.directory.join("clock"), "+0").unwrap();
        let (child, figures) = start(options, &endpoint);
        Self { options, endpoint, child, figures, last: Figures::default(), archives: Vec::new() }
    }

    fn tapes(&self) -> PathBuf {
        self.options.directory.join("tapes")
    }

    /// Returns the directories of all tapes, in the order in which they were recorded.
    fn all_tapes(&self) -> Vec<PathBuf> {
        let mut all = self.archives.clone();
        all.push(self.tapes());
        all
    }

    /// Moves the finished tapes to a directory of their own.
    fn archive(&mut self) {
        let (newest, count) = newest(&self.tapes());
        if count == 1 {
            return;
        }
        let archive = self.options.directory.join(format!("archive-{}", self.archives.len()));
        fs::create_dir(&archive).unwrap();
        for file in fs::read_dir(self.tapes()).unwrap().map(Result::unwrap) {
            let is_tape = file.path().extension().is_some_and(|it| it == "ktape");
            if is_tape && file.path() != newest {
                fs::rename(file.path(), archive.join(file.file_name())).unwrap();
            }
        }
        self.archives.push(archive);
    }

    /// Waits until the recorder writes blocks.
    async fn settle(&mut self) {
        self.figures();
        let before = self.last.blocks;
        self.wait(|it| it.blocks > before && !it.is_failing).await;
    }

    fn figures(&mut self) -> Figures {
        while let Ok(figures) = self.figures.try_recv() {
            self.last = figures;
        }
        self.last
    }

    async fn wait(&mut self, holds: impl Fn(Figures) -> bool) {
        let end = Instant::now() + PATIENCE;
        loop {
            let figures = self.figures();
            if holds(figures) {
                return;
            }
            assert!(Instant::now() < end, "the recorder does not go on: {figures:?}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Takes an action. Returns whether that was possible.
    async fn act(&mut self, action: Action, random: &mut fastrand::Rng) -> bool {
        match action {
            Action::Kill => self.kill(),
            Action::Fill | Action::FillAndKill if !self.options.fills_disk => return false,
            Action::Fill | Action::FillAndKill => {
                let filler = self.options.directory.join("filler");
                fill(&filler);
                sleep(Duration::from_millis(random.u64(100..1_500))).await;
                if action == Action::FillAndKill {
                    self.kill();
                    sleep(Duration::from_millis(random.u64(100..1_500))).await;
                }
                fs::remove_file(filler).unwrap();
            }
            Action::Clock if self.options.faketime.is_none() => return false,
            Action::Clock => {
                let offset = random.i32(-300..300);
                fs::write(self.options.directory.join("clock"), format!("{offset:+}")).unwrap();
            }
            Action::Stop => {
                self.stop().await;
                self.restart();
            }
            Action::Remove | Action::RemoveDirectory | Action::Move | Action::Truncate => {
                self.lose(action, random).await;
            }
        }
        self.settle().await;
        true
    }

    async fn lose(&mut self, action: Action, random: &mut fastrand::Rng) {
        // Only what the recorder is writing is its to report.
        self.settle().await;
        if action == Action::RemoveDirectory {
            self.archive();
        }
        let before = self.figures().failures;
        let (path, _) = newest(&self.tapes());
        match action {
            Action::Remove => fs::remove_file(&path).unwrap(),
            Action::Move => fs::rename(&path, self.options.directory.join("moved")).unwrap(),
            Action::Truncate => {
                let file = OpenOptions::new().write(true).open(&path).unwrap();
                let len = file.metadata().unwrap().len();
                file.set_len(random.u64(0..len)).unwrap();
            }
            _ => fs::remove_dir_all(self.tapes()).unwrap(),
        }
        self.wait(|it| it.failures > before).await;
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.restart();
    }

    fn restart(&mut self) {
        (self.child, self.figures) = start(self.options, &self.endpoint);
        self.last = Figures::default();
    }

    /// Ends the recorder normally.
    async fn stop(&mut self) {
        drop(self.child.stdin.take());
        let end = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "the recorder does not end");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Soak<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(options: &Options, endpoint: &str) -> (Child, mpsc::Receiver<Figures>) {
    let mut command = Command::new(&options.program);
    command.arg("record").arg(options.directory.join("tapes")).arg(endpoint);
    if let Some(library) = &options.faketime {
        // The monotonic clock is not faked, as a clock that is set does not move it.
        command.env("LD_PRELOAD", library).env("DONT_FAKE_MONOTONIC", "1");
        command.env("FAKETIME_NO_CACHE", "1");
        command.env("FAKETIME_TIMESTAMP_FILE", options.directory.join("clock"));
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (send, figures) = mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let mut words = line.split(' ');
            let mut number = || words.next().and_then(|it| it.parse().ok());
            let (Some(failures), Some(blocks)) = (number(), number()) else { continue };
            let is_failing = line.ends_with("true");
            if send.send(Figures { failures, blocks, is_failing }).is_err() {
                break;
            }
        }
    });
    (child, figures)
}

/// Writes a file until the disk is full.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    let bytes = [7; 4_096];
    while file.write_all(&bytes).is_ok() {}
}

/// Returns the newest tape and the number of tapes.
fn newest(tapes: &Path) -> (PathBuf, usize) {
    let paths = fs::read_dir(tapes).unwrap().map(|file| file.unwrap().path());
    let tapes: Vec<_> = paths.filter(|it| it.extension().is_some_and(|it| it == "ktape")).collect();
    let key = |path: &PathBuf| (path.as_os_str().len(), path.clone());
    let newest = tapes.iter().max_by_key(|path| key(path)).expect("a tape");
    (newest.clone(), tapes.len())
}
