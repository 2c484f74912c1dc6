//! `kite candles --live`: prints each bar of a running feed as it ends.

mod replayed;
mod rows;

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use kite_candles::{CandleStream, Config, Counts, Every, Item, Scope, Session};
use kite_export::Format;
use kite_manager::{Manager, Stamp, StreamConfig};
use kite_wire::Mode;
use tokio::time::timeout;

use self::rows::{Form, Rows};
use super::{CandlesArgs, Destination, report};
use crate::args::feed::InstrumentArgs;
use crate::console::output::Output;
use crate::console::paths;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};
use crate::feed::deadline::Deadline;
use crate::feed::link::{Link, News};
use crate::feed::settings::FeedSettings;
use crate::feed::{self, Feed, OpenFeed};
use crate::instruments::loading::Need;
use crate::instruments::names::{Named, Names};
use crate::instruments::selection::{self, Selection};
use crate::instruments::unseen::{self, Unseen};

/// Limit for the closing handshakes of the sockets.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

impl CandlesArgs {
    /// Returns the source of ticks.
    fn feed(&self) -> Result<FeedSettings, CliError> {
        let (from, until, days) = self.part.period.parts();
        let settings = self.live.source.clone().settings(from, until, days.to_vec());
        if settings.is_replay() {
            return Ok(settings);
        }
        for (option, is_given) in [("--from", from.is_some()), ("--day", !days.is_empty())] {
            if is_given {
                let error = format!("{option} is for tapes: with --live it needs --replay");
                return Err(CliError::usage(error));
            }
        }
        Ok(settings)
    }

    /// Returns an error if tapes are given where instruments are expected.
    fn refuse_tapes(&self) -> Result<(), CliError> {
        let is_tape = |path: &&std::path::PathBuf| {
            path.is_dir() || path.extension().is_some_and(|it| it == "ktape")
        };
        let Some(tape) = self.inputs.iter().find(is_tape) else { return Ok(()) };
        let tape = paths::shown(tape);
        let error = format!("{tape} is no instrument: with --live the arguments are instruments");
        Err(CliError::usage(error).help(format!("to replay a tape: --live --replay {tape}")))
    }

    fn requested(&self) -> InstrumentArgs {
        let name = |path: &std::path::PathBuf| path.to_string_lossy().into_owned();
        InstrumentArgs {
            instruments: self.inputs.iter().map(name).collect(),
            select: self.part.select.clone(),
            list: self.live.list.clone(),
            strict: self.live.strict,
            mode: self.live.mode.unwrap_or(Mode::Full),
            instruments_file: self.instruments_file.clone(),
        }
    }

    fn form(&self, output: Output) -> Result<Form, CliError> {
        match self.destination(output)? {
            Destination::Table => Ok(Form::Table),
            Destination::Stdout(Format::Csv) => Ok(Form::Csv),
            Destination::Stdout(Format::JsonLines) => Ok(Form::JsonLines),
            _ => Err(CliError::usage("bars of a running feed are not written as Parquet")
                .help("use csv or jsonl; kite candles makes Parquet from a recording")),
        }
    }

    /// Returns what bars to make. The simulated market trades at all hours.
    fn live_configs(&self, names: &Names, is_sim: bool) -> Result<Vec<Config>, CliError> {
        let mut configs = self.configs(names)?;
        if is_sim
            && !self.bars.has_sessions()
            && let Ok(always) = Session::new((0, 0), (24, 0))
        {
            for config in &mut configs {
                let sessions = std::mem::take(&mut config.sessions);
                config.sessions = sessions.with(Scope::All, None, Some(always));
            }
        }
        Ok(configs)
    }
}

/// Prints bars until the user stops it, or the tape ends.
pub(super) async fn run(args: CandlesArgs, output: Output, stop: Stop) -> Result<Status, CliError> {
    args.refuse_tapes()?;
    let form = args.form(output)?;
    let settings = args.feed()?;
    let deadline = settings.deadline()?;
    let requested = args.requested();
    let finding = selection::find(&requested, &settings, Need::Shown, deadline, output, &stop);
    let Some(Selection { instruments, names, feed, lacks_parts, .. }) =
        stop.until_done(finding).await?
    else {
        return Ok(Status::Done);
    };
    let configs = args.live_configs(&names, settings.is_sim())?;
    let lengths = configs.iter().map(|config| config.every).collect();
    let rows = Rows::new(form, lengths, &instruments, output);
    let feed = match feed {
        Feed::Replay(feed) => {
            // Bars by the times on the tape, not by those of its replay.
            let at_end = stop.clone();
            tokio::spawn(async move {
                deadline.reached().await;
                at_end.request();
            });
            let tokens = instruments.iter().map(|named| named.token).collect();
            let replay = replayed::Replayed { feed, tokens, configs };
            let has_findings = replayed::run(replay, rows, &names, output, stop).await?;
            return Ok(Status::done(has_findings || lacks_parts));
        }
        feed => feed,
    };
    let running = Running { instruments, names, configs, mode: requested.mode, deadline };
    let has_findings = running.print(feed, rows, output, &stop).await?;
    Ok(Status::done(lacks_parts || has_findings))
}

