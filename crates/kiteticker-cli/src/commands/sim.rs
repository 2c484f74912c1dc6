//! `kite sim`: a simulated Kite ticker server on this machine.

mod greeting;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kite_sim::{
    FaultChance, FaultScript, LoginFault, LoginPage, PlannedFault, SimStats, SocketEnd,
    SocketRecord,
};
use serde_json::{Map, json};

use self::greeting::{Account, accounts};
use crate::args::range::within;
use crate::clients;
use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::exit::CliError;
use crate::faults::{self, MissedFaults};
use crate::feed::deadline::Deadline;
use crate::format::numbers;
use crate::format::times::{self, Moment, SECOND_NS};
use crate::instruments::lists;
use crate::session::url::LocalUrl;

/// Interval of asking for faults without effect.
const ASK_EVERY: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  kite sim --port 8765
  kite sim --rate 10 --chaos 5s
  kite sim --fault 5s=reset,10s=half_open:3s --fault handshake2=refusal:503
  kite sim --fault handshake1=slow_link:28000
  kite sim --fault handshake1=order:REJECTED
  kite sim --start 09:15 --instruments-file instruments.csv
  kite sim --token-dies 30s --login-port 8766
  kite sim --list-faults

In another terminal, after setting the printed credentials:
  kite watch --endpoint ws://127.0.0.1:8765 NSE:INFY

The login page needs no password; its links lead back to --redirect-url with a
request token, as Kite's do:
  url=http://127.0.0.1:8766
  kite login --login-url $url/connect/login --api-url $url \\
    --credentials sim.credentials

All timestamps are of one clock, which starts now, or at --start today in India.
As at Kite, a wrong api_key is refused with 400 and a wrong access_token with
403, what is not a valid command is ignored, and a subscription beyond 3,000
instruments is refused: -v logs all with the reason.";

/// Serve a simulated market over Kite's protocol
#[derive(Debug, Args)]
#[command(after_help = clients::help(EXAMPLES))]
pub(crate) struct Sim {
    /// Port on 127.0.0.1 [any free port]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    #[arg(value_parser = within(0..=u16::MAX), allow_hyphen_values = true)]
    port: u16,
    /// The market's seed; the same seed produces the same ticks [1]
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true)]
    seed: u64,
    /// The market's time at the start, such as 09:15 or 2026-11-23T09:15 [now]
    #[arg(long, value_name = "TIME")]
    start: Option<Moment>,
    /// Kite's instruments CSV; all others stay silent [every token ticks]
    #[arg(long, value_name = "CSV")]
    instruments_file: Option<PathBuf>,
    /// Updates per second per instrument, at most 1,000 [2]
    #[arg(long, value_name = "N", default_value_t = 2.0, hide_default_value = true)]
    #[arg(value_parser = faults::rate, allow_hyphen_values = true)]
    rate: f64,
    /// Port of the login page and of the API on 127.0.0.1 [any free port]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    #[arg(value_parser = within(0..=u16::MAX), allow_hyphen_values = true)]
    login_port: u16,
    /// Where a login returns to [http://127.0.0.1:5010]
    #[arg(long, value_name = "URL")]
    redirect_url: Option<LocalUrl>,
    /// Number of accounts [1]
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true)]
    #[arg(value_parser = within(1..=100_u16), allow_hyphen_values = true)]
    accounts: u16,
    /// Stop after this long
    #[arg(long = "for", value_name = "DURATION", value_parser = times::duration, allow_hyphen_values = true)]
    lasts: Option<Duration>,
    /// Print the endpoint and statistics as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    faults: FaultArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Faults")]
