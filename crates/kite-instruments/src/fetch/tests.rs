//! Fetching from a server on loopback, and the cache on disk.

mod credentials;
mod proxy;
mod trust;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::SystemTime;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::*;
use crate::error::LoadError;

const HEADER: &str = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,\
                      tick_size,lot_size,instrument_type,segment,exchange\n";

/// A server that sends the same response to each request until another is set.
///
/// Its thread ends when it is dropped.
struct Server {
    port: u16,
    state: Arc<State>,
    thread: Option<thread::JoinHandle<()>>,
}

struct State {
    answer: Mutex<Vec<u8>>,
    /// Sent instead if the request has credentials.
    protected: Mutex<Option<Vec<u8>>>,
    requests: Mutex<Vec<String>>,
    count: AtomicUsize,
}

impl Server {
    fn start(answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            answer: Mutex::new(answer),
            protected: Mutex::new(None),
            requests: Mutex::new(Vec::new()),
            count: AtomicUsize::new(0),
        });
        let thread = thread::spawn({
            let state = Arc::clone(&state);
            move || {
                // One connection at a time, with one request each; an empty request ends the
                // server.
                while let Ok((socket, _)) = listener.accept() {
                    let request = read_request(&socket);
                    if request.is_empty() {
                        return;
                    }
                    state.count.fetch_add(1, Ordering::SeqCst);
                    let protected = state.protected.lock().unwrap().clone();
                    let has_credentials = request.to_lowercase().contains("authorization: ");
                    state.requests.lock().unwrap().push(request);
                    let answer = state.answer.lock().unwrap().clone();
                    let answer = protected.filter(|_| has_credentials).unwrap_or(answer);
                    // The client may have closed the connection already.
                    let _ = (&socket).write_all(&answer);
                }
            }
        });
        Self { port, state, thread: Some(thread) }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/instruments", self.port)
    }

    fn source(&self, folder: &TempDir) -> Source {
        Source::new().url(self.url()).cache_dir(folder.path())
    }

    fn answer(&self, answer: Vec<u8>) {
        *self.state.answer.lock().unwrap() = answer;
    }

    /// Serves this to requests with credentials only.
    fn protect(&self, status: &str, answer: Vec<u8>) {
        self.answer(response(status, "", b""));
        *self.state.protected.lock().unwrap() = Some(answer);
    }

    fn count(&self) -> usize {
        self.state.count.load(Ordering::SeqCst)
    }

    fn last_request(&self) -> String {
        self.state.requests.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn read_request(socket: &TcpStream) -> String {
    let mut request = String::new();
    let mut lines = BufReader::new(socket);
    while lines.read_line(&mut request).is_ok_and(|len| len > 2) {}
    request
}

fn csv(symbol: &str) -> Vec<u8> {
    format!("{HEADER}408065,1594,{symbol},INFOSYS,0,,0,0.05,1,EQ,NSE,NSE\n").into_bytes()
}

fn packed(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// Reads a cached list.
fn unpacked(path: &Path) -> Vec<u8> {
    assert!(path.to_str().unwrap().ends_with(".csv.gz"), "{}", path.display());
    let mut plain = Vec::new();
    let file = std::fs::File::open(path).unwrap();
    std::io::Read::read_to_end(&mut GzDecoder::new(file), &mut plain).unwrap();
    plain
}

fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn ok(body: &[u8]) -> Vec<u8> {
    response("200 OK", "Content-Type: text/csv\r\n", body)
}

fn day(day: u8) -> Date {
    Date::new(2026, 11, day).unwrap()
}

fn first_symbol(fetched: &Fetched) -> String {
    fetched.loaded.instruments.iter().next().unwrap().to_string()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn plain_and_gzip_lists_are_fetched() {
    let plain = csv("INFY");
    let answers = [
        ok(&plain),
        // A gzip file, and a plain file with a gzip content encoding.
        ok(&packed(&plain)),
        response("200 OK", "Content-Encoding: gzip\r\n", &packed(&plain)),
    ];
    for answer in answers {
        let (server, folder) = (Server::start(answer), TempDir::new().unwrap());
        let fetched = server.source(&folder).on(day(23)).unwrap();
        assert!(matches!(fetched.origin, Origin::Fetched) && fetched.not_kept.is_none());
        assert_eq!(first_symbol(&fetched), "NSE:INFY");
        let kept = folder.path().join(&names(folder.path())[0]);
        assert_eq!(unpacked(&kept), plain);
    }
}

#[test]
fn the_list_is_fetched_once_a_day() {
    let (server, folder) = (Server::start(ok(&csv("INFY"))), TempDir::new().unwrap());
    let source = server.source(&folder);
    source.on(day(23)).unwrap();
    server.answer(ok(&csv("TCS")));
    let kept = source.on(day(23)).unwrap();
    assert!(matches!(&kept.origin, Origin::Kept { path } if path.starts_with(folder.path())));
    assert_eq!((first_symbol(&kept).as_str(), server.count()), ("NSE:INFY", 1));

    let next = source.on(day(24)).unwrap();
    assert!(matches!(next.origin, Origin::Fetched));
    assert_eq!((first_symbol(&next).as_str(), server.count()), ("NSE:TCS", 2));
    assert_eq!(names(folder.path()).len(), 2);
}

#[test]
fn refresh_fetches_even_if_the_list_is_cached() {
    let (server, folder) = (Server::start(ok(&csv("INFY"))), TempDir::new().unwrap());
    let source = server.source(&folder);
    source.refresh().unwrap();
    server.answer(ok(&csv("TCS")));
    assert_eq!(first_symbol(&source.refresh().unwrap()), "NSE:TCS");
    assert_eq!(server.count(), 2);
}

#[test]
fn lists_of_exchanges_and_urls_are_cached_separately() {
    let (server, folder) = (Server::start(ok(&csv("INFY"))), TempDir::new().unwrap());
    let source = server.source(&folder);
    source.on(day(23)).unwrap();
    source.clone().exchange(Exchange::Nse).on(day(23)).unwrap();
    assert!(server.last_request().starts_with("GET /instruments/NSE HTTP/1.1\r\n"));
    source.url(format!("{}?all=1", server.url())).on(day(23)).unwrap();
    assert_eq!((server.count(), names(folder.path()).len()), (3, 3));
}

#[test]
fn a_refusal_is_reported_with_advice() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(response("403 Forbidden", "", b"{\"status\":\"error\"}"));
    let error = server.source(&folder).on(day(23)).unwrap_err();
    assert!(matches!(error, FetchError::Status { status: 403, .. }), "{error}");
    let expected = "responded with status 403: it may need credentials, or today's access token";
    assert_eq!(error.to_string(), format!("{} {expected}", server.url()));
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn a_response_without_a_valid_row_is_not_cached() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(ok(b"<html>maintenance</html>"));
    let error = server.source(&folder).on(day(23)).unwrap_err();
    let FetchError::NotAList { source: LoadError::MissingColumns { .. }, .. } = error else {
        panic!("{error}")
    };
    server.answer(ok(HEADER.as_bytes()));
    let error = server.source(&folder).on(day(23)).unwrap_err();
    assert!(matches!(error, FetchError::NoRows { problem_count: 0, .. }), "{error}");
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn a_truncated_response_is_reported_and_not_cached() {
    let folder = TempDir::new().unwrap();
    let whole = csv("INFY");
    for answer in [ok(&whole), response("200 OK", "Content-Encoding: gzip\r\n", &packed(&whole))] {
        let server = Server::start(answer[..answer.len() - 7].to_vec());
        let error = server.source(&folder).on(day(23)).unwrap_err();
        assert!(matches!(error, FetchError::Body { .. }), "{error}");
    }
    let gz = packed(&whole);
    let server = Server::start(ok(&gz[..gz.len() - 7]));
    let error = server.source(&folder).on(day(23)).unwrap_err();
    assert!(
        matches!(error, FetchError::NotAList { source: LoadError::Gzip { .. }, .. }),
        "{error}"
    );
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn a_response_beyond_the_limit_is_rejected_plain_or_compressed() {
    let folder = TempDir::new().unwrap();
    let bomb = packed(&csv("INFY").repeat(10_000));
    assert!(bomb.len() < 100_000);
    let server = Server::start(response("200 OK", "Content-Encoding: gzip\r\n", &bomb));
    let source = server.source(&folder).max_bytes(100_000);
    let error = source.on(day(23)).unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { limit_bytes: 100_000, .. }), "{error}");
    server.answer(ok(&bomb));
    let error = source.on(day(23)).unwrap_err();
    let FetchError::NotAList { source: LoadError::TooLarge { limit_bytes: 100_000 }, .. } = error
    else {
        panic!("{error}")
    };
}

#[test]
fn the_latest_cached_list_is_used_if_none_can_be_fetched() {
    let (server, folder) = (Server::start(ok(&csv("OLD"))), TempDir::new().unwrap());
    let source = server.source(&folder);
    source.on(day(19)).unwrap();
    server.answer(ok(&csv("NEWER")));
    source.on(day(20)).unwrap();
    server.answer(response("503 Service Unavailable", "", b""));
    let fetched = source.on(day(23)).unwrap();
    assert_eq!(first_symbol(&fetched), "NSE:NEWER");
    let Origin::Stale { day: of, why, .. } = &fetched.origin else { panic!("{fetched:?}") };
    assert_eq!(*of, day(20));
    assert!(matches!(**why, FetchError::Status { status: 503, .. }), "{why}");

    // A damaged one is skipped.
    let newer = Cache::new(folder.path().to_owned(), &server.url()).path(day(20));
    std::fs::write(newer, "damaged").unwrap();
    assert_eq!(first_symbol(&source.on(day(23)).unwrap()), "NSE:OLD");
}

#[test]
fn an_unreachable_server_is_reported() {
    let folder = TempDir::new().unwrap();
    // Bound and closed again, so nothing listens on this port.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let source = Source::new().url(format!("http://127.0.0.1:{port}/")).cache_dir(folder.path());
    let error = source.on(day(23)).unwrap_err();
    assert!(matches!(error, FetchError::Request { .. }), "{error}");
    assert!(error.to_string().starts_with(&format!("http://127.0.0.1:{port}/ did not")), "{error}");
}

#[test]
fn a_silent_server_times_out() {
    let folder = TempDir::new().unwrap();
    // Connections are never accepted.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let source = Source::new().url(url).cache_dir(folder.path()).timeout(Duration::from_millis(50));
    let error = source.on(day(23)).unwrap_err();
    assert!(matches!(error, FetchError::Request { .. }), "{error}");
}

#[test]
fn a_damaged_cached_list_is_fetched_again_and_replaced() {
    let (server, folder) = (Server::start(ok(&csv("INFY"))), TempDir::new().unwrap());
    let source = server.source(&folder);
    let path = Cache::new(folder.path().to_owned(), &server.url()).path(day(23));
    for damaged in [b"".as_slice(), b"instrument_token", HEADER.as_bytes()] {
        std::fs::write(&path, damaged).unwrap();
        assert!(matches!(source.on(day(23)).unwrap().origin, Origin::Fetched));
        assert_eq!(unpacked(&path), csv("INFY"));
    }
}

#[test]
fn old_lists_and_abandoned_files_are_removed_and_others_stay() {
    let (server, folder) = (Server::start(ok(&csv("INFY"))), TempDir::new().unwrap());
    let source = server.source(&folder);
    for of in [1, 15, 16] {
        source.on(day(of)).unwrap();
    }
    let other = Cache::new(folder.path().to_owned(), "https://example.com/").path(day(1));
    let abandoned = folder.path().join(".instruments-abandoned");
    let fresh = folder.path().join(".instruments-being-written");
    for path in [&other, &abandoned, &fresh] {
        std::fs::write(path, "x").unwrap();
    }
    let long_ago = SystemTime::now() - Duration::from_secs(25 * 3600);
    std::fs::File::options()
        .write(true)
        .open(&abandoned)
        .and_then(|file| file.set_modified(long_ago))
        .unwrap();
    source.keep_days(7).on(day(23)).unwrap();
    let cache = Cache::new(folder.path().to_owned(), &server.url());
    let there = |path: &Path| path.exists();
    assert!(!there(&cache.path(day(1))) && !there(&cache.path(day(15))) && !there(&abandoned));
    assert!(there(&cache.path(day(16))) && there(&cache.path(day(23))));
    assert!(there(&other) && there(&fresh));
}

#[test]
fn a_list_that_cannot_be_cached_is_still_returned() {
    let (server, folder) = (Server::start(ok(&csv("INFY"))), TempDir::new().unwrap());
    let file = folder.path().join("a file, not a folder");
    std::fs::write(&file, "").unwrap();
    let fetched = server.source(&folder).cache_dir(&file).on(day(23)).unwrap();
    assert_eq!(first_symbol(&fetched), "NSE:INFY");
    let error = fetched.not_kept.unwrap();
    assert!(matches!(error, FetchError::Cache { .. }), "{error}");
    assert!(error.to_string().contains("a file, not a folder"), "{error}");
}

#[test]
fn concurrent_fetches_leave_one_complete_list() {
    // Large enough that writing takes more than one system call.
    let rows = (1..5_000).map(|token| format!("{token},1,S{token},,0,,0,0.05,1,EQ,NSE,NSE\n"));
    let list = [csv("INFY"), rows.collect::<String>().into_bytes()].concat();
    let (server, folder) = (Server::start(ok(&list)), TempDir::new().unwrap());
    let source = server.source(&folder);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    for fetched in [source.refresh().unwrap(), source.today().unwrap()] {
                        assert!(!matches!(fetched.origin, Origin::Stale { .. }));
                        assert!(fetched.not_kept.is_none());
                        assert_eq!(fetched.loaded.instruments.len(), 5_000);
                    }
                }
            });
        }
    });
    let names = names(folder.path());
    // Two if midnight in India passed during the test.
    assert!(matches!(names.len(), 1 | 2), "{names:?}");
    for name in names {
        assert_eq!(unpacked(&folder.path().join(name)), list);
    }
}