/// What is printed of a running feed.
struct Running {
    instruments: Vec<Named>,
    names: Names,
    configs: Vec<Config>,
    mode: Mode,
    deadline: Deadline,
}

impl Running {
    /// Returns whether anything is missing.
    async fn print(
        self,
        feed: Feed,
        mut rows: Rows,
        output: Output,
        stop: &Stop,
    ) -> Result<bool, CliError> {
        let tokens: Vec<u32> = self.instruments.iter().map(|named| named.token).collect();
        let token_files = feed.token_files();
        let OpenFeed { builder, sim, title } =
            feed.open(feed::connections_for(tokens.len())).await?;
        let unseen = Unseen::new(tokens.iter().copied());
        let ticks = unseen.clone();
        let manager = feed::manager(builder.tap(move |_| ticks.clone()))?;
        let mut streams = Streams::new(&manager, &self.configs)?;
        manager
            .subscribe(&tokens, self.mode)
            .map_err(|error| CliError::unable("cannot subscribe").because(error))?;
        let mut link = Link::open(&manager, title, token_files)?;
        let printed = self.until_over(&mut link, &mut streams, &mut rows, &unseen, output, stop);
        printed.await?;
        let end_unix_ns = Stamp::now().to_unix_ns();
        let at_end = link.at_end();
        let _ = timeout(CLOSE_TIMEOUT, manager.stop()).await;
        drop(sim);
        // The streams end once all that was received has been read.
        while let Ok(Some((nth, item))) = timeout(CLOSE_TIMEOUT, streams.next()).await {
            rows.print(nth, &item)?;
        }
        let counts = streams.finish(&mut rows, end_unix_ns)?;
        rows.report(&self.names);
        let mut has_findings = report::live(&counts, output);
        if let Some(text) = unseen.report(&self.names) {
            output.warn(text);
        }
        has_findings |= rows.warn_if_none(&counts);
        at_end.warn(output);
        Ok(has_findings || at_end.has_findings())
    }

    /// Prints bars until the feed ends, the time is over, or the user stops it.
    async fn until_over(
        &self,
        link: &mut Link<'_>,
        streams: &mut Streams,
        rows: &mut Rows,
        unseen: &Unseen,
        output: Output,
        stop: &Stop,
    ) -> Result<(), CliError> {
        let mut time_is_over = pin!(self.deadline.reached());
        let mut never_ticked = pin!(async {
            if let Some(text) = unseen::early_report(unseen, &self.names).await {
                output.warn(text);
            }
        });
        let mut is_reported = false;
        loop {
            tokio::select! {
                biased;
                () = stop.requested() => return Ok(()),
                () = &mut time_is_over => return Ok(()),
                news = link.next() => {
                    let news = news?;
                    if let News::Up = news {
                        unseen.on_live();
                    }
                    if let Some((severity, text)) = news.line() {
                        output.event(severity, text);
                    }
                }
                () = &mut never_ticked, if !is_reported => is_reported = true,
                item = streams.next() => match item {
                    Some((nth, item)) => rows.print(nth, &item)?,
                    None => return Ok(()),
                },
            }
        }
    }
}

/// The bars of each length.
struct Streams(Vec<(Every, CandleStream)>);

impl Streams {
    fn new(manager: &Manager, configs: &[Config]) -> Result<Self, CliError> {
        let stream = |config: &Config| {
            let made = CandleStream::new(manager, StreamConfig::default(), config.clone());
            made.map(|stream| (config.every, stream))
        };
        let all = configs.iter().map(stream).collect::<Result<_, _>>();
        all.map(Self).map_err(|error| CliError::unable("cannot make bars").because(error))
    }

    /// Waits for the next bar of any length, with the index of its length; `None` once all have ended.
    async fn next(&mut self) -> Option<(usize, Item)> {
        std::future::poll_fn(|cx| {
            let mut has_ended = true;
            for (nth, (_, stream)) in self.0.iter_mut().enumerate() {
                match stream.poll_recv(cx) {
                    Poll::Ready(Some(item)) => return Poll::Ready(Some((nth, item))),
                    Poll::Ready(None) => {}
                    Poll::Pending => has_ended = false,
                }
            }
            if has_ended { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }

    /// Prints the bars that had ended by this time, and notes the others. Returns the counts of each length.
    fn finish(self, rows: &mut Rows, end_unix_ns: u64) -> Result<Vec<(Every, Counts)>, CliError> {
        let mut all = Vec::new();
        for (nth, (every, stream)) in self.0.into_iter().enumerate() {
            let mut items = Vec::new();
            all.push((every, stream.finish(&mut |item| items.push(item))));
            items.sort_by_key(|item| item.bar().start);
            items.iter().try_for_each(|item| rows.print_last(nth, item, end_unix_ns))?;
        }
        Ok(all)
    }
}
