//! One run: a load and a client, each a process of its own, and the words between them.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::Failure;
use crate::client::Outcome;
use crate::load::Load;
use crate::ways::Run;

/// Between the last handshake and the first frame: clients tell their applications meanwhile.
const SETTLE: Duration = Duration::from_millis(150);

/// A process that is ended with this.
struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(arguments: &[String]) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let input = child.stdin.take().ok_or("no input")?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        Ok(Self { child, input, output })
    }

    fn hear(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err("a process ended before its word".into());
        }
        Ok(line.trim().to_owned())
    }

    fn tell(&mut self, word: &str) -> Result<(), Failure> {
        writeln!(self.input, "{word}")?;
        Ok(self.input.flush()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Gives an option and its value.
fn option(name: &str, value: u64) -> [String; 2] {
    [format!("--{name}"), value.to_string()]
}

impl Load {
    fn options(&self) -> Vec<String> {
        [
            option("connections", self.connections as u64),
            option("packets", self.packets.into()),
            option("frames", self.frames),
            option("rate", self.rate),
            option("instruments", self.instruments.into()),
            option("idle", self.idle),
        ]
        .concat()
    }

    /// Starts a server of this load, and gives its port.
    fn start(&self) -> Result<(Process, u16), Failure> {
        let mut server = Process::start(&[&["serve".to_owned()], &self.options()[..]].concat())?;
        let port = server.hear()?.parse()?;
        Ok((server, port))
    }

    /// Lets a client run under this load, from its word that all are connected to its outcome.
    fn put_on(&self, mut server: Process, arguments: &[String]) -> Result<String, Failure> {
        let mut client = Process::start(arguments)?;
        server.hear()?;
        thread::sleep(SETTLE);
        client.tell("start")?;
        client.hear()?;
        server.tell("go")?;
        client.hear()
    }
}

impl Run {
    /// Runs it with a load of its own.
    pub fn measure(self) -> Result<Outcome, Failure> {
        let (server, port) = self.load.start()?;
        let name = |value: Option<PossibleValue>| {
            value.map_or_else(String::new, |value| value.get_name().to_owned())
        };
        let arguments = [
            vec!["client".to_owned()],
            vec!["--way".to_owned(), name(self.way.to_possible_value())],
            vec!["--work".to_owned(), name(self.work.to_possible_value())],
            option("port", port.into()).to_vec(),
            option("read-buffer", self.read_buffer as u64).to_vec(),
            self.load.options(),
        ]
        .concat();
        let outcome = self.load.put_on(server, &arguments);
        let outcome = outcome.map_err(|error| format!("{}: {error}", self.way.label()))?;
        Ok(serde_json::from_str(&outcome)?)
    }
}

/// Gives the share of a core that a manager takes which hears only heartbeats, for so long.
pub fn idle(seconds: u64) -> Result<f64, Failure> {
    let load =
        Load { connections: 3, packets: 2, frames: 0, rate: 0, instruments: 1, idle: seconds };
    // Longer than is measured, so that no socket ends meanwhile.
    let load = Load { idle: seconds + 5, ..load };
    let (server, port) = load.start()?;
    let arguments = [
        vec!["idle".to_owned()],
        option("port", port.into()).to_vec(),
        option("seconds", seconds).to_vec(),
    ]
    .concat();
    Ok(load.put_on(server, &arguments)?.parse()?)
}