#[test]
fn the_cached_list_is_returned_without_fetching() {
    let (server, folder) = (Server::start(ok(&csv("INFY"))), TempDir::new().unwrap());
    let source = server.source(&folder);
    assert!(source.kept().is_none());
    source.on(day(21)).unwrap();
    source.on(day(23)).unwrap();
    let (loaded, kept_day) = source.kept().unwrap();
    assert_eq!((loaded.instruments.len(), kept_day, server.count()), (1, day(23), 2));
}

#[test]
fn lists_are_kept_by_day_and_those_of_earlier_releases_are_read() {
    let (server, folder) = (Server::start(ok(&csv("OCT"))), TempDir::new().unwrap());
    let source = server.source(&folder);
    source.on(day(2)).unwrap();
    server.answer(ok(&csv("DEC")));
    source.on(day(23)).unwrap();
    let plain = Cache::new(folder.path().to_owned(), &server.url()).path(day(9));
    std::fs::write(plain.with_extension(""), csv("PLAIN")).unwrap();
    let symbol = |date| {
        let loaded = source.kept_on(day(date))?;
        loaded.instruments.iter().next().map(|one| one.tradingsymbol.to_owned())
    };
    assert_eq!(source.kept_days(), [day(2), day(9), day(23)]);
    assert_eq!(symbol(2).as_deref(), Some("OCT"));
    assert_eq!(symbol(9).as_deref(), Some("PLAIN"));
    assert_eq!(symbol(23).as_deref(), Some("DEC"));
    assert_eq!((symbol(22), server.count()), (None, 2));

    source.clone().keep_days(14).on(day(23)).unwrap();
    assert_eq!(source.kept_days(), [day(9), day(23)], "old ones are removed also from the cache");
}
