//! Applies what the table requests to the feed, the replay and the files.

use std::io;

use kite_manager::Manager;
use kite_sim::Sim;
use kite_wire::Mode;

use crate::args::feed::listed;
use crate::blocking;
use crate::watch::app::{App, Effect};
use crate::watch::journal::Weight;
use crate::watch::watchlists::{Name, Watchlists};

/// What effects are applied to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Targets<'a> {
    pub(super) manager: &'a Manager,
    /// The embedded server, which replays a tape if there is one.
    pub(super) sim: Option<&'a Sim>,
}

impl Targets<'_> {
    /// Applies an effect, other than those on the terminal, and reports the result to the table.
    pub(super) async fn apply(self, app: &mut App, effect: Effect) {
        match effect {
            Effect::Subscribe { token, mode } => self.subscribe(app, &[token], mode),
            Effect::Unsubscribe { token } => self.manager.unsubscribe(&[token]),
            Effect::SetMode { token, mode } => self.manager.set_mode(&[token], mode),
            Effect::Replace { removed, added, mode } => {
                self.replace(app, &removed, &added, mode);
            }
            Effect::Replay(order) => {
                if let Some(sim) = self.sim {
                    order.apply(sim).await;
                }
            }
            Effect::ChooseList => {
                if let Some(names) = names(app).await {
                    app.choose_list(names);
                }
            }
            Effect::NameList => {
                if let Some(names) = names(app).await {
                    app.name_list(names);
                }
            }
            Effect::Load(name) => self.load(app, name).await,
            Effect::Save { name, listed } => save(app, name, listed).await,
            Effect::Suspend | Effect::Quit => {}
        }
    }

    fn subscribe(self, app: &mut App, tokens: &[u32], mode: Mode) {
        match self.manager.subscribe(tokens, mode) {
            // An instrument already streamed in the background keeps its mode on subscribe.
            Ok(()) => self.manager.set_mode(tokens, mode),
            Err(error) => app.on_refused(tokens, &error.to_string()),
        }
    }

    fn replace(self, app: &mut App, removed: &[u32], added: &[u32], mode: Mode) {
        // First, because its room may be needed.
        self.manager.unsubscribe(removed);
        if !added.is_empty() {
            self.subscribe(app, added, mode);
        }
    }

    async fn load(self, app: &mut App, name: Name) {
        let asked = name.clone();
        let read = on_lists(move |lists| lists.read(&asked)).await;
        let Some(text) = reported(app, &format!("cannot read the watch list {name}"), read) else {
            return;
        };
        let listed: Vec<String> = listed(&text).map(|(_, name)| name.to_owned()).collect();
        if let Some(Effect::Replace { removed, added, mode }) = app.on_loaded(name, &listed) {
            self.replace(app, &removed, &added, mode);
        }
    }
}

async fn names(app: &mut App) -> Option<Vec<Name>> {
    let names = on_lists(Watchlists::names).await;
    reported(app, "cannot list the watch lists", names)
}

async fn save(app: &mut App, name: Name, listed: Vec<String>) {
    let asked = name.clone();
    let saved = on_lists(move |lists| lists.save(&asked, &listed)).await;
    if reported(app, &format!("cannot save the watch list {name}"), saved).is_some() {
        app.on_saved(name);
    }
}

async fn on_lists<T: Send + 'static>(
    work: impl FnOnce(&Watchlists) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let work = move || work(&Watchlists::of_user()?);
    blocking::run("using the watch lists", work).await.map_err(io::Error::other)?
}

/// Returns a result, or logs why there is none.
fn reported<T>(app: &mut App, what: &str, result: io::Result<T>) -> Option<T> {
    result.inspect_err(|error| app.log(Weight::Bad, format!("{what}: {error}"))).ok()
}
