//! A NATS server of its own for each scenario.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::Failure;

/// The login that the server asks for. No message may contain the password.
pub(crate) const USER: &str = "check";
pub(crate) const PASSWORD: &str = "s3cr3t-of-nats";

/// A server on a port of its own, killed when dropped.
#[derive(Debug)]
pub(crate) struct NatsServer {
    binary: PathBuf,
    folder: TempDir,
    port: u16,
    max_payload: usize,
    child: Option<Child>,
}

impl NatsServer {
    /// Starts a server.
    pub(crate) async fn start(binary: &str, max_payload: usize) -> Result<Self, Failure> {
        let mut server = Self::prepare(binary, max_payload)?;
        server.run().await?;
        Ok(server)
    }

    /// Chooses a port without starting the server.
    pub(crate) fn prepare(binary: &str, max_payload: usize) -> Result<Self, Failure> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let folder = tempfile::tempdir()?;
        let binary = PathBuf::from(binary);
        Ok(Self { binary, folder, port, max_payload, child: None })
    }

    /// Starts the server, or starts it again on the same port.
    pub(crate) async fn run(&mut self) -> Result<(), Failure> {
        let config = self.folder.path().join("nats.conf");
        let text = format!(
            "host: 127.0.0.1\nport: {}\nmax_payload: {}\nauthorization {{ user: {USER}, password: \"{PASSWORD}\" }}\n",
            self.port, self.max_payload
        );
        fs::write(&config, text)?;
        let log = fs::File::create(self.folder.path().join("nats.log"))?;
        let child = Command::new(&self.binary)
            .arg("--config")
            .arg(&config)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        let is_up = async {
            while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(20), is_up).await.map_err(|_| self.log())?;
        Ok(())
    }

    /// Kills the server, without a chance to say good-bye.
    pub(crate) fn kill(&mut self) -> Result<(), Failure> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Returns the host and port.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the URL with the login.
    pub(crate) fn url(&self) -> String {
        url(&self.address())
    }

    /// Returns what the server has written.
    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("nats.log")).unwrap_or_default()
    }
}

/// Returns the URL of a host and port with the login.
pub(crate) fn url(address: &str) -> String {
    format!("nats://{USER}:{PASSWORD}@{address}")
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
