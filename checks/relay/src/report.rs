//! The results of a run, and their text.

use std::fmt;
use std::time::Duration;

use kite_chaos::Samples;
use kite_relay::ClientStats;

use crate::clients::slow;
use crate::options::Options;
use crate::world::World;

/// The results of a run.
#[derive(Debug)]
pub struct Report {
    pub(crate) options: Options,
    pub(crate) took: Duration,
    pub(crate) worlds: Vec<World>,
    pub(crate) samples: Samples,
    /// Lines logged.
    pub(crate) lines: u64,
    /// What did not hold.
    pub(crate) wrong: Vec<String>,
}

impl Report {
    /// Returns whether everything held.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.wrong.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "relay-checks: seed {}, {:.1} s", self.options.seed, self.took.as_secs_f64())?;
        self.worlds.iter().try_for_each(|world| write_world(f, world))?;
        writeln!(f, "{} lines logged", self.lines)?;
        let [first, second, last] = self.samples.thirds();
        writeln!(f, "each third, median of the memory: {first:?}, {second:?}, {last:?}")?;
        if self.is_good() {
            return writeln!(f, "Everything held.");
        }
        writeln!(f, "{} things did not hold:", self.wrong.len())?;
        self.wrong.iter().try_for_each(|what| writeln!(f, "  {what}"))
    }
}

fn write_world(f: &mut fmt::Formatter<'_>, world: &World) -> fmt::Result {
    let (stats, notes) = (&world.stopped.stats, &world.notes);
    let sum = |of: fn(&ClientStats) -> u64| stats.clients.iter().map(of).sum::<u64>();
    writeln!(f, "\n{:?}", world.plan.policy)?;
    writeln!(
        f,
        "  {} ticks in, {} missed, {} departed, {} gaps, {} moves, {} losses upstream",
        stats.ticks_in,
        stats.ticks_missed,
        world.departed_ticks,
        stats.gaps,
        world.moves,
        world.outages.len()
    )?;
    writeln!(
        f,
        "  {} sockets: {} ticks queued = {} out + {} unsent + {} replaced + {} dropped \
         + {} unsubscribed",
        sum(|client| client.accepted),
        stats.ticks_queued,
        stats.ticks_out,
        stats.unsent,
        stats.replaced,
        stats.dropped,
        stats.unsubscribed
    )?;
    writeln!(
        f,
        "  {} leaner, {} reset, {} too slow, {} commands refused, handshakes refused {:?}",
        stats.ticks_leaner,
        sum(|client| client.stalled),
        sum(|client| client.too_slow),
        sum(|client| client.refused_commands),
        stats.refused
    )?;
    writeln!(
        f,
        "  {} packets checked, {} snapshots, {} jumps explained, {} frames damaged",
        notes.packets, notes.snapshots, notes.explained, stats.damaged_frames
    )?;
    if let Some(slow) = stats.clients.iter().find(|client| client.name == slow::TO_THE_END) {
        writeln!(f, "  {slow:?}")?;
    }
    writeln!(f, "  {:?}", notes.done)
}
