//! Interleaved rounds of several ways, and all that benches/RESULTS.md shows of them.

use std::collections::BTreeMap;

use clap::Args;

use crate::application::Work;
use crate::client::Outcome;
use crate::load::Load;
use crate::table::Row;
use crate::ways::{Run, Way};
use crate::{Failure, processes, reconnect, table};

/// Ways under one load, interleaved, with ratios to the first of them within the same round.
#[derive(Debug, Clone, Args)]
pub struct Comparison {
    /// The ways; the first is what the others are measured by.
    #[arg(long, value_delimiter = ',', default_value = "bare,in-place,inline,lane,typed,facade")]
    pub ways: Vec<Way>,
    /// What the application does with a frame.
    #[arg(long, default_value = "views")]
    pub work: Work,
    /// How many times each way is run.
    #[arg(long, default_value_t = 11)]
    pub rounds: usize,
    /// Read buffers in bytes, each one a row.
    #[arg(long, value_delimiter = ',', default_value = "65536")]
    pub read_buffers: Vec<usize>,
    #[command(flatten)]
    pub load: Load,
}

impl Comparison {
    /// Runs it and prints its table.
    pub fn run(&self) -> Result<(), Failure> {
        table::print(&self.measure()?);
        Ok(())
    }

    fn measure(&self) -> Result<Vec<Row>, Failure> {
        let (work, load) = (self.work, self.load);
        let several = self.read_buffers.len() > 1;
        let runs = self.ways.iter().flat_map(|&way| {
            self.read_buffers.iter().map(move |&read_buffer| {
                let kib = read_buffer / 1024;
                let of = if several { format!(", {kib} KiB") } else { String::new() };
                (format!("{}{of}", way.label()), Run { way, work, load, port: 0, read_buffer })
            })
        });
        interleave(self.rounds, &runs.collect::<Vec<_>>())
    }
}

/// Runs all in turn, again and again.
fn interleave(rounds: usize, runs: &[(String, Run)]) -> Result<Vec<Row>, Failure> {
    let mut outcomes: BTreeMap<usize, Vec<Outcome>> = BTreeMap::new();
    for round in 1..=rounds {
        for (row, (label, run)) in runs.iter().enumerate() {
            eprint!("\r\x1b[Kround {round} of {rounds}: {label}");
            let outcome = run.measure()?;
            check(run, &outcome)?;
            // Each way must have seen what the bare loop saw.
            let first = runs.iter().position(|(_, first)| first.load == run.load);
            let first = first.and_then(|first| outcomes.get(&first)?.get(round - 1));
            if let Some(first) = first
                && run.work == Work::Views
                && outcome.lost == 0
                && !matches!(run.way, Way::Tcp | Way::Kiteconnect)
                && outcome.sum != first.sum
            {
                return Err(format!("{label}: the ticks are not those that were sent").into());
            }
            outcomes.entry(row).or_default().push(outcome);
        }
    }
    eprint!("\r\x1b[K");
    let rows = runs.iter().zip(outcomes.into_values()).map(|((label, run), outcomes)| {
        let (label, load) = (label.clone(), run.load);
        Row { label, load, outcomes }
    });
    Ok(rows.collect())
}

/// Where nothing was lost, everything has arrived.
fn check(run: &Run, outcome: &Outcome) -> Result<(), Failure> {
    let sixteen = if run.way == Way::FacadeSixteen { 16 } else { 1 };
    let sent = run.load.ticks() * sixteen;
    if run.work != Work::Stop && outcome.lost == 0 && outcome.ticks != sent {
        let (label, ticks) = (run.way.label(), outcome.ticks);
        return Err(format!("{label}: {ticks} of {sent} ticks, and none said to be lost").into());
    }
    Ok(())
}

/// All that benches/RESULTS.md shows.
#[derive(Debug, Clone, Args)]
pub struct Suite {
    /// How many times each way is run.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
}

/// As fast as the sockets take them: 200 full packets a frame on three connections.
const FULL_SPEED: Load =
    Load { connections: 3, packets: 200, frames: 10_000, rate: 0, instruments: 3_000, idle: 0 };

/// 300,000 ticks a second for two seconds, fifteen times a full account's real load.
const PACED: Load = Load { packets: 100, frames: 2_000, rate: 1_000, ..FULL_SPEED };

/// Read at once by ours and by the bare loop that ours is measured by.
const READ_BUFFER: usize = 64 * 1024;

