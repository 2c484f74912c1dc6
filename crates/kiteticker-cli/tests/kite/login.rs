//! `kite login` and `kite logout`, against the simulator's login page.

#![cfg(unix)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use kite_sim::{API_SECRET, LoginFault, LoginPage, Sim};
use serde_json::Value;

use crate::process::{Outcome, Running, kite, run};
use crate::proxy::Proxy;
use crate::serve::{open, packets, serve_two};
use crate::socket::TEXT;

/// What no output may contain: the secret, the request tokens and the access tokens.
const SECRETS: [&str; 5] =
    [API_SECRET, "sim_request_token", "sim_login_token", "sim_access_token", "yesterdaystoken"];

/// The simulator's server, on a runtime of its own, so that tests may block.
struct Stage {
    runtime: tokio::runtime::Runtime,
    sim: Sim,
    directory: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let sim = Sim::builder().login(LoginPage::new()).start();
        let sim = runtime.block_on(sim).expect("a server");
        Self { runtime, sim, directory: tempfile::tempdir().expect("a directory") }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("credentials")
    }

    /// Writes a file of yesterday.
    fn write_old(&self) {
        let text = "api_key = sim_api_key\naccess_token = yesterdaystoken\n";
        std::fs::write(self.file(), text).expect("a file");
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(self.file(), mode).expect("permissions");
    }

    fn token(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.file()).ok()?;
        let token = text.lines().find_map(|line| line.strip_prefix("access_token = "));
        token.map(str::to_owned)
    }

    /// Returns `kite login`, or another command with the same servers and file.
    fn command(&self, name: &str, more: &[&str]) -> Command {
        let (api, login) = (self.sim.api_url(), self.sim.login_url());
        let [api, login] = [api, login].map(|url| url.expect("a login page"));
        let file = self.file().display().to_string();
        let mut line = vec![name, "--credentials", &file, "--api-url", &api];
        if name == "login" {
            line.extend(["--login-url", &login]);
        }
        let mut command = kite(&[&line, more].concat());
        command.env("KITE_API_KEY", "sim_api_key").env("KITE_API_SECRET", API_SECRET);
        command
    }

    /// Starts `kite login` on a free port; returns where to log in, and where it waits.
    fn begin(&self, more: &[&str]) -> Login {
        let line = [&["--json", "--no-browser", "--port", "0", "-vvv"], more].concat();
        let mut running = Running::start(self.command("login", &line));
        let first: Value = serde_json::from_str(&running.line()).expect("JSON");
        let url = |name: &str| first[name].as_str().expect("a URL").to_owned();
        Login { page: url("login_url"), waits_on: url("redirect_url"), running }
    }
}

struct Login {
    page: String,
    waits_on: String,
    running: Running,
}

impl Login {
    /// Logs in or cancels on the page; returns the URL that the browser is sent to.
    fn choose(&self, choice: &str) -> String {
        redirect(&self.page, choice).replace("http://127.0.0.1:5010", &self.waits_on)
    }
}

fn redirect(page: &str, choice: &str) -> String {
    let html = get(page);
    let link = html.split("href=\"").find(|it| it.contains(&format!("choice={choice}&")));
    let link = link.expect("a link").split('"').next().expect("its end").replace("&amp;", "&");
    let origin = page.split("/connect").next().expect("an origin");
    let answer = get(&format!("{origin}{link}"));
    let location = answer.lines().find_map(|line| line.strip_prefix("Location: "));
    location.expect("a redirect").to_owned()
}

