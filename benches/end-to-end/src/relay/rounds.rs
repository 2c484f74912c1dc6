//! Runs of both sides in turn, and their tables.

use std::thread;

use clap::Args;

use super::measured::Used;
use super::name;
use super::readers::Received;
use super::shape::{Shape, Side, Wanted};
use crate::Failure;
use crate::processes::{Process, SETTLE, option};
use crate::table::Spread;

/// What one run has measured.
#[derive(Debug, Clone)]
struct Outcome {
    used: Used,
    received: Received,
    /// How long the feed took.
    feed_s: f64,
}

impl Outcome {
    fn cpu_s(&self) -> f64 {
        self.used.user_s + self.used.system_s
    }
}

impl Shape {
    fn options(&self) -> Vec<String> {
        let options = [
            option("instruments", self.instruments.into()),
            option("packets", self.packets.into()),
            option("speed", self.speed.into()),
            option("seconds", self.seconds.into()),
            option("clients", self.clients.into()),
            option("each", self.each.into()),
            option("stuck", self.stuck.into()),
            option("threads", self.threads.into()),
        ];
        [options.concat(), vec!["--wanted".to_owned(), name(&self.wanted)]].concat()
    }

    fn process(&self, role: &str, options: &[String]) -> Result<Process, Failure> {
        let role = ["relay-process".to_owned(), role.to_owned()];
        Process::start(&[&role, options, &self.options()].concat())
    }

    /// Runs one side once.
    fn measure(&self, side: Side) -> Result<Outcome, Failure> {
        let mut feed = self.process("feed", &[])?;
        let port = option("port", feed.read_line()?.parse()?);
        let side = ["--side".to_owned(), name(&side)];
        let mut measured = self.process("measured", &[&port[..], &side].concat())?;
        let port = option("port", measured.read_line()?.parse()?);
        let mut readers = self.process("readers", &port)?;
        readers.read_line()?;
        thread::sleep(SETTLE);
        measured.send_line("start")?;
        measured.read_line()?;
        feed.send_line("go")?;
        let feed_s = feed.read_line()?.parse()?;
        readers.send_line("stop")?;
        let received = serde_json::from_str(&readers.read_line()?)?;
        measured.send_line("stop")?;
        let used = serde_json::from_str(&measured.read_line()?)?;
        Ok(Outcome { used, received, feed_s })
    }
}

/// The relay and the bare loop under one load, in turn.
#[derive(Debug, Clone, Args)]
pub struct Comparison {
    /// The sides; the first is the baseline.
    #[arg(long, value_delimiter = ',', default_value = "bare,relay")]
    sides: Vec<Side>,
    /// Number of runs of each side.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    #[command(flatten)]
    shape: Shape,
}

impl Comparison {
    /// Runs the comparison and prints its table.
    pub fn run(&self) -> Result<(), Failure> {
        println!("{COLUMNS}");
        self.rows(&self.shape.clients.to_string())
    }

    /// Prints a row for each side.
    fn rows(&self, label: &str) -> Result<(), Failure> {
        let mut outcomes = vec![Vec::new(); self.sides.len()];
        for round in 1..=self.rounds {
            for (row, &side) in self.sides.iter().enumerate() {
                eprint!("\r\x1b[Kround {round} of {}: {label}, {}", self.rounds, name(&side));
                outcomes[row].push(self.shape.measure(side)?);
            }
        }
        eprint!("\r\x1b[K");
        for (row, side) in self.sides.iter().enumerate() {
            print_row(label, *side, &self.shape, &outcomes[row], &outcomes[0]);
        }
        Ok(())
    }
}

const COLUMNS: &str = "| clients | side | CPU ms per s | user | ratio | p50 µs | ratio | p99 µs | \
ratio | p99.9 | KiB per client | delivered | missed | replaced | dropped | feed s |\n\
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|";

