//! The state as metrics of Prometheus; `docs/metrics.md` lists them.
//!
//! Everything is read from a sample when it is asked for, so that no frame pays for a metric. There
//! is no label for an instrument: thousands of series would cost their reader more than the feed.

mod histogram;

use std::fmt::{Error, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use kite_manager::{Distributions, LossKind, Phase};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, MetricEncoder,
    NoLabelSet, prometheus_text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::state::Sampled;
use crate::status::{NatsStatus, RecorderStatus, RelayStatus, Status};
use histogram::Buckets;

pub(crate) use prometheus_text::CONTENT_TYPE;

/// Encodes a sample.
pub(crate) fn encode(sampled: &Arc<Sampled>, distributions: &Distributions) -> Bytes {
    let mut registry = Registry::default();
    let feed = Feed {
        sampled: Arc::clone(sampled),
        handover: Buckets::of_nanoseconds(&distributions.latency_ns),
        frame_delay: Buckets::of_seconds(&distributions.exchange_lag_s),
    };
    registry.register_collector(Box::new(feed));
    let mut text = String::new();
    if let Err(error) = prometheus_text::encode(&mut text, &registry) {
        // A string accepts any text.
        let _ = writeln!(text, "# {error}");
    }
    text.into()
}

/// What is encoded.
#[derive(Debug)]
struct Feed {
    sampled: Arc<Sampled>,
    handover: Buckets,
    frame_delay: Buckets,
}

impl Collector for Feed {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let (mut metrics, status) = (Metrics(encoder), &self.sampled.status);
        metrics.of_program(status)?;
        metrics.of_connections(status)?;
        metrics.of_frames(status)?;
        metrics.histogram(
            "kite_handover_seconds",
            "Time from the read of a frame from its socket to the end of its delivery.",
            &self.handover,
        )?;
        metrics.histogram(
            "kite_frame_delay_seconds",
            "Whole seconds from the newest exchange timestamp of a frame to its receipt.",
            &self.frame_delay,
        )?;
        if let Some(relay) = &status.relay {
            metrics.of_relay(relay)?;
        }
        if let Some(recorder) = &status.recorder {
            metrics.of_recorder(recorder)?;
        }
        if let Some(nats) = &status.nats {
            metrics.of_nats(nats)?;
        }
        Ok(())
    }
}

/// Writes metrics.
struct Metrics<'a>(DescriptorEncoder<'a>);