/// Sends bytes to the server of a URL and reads to the end.
fn send(url: &str, request: &str) -> String {
    let address = url.strip_prefix("http://").and_then(|rest| rest.split(['/', '?']).next());
    let mut stream = TcpStream::connect(address.expect("an address")).expect("it listens");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn get(url: &str) -> String {
    let target = url.splitn(4, '/').nth(3).map_or_else(
        || format!("/{}", url.find('?').map_or("", |at| &url[at..])),
        |rest| format!("/{rest}"),
    );
    send(url, &format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

fn assert_no_secrets(ended: &Outcome) {
    for secret in SECRETS {
        assert!(!ended.out.contains(secret) && !ended.err.contains(secret), "{secret}: {ended:?}");
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

#[test]
fn a_login_writes_the_token_and_a_logout_ends_it() {
    let stage = Stage::new();
    let login = stage.begin(&[]);
    let page = get(&login.choose("login"));
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("Logged in"), "{page}");
    assert!(page.contains("\r\nContent-Security-Policy: default-src 'none'"), "{page}");
    let ended = login.running.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report = ended.json();
    assert_eq!(
        (&report["user_id"], &report["path"]),
        (&"SIM001".into(), &stage.file().display().to_string().into(),)
    );
    let expires = report["expires"].as_str().expect("a time");
    assert!(expires.ends_with("T06:00:00.000+05:30"), "{expires}");
    assert_eq!(stage.token().as_deref(), Some("sim_login_token_1"));
    assert_eq!(mode(&stage.file()), 0o600);
    assert_no_secrets(&ended);
    assert!(!page.contains("sim_login") && !page.contains("sim_request"), "{page}");

    let file = stage.file().display().to_string();
    let doctor = ["doctor", "--endpoint", &stage.sim.endpoint(), "--credentials", &file];
    let checked = run(&mut kite(&doctor));
    let words = checked.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("ago; the token expires ") && words.contains("accepted"), "{words}");

    let out = run(&mut stage.command("logout", &["-vvv"]));
    assert_eq!(out.code, Some(0), "{out:?}");
    assert!(out.out.starts_with("logged out; removed "), "{out:?}");
    assert_no_secrets(&out);
    assert!(!stage.file().exists());
    assert_eq!((stage.sim.stats().logins, stage.sim.stats().logouts), (1, 1));
    let again = run(&mut stage.command("logout", &[]));
    assert_eq!(again.code, Some(3), "{again:?}");
    let said = format!("error: not logged in: {file} does not exist\nhelp: run kite login\n");
    assert_eq!(again.err, said);
    let usual = run(kite(&["logout"]).env("KITE_API_KEY", "sim_api_key"));
    assert!(usual.err.contains("/kiteticker/credentials does not exist\n"), "{usual:?}");
}

#[test]
fn a_whole_morning_needs_nothing_but_the_login() {
    let stage = Stage::new();
    stage.sim.set_access_token("sim_api_key", "yesterdaystoken");
    stage.write_old();
    let file = stage.file().display().to_string();
    let line = ["--endpoint", &stage.sim.endpoint(), "--credentials", &file, "--connections", "3"];
    let (serving, relay) = serve_two(stage.directory.path(), &line);
    let mut desk = open(&relay, "desk");
    desk.send(TEXT, br#"{"a":"subscribe","v":[408065]}"#);
    packets(&mut desk);

    stage.sim.revoke_token("sim_api_key");
    stage.sim.drop_all();
    serving.wait_until_error("waiting for a new access_token in ");
    let refused = || stage.sim.stats().refused.get(&403).copied().unwrap_or_default();
    serving.wait_until(|| refused() == 3);
    let ticks = stage.sim.stats().ticks_sent;

    let login = stage.begin(&[]);
    assert!(get(&login.choose("login")).contains("Logged in"));
    let ended = login.running.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serving.wait_until(|| stage.sim.stats().ticks_sent > ticks);
    serving.wait_until(|| stage.sim.stats().connections_open == 3);
    packets(&mut desk);
    assert_eq!((refused(), stage.sim.stats().logins), (3, 1), "one login for all connections");
    serving.interrupt();
    let ended = serving.ended();
    assert_eq!(ended.err.matches("waiting for a new access_token in ").count(), 1, "{ended:?}");
    assert_eq!(ended.err.matches("found a new access token").count(), 1, "{ended:?}");
    assert_no_secrets(&ended);
}

#[test]
fn what_is_not_the_redirect_does_not_end_the_login() {
    let stage = Stage::new();
    stage.sim.at_next_login(LoginFault::Slow { delay: Duration::from_secs(3_600) });
    let login = stage.begin(&[]);
    let url = login.choose("login");
    let address = login.waits_on.strip_prefix("http://").expect("a URL");
    let _silent: Vec<_> =
        (0..8).map(|_| TcpStream::connect(address).expect("it listens")).collect();
    drop(TcpStream::connect(address).expect("it listens"));
    let (other, state) = url.split_at(url.find("state=").expect("a state") + "state=".len());
    for wrong in [
        format!("{}/favicon.ico", login.waits_on),
        format!("{other}{}", "0".repeat(32)),
        format!("{other}{}", &state[1..]),
        other.to_owned(),
    ] {
        let page = get(&wrong);
        assert!(page.starts_with("HTTP/1.1 404 "), "{page}");
    }
    let posted = send(&url, "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    assert!(posted.starts_with("HTTP/1.1 405 "), "{posted}");
    let garbage = send(&url, "\u{16}\u{3}\u{1}\r\n\r\n");
    assert!(garbage.starts_with("HTTP/1.1 400 "), "{garbage}");
    let long = send(&url, &format!("GET /{} HTTP/1.1\r\n", "x".repeat(20 << 10)));
    assert!(long.starts_with("HTTP/1.1 400 "), "{long}");

    // At any path, and of two the second while the first is exchanged.
    let (send, answers) = std::sync::mpsc::channel();
    for url in [url.replacen('?', "/any/path?", 1), url] {
        let send = send.clone();
        // The first one is not answered.
        std::thread::spawn(move || send.send(get(&url)));
    }
    let second = answers.recv().expect("an answer");
    assert!(second.starts_with("HTTP/1.1 409 "), "{second}");
    login.running.interrupt();
    let ended = login.running.ended();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert_no_secrets(&ended);
    assert!(stage.token().is_none());
}

#[test]
fn a_login_that_fails_keeps_the_old_file_and_says_what_to_do() {
    let stage = Stage::new();
    stage.write_old();
    let login = stage.begin(&[]);
    let page = get(&login.choose("cancel"));
    assert!(page.contains("Not logged in") && page.contains("Login cancelled"), "{page}");
    let ended = login.running.ended();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.contains("error: Kite did not log in: Login cancelled"), "{ended:?}");

    for (fault, said, advice) in [
        (LoginFault::Expired, "Token is invalid or has expired.", "log in again"),
        (LoginFault::WrongChecksum, "checksum", "check that the api_secret is"),
        (LoginFault::RateLimit, "Too many requests", "wait a minute"),
        (LoginFault::Unavailable, "not Kite's (status 503)", "in a few minutes"),
        (LoginFault::Garbage, "not Kite's (status 200)", "check --api-url and the proxy"),
        (LoginFault::End, "did not answer", "check the network"),
    ] {
        stage.sim.at_next_login(fault);
        let login = stage.begin(&[]);
        let page = get(&login.choose("login"));
        assert!(page.contains("Not logged in"), "{page}");
        let ended = login.running.ended();
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(ended.err.contains("error: the login failed: "), "{ended:?}");
        assert!(ended.err.contains(said) && ended.err.contains(advice), "{advice}: {ended:?}");
        assert_no_secrets(&ended);
    }
    assert_eq!(stage.token().as_deref(), Some("yesterdaystoken"));
}

#[test]
fn a_port_that_is_taken_and_a_login_that_does_not_come_are_status_three() {
    let stage = Stage::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let ended = run(&mut stage.command("login", &["--no-browser", "--port", &port]));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    for part in ["cannot wait for the login on 127.0.0.1:", "--port", "--paste"] {
        assert!(ended.err.contains(part), "{ended:?}");
    }
    let line = ["--no-browser", "--port", "0", "--wait", "1ms"];
    let ended = run(&mut stage.command("login", &line));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.contains("no login within 1 ms"), "{ended:?}");
}

#[test]
fn a_full_disk_keeps_the_old_file() {
    let stage = Stage::new();
    stage.write_old();
    let command = stage.command("login", &["--json", "--no-browser", "--port", "0"]);
    let mut limited = Command::new("sh");
    // No file may have a byte, which is what a full disk looks like.
    limited.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""]);
    limited.arg(command.get_program()).args(command.get_args()).env_clear();
    for (name, value) in command.get_envs() {
        limited.env(name, value.expect("a value"));
    }
    limited.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut running = Running::start(limited);
    let first: Value = serde_json::from_str(&running.line()).expect("JSON");
    let [page, waits_on] =
        ["login_url", "redirect_url"].map(|it| first[it].as_str().expect("a URL"));
    let page = get(&redirect(page, "login").replace("http://127.0.0.1:5010", waits_on));
    assert!(page.contains("Not logged in"), "{page}");
    let ended = running.ended();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.contains("cannot write the credentials to "), "{ended:?}");
    assert_no_secrets(&ended);
    assert_eq!(stage.token().as_deref(), Some("yesterdaystoken"));
    let names: Vec<_> = std::fs::read_dir(stage.directory.path()).expect("entries").collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn a_file_of_another_key_or_in_no_directory_is_reported_before_the_login() {
    let stage = Stage::new();
    stage.write_old();
    let line = ["--no-browser", "--port", "0"];
    let ended = run(stage.command("login", &line).env("KITE_API_KEY", "another_key"));
    assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{ended:?}");
    let file = stage.file().display().to_string();
    for part in [&file, "another api_key than that of KITE_API_KEY", "--credentials FILE"] {
        assert!(ended.err.contains(part), "{part}: {ended:?}");
    }
    assert_no_secrets(&ended);
    assert_eq!(stage.token().as_deref(), Some("yesterdaystoken"));

    let directory = stage.directory.path().join("new");
    let file = directory.join("credentials").display().to_string();
    let mut command = kite(&["login", "--credentials", &file, "--no-browser", "--port", "0"]);
    command.env("KITE_API_KEY", "sim_api_key").env("KITE_API_SECRET", API_SECRET);
    let ended = run(&mut command);
    assert_eq!((ended.code, ended.out.as_str()), (Some(3), ""), "{ended:?}");
    assert!(ended.err.contains("/new does not exist"), "{ended:?}");
    assert!(!directory.exists());
}

/// Runs `kite login --paste` with what `line` makes of where the login leads to.
fn paste(stage: &Stage, line: impl Fn(&str) -> String) -> Outcome {
    // A browser that opens nothing: the URL on standard output is what is left.
    let mut command = stage.command("login", &["--paste", "-vvv"]);
    command.env("BROWSER", "/bin/true");
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut out = std::io::BufReader::new(child.stdout.take().expect("standard output"));
    let mut page = String::new();
    std::io::BufRead::read_line(&mut out, &mut page).expect("a line");
    let text = line(&redirect(page.trim(), "login"));
    let mut input = child.stdin.take().expect("standard input");
    input.write_all(text.as_bytes()).expect("pasted");
    drop(input);
    let mut ended = Outcome::from(child.wait_with_output().expect("it ends"));
    out.read_to_string(&mut ended.out).expect("the rest");
    ended
}

#[test]
fn the_url_of_another_machines_browser_is_pasted() {
    let stage = Stage::new();
    let token = |url: &str| {
        let token = url.split("request_token=").nth(1).expect("a token");
        token.split('&').next().expect("its end").to_owned()
    };
    for (number, line) in
        [&(|url: &str| format!("{url}\r\n")) as &dyn Fn(&str) -> String, &|url| token(url)]
            .into_iter()
            .enumerate()
    {
        let ended = paste(&stage, line);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.out.contains("logged in as SIM001 (Simulated User)"), "{ended:?}");
        assert_no_secrets(&ended);
        assert_eq!(stage.token(), Some(format!("sim_login_token_{}", number + 1)));
    }
    let foreign = |url: &str| url.replace("state=", "state=0");
    let nothing = |_: &str| String::new();
    for line in [&foreign as &dyn Fn(&str) -> String, &nothing] {
        let ended = paste(&stage, line);
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(ended.err.contains("the pasted "), "{ended:?}");
        assert_no_secrets(&ended);
    }
}

