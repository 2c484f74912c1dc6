//! A survey as JSON.

use kite_tape::{Damage, Gap, Source};
use serde_json::{Value, json};

use super::instruments::{self, Ticked};
use super::survey::{self, FileFacts, Survey};
use crate::console::paths;
use crate::format::silences;
use crate::format::times::ist;
use crate::instruments::names::Names;

/// Returns a whole survey, with the `top` busiest instruments.
pub(super) fn of(survey: &Survey, names: &Names, top: usize) -> Value {
    let [binary, text, gap, event] = survey.kinds;
    let instrument =
        |one: Ticked| json!({"instrument_token": one.token, "name": one.name, "ticks": one.ticks});
    let all = survey.instruments.named(names);
    let mut report = json!({
        "span": survey.span.map(span),
        "bytes": survey.len_bytes(),
        "raw_bytes": survey.raw_bytes(),
        "files": survey.files.iter().map(file).collect::<Value>(),
        "records": {
            "binary": binary, "text": text, "gap": gap, "event": event,
            "unknown": survey.unknown_kinds,
        },
        "sources": survey.sources.iter().map(|(source, facts)| json!({
            "account": source.account,
            "connection": source.connection,
            "frames": facts.frames,
            "ticks": facts.ticks,
            "texts": facts.texts,
            "gaps": facts.gaps,
        })).collect::<Value>(),
        "frames": survey.frames,
        "heartbeats": survey.heartbeats,
        "ticks": survey.ticks,
        "unknown_packets": survey.unknown_packets,
        "damaged_frames": survey.damaged_frames,
        "instruments": all.len(),
        "ticks_left_out": survey.instruments.ticks_left_out(),
        "busiest": instruments::busiest(all, top).into_iter().map(instrument).collect::<Value>(),
        "unseen": survey.unseen(),
        "gaps": survey.listed_gaps.iter().map(gap_json).collect::<Value>(),
        "damages": survey.listed_damages.iter().map(damage).collect::<Value>(),
        "damages_total": survey.damages,
        "passed_over": survey.passed_over.iter().map(|file| json!({
            "path": paths::json(&file.path),
            "reason": file.reason,
            "damaged": file.is_loss,
        })).collect::<Value>(),
        "records_lost": survey.records_lost,
        "damaged": survey.has_damage(),
        "whole": survey.is_read_to_end && !survey.has_damage(),
        "read_to_end": survey.is_read_to_end,
    });
    silences::add_json(&mut report, &survey.silences);
    report
}

fn span((from, to): (u64, u64)) -> Value {
    json!({
        "from_unix_ns": from,
        "to_unix_ns": to,
        "from": ist(from).to_string(),
        "to": ist(to).to_string(),
    })
}

fn file(file: &FileFacts) -> Value {
    let metadata = file.metadata.as_deref();
    json!({
        "path": paths::json(&file.path),
        "bytes": file.len_bytes,
        "raw_bytes": file.raw_bytes,
        "blocks": file.blocks,
        "span": file.span.map(span),
        "ending": file.ending.to_string(),
        "damaged": file.is_cut_off,
        // As JSON if it parses, else as text.
        "metadata": metadata.map(|text| serde_json::from_str(text).unwrap_or_else(|_| json!(text))),
    })
}

fn gap_json((source, gap): &(Source, Gap)) -> Value {
    json!({
        "account": source.account,
        "connection": source.connection,
        "reason": survey::reason_name(gap.reason),
        "from_unix_ns": gap.from_unix_ns,
        "to_unix_ns": gap.to_unix_ns,
        "frames": gap.frames,
    })
}

fn damage(damage: &Damage) -> Value {
    json!({
        "path": paths::json(&damage.path),
        "offset": damage.offset,
        "records": damage.records,
        "from_unix_ns": damage.from_unix_ns,
        "to_unix_ns": damage.to_unix_ns,
        "cause": damage.cause.to_string(),
    })
}
