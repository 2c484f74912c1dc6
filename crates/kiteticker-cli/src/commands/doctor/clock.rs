//! Compares this machine's clock with the server's, by the `Date` header of an HTTP response.

use std::time::{Duration, SystemTime};

use kite_conn::{Endpoint, ProbeStream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::check::Finding;

/// Short, because a server that does not answer this will probably not answer the handshake either,
/// which has more time.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than any response head needs before its `Date`.
const LONGEST_HEAD_BYTES: usize = 16 * 1024;
/// `Date` has whole seconds, so a smaller difference cannot be measured.
const WARN_AFTER_S: f64 = 2.0;
/// From here on ticks would be filed under wrong minutes.
const FAIL_AFTER_S: f64 = 60.0;

/// Requests the server's time without credentials: any response carries it. The server may count
/// the request as a handshake that it refuses, so a server of this machine is not asked.
pub(super) async fn compare(stream: ProbeStream, endpoint: &Endpoint) -> (Finding, Option<()>) {
    let sent = SystemTime::now();
    let head = timeout(PATIENCE, ask(stream, endpoint)).await;
    let answered = SystemTime::now();
    let head = match &head {
        Ok(Ok(head)) => head.as_slice(),
        Ok(Err(_)) => &[],
        Err(_) => return (silent(), Some(())),
    };
    let finding = match date(head) {
        Some(date) => judge(date, sent, answered),
        None => Finding::skipped(match head {
            [] => "the server closed the connection without a response",
            _ => "the server's response has no Date header",
        }),
    };
    (finding, Some(()))
}

fn silent() -> Finding {
    Finding::skipped(format!("the server did not respond within {PATIENCE:?}"))
}

async fn ask(mut stream: ProbeStream, endpoint: &Endpoint) -> std::io::Result<Vec<u8>> {
    let host = endpoint.host();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: kite/{}\r\nConnection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < LONGEST_HEAD_BYTES {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    Ok(head)
}

/// Finds the `Date` header.
fn date(head: &[u8]) -> Option<SystemTime> {
    let head = String::from_utf8_lossy(head);
    let headers = head.lines().skip(1).take_while(|line| !line.is_empty());
    let mut dates = headers
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| name.eq_ignore_ascii_case("date"));
    dates.next().and_then(|(_, value)| httpdate::parse_http_date(value.trim()).ok())
}

fn judge(date: SystemTime, sent: SystemTime, answered: SystemTime) -> Finding {
    // The date is a moment between request and response, truncated to the second.
    let theirs = seconds(date) + 0.5;
    let ours = f64::midpoint(seconds(sent), seconds(answered));
    let ahead = ours - theirs;
    let text = match ahead {
        _ if ahead.abs() <= WARN_AFTER_S => "within a second or two of the server's".to_owned(),
        0.0.. => format!("{ahead:.0} s ahead of the server's"),
        _ => format!("{:.0} s behind the server's", -ahead),
    };
    let advice = "synchronise this machine's clock, preferably by NTP (timedatectl set-ntp true)";
    match ahead.abs() {
        off if off <= WARN_AFTER_S => Finding::ok(text),
        off if off <= FAIL_AFTER_S => Finding::warn(text, advice),
        _ => Finding::fail(text, advice),
    }
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::super::check::Outcome;
    use super::*;

    fn at(unix_s: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(unix_s)
    }

    #[test]
    fn the_date_is_found_in_any_case_and_not_in_the_body() {
        let head =
            b"HTTP/1.1 400 Bad Request\r\nServer: x\r\ndAtE: Sun, 22 Nov 2026 03:45:00 GMT\r\n\r\n";
        assert_eq!(date(head), Some(at(1_795_319_100)));
        let body = b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\nDate: Sun, 22 Nov 2026 03:45:00 GMT\r\n";
        assert_eq!(date(body), None);
        assert_eq!(date(b"\xff\xfe"), None);
    }

    #[tokio::test]
    async fn a_server_that_is_silent_or_closes_is_not_said_to_have_responded() {
        use kite_conn::{Probe, Transport};
        use tokio::net::TcpListener;

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let endpoint = Endpoint::parse(&format!("ws://{address}")).expect("an endpoint");
        let probe = Probe::new(endpoint.clone(), Transport::default());
        let silent = probe.connect(address).await.expect("a connection");
        let finding = compare(silent, &endpoint).await.0;
        assert_eq!(finding, Finding::skipped("the server did not respond within 2s"));
        let closed = probe.connect(address).await.expect("a connection");
        for _ in 0..2 {
            drop(listener.accept().await.expect("a client"));
        }
        let finding = compare(closed, &endpoint).await.0;
        let text = "the server closed the connection without a response";
        assert_eq!(finding, Finding::skipped(text));
    }

    #[test]
    fn a_clock_is_judged_by_how_far_it_is_off() {
        let judged = |ours: u64| judge(at(1_000_000), at(ours), at(ours)).outcome;
        let verdicts =
            [999_930, 999_950, 999_999, 1_000_000, 1_000_002, 1_000_030, 1_003_600].map(judged);
        use Outcome::{Fail, Ok, Warn};
        assert_eq!(verdicts, [Fail, Warn, Ok, Ok, Ok, Warn, Fail]);
        let text = judge(at(1_000_000), at(1_000_030), at(1_000_031)).text;
        assert_eq!(text, "30 s ahead of the server's");
    }
}