struct FaultArgs {
    /// Random faults, one per DURATION on average on each socket
    #[arg(long, value_name = "DURATION", value_parser = times::positive_duration, allow_hyphen_values = true)]
    chaos: Option<Duration>,
    /// Inject a fault at a time or at a handshake: 10s=half_open:3s, handshake2=refusal:503
    #[arg(long = "fault", value_name = "WHEN=KIND", value_delimiter = ',')]
    #[arg(value_parser = faults::planned)]
    planned: Vec<PlannedFault>,
    /// End all access tokens and sockets after this long, as a morning does
    #[arg(long, value_name = "DURATION", value_parser = times::positive_duration, allow_hyphen_values = true)]
    token_dies: Option<Duration>,
    /// Faults of the next logins and logouts, in order: expired, checksum, rate_limit,
    /// unavailable, slow:MILLISECONDS, garbage, end
    #[arg(long = "login-fault", value_name = "KIND", value_delimiter = ',')]
    logins: Vec<LoginFault>,
    /// List the kinds of faults and exit
    #[arg(long)]
    list_faults: bool,
}

/// Serves until the user stops the simulator.
pub(crate) async fn run(args: &Sim, output: Output, stop: Stop) -> Result<(), CliError> {
    if args.faults.list_faults {
        return match args.json {
            true => output.json(&faults::list_json()),
            false => output.text(&faults::list()),
        };
    }
    stop.listen()?;
    let accounts = accounts(args.accounts);
    let mut builder = kite_sim::Sim::builder()
        .port(args.port)
        .seed(args.seed)
        .updates_per_second(args.rate)
        .market_time(start_unix_s(args.start)?)
        .run_clock(true);
    let mut page = LoginPage::new().port(args.login_port);
    for account in &accounts {
        page = page.secret(&account.key, &account.secret);
    }
    if let Some(url) = &args.redirect_url {
        page = page.redirect_url(url.as_str());
    }
    builder = builder.login(page);
    if let Some(path) = &args.instruments_file {
        let listed = lists::from_file(path, output).await?;
        builder = builder.only_tokens(listed.iter().map(|it| it.instrument_token));
    }
    for account in &accounts[1..] {
        builder = builder.account(&account.key, &account.token);
    }
    if let Some(mean) = args.faults.chaos {
        builder = builder.chance(FaultChance::new(args.seed, mean));
    }
    if !args.faults.planned.is_empty() {
        for account in &accounts {
            let script = FaultScript::new(&account.key);
            builder = builder.script(args.faults.planned.iter().fold(script, FaultScript::plan));
        }
    }
    let sim = builder
        .start()
        .await
        .map_err(|error| CliError::unable("cannot start the simulator").because(error))?;

    args.faults.logins.iter().for_each(|&fault| sim.at_next_login(fault));
    if args.json {
        output.json(&greeting::json(&sim, &accounts))?;
    } else {
        output.text(&greeting::text(&sim, &accounts, args.redirect_url.as_ref(), output))?;
    }
    let mut missed = MissedFaults::new(accounts.len());
    tokio::select! {
        () = stop.requested() => {}
        () = Deadline::default().after(args.lasts).reached() => {}
        () = report_missed(&sim, &mut missed, output) => {}
        () = end_tokens(&sim, args.faults.token_dies, &accounts, output) => {}
    }
    sim.stop().await;
    let stats = sim.stats();
    missed.report(&stats, output);
    let stuck = stuck(&sim);
    for record in &stuck {
        output.warn(clients::unfinished(record));
    }
    match args.json {
        true => output.json(&stats_json(&stats, &stuck)),
        false => output.text(&summary(&stats)),
    }
}

/// Ends all access tokens and all sockets, if that is asked for; never returns.
async fn end_tokens(
    sim: &kite_sim::Sim,
    after: Option<Duration>,
    accounts: &[Account],
    output: Output,
) {
    Deadline::default().after(after).reached().await;
    accounts.iter().for_each(|account| sim.revoke_token(&account.key));
    sim.drop_all();
    output.note("the access tokens have died");
    std::future::pending().await
}

/// Reports faults without effect as they happen; never returns.
async fn report_missed(sim: &kite_sim::Sim, missed: &mut MissedFaults, output: Output) {
    let mut ask = tokio::time::interval(ASK_EVERY);
    loop {
        ask.tick().await;
        missed.report(&sim.stats(), output);
    }
}

