//! Interleaved rounds of several clients, and the suite that benches/RESULTS.md shows.

use std::collections::BTreeMap;

use clap::Args;

use crate::application::Work;
use crate::client_process::Outcome;
use crate::clients::{Client, Run};
use crate::load::Load;
use crate::table::Row;
use crate::{Failure, processes, reconnect, table};

/// Clients under one load, interleaved, with ratios to the first client of the same round.
#[derive(Debug, Clone, Args)]
pub struct Comparison {
    /// The clients; the first is the baseline for the others.
    #[arg(long, value_delimiter = ',', default_value = "bare,in-place,inline,lane,typed,facade")]
    pub clients: Vec<Client>,
    /// What the application does with a frame.
    #[arg(long, default_value = "views")]
    pub work: Work,
    /// Number of runs of each client.
    #[arg(long, default_value_t = 11)]
    pub rounds: usize,
    /// Read buffer sizes in bytes; each adds a row per client.
    #[arg(long, value_delimiter = ',', default_value = "65536")]
    pub read_buffers: Vec<usize>,
    #[command(flatten)]
    pub load: Load,
}

impl Comparison {
    /// Runs the comparison and prints its table.
    pub fn run(&self) -> Result<(), Failure> {
        table::print(&self.measure()?);
        Ok(())
    }

    fn measure(&self) -> Result<Vec<Row>, Failure> {
        let (work, load) = (self.work, self.load);
        let several = self.read_buffers.len() > 1;
        let runs = self.clients.iter().flat_map(|&client| {
            self.read_buffers.iter().map(move |&read_buffer| {
                let kib = read_buffer / 1024;
                let of = if several { format!(", {kib} KiB") } else { String::new() };
                (
                    format!("{}{of}", client.label()),
                    Run { client, work, load, port: 0, read_buffer },
                )
            })
        });
        interleave(self.rounds, &runs.collect::<Vec<_>>())
    }
}

