//! What a connection reports: events, counts, distributions, instruments, gaps.

mod count;
mod counters;
mod distribution;
mod event;
mod event_lane;
mod gap;
mod gap_tracker;
mod handover;
mod instruments;
mod loss;
mod open_gap;
mod status;
mod stopped;
mod wording;

pub use self::counters::{Distributions, Stats};
pub use self::distribution::Distribution;
pub use self::event::{Event, Severity};
pub use self::event_lane::{EventLane, EventReceiver, Tagged};
pub use self::gap::{Gap, Missed, VolumeMissed};
pub use self::handover::Handover;
pub use self::instruments::InstrumentStats;
pub use self::loss::{LossCause, LossKind, ParkReason};
pub use self::status::{Phase, Status};
pub use self::stopped::Stopped;

pub(crate) use self::count::Count;
pub(crate) use self::counters::Counters;
pub(crate) use self::event_lane::EventSender;
pub(crate) use self::gap_tracker::GapTracker;
pub(crate) use self::instruments::InstrumentWriter;
