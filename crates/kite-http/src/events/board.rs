//! What all event streams show, as of the last turn.

use serde::Serialize;

use crate::history::History;
use crate::incidents::Incidents;
use crate::prices::directory::Directory;

/// What is shown to every browser. Locked for a moment by each stream, on the server's own thread.
#[derive(Debug)]
pub(crate) struct Board {
    /// Names this run of the server, so that a browser that has points of an earlier run gets all.
    pub(crate) run: String,
    pub(crate) history: History,
    pub(crate) directory: Directory,
    /// Written once for all browsers, as is `incidents`.
    pub(crate) status: Written,
    pub(crate) incidents: Written,
}

/// An event that is the same for all browsers, and how often it has changed.
#[derive(Debug, Default)]
pub(crate) struct Written {
    version: u64,
    text: String,
}

impl Written {
    /// Replaces the event.
    fn set(&mut self, text: String) {
        if text != self.text {
            self.text = text;
            self.version += 1;
        }
    }

    /// Appends the event to `text` unless `seen` says that it is there already.
    pub(crate) fn push_unseen(&self, text: &mut String, seen: &mut u64) {
        if self.version != *seen {
            *seen = self.version;
            text.push_str(&self.text);
        }
    }
}

impl Board {
    pub(crate) fn new(run: String) -> Self {
        let (history, directory) = (History::default(), Directory::default());
        let (status, incidents) = (Written::default(), Written::default());
        Self { run, history, directory, status, incidents }
    }

    /// Replaces the status.
    pub(crate) fn set_status(&mut self, status: &impl Serialize) {
        self.status.set(event("status", status));
    }

    /// Replaces the incidents.
    pub(crate) fn set_incidents(&mut self, incidents: &Incidents) {
        self.incidents.set(event("incidents", incidents));
    }
}

/// Formats an event. JSON has no line breaks, so that one line of data is enough.
pub(crate) fn event(name: &str, data: &impl Serialize) -> String {
    // Only maps with keys other than texts and numbers cannot be written, and there are none.
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n")
}