/// Runs all of `runs` in turn, `rounds` times.
fn interleave(rounds: usize, runs: &[(String, Run)]) -> Result<Vec<Row>, Failure> {
    let mut outcomes: BTreeMap<usize, Vec<Outcome>> = BTreeMap::new();
    for round in 1..=rounds {
        for (row, (label, run)) in runs.iter().enumerate() {
            eprint!("\r\x1b[Kround {round} of {rounds}: {label}");
            let outcome = run.measure()?;
            check(run, &outcome)?;
            // Each client must have received the same ticks as the bare loop.
            let first = runs.iter().position(|(_, first)| first.load == run.load);
            let first = first.and_then(|first| outcomes.get(&first)?.get(round - 1));
            if let Some(first) = first
                && run.work == Work::Views
                && outcome.lost == 0
                && !matches!(run.client, Client::Tcp | Client::Kiteconnect)
                && outcome.sum != first.sum
            {
                return Err(format!("{label}: the received ticks differ from those sent").into());
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

/// Checks that every tick arrived, unless the client reported losses.
fn check(run: &Run, outcome: &Outcome) -> Result<(), Failure> {
    let sixteen = if run.client == Client::FacadeSixteen { 16 } else { 1 };
    let sent = run.load.ticks() * sixteen;
    if run.work != Work::Stop && outcome.lost == 0 && outcome.ticks != sent {
        let (label, ticks) = (run.client.label(), outcome.ticks);
        return Err(
            format!("{label}: received {ticks} of {sent} ticks, but reported no loss").into()
        );
    }
    Ok(())
}

/// Everything that benches/RESULTS.md shows.
#[derive(Debug, Clone, Args)]
pub struct Suite {
    /// Number of runs of each client.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
}

/// Three connections with 200 full packets per frame, as fast as the sockets accept them.
const FULL_SPEED: Load =
    Load { connections: 3, packets: 200, frames: 10_000, rate: 0, instruments: 3_000, idle: 0 };

/// The same for twice as long, in which a channel that does not give way to its consumers fills.
const FULL_SPEED_LONG: Load = Load { frames: 20_000, ..FULL_SPEED };

/// 300,000 ticks per second for two seconds: fifteen times the real load of a full account.
const PACED: Load = Load { packets: 100, frames: 2_000, rate: 1_000, ..FULL_SPEED };

/// Bytes per read, the same for our clients and the bare loop that is their baseline.
const READ_BUFFER: usize = 64 * 1024;

impl Suite {
    /// Runs everything and prints the tables.
    pub fn run(&self) -> Result<(), Failure> {
        use Client::{
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
        let channels = [Bare, Facade, FacadeRaw];
        self.compare("Channels of the facade, views", &channels, Work::Views, FULL_SPEED_LONG)?;
        let merged = [BareMerged, InPlaceMerged];
        self.compare("Views in one task, at full speed", &merged, Work::Views, FULL_SPEED)?;
        self.compare("Ticks in one task, at full speed", &merged, Work::Ticks, FULL_SPEED)?;
        let paced =
            [Bare, BareChannel, InPlace, InPlaceMerged, Inline, Lane, Typed, Facade, Kiteconnect];
        self.compare("Views, 300,000 ticks per second", &paced, Work::Views, PACED)?;
        let paced = [Bare, InPlace, Lane, Facade];
        self.compare("Ticks, 300,000 ticks per second", &paced, Work::Ticks, PACED)?;
        self.packets_per_frame()?;
        self.connections()?;
        self.sixteen_receivers()?;
        self.stopped()?;
        let share = processes::idle(20)? * 100.0;
        println!("\nIdle: 9,000 instruments, heartbeats only: {share:.3} % of a core.");
        reconnect::report()
    }

    fn compare(
        &self,
        title: &str,
        clients: &[Client],
        work: Work,
        load: Load,
    ) -> Result<(), Failure> {
        println!("\n{title}\n");
        let (clients, read_buffers) = (clients.to_vec(), vec![READ_BUFFER]);
        Comparison { clients, work, rounds: self.rounds, read_buffers, load }.run()
    }

    /// Compares frame sizes with the same number of ticks.
    fn packets_per_frame(&self) -> Result<(), Failure> {
        println!("\nViews, at full speed, by packets per frame\n");
        let ticks = FULL_SPEED.frames * u64::from(FULL_SPEED.packets);
        let load =
            |packets: u32| Load { packets, frames: ticks / u64::from(packets), ..FULL_SPEED };
        self.sweep([50, 100, 200, 500].map(|packets| (format!("{packets} packets"), load(packets))))
    }

    /// Compares numbers of connections with the same number of ticks on each.
    fn connections(&self) -> Result<(), Failure> {
        println!("\nViews, at full speed, by connections\n");
        let load = |connections| Load { connections, ..FULL_SPEED };
        self.sweep([1, 2, 3, 6].map(|count| (format!("{count} connections"), load(count))))
    }

    fn sweep(&self, loads: [(String, Load); 4]) -> Result<(), Failure> {
        let runs = loads.iter().flat_map(|(name, load)| {
            [Client::Bare, Client::InPlace, Client::Lane].map(|client| {
                let label = format!("{name}, {}", client.label());
                let (work, read_buffer) = (Work::Views, READ_BUFFER);
                (label, Run { client, work, load: *load, port: 0, read_buffer })
            })
        });
        table::print(&interleave(self.rounds, &runs.collect::<Vec<_>>())?);
        Ok(())
    }

    /// Measures the cost of fifteen more receivers of one channel.
    fn sixteen_receivers(&self) -> Result<(), Failure> {
        let load = Load { connections: 1, frames: 20_000, ..FULL_SPEED };
        let run =
            |client| Run { client, work: Work::Count, load, port: 0, read_buffer: READ_BUFFER };
        let runs = [Client::Facade, Client::FacadeSixteen]
            .map(|client| (client.label().to_owned(), run(client)));
        let rows = interleave(self.rounds, &runs)?;
        let [one, sixteen] = &rows[..] else { return Err("expected two rows".into()) };
        let busy = |outcome: &Outcome| outcome.user_s + outcome.system_s;
        let ratio = table::ratio(sixteen, one, busy);
        let lost: u64 = sixteen.outcomes.iter().map(|outcome| outcome.lost).sum();
        println!(
            "\nSixteen receivers of one facade channel, counting only: {ratio} times the CPU of \
             one; {lost} messages lost to lag."
        );
        Ok(())
    }

    /// Measures the memory held for consumers that stop reading, at full speed.
    fn stopped(&self) -> Result<(), Failure> {
        println!("\nMemory above the empty process, consumers that read nothing, at full speed\n");
        println!("| client | MB |\n|---|---|");
        for client in [Client::InPlace, Client::Lane, Client::Typed, Client::Facade] {
            let load = Load { frames: 20_000, ..FULL_SPEED };
            let run = Run { client, work: Work::Stop, load, port: 0, read_buffer: READ_BUFFER };
            let outcome = run.measure()?;
            println!("| {} | {:.1} |", client.label(), outcome.peak_bytes as f64 / 1e6);
        }
        Ok(())
    }
}