impl Metrics<'_> {
    fn of_program(&mut self, status: &Status) -> Result<(), Error> {
        let help = "The version of the program; always 1.";
        let mut info = self.0.encode_descriptor("kite_build", help, None, MetricType::Info)?;
        info.encode_info(&[("version", status.version)])?;
        if let Some(at) = status.token_expires_unix_s {
            let help = "When the first of the access tokens expires.";
            self.gauge("kite_token_expires_timestamp_seconds", help, at)?;
        }
        Ok(())
    }

    fn of_connections(&mut self, status: &Status) -> Result<(), Error> {
        let feed = &status.feed;
        let up = feed.connections.iter().map(|it| {
            let labels = [
                ("account", it.account.as_str().to_owned()),
                ("connection", it.connection.to_string()),
            ];
            (labels, u64::from(it.phase == Phase::Live))
        });
        self.gauges("kite_connection_up", "Whether the connection's socket is up.", up)?;
        let losses = LossKind::ALL.into_iter().map(|kind| {
            ([("cause", kind.name())], feed.total.losses.get(kind.name()).copied().unwrap_or(0))
        });
        self.counters("kite_connection_losses", "Sockets lost, by cause.", losses)?;
        let instruments =
            [("subscribed", feed.instruments), ("unseen", feed.unseen), ("dark", feed.dark)];
        self.gauges(
            "kite_instruments",
            "Instruments subscribed, of these those that have not ticked on their connection, and \
             those that no connection streams.",
            instruments.map(|(state, count)| ([("state", state)], count)),
        )
    }

    fn of_frames(&mut self, status: &Status) -> Result<(), Error> {
        let (total, incidents) = (&status.feed.total, &status.incidents);
        let help = "Binary frames received, including heartbeats.";
        self.counter("kite_frames", help, total.frames)?;
        self.counter("kite_ticks", "Ticks delivered.", total.ticks)?;
        self.counter("kite_received_bytes", "Bytes of binary frames received.", total.bytes)?;
        if let Some(unix_ms) = status.last_frame_unix_ms {
            let help = "When a frame was last received.";
            self.gauge("kite_last_frame_timestamp_seconds", help, unix_ms as f64 / 1e3)?;
        }
        let help = "Frames with an unreadable tail, delivered without it.";
        self.counter("kite_damaged_frames", help, total.damaged_frames)?;
        let help = "Packets of unknown length, skipped.";
        self.counter("kite_skipped_packets", help, total.skipped_packets)?;
        self.counter("kite_gaps", "Gaps in the feed, of all connections.", incidents.gaps)?;
        let help = "Time without ticks in gaps, summed over connections.";
        self.counter("kite_gap_seconds", help, incidents.gap_seconds)?;
        let help = "Events that were not received, so that gaps may be missing above.";
        self.counter("kite_missed_events", help, incidents.events_missed)
    }

    fn of_relay(&mut self, relay: &RelayStatus) -> Result<(), Error> {
        self.gauge("kite_relay_clients", "Sockets of clients that are open.", relay.sockets)?;
        let of = |value: fn(&crate::status::ClientStatus) -> u64| {
            relay.clients.iter().map(move |client| ([("client", &*client.name)], value(client)))
        };
        let help = "Ticks replaced by newer ones because the client read too slowly.";
        self.counters("kite_relay_conflated", help, of(|client| client.conflated))?;
        let help = "Ticks dropped because the client read too slowly.";
        self.counters("kite_relay_dropped", help, of(|client| client.dropped))?;
        let help = "Sockets of the client that were ended because it read too slowly.";
        self.counters("kite_relay_ended", help, of(|client| client.stalled + client.too_slow))?;
        let help = "Ticks that wait for the client.";
        self.gauges("kite_relay_waiting_ticks", help, of(|client| client.waiting))?;
        self.counter("kite_relay_sent_ticks", "Ticks handed to clients.", relay.ticks_out)?;
        let help = "Ticks dropped before the relay received them, because it was too slow.";
        self.counter("kite_relay_missed_ticks", help, relay.ticks_missed)?;
        let refused =
            relay.refused.iter().map(|(&status, &count)| ([("status", u64::from(status))], count));
        let help = "Handshakes of clients that were refused, by HTTP status.";
        self.counters("kite_relay_refused_handshakes", help, refused)
    }

    fn of_recorder(&mut self, recorder: &RecorderStatus) -> Result<(), Error> {
        let up = u64::from(!recorder.is_failing);
        self.gauge("kite_recorder_up", "Whether the recorder can write.", up)?;
        self.counter("kite_recorder_frames", "Frames on the tapes.", recorder.frames)?;
        let help = "Records dropped because the recorder's queue was full.";
        self.counter("kite_recorder_dropped_records", help, recorder.dropped)?;
        let help = "Frames lost because they could not be written or their file was removed.";
        self.counter("kite_recorder_lost_frames", help, recorder.lost)?;
        self.counter("kite_recorder_failures", "Failed writes and lost files.", recorder.failures)?;
        self.gauge("kite_recorder_queued_records", "Records to be written.", recorder.queued)?;
        let help = "Bytes of the records to be written.";
        self.gauge("kite_recorder_queued_bytes", help, recorder.queued_bytes)?;
        let help = "Bytes written to the tapes, after compression.";
        self.counter("kite_recorder_written_bytes", help, recorder.bytes_on_disk)?;
        if let Some(disk) = recorder.disk {
            let help = "Bytes free on the disk of the tapes.";
            self.gauge("kite_recorder_disk_free_bytes", help, disk.free_bytes)?;
            let help = "Size of the disk of the tapes in bytes.";
            self.gauge("kite_recorder_disk_size_bytes", help, disk.total_bytes)?;
        }
        Ok(())
    }

    fn of_nats(&mut self, nats: &NatsStatus) -> Result<(), Error> {
        let up = u64::from(nats.is_connected);
        self.gauge("kite_nats_up", "Whether the socket to the NATS server is open.", up)?;
        let help = "Sockets to the NATS server that were lost.";
        self.counter("kite_nats_losses", help, nats.losses)?;
        self.counter("kite_nats_published", "Ticks published over NATS.", nats.ticks)?;
        let help = "Messages of any kind published over NATS.";
        self.counter("kite_nats_messages", help, nats.messages)?;
        let help = "Ticks dropped because NATS took too little.";
        self.counter("kite_nats_dropped", help, nats.dropped)?;
        let help = "Messages not confirmed when a socket was lost: at most so many did not arrive.";
        self.counter("kite_nats_unconfirmed", help, nats.unconfirmed)?;
        let help = "Messages larger than the NATS server accepts, which were not sent.";
        self.counter("kite_nats_too_large", help, nats.too_large)?;
        let help = "Requests for newest packets that were answered.";
        self.counter("kite_nats_requests", help, nats.requests)
    }

    fn counter(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeCounterValue,
    ) -> Result<(), Error> {
        encode_counter(&mut self.0.encode_descriptor(name, help, None, MetricType::Counter)?, value)
    }

    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        values.into_iter().try_for_each(|(labels, value)| {
            encode_counter(&mut metric.encode_family(&labels)?, value)
        })
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> Result<(), Error> {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, impl EncodeGaugeValue)>,
    ) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        values
            .into_iter()
            .try_for_each(|(labels, value)| metric.encode_family(&labels)?.encode_gauge(&value))
    }

    fn histogram(&mut self, name: &str, help: &str, buckets: &Buckets) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        let Buckets { sum, count, counts } = buckets;
        metric.encode_histogram::<NoLabelSet>(*sum, *count, counts, None)
    }
}

fn encode_counter(
    metric: &mut MetricEncoder<'_>,
    value: impl EncodeCounterValue,
) -> Result<(), Error> {
    metric.encode_counter::<NoLabelSet, _, f64>(&value, None)
}