#[test]
fn the_file_goes_with_a_dead_token_and_stays_if_kite_does_not_answer() {
    let stage = Stage::new();
    stage.write_old();
    for fault in [LoginFault::Unavailable, LoginFault::RateLimit, LoginFault::End] {
        stage.sim.at_next_login(fault);
        let ended = run(&mut stage.command("logout", &["-vvv"]));
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(ended.err.contains("the logout failed, the access token is kept"), "{ended:?}");
        assert_no_secrets(&ended);
        assert!(stage.file().exists());
    }
    let ended = run(&mut stage.command("logout", &["--json"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.json()["ended_before"], true, "it was never that of the account");
    assert!(!stage.file().exists());
}

#[test]
fn secrets_are_sent_to_no_other_server_and_through_the_proxy_only_encrypted() {
    let stage = Stage::new();
    for option in ["--login-url", "--api-url"] {
        let ended = run(&mut kite(&["login", option, "http://example.com"]));
        assert_eq!(ended.code, Some(2), "{ended:?}");
    }
    // The proxy refuses, and sees nothing but the host.
    let proxy = Proxy::start(407);
    let url = format!("http://user:pr0xypass@{}", proxy.address);
    stage.write_old();
    let file = stage.file().display().to_string();
    let mut command = kite(&["logout", "--credentials", &file, "-vvv", "--api-url"]);
    command.arg("https://localhost:1").env("HTTPS_PROXY", &url);
    let ended = run(&mut command);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.contains(&format!("through http://…@{}", proxy.address)), "{ended:?}");
    assert!(!ended.err.contains("pr0xypass"), "{ended:?}");
    assert_no_secrets(&ended);
    let seen = proxy.requests().concat();
    assert!(seen.starts_with("CONNECT localhost:1 "), "{seen}");
    assert!(SECRETS.iter().all(|secret| !seen.contains(secret)), "{seen}");
    assert!(stage.file().exists());
}

#[test]
fn the_users_browser_is_started_without_a_shell_and_without_secrets() {
    let stage = Stage::new();
    let (script, seen) =
        (stage.directory.path().join("browser"), stage.directory.path().join("seen"));
    let text = format!(
        "#!/bin/sh\n{{ printf '%s\\n' \"$@\"; printenv; }} >'{0}.new'\nmv '{0}.new' '{0}'\n",
        seen.display()
    );
    std::fs::write(&script, text).expect("a script");
    let executable = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(&script, executable).expect("permissions");
    let mut command = stage.command("login", &["--json", "--port", "0"]);
    command.env("BROWSER", format!("/nowhere/at/all:{} --new %s", script.display()));
    command.env("PATH", "/usr/bin:/bin").env("KITE_ACCESS_TOKEN", "yesterdaystoken");
    let mut running = Running::start(command);
    let first: Value = serde_json::from_str(&running.line()).expect("JSON");
    running.wait_until(|| seen.exists());
    let seen = std::fs::read_to_string(seen).expect("a file");
    let mut lines = seen.lines();
    assert_eq!(lines.next(), Some("--new"));
    assert_eq!(lines.next(), first["login_url"].as_str());
    assert!(SECRETS.iter().all(|secret| !seen.contains(secret)), "{seen}");
    running.interrupt();
    assert_eq!(running.ended().code, Some(130));
}

#[test]
fn without_a_browser_the_url_is_printed() {
    let stage = Stage::new();
    let mut command = stage.command("login", &["--port", "0"]);
    command.env("PATH", "/nowhere/at/all");
    let mut running = Running::start(command);
    let url = running.line();
    assert!(url.starts_with(&stage.sim.login_url().expect("a page")), "{url}");
    running.interrupt();
    let ended = running.ended();
    assert!(ended.err.contains("cannot open a browser"), "{ended:?}");
}

#[test]
fn a_secret_that_others_can_read_or_that_is_missing_is_status_three() {
    let stage = Stage::new();
    let secret = stage.directory.path().join("secret");
    std::fs::write(&secret, API_SECRET).expect("a file");
    let file = secret.display().to_string();
    let with_file = ["--no-browser", "--port", "0", "--secret-file", &file];
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).expect("set");
    let ended = run(&mut stage.command("login", &with_file));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.contains("chmod 600"), "{ended:?}");
    let mut without = stage.command("login", &["--no-browser", "--port", "0"]);
    let ended = run(without.env_remove("KITE_API_SECRET"));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.contains("KITE_API_SECRET or --secret-file"), "{ended:?}");
    let ended =
        run(stage.command("login", &["--no-browser", "--port", "0"]).env_remove("KITE_API_KEY"));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.contains("KITE_API_KEY or --api-key"), "{ended:?}");
    drop(stage.runtime);
}
