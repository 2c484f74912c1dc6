//! The simulator as a program: prints where to connect and runs until Ctrl-C.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use kite_sim::{ACCESS_TOKEN, API_KEY, FaultChance, Sim, SimBuilder};

const HELP: &str = "\
Kite Connect's ticker server on loopback

Usage: kite-sim [--port PORT] [--seed SEED] [--rate RATE] [--chaos SECONDS]

  --port PORT      port on 127.0.0.1 (default 0: any free one)
  --seed SEED      seed of the market and of chaos (default 1): the same seed gives the same bytes
                   per instrument
  --rate RATE      updates per second and instrument, 0 to 1000 (default 2)
  --chaos SECONDS  faults by chance, on each socket one in this time on average (default: none)
  --help           this text
";

/// What the command line asks for.
enum Asked {
    Run(Box<SimBuilder>),
    Help,
}

/// Why the command line is not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum ArgumentError {
    #[error("unknown argument {argument:?}: --help lists those there are")]
    Unknown { argument: String },
    #[error("{option} lacks its value")]
    NoValue { option: String },
    #[error("{option} takes a number in its range, not {value:?}")]
    NotANumber { option: String, value: String },
}

fn main() -> ExitCode {
    let ended = match parse(std::env::args().skip(1)) {
        Ok(Asked::Run(builder)) => run(*builder),
        Ok(Asked::Help) => print(HELP),
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            eprintln!("kite-sim: {error}{cause}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Asked, ArgumentError> {
    let (mut builder, mut seed, mut chaos) = (Sim::builder(), 1, None);
    while let Some(option) = arguments.next() {
        if option == "--help" || option == "-h" {
            return Ok(Asked::Help);
        }
        if !["--port", "--seed", "--rate", "--chaos"].contains(&option.as_str()) {
            return Err(ArgumentError::Unknown { argument: option });
        }
        let Some(value) = arguments.next() else { return Err(ArgumentError::NoValue { option }) };
        let set = match option.as_str() {
            "--port" => value.parse().ok().map(|port| builder.clone().port(port)),
            "--seed" => value.parse().ok().map(|given| {
                seed = given;
                builder.clone().seed(given)
            }),
            "--chaos" => interval(&value).map(|mean_interval| {
                chaos = Some(mean_interval);
                builder.clone()
            }),
            _ => value.parse().ok().map(|rate| builder.clone().updates_per_second(rate)),
        };
        builder = set.ok_or(ArgumentError::NotANumber { option, value })?;
    }
    // The seed may come behind.
    let chance = chaos.map(|mean_interval| FaultChance::new(seed, mean_interval));
    Ok(Asked::Run(Box::new(match chance {
        Some(chance) => builder.chance(chance),
        None => builder,
    })))
}

/// Reads a time in seconds, more than none.
fn interval(seconds: &str) -> Option<Duration> {
    let interval = Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
    Some(interval).filter(|interval| !interval.is_zero())
}

fn run(builder: SimBuilder) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let sim = builder.start().await?;
        let endpoint = sim.endpoint();
        print(&format!(
            "endpoint      {endpoint}\napi_key       {API_KEY}\naccess_token  {ACCESS_TOKEN}\n\
             {endpoint}/?api_key={API_KEY}&access_token={ACCESS_TOKEN}\nCtrl-C ends it.\n"
        ))?;
        tokio::signal::ctrl_c().await?;
        sim.stop().await;
        let stats = sim.stats();
        print(&format!(
            "\n{} sockets served, {} ticks in {} frames\n",
            stats.connections_total, stats.ticks_sent, stats.frames_sent
        ))
    })
}

/// Writes to standard output; a reader that has gone is an error, not a panic.
fn print(text: &str) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(line: &str) -> Option<ArgumentError> {
        parse(line.split_whitespace().map(str::to_owned)).err()
    }

    #[test]
    fn lawful_command_lines_are_understood() {
        for line in
            ["", "--port 8080 --seed 9 --rate 0.5", "--chaos 2.5 --seed 1", "--seed 1 --help"]
        {
            assert_eq!(error_of(line), None, "{line}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let (option, value) = ("--port".to_owned(), "70000".to_owned());
        assert_eq!(
            error_of("--port 70000"),
            Some(ArgumentError::NotANumber { option: option.clone(), value })
        );
        for value in ["0", "-1", "NaN", "soon"] {
            let (option, value) = ("--chaos".to_owned(), value.to_owned());
            assert_eq!(
                error_of(&format!("--chaos {value}")),
                Some(ArgumentError::NotANumber { option, value })
            );
        }
        assert_eq!(error_of("--port"), Some(ArgumentError::NoValue { option }));
        assert_eq!(
            error_of("--ports 1"),
            Some(ArgumentError::Unknown { argument: "--ports".into() })
        );
    }
}
