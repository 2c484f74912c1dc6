//! A way to the server that can be cut as by a partition: bytes stop, and no socket ends.

use std::io;
use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Failure;

/// A proxy on a port of its own.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// The host and port.
    pub(crate) address: String,
    is_cut: watch::Sender<bool>,
    listener: JoinHandle<io::Result<()>>,
}

impl Proxy {
    /// Starts a proxy for the server with this host and port.
    pub(crate) async fn start(server: String) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?.to_string();
        let (is_cut, cut) = watch::channel(false);
        let listener = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await?;
                tokio::spawn(join(client, server.clone(), cut.clone()));
            }
        });
        Ok(Self { address, is_cut, listener })
    }

    /// Stops forwarding. What is sent stays in the buffers of the sockets until they are full.
    pub(crate) fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// Forwards again, first what has stayed in the buffers.
    pub(crate) fn restore(&self) {
        self.is_cut.send_replace(false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn join(
    client: TcpStream,
    server: String,
    mut cut: watch::Receiver<bool>,
) -> Result<(), Failure> {
    cut.wait_for(|is_cut| !is_cut).await?;
    let server = TcpStream::connect(server).await?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let back = forward(from_server, to_client, cut.clone());
    tokio::try_join!(forward(from_client, to_server, cut), back)?;
    Ok(())
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut cut: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        cut.wait_for(|is_cut| !is_cut).await?;
        let len = from.read(&mut buffer).await?;
        cut.wait_for(|is_cut| !is_cut).await?;
        if len == 0 {
            return Ok(to.shutdown().await?);
        }
        to.write_all(&buffer[..len]).await?;
    }
}
