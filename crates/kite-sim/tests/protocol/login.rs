//! The login page, and the endpoints that issue and end access tokens.

use std::time::Duration;

use kite_sim::{ACCESS_TOKEN, API_KEY, API_SECRET, LoginFault, LoginPage, Sim};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error;

use crate::client::{Client, DEADLINE};

/// An answer: status, head and body.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn location(&self) -> String {
        let line = self.head.lines().find_map(|line| line.strip_prefix("Location: "));
        line.unwrap_or_else(|| panic!("no redirect: {self:?}")).to_owned()
    }

    /// Returns the status and the type of the error.
    fn refusal(&self) -> (u16, String) {
        (self.status, self.json()["error_type"].as_str().unwrap().to_owned())
    }
}

async fn sim() -> Sim {
    Sim::builder().greet(false).login(LoginPage::new()).start().await.unwrap()
}

/// Sends a request; `rest` begins after the first line.
async fn ask(sim: &Sim, first: &str, rest: &str) -> Option<Answer> {
    let url = sim.api_url().unwrap();
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    let request = format!("{first} HTTP/1.1\r\nHost: localhost\r\n{rest}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n")?;
    let body = answer.split_off(end + 4);
    let head = String::from_utf8(answer).unwrap();
    Some(Answer { status: head.split(' ').nth(1).unwrap().parse().unwrap(), head, body })
}

async fn get(sim: &Sim, target: &str) -> Answer {
    ask(sim, &format!("GET {target}"), "\r\n").await.unwrap()
}

/// Logs in on the page; returns the request token.
async fn request_token(sim: &Sim) -> String {
    let target =
        format!("/connect/finish?choice=login&api_key={API_KEY}&redirect_params=state%3Dx");
    let location = get(sim, &target).await.location();
    let token = location.split("request_token=").nth(1).unwrap();
    token.split('&').next().unwrap().to_owned()
}

fn checksum(parts: [&str; 3]) -> String {
    Sha256::digest(parts.concat()).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn exchange(sim: &Sim, token: &str, secret: &str) -> Option<Answer> {
    let checksum = checksum([API_KEY, token, secret]);
    let form = format!("api_key={API_KEY}&request_token={token}&checksum={checksum}");
    let rest = format!("X-Kite-Version: 3\r\nContent-Length: {}\r\n\r\n{form}", form.len());
    ask(sim, "POST /session/token", &rest).await
}

async fn status_of(sim: &Sim, access_token: &str) -> u16 {
    match Client::try_connect(sim, API_KEY, access_token).await {
        Ok(_) => 101,
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_login_issues_a_token_that_the_socket_accepts_and_the_old_one_ends() {
    let sim = sim().await;
    let page = get(
        &sim,
        &format!("/connect/login?v=3&api_key={API_KEY}&redirect_params=state%3D%22a%20b%26c%3D1"),
    )
    .await;
    let html = String::from_utf8(page.body.clone()).unwrap();
    assert!(page.head.contains("Content-Security-Policy: default-src 'none'"), "{page:?}");
    let href = html.split("href=\"").nth(1).unwrap().split('"').next().unwrap();
    let location = get(&sim, &href.replace("&amp;", "&")).await.location();
    let expected = "http://127.0.0.1:5010?action=login&type=login&status=success&\
                    request_token=sim_request_token_1&state=%22a%20b&c=1";
    assert_eq!(location, expected);

    let answer = exchange(&sim, "sim_request_token_1", API_SECRET).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    let data = &answer.json()["data"];
    let token = data["access_token"].as_str().unwrap();
    assert_eq!(data["user_id"], "SIM001");
    assert_eq!((status_of(&sim, token).await, status_of(&sim, ACCESS_TOKEN).await), (101, 403));
    let again = exchange(&sim, "sim_request_token_1", API_SECRET).await.unwrap();
    assert_eq!(again.refusal(), (403, "TokenException".into()), "it is used once");

    let logout = format!("DELETE /session/token?api_key={API_KEY}&access_token={token}");
    assert_eq!(ask(&sim, &logout, "\r\n").await.unwrap().json()["data"], true);
    let again = ask(&sim, &logout, "\r\n").await.unwrap();
    assert_eq!(again.refusal(), (403, "TokenException".into()));
    assert_eq!(status_of(&sim, token).await, 403);
    assert_eq!((sim.stats().logins, sim.stats().logouts), (1, 1));
    sim.stop().await;
}

#[tokio::test]
async fn what_is_not_a_login_is_refused_as_kite_does() {
    let sim = sim().await;
    let cancelled =
        format!("/connect/finish?choice=cancel&api_key={API_KEY}&redirect_params=state%3Dx");
    let location = get(&sim, &cancelled).await.location();
    assert!(location.contains("status=error") && location.ends_with("&state=x"), "{location}");
    let unknown = get(&sim, "/connect/login?api_key=other").await;
    assert_eq!(unknown.refusal(), (400, "InputException".into()));
    assert_eq!(get(&sim, "/orders").await.status, 404);
    assert_eq!(get(&sim, "/session/token").await.status, 405);
    let without = ask(&sim, "POST /session/token", "\r\n").await.unwrap();
    assert_eq!(without.refusal(), (400, "InputException".into()));

    let token = request_token(&sim).await;
    let wrong = exchange(&sim, &token, "another secret").await.unwrap();
    assert_eq!(wrong.refusal(), (403, "TokenException".into()));
    assert!(wrong.json()["message"].as_str().unwrap().contains("checksum"), "{wrong:?}");
    let right = exchange(&sim, &token, API_SECRET).await.unwrap();
    assert_eq!(right.status, 200, "a wrong checksum does not use it up");
}

#[tokio::test]
async fn faults_strike_the_next_requests_in_order() {
    let sim = sim().await;
    let token = request_token(&sim).await;
    let slow = LoginFault::Slow { delay: Duration::from_millis(20) };
    for fault in [
        LoginFault::Expired,
        LoginFault::WrongChecksum,
        LoginFault::RateLimit,
        LoginFault::Unavailable,
        LoginFault::Garbage,
        LoginFault::End,
        slow,
    ] {
        sim.at_next_login(fault);
    }
    for status in [403, 403, 429, 503, 200] {
        let answer = exchange(&sim, &token, API_SECRET).await.unwrap();
        assert_eq!(answer.status, status, "{answer:?}");
    }
    assert!(exchange(&sim, &token, API_SECRET).await.is_none());
    assert_eq!(sim.stats().logins, 0);
    assert_eq!(exchange(&sim, &token, API_SECRET).await.unwrap().status, 200);
    assert_eq!(sim.stats().logins, 1);
}
