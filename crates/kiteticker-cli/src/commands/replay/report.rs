//! The texts and the JSON of a served replay.

use kite_sim::{ACCESS_TOKEN, API_KEY, ReplayProgress, SimStats, SocketEnd, SocketRecord};
use serde_json::json;

use crate::clients;
use crate::console::output::{self, Output};
use crate::format::numbers;
use crate::format::times;

pub(super) fn greeting(endpoint: &str, sockets: usize, output: Output) -> String {
    format!(
        "{}  {endpoint}\n\
         export KITE_API_KEY={API_KEY} KITE_ACCESS_TOKEN={ACCESS_TOKEN}\n\
         kite watch --endpoint {endpoint} NSE:INFY\n\
         {}The replay starts when {}. Ctrl-C stops it.\n",
        output.paint(output::BOLD, "endpoint"),
        clients::lines(endpoint, API_KEY, ACCESS_TOKEN),
        match sockets {
            1 => "a client subscribes".to_owned(),
            _ => format!("{sockets} connections have subscribed"),
        }
    )
}

pub(super) fn line(progress: &ReplayProgress, sockets: usize) -> String {
    let Some(position) = progress.position_unix_ns else {
        let sockets = numbers::counted(sockets as u64, "subscribed connection");
        return format!("waiting for {sockets}");
    };
    let part = progress.span_unix_ns.map_or(0.0, |(from, to)| {
        let (done, all) = (position.saturating_sub(from), to.saturating_sub(from));
        if all == 0 { 100.0 } else { done as f64 * 100.0 / all as f64 }
    });
    let at = times::ist(position);
    format!(
        "{} {} IST, {part:.0} %, {} of {} ticks sent",
        at.date(),
        at.clock(),
        numbers::grouped(progress.ticks_sent),
        numbers::grouped(progress.ticks)
    )
}

pub(super) fn summary(progress: &ReplayProgress, stats: &SimStats) -> String {
    format!(
        "{} replayed, {} sent in {}{}\n{}",
        numbers::counted(progress.ticks, "tick"),
        numbers::grouped(progress.ticks_sent),
        numbers::counted(progress.frames_sent, "frame"),
        if progress.finished { "" } else { "; stopped before the end of the tape" },
        clients::commands(stats.refused_commands, stats.ignored_commands)
    )
}

pub(super) fn json(
    progress: &ReplayProgress,
    stats: &SimStats,
    unfinished: &[SocketRecord],
) -> serde_json::Value {
    json!({
        "finished": progress.finished,
        "position_unix_ns": progress.position_unix_ns,
        "records": progress.records,
        "frames": progress.frames,
        "ticks": progress.ticks,
        "frames_sent": progress.frames_sent,
        "ticks_sent": progress.ticks_sent,
        "leaner_packets": progress.leaner_packets,
        "packets_not_kept": progress.packets_not_kept,
        "gaps": progress.gaps,
        "damages": progress.damages,
        "refused_commands": stats.refused_commands,
        "ignored_commands": stats.ignored_commands,
        "unfinished_clients": clients::unfinished_json(unfinished),
    })
}

/// Warns of damage of the tape and of clients that have not read everything.
pub(super) fn warnings(progress: &ReplayProgress, unfinished: &[SocketRecord], output: Output) {
    if let Some(damage) = &progress.last_damage {
        let places = numbers::counted(progress.damages, "damaged place");
        output.warn(format_args!("{places} skipped, the last: {damage}"));
    }
    if progress.packets_not_kept > 0 {
        let packets = numbers::counted(progress.packets_not_kept, "packet");
        output.warn(format_args!(
            "{packets} of too many instruments could not be kept for snapshots"
        ));
    }
    for record in unfinished {
        output.warn(clients::unfinished(record));
    }
    if unfinished.iter().any(|record| record.end == Some(SocketEnd::ClientStayed)) {
        output.note("a longer --linger waits for clients that still read");
    }
}