fn print_row(label: &str, side: Side, shape: &Shape, rows: &[Outcome], base: &[Outcome]) {
    let median = |of: &dyn Fn(&Outcome) -> f64| Spread::of(rows.iter().map(of)).median;
    let ratio = |of: &dyn Fn(&Outcome) -> f64| {
        Spread::of(rows.iter().zip(base).map(|(row, base)| of(row) / of(base))).to_string()
    };
    let per_s = 1e3 / f64::from(shape.seconds);
    let latency = |at: usize| move |it: &Outcome| it.received.latency_us[at];
    let sent = shape.ticks_to_clients() as f64;
    let delivered = rows.iter().map(|it| it.received.ticks as f64 / sent);
    let sum = |of: fn(&Used) -> u64| rows.iter().map(|it| of(&it.used)).sum::<u64>();
    println!(
        "| {label} | {} | {:.1} | {:.1} | {} | {:.0} | {} | {:.0} | {} | {:.0} | {:.0} | {:.2} % | {} | {} | {} | {:.2} |",
        name(&side),
        median(&|it| it.cpu_s() * per_s),
        median(&|it| it.used.user_s * per_s),
        ratio(&Outcome::cpu_s),
        median(&latency(0)),
        ratio(&latency(0)),
        median(&latency(1)),
        ratio(&latency(1)),
        median(&latency(2)),
        median(&|it| it.used.clients_bytes as f64 / 1024.0 / f64::from(shape.sockets())),
        Spread::of(delivered).min * 100.0,
        sum(|used| used.missed),
        sum(|used| used.replaced),
        sum(|used| used.dropped),
        median(&|it| it.feed_s),
    );
}

/// Everything that benches/RESULTS.md shows of the relay.
#[derive(Debug, Clone, Args)]
pub struct Suite {
    /// Number of runs of each side.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
}

/// One client of everything.
const ONE: Shape = Shape {
    instruments: 9_000,
    packets: 100,
    speed: 2,
    seconds: 5,
    clients: 1,
    each: 9_000,
    wanted: Wanted::Full,
    stuck: 0,
    threads: 1,
};

impl Suite {
    /// Runs everything and prints the tables.
    pub fn run(&self) -> Result<(), Failure> {
        let both = [Side::Bare, Side::Relay];
        println!("\n9,000 full instruments, two packets of each per second\n\n{COLUMNS}");
        for clients in [1, 10, 50] {
            self.rows(&clients.to_string(), &both, self.rounds, Shape { clients, ..ONE })?;
        }
        for clients in [1, 10] {
            let shape = Shape { clients, packets: 20, ..ONE };
            self.rows(&format!("{clients}, 20 packets a frame"), &both, self.rounds, shape)?;
        }
        let relay = [Side::Relay];
        println!("\nThe relay alone\n\n{COLUMNS}");
        let quote = Shape { wanted: Wanted::Quote, ..ONE };
        self.rows("1, cut to quote", &relay, self.rounds, quote)?;
        self.rows("10, cut to quote", &relay, self.rounds, Shape { clients: 10, ..quote })?;
        let half = Shape { each: 4_500, clients: 10, ..ONE };
        self.rows("10, each another half", &relay, self.rounds, half)?;
        let stuck = Shape { clients: 49, stuck: 1, ..ONE };
        self.rows("50, one reads nothing", &relay, 3, stuck)?;
        let many = Shape { clients: 200, each: 100, ..ONE };
        self.rows("200 of 100 instruments", &relay, 3, many)?;
        println!("\nFaster, until something is lost\n\n{COLUMNS}");
        for speed in [4, 8, 16, 32, 64] {
            let shape = Shape { speed, clients: 50, ..ONE };
            self.rows(&format!("50, {speed} a second"), &both, 1, shape)?;
        }
        Ok(())
    }

    fn rows(
        &self,
        label: &str,
        sides: &[Side],
        rounds: usize,
        shape: Shape,
    ) -> Result<(), Failure> {
        Comparison { sides: sides.to_vec(), rounds, shape }.rows(label)
    }
}
