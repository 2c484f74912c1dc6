//! Runs an example as a process and reads its output.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Limit for each wait, so that a hanging test fails. Generous, for busy machines.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Returns the command of an example with these arguments and an empty environment.
pub(crate) fn example(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(path(name));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

/// Searches for the example's binary: Cargo builds it with the tests, but does not pass its path.
fn path(name: &str) -> PathBuf {
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let test = std::env::current_exe().expect("the path of this test");
    let candidates = test.ancestors().map(|directory| directory.join("examples").join(&file));
    candidates.into_iter().find(|path| path.is_file()).unwrap_or_else(|| {
        panic!("{name} is not built: run `cargo test -p examples`, without `--test`")
    })
}

/// The exit code and the output of an example.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: Vec<String>,
    pub(crate) err: String,
}

/// Runs an example until it exits.
pub(crate) fn run(name: &str, arguments: &[&str]) -> Ended {
    Running::start(example(name, arguments)).ended()
}

/// Runs an example in `directory`, asserts that it succeeds and returns its output.
pub(crate) fn succeed_in(directory: &Path, name: &str, arguments: &[&str]) -> Vec<String> {
    let mut command = example(name, arguments);
    command.current_dir(directory);
    let ended = Running::start(command).ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.out
}

/// A running example, killed on drop.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    errors: mpsc::Receiver<String>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the example starts");
        let lines = lines_from(child.stdout.take().expect("standard output is piped"));
        let errors = lines_from(child.stderr.take().expect("standard error is piped"));
        Self { child, lines, errors }
    }

    /// Returns the next line on standard output that contains `text`.
    pub(crate) fn line_with(&self, text: &str) -> String {
        // One limit for the whole wait, so that a program that only prints other lines fails too.
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line =
                line.unwrap_or_else(|_| panic!("no line on standard output contains {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Sends a signal, such as `-TERM`.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill starts").success());
    }

    /// Waits for the process to exit.
    pub(crate) fn ended(mut self) -> Ended {
        let mut out = Vec::new();
        loop {
            match self.lines.recv_timeout(TIMEOUT) {
                Ok(line) => out.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    panic!("the example does not exit: {out:?}")
                }
            }
        }
        let err = self.errors.iter().collect::<Vec<_>>().join("\n");
        let code = self.child.wait().expect("the example ends").code();
        Ended { code, out, err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The process may already have exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads lines on a separate thread until the pipe is closed.
fn lines_from(pipe: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    lines
}
