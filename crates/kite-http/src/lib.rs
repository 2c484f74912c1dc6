//! Shows a running feed over HTTP: to Prometheus, to programs and to people.
//!
//! An [`HttpServer`] reads the state of a [`Manager`], and of a relay and a recorder if there are
//! any. It runs on its own thread, so that no browser and no scrape costs the thread of the feed
//! more than a snapshot of counts, taken at most once a second for all of them.
//!
//! ```no_run
//! use kite_http::HttpServer;
//! use kite_manager::{Credentials, Manager};
//! use kite_relay::Relay;
//! use kite_tape::{Recorder, RecorderConfig};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let manager = Manager::builder()
//!     .account("mine", Credentials::new("key", "token"))
//!     .latest(true)
//!     .build()?;
//! let relay = Relay::builder().start(&manager).await?;
//! let recorder = Recorder::start("tapes", RecorderConfig::default())?;
//! let relay_counts = relay.counts();
//! let http = HttpServer::builder(&manager)
//!     .listen("127.0.0.1:9464".parse()?)
//!     .relay(move || relay_counts.stats())
//!     .recorder("tapes", move || recorder.stats())
//!     .start()?;
//! println!("see http://{}/metrics", http.address());
//! # Ok(())
//! # }
//! ```
//!
//! | path | content |
//! |---|---|
//! | `/` | the page for people, live by `/events` |
//! | `/metrics` | metrics in the text format of Prometheus |
//! | `/healthz` | 200 while the process serves |
//! | `/readyz` | 200, or 503 with the reasons while no connection is live or the recorder fails |
//! | `/api/status` | the state as JSON |
//! | `/api/latest?i=NSE:INFY&i=408065` | the newest ticks of instruments as JSON |
//! | `/api/candles?i=NSE:INFY&every=1m` | the bars of today as JSON, if they are kept |
//!
//! `docs/http.md`, `docs/page.md` and `docs/metrics.md` of the repository describe them, and who may
//! read them.
//!
//! # How it works
//!
//! The task of each connection is hyper's, over the same transport and TLS as the relay's. A request
//! passes the guard, which decides by its head alone (`guard`, `hosts`, `token`), and reaches its
//! handler through axum's router. All handlers read one `State`: its snapshot is what was
//! sampled within the last second, or a new sample, which is encoded once for each format.
//!
//! An event stream of the page (`events`) has no queue: once its connection has room, it writes the
//! difference between the newest state and what its browser has got. Only the rates of the last ten
//! minutes (`history`) are sampled without a reader, and bars (`bars`) are made if they are to be
//! kept.
//!
//! [`Manager`]: kite_manager::Manager

mod accept;
mod asked;
mod bars;
mod builder;
mod disk;
mod error;
mod events;
mod guard;
mod history;
mod hosts;
mod incidents;
mod latest;
mod metrics;
mod names;
mod page;
mod patience;
mod prices;
mod readiness;
mod router;
mod server;
mod state;
mod status;
mod token;

pub use builder::HttpBuilder;
pub use error::HttpError;
pub use kite_candles;
pub use kite_relay::TlsFiles;
pub use names::InstrumentNames;
pub use server::HttpServer;
pub use token::check_token;
