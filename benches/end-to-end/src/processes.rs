//! One run: a load and a client in separate processes, coordinated by lines on their pipes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::Failure;
use crate::client_process::Outcome;
use crate::clients::Run;
use crate::load::Load;

/// Pause between the last handshake and the first frame, for clients to report the connection.
pub const SETTLE: Duration = Duration::from_millis(150);

/// A child process, killed on drop.
pub struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts this program with other arguments.
    pub fn start(arguments: &[String]) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let input = child.stdin.take().ok_or("no input")?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        Ok(Self { child, input, output })
    }

    /// Waits for a line from the process.
    pub fn read_line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err("a process ended without a result".into());
        }
        Ok(line.trim().to_owned())
    }

    /// Writes a line to the process.
    pub fn send_line(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.input, "{line}")?;
        Ok(self.input.flush()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process may already have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns an option and its value as arguments.
pub fn option(name: &str, value: u64) -> [String; 2] {
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

    /// Starts a server of this load and returns it with its port.
    fn start(&self) -> Result<(Process, u16), Failure> {
        let mut server = Process::start(&[&["serve".to_owned()], &self.options()[..]].concat())?;
        let port = server.read_line()?.parse()?;
        Ok((server, port))
    }

    /// Runs a client under this load and returns its outcome. The load starts once all are
    /// connected.
    fn run_client(&self, mut server: Process, arguments: &[String]) -> Result<String, Failure> {
        let mut client = Process::start(arguments)?;
        server.read_line()?;
        thread::sleep(SETTLE);
        client.send_line("start")?;
        client.read_line()?;
        server.send_line("go")?;
        client.read_line()
    }
}

impl Run {
    /// Runs the client with a new load process and returns the outcome.
    pub fn measure(self) -> Result<Outcome, Failure> {
        let (server, port) = self.load.start()?;
        let name = |value: Option<PossibleValue>| {
            value.map_or_else(String::new, |value| value.get_name().to_owned())
        };
        let arguments = [
            vec!["client".to_owned()],
            vec!["--client".to_owned(), name(self.client.to_possible_value())],
            vec!["--work".to_owned(), name(self.work.to_possible_value())],
            option("port", port.into()).to_vec(),
            option("read-buffer", self.read_buffer as u64).to_vec(),
            self.load.options(),
        ]
        .concat();
        let outcome = self.load.run_client(server, &arguments);
        let outcome = outcome.map_err(|error| format!("{}: {error}", self.client.label()))?;
        Ok(serde_json::from_str(&outcome)?)
    }
}

/// Returns the share of a core used by a manager that receives only heartbeats for `seconds`.
pub fn idle(seconds: u64) -> Result<f64, Failure> {
    // Longer than the measurement, so that no socket ends during it.
    let idle = seconds + 5;
    let load = Load { connections: 3, packets: 2, frames: 0, rate: 0, instruments: 1, idle };
    let (server, port) = load.start()?;
    let arguments = [
        vec!["idle".to_owned()],
        option("port", port.into()).to_vec(),
        option("seconds", seconds).to_vec(),
    ]
    .concat();
    Ok(load.run_client(server, &arguments)?.parse()?)
}
