//! Waits on this machine for the redirect of a login.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use kite_server::listener::accept;
use kite_server::request::{Request, RequestError, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::page::page;
use super::redirect::{self, Redirect, State};
use super::{Exchange, paste};
use crate::exit::CliError;
use crate::session::api::Session;

/// Time for a request, and again for the answer and the client's end of the connection. A browser
/// opens connections in advance, on which it says nothing.
const DEADLINE: Duration = Duration::from_secs(10);
/// Time for the browser to read the last page.
const LAST_PAGE: Duration = Duration::from_secs(2);
/// Connections that are served at a time; further ones wait.
const MAX_CONNECTIONS: usize = 16;

/// A redirect with the right state, and where to answer it.
struct Arrival {
    redirect: Redirect,
    answer: oneshot::Sender<Response>,
}

/// Listens on the port of the redirect URL.
#[derive(Debug)]
pub(super) struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Listens on 127.0.0.1.
    ///
    /// # Errors
    /// Returns an error if the port is taken.
    pub(super) async fn bind(port: u16) -> Result<Self, CliError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let cannot = |error| {
            CliError::unable(format!("cannot wait for the login on {address}")).because(error).help(
                "another program has the port: end it, register another port for the app and \
                     pass it by --port, or use --paste",
            )
        };
        let listener = TcpListener::bind(address).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        Ok(Self { listener, address })
    }

    /// Returns the redirect URL.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits for the redirect, exchanges its token and answers with a page that says what came of
    /// it.
    ///
    /// # Errors
    /// Returns an error if the login or the exchange failed.
    ///
    /// # Cancel safety
    /// Cancel safe: the connections end.
    pub(super) async fn wait(
        self,
        state: &State,
        exchange: &Exchange,
    ) -> Result<Session, CliError> {
        let (arrivals, mut arrived) = mpsc::channel(1);
        let judge = Arc::new(Judge { arrivals, state: state.clone() });
        let mut connections = JoinSet::new();
        let serve = |stream, connections: &mut JoinSet<()>| {
            connections.spawn(serve(stream, Arc::clone(&judge)));
        };
        let arrival = loop {
            let is_full = connections.len() >= MAX_CONNECTIONS;
            tokio::select! {
                Some(arrival) = arrived.recv() => break arrival,
                stream = accept(&self.listener), if !is_full => serve(stream, &mut connections),
                Some(_) = connections.join_next() => {}
            }
        };
        // Further ones are answered that there was one.
        drop(arrived);
        let Arrival { redirect, answer } = arrival;
        let mut outcome = std::pin::pin!(session(redirect, exchange));
        let outcome = loop {
            let is_full = connections.len() >= MAX_CONNECTIONS;
            tokio::select! {
                outcome = &mut outcome => break outcome,
                // A reload, or the icon of the page.
                stream = accept(&self.listener), if !is_full => serve(stream, &mut connections),
                Some(_) = connections.join_next() => {}
            }
        };
        // The browser may have gone.
        let _ = answer.send(result_page(&outcome));
        let _ =
            timeout(LAST_PAGE, async { while connections.join_next().await.is_some() {} }).await;
        outcome
    }
}

async fn session(redirect: Redirect, exchange: &Exchange) -> Result<Session, CliError> {
    match redirect {
        Redirect::LoggedIn(token) => exchange.run(token).await,
        Redirect::Failed(words) => Err(paste::failed(&words)),
        Redirect::Foreign => Err(paste::failed("the redirect is that of another login")),
    }
}

fn result_page(outcome: &Result<Session, CliError>) -> Response {
    match outcome {
        Ok(session) => {
            let text = format!("{}. You may close this page.", session.user_id);
            page(200, "Logged in", &text)
        }
        Err(error) => {
            let advice =
                error.advice().map(|advice| format!(" Help: {advice}")).unwrap_or_default();
            let text = format!("{}.{advice}", kite_conn::ErrorChain(error));
            page(502, "Not logged in", &text)
        }
    }
}

/// Decides how requests are answered.
struct Judge {
    arrivals: mpsc::Sender<Arrival>,
    state: State,
}

impl Judge {
    async fn answer(&self, request: &Request) -> Response {
        if request.method() != "GET" {
            return page(405, "Not a login", "Only GET is served here.").header("Allow", "GET");
        }
        let redirect = match redirect::read(request.query_text(), &self.state) {
            Redirect::Foreign => {
                let text = "kite login waits for another one. Open the URL that it printed.";
                return page(404, "Not this login", text);
            }
            redirect => redirect,
        };
        let (answer, answered) = oneshot::channel();
        let known = || page(409, "Already received", "See the first page or the terminal.");
        if self.arrivals.try_send(Arrival { redirect, answer }).is_err() {
            return known();
        }
        answered.await.unwrap_or_else(|_| known())
    }
}

async fn serve(mut stream: TcpStream, judge: Arc<Judge>) {
    let request = match timeout(DEADLINE, Request::read(&mut stream)).await {
        Ok(Ok(request)) => Ok(request),
        Ok(Err(RequestError::Connection { .. })) | Err(_) => return,
        Ok(Err(error)) => Err(error),
    };
    let response = match request {
        Ok(request) => judge.answer(&request).await,
        Err(error) => page(400, "Not a request", &error.to_string()),
    };
    // A browser that has gone does not matter.
    let _ = timeout(DEADLINE, response.send(&mut stream)).await;
}
