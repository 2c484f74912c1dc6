//! Runs the command as a process.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Timeout for each step; generous, so that it expires only if a test hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Interval of looking at a condition that cannot be waited for. The commands under test need the
/// processor that a busy loop would take.
const POLL_EVERY: Duration = Duration::from_millis(1);

/// Returns the command with these arguments and a clean environment.
pub(crate) fn kite(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kite"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
        .env("HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/home"))
        .env("LANG", "C.UTF-8")
        .stdout(Stdio::piped());
    command
}

/// Adds the credentials of the simulator.
pub(crate) fn with_credentials(mut command: Command, access_token: &str) -> Command {
    command.env("KITE_API_KEY", "sim_api_key").env("KITE_ACCESS_TOKEN", access_token);
    command
}

/// Runs the command to its end.
pub(crate) fn run(command: &mut Command) -> Outcome {
    // `Command::output` would override a standard output set by the test.
    let child = command.stderr(Stdio::piped()).spawn().expect("the command starts");
    Outcome::from(child.wait_with_output().expect("the command ends"))
}

/// The exit status and the output.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("UTF-8 on standard output"),
            err: String::from_utf8(output.stderr).expect("UTF-8 on standard error"),
        }
    }
}

impl Outcome {
    /// Reads standard output as one JSON value.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A running command; killed on drop.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    /// What it has written to standard error so far.
    errors: Arc<Mutex<String>>,
    /// Sent when standard error is closed.
    ended: mpsc::Receiver<()>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stderr(Stdio::piped());
        let mut child = command.spawn().expect("the command starts");
        let out = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let err = BufReader::new(child.stderr.take().expect("standard error is piped"));
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let errors = Arc::<Mutex<String>>::default();
        let (written, (send, ended)) = (Arc::clone(&errors), mpsc::channel());
        std::thread::spawn(move || {
            for line in err.lines().map_while(Result::ok) {
                *written.lock().expect("not poisoned") += &format!("{line}\n");
            }
            let _ = send.send(());
        });
        Self { child, lines, errors, ended }
    }

    /// Waits for the next line on standard output.
    pub(crate) fn line(&mut self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("another line on standard output")
    }

    /// Waits for an external condition, such as a file that the command writes.
    pub(crate) fn wait_until(&self, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "the condition was not met in time: {self:?}");
            std::thread::sleep(POLL_EVERY);
        }
    }

    /// Waits until it has written this to standard error.
    pub(crate) fn wait_until_error(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.errors.lock().expect("not poisoned").contains(text) {
            assert!(Instant::now() < deadline, "no {text:?} in {self:?}");
            std::thread::sleep(POLL_EVERY);
        }
    }

    /// Interrupts the command, as Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        self.signal("-INT");
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill starts").success());
    }

    /// Returns the number of its threads that run tasks or blocking calls.
    #[cfg(target_os = "linux")]
    pub(crate) fn worker_threads(&self) -> usize {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let names = threads.expect("a process").filter_map(|thread| {
            // A thread may have ended meanwhile.
            std::fs::read_to_string(thread.ok()?.path().join("comm")).ok()
        });
        names.filter(|name| name.trim() == "tokio-rt-worker").count()
    }

    /// Waits for the command to end.
    pub(crate) fn ended(mut self) -> Outcome {
        let ended = self.ended.recv_timeout(PATIENCE);
        assert!(ended.is_ok(), "the command does not end: {self:?}");
        let err = std::mem::take(&mut *self.errors.lock().expect("not poisoned"));
        let out: Vec<String> = self.lines.iter().collect();
        let code = self.child.wait().expect("the command ends").code();
        Outcome { code, out: out.join("\n"), err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // After a successful test it has already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts `kite sim` and returns its endpoint.
pub(crate) fn sim(arguments: &[&str]) -> (Running, String) {
    let mut sim = Running::start(kite(&[&["sim", "--json"], arguments].concat()));
    let report: Value = serde_json::from_str(&sim.line()).expect("JSON");
    let endpoint = report["endpoint"].as_str().expect("an endpoint").to_owned();
    (sim, endpoint)
}