/// Returns the market's time at the start; a time of day is today's in India.
fn start_unix_s(start: Option<Moment>) -> Result<u32, CliError> {
    let now_unix_ns = times::now_unix_ns();
    let unix_ns = start.map_or(now_unix_ns, |start| start.on_day_of(now_unix_ns));
    u32::try_from(unix_ns / SECOND_NS)
        .map_err(|_| CliError::usage("--start is later than a packet's timestamp can be"))
}

/// Returns the sockets that were dropped because their clients did not read.
fn stuck(sim: &kite_sim::Sim) -> Vec<SocketRecord> {
    let is_stuck = |record: &SocketRecord| record.end == Some(SocketEnd::ClientStuck);
    sim.unfinished().into_iter().filter(is_stuck).collect()
}

fn summary(stats: &SimStats) -> String {
    let mut text = format!(
        "{}, {} in {}, {}\n",
        numbers::counted(stats.connections_total, "socket"),
        numbers::counted(stats.ticks_sent, "tick"),
        numbers::counted(stats.frames_sent, "frame"),
        numbers::counted(stats.heartbeats_sent, "heartbeat"),
    );
    for (status, count) in &stats.refused {
        text += &format!("refused with {status}: {}\n", numbers::counted(*count, "handshake"));
    }
    text += &clients::commands(stats.refused_commands, stats.ignored_commands);
    if stats.logins + stats.logouts > 0 {
        let (logins, logouts) = (stats.logins, stats.logouts);
        text += &format!(
            "{}, {}\n",
            numbers::counted(logins, "login"),
            numbers::counted(logouts, "logout")
        );
    }
    for (kind, count) in &stats.faults {
        text += &format!("fault {kind}: {}\n", numbers::grouped(*count));
    }
    for (kind, count) in &stats.missed_faults {
        text += &format!("fault {kind} without a client: {}\n", numbers::grouped(*count));
    }
    text
}

fn stats_json(stats: &SimStats, stuck: &[SocketRecord]) -> serde_json::Value {
    let named =
        |(kind, count): (&kite_sim::FaultKind, &u64)| (kind.name().to_owned(), json!(count));
    let by_kind = |counts: &BTreeMap<_, _>| counts.iter().map(named).collect::<Map<_, _>>();
    let refused = stats.refused.iter().map(|(status, count)| (status.to_string(), json!(count)));
    json!({
        "sockets": stats.connections_total,
        "ticks": stats.ticks_sent,
        "frames": stats.frames_sent,
        "heartbeats": stats.heartbeats_sent,
        "texts": stats.texts_sent,
        "ignored_commands": stats.ignored_commands,
        "refused_commands": stats.refused_commands,
        "refused_handshakes": stats.refused.values().sum::<u64>(),
        "refused": refused.collect::<Map<_, _>>(),
        "logins": stats.logins,
        "logouts": stats.logouts,
        "faults": by_kind(&stats.faults),
        "missed_faults": by_kind(&stats.missed_faults),
        "unfinished_clients": clients::unfinished_json(stuck),
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use kite_sim::{ACCESS_TOKEN, API_KEY};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_was_dropped_because_it_did_not_read_is_named() {
        let sim = kite_sim::Sim::builder().no_heartbeats().start().await.expect("it starts");
        let mut client = sim.connect();
        let request = format!(
            "GET /?api_key={API_KEY}&access_token={ACCESS_TOKEN} HTTP/1.1\r\nHost: sim\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        client.write_all(request.as_bytes()).await.expect("it is sent");
        client.read_exact(&mut [0; 12]).await.expect("an answer");
        sim.send_binary(vec![0; 1 << 20]);
        sim.wait_until(|sim| sim.sockets(API_KEY)[0].end.is_some()).await;
        let stuck = stuck(&sim);
        let report = stats_json(&sim.stats(), &stuck);
        assert_eq!(report["unfinished_clients"][0]["end"], "stuck");
        let named = clients::unfinished(&stuck[0]);
        assert_eq!(named, "a client stopped reading and was disconnected: 0 ticks sent to it");
    }
}
