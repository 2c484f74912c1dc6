//! Listens for the pages and endpoints.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use kite_server::listener::accept;
use kite_server::request::Request;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::endpoints::{Endpoints, Reply};
use super::{LoginFault, LoginPage};
use crate::client::state::SimState;
use crate::error::SimError;

/// Time for a request, and again for the response and the client's end of the connection.
const DEADLINE: Duration = Duration::from_secs(10);

/// A running server. It stops when dropped.
pub(crate) struct LoginServer {
    address: SocketAddr,
    endpoints: Arc<Endpoints>,
    task: AbortHandle,
}

impl LoginServer {
    pub(crate) async fn start(page: LoginPage, state: Arc<SimState>) -> Result<Self, SimError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, page.port));
        let bind = |source| SimError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let endpoints = Arc::new(Endpoints::new(page, state));
        let task = tokio::spawn(run(listener, Arc::clone(&endpoints))).abort_handle();
        Ok(Self { address, endpoints, task })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn add_fault(&self, fault: LoginFault) {
        self.endpoints.add_fault(fault);
    }

    pub(crate) fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for LoginServer {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn run(listener: TcpListener, endpoints: Arc<Endpoints>) {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            stream = accept(&listener) => {
                let endpoints = Arc::clone(&endpoints);
                clients.spawn(async move {
                    if let Err(error) = serve(stream, &endpoints).await {
                        tracing::debug!(%error, "login request failed");
                    }
                });
            }
            Some(_) = clients.join_next() => {}
        }
    }
}

async fn serve(mut stream: TcpStream, endpoints: &Endpoints) -> io::Result<()> {
    let request = timeout(DEADLINE, Request::read(&mut stream)).await?.map_err(io::Error::other)?;
    match endpoints.handle(&request) {
        Reply::Send(response, fault) => {
            if let Some(LoginFault::Slow { delay }) = fault {
                sleep(delay).await;
            }
            timeout(DEADLINE, response.send(&mut stream)).await?
        }
        Reply::End => stream.shutdown().await,
    }
}