impl Suite {
    /// Runs all and prints the tables.
    pub fn run(&self) -> Result<(), Failure> {
        use Way::{
            Bare, BareChannel, BareDefault, BareMerged, ByHand, Facade, FacadeRaw, InPlace,
            InPlaceMerged, Inline, Kiteconnect, Lane, Tcp, TokioWebsockets, Typed,
        };
        let all = [
            Bare,
            Tcp,
            BareDefault,
            BareChannel,
            TokioWebsockets,
            ByHand,
            InPlace,
            Inline,
            Lane,
            Typed,
            Facade,
            FacadeRaw,
            Kiteconnect,
        ];
        self.compare("Views, at full speed", &all, Work::Views, FULL_SPEED)?;
        let ours = [Bare, InPlace, Inline, Lane, Typed, Facade, Kiteconnect];
        self.compare("Ticks, at full speed", &ours, Work::Ticks, FULL_SPEED)?;
        let merged = [BareMerged, InPlaceMerged];
        self.compare("Views in one task, at full speed", &merged, Work::Views, FULL_SPEED)?;
        self.compare("Ticks in one task, at full speed", &merged, Work::Ticks, FULL_SPEED)?;
        let paced =
            [Bare, BareChannel, InPlace, InPlaceMerged, Inline, Lane, Typed, Facade, Kiteconnect];
        self.compare("Views, 300,000 ticks a second", &paced, Work::Views, PACED)?;
        let paced = [Bare, InPlace, Lane, Facade];
        self.compare("Ticks, 300,000 ticks a second", &paced, Work::Ticks, PACED)?;
        self.packets_a_frame()?;
        self.connections()?;
        self.sixteen_takers()?;
        self.stopped()?;
        let share = processes::idle(20)? * 100.0;
        println!("\nIdle: 9,000 instruments, heartbeats only: {share:.3} % of a core.");
        reconnect::report()
    }

    fn compare(&self, title: &str, ways: &[Way], work: Work, load: Load) -> Result<(), Failure> {
        println!("\n{title}\n");
        let (ways, read_buffers) = (ways.to_vec(), vec![READ_BUFFER]);
        Comparison { ways, work, rounds: self.rounds, read_buffers, load }.run()
    }

    /// The same number of ticks in frames of other sizes.
    fn packets_a_frame(&self) -> Result<(), Failure> {
        println!("\nViews, at full speed, by packets a frame\n");
        let ticks = FULL_SPEED.frames * u64::from(FULL_SPEED.packets);
        let load =
            |packets: u32| Load { packets, frames: ticks / u64::from(packets), ..FULL_SPEED };
        self.sweep([50, 100, 200, 500].map(|packets| (format!("{packets} packets"), load(packets))))
    }

    /// The same number of ticks on each of more connections.
    fn connections(&self) -> Result<(), Failure> {
        println!("\nViews, at full speed, by connections\n");
        let load = |connections| Load { connections, ..FULL_SPEED };
        self.sweep([1, 2, 3, 6].map(|count| (format!("{count} connections"), load(count))))
    }

    fn sweep(&self, loads: [(String, Load); 4]) -> Result<(), Failure> {
        let runs = loads.iter().flat_map(|(name, load)| {
            [Way::Bare, Way::InPlace, Way::Lane].map(|way| {
                let label = format!("{name}, {}", way.label());
                let (work, read_buffer) = (Work::Views, READ_BUFFER);
                (label, Run { way, work, load: *load, port: 0, read_buffer })
            })
        });
        table::print(&interleave(self.rounds, &runs.collect::<Vec<_>>())?);
        Ok(())
    }

    /// What fifteen further receivers of one channel cost.
    fn sixteen_takers(&self) -> Result<(), Failure> {
        let load = Load { connections: 1, frames: 20_000, ..FULL_SPEED };
        let run = |way| Run { way, work: Work::Count, load, port: 0, read_buffer: READ_BUFFER };
        let runs = [Way::Facade, Way::FacadeSixteen].map(|way| (way.label().to_owned(), run(way)));
        let rows = interleave(self.rounds, &runs)?;
        let [one, sixteen] = &rows[..] else { return Err("two rows".into()) };
        let busy = |outcome: &Outcome| outcome.user_s + outcome.system_s;
        let ratio = table::ratio(sixteen, one, busy);
        let lost: u64 = sixteen.outcomes.iter().map(|outcome| outcome.lost).sum();
        println!(
            "\nSixteen receivers of one facade channel, counting only: {ratio} times the CPU of \
             one; {lost} messages lost to lag."
        );
        Ok(())
    }

    /// What is held for consumers that take nothing, at full speed.
    fn stopped(&self) -> Result<(), Failure> {
        println!("\nMemory beyond the empty process, consumers that take nothing, at full speed\n");
        println!("| way | MB |\n|---|---|");
        for way in [Way::InPlace, Way::Lane, Way::Typed, Way::Facade] {
            let load = Load { frames: 20_000, ..FULL_SPEED };
            let run = Run { way, work: Work::Stop, load, port: 0, read_buffer: READ_BUFFER };
            let outcome = run.measure()?;
            println!("| {} | {:.1} |", way.label(), outcome.peak_bytes as f64 / 1e6);
        }
        Ok(())
    }
}
