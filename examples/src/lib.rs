//! The endpoint and credentials of the example programs. Everything else is in the programs.
//!
//! ```text
//! cargo run --example first_ticks -- 20        # prints ticks
//! cargo run --example orders                   # prints order updates
//! cargo run --example token_file               # reads each day's access token from a file
//! cargo run --example sigterm                  # stops cleanly on SIGTERM and Ctrl-C
//! cargo run --example two_accounts             # streams from two accounts
//! cargo run --example option_chain             # streams the options around an index
//! cargo run --example price_alerts             # watches prices from a plain thread
//! cargo run --example minute_bars -- bars.csv  # stores bars of a minute while the feed runs
//! cargo run --example record -- recordings     # records every frame to a directory
//! cargo run --example replay -- recordings     # replays the recording and builds one-minute bars
//! cargo run --example vwap -- recordings       # computes average prices from the recording
//! cargo run --example load_parquet -- recordings   # exports it to Parquet and reads it with Arrow
//! ```
//!
//! By default, each program starts a simulator of Kite's ticker server in its process. To connect
//! elsewhere, set `KITE_ENDPOINT` (Kite's server is `wss://ws.kite.trade`), `KITE_API_KEY` and
//! `KITE_ACCESS_TOKEN`.

use std::env;
use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kite_candles::{Scope, Session, Sessions};
use kite_instruments::Instruments;
use kite_manager::{Credentials, Endpoint};
use kite_sim::{ACCESS_TOKEN, API_KEY, Sim};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::sleep;

/// NIFTY 50, RELIANCE and INFY.
pub const INSTRUMENTS: [u32; 3] = [256_265, 738_561, 408_065];

const SECOND_API_KEY: &str = "second_api_key";
const SECOND_ACCESS_TOKEN: &str = "second_access_token";

/// Kite's ticker server, or a simulator of it that stops when this is dropped.
#[derive(Debug)]
pub struct Market {
    endpoint: Endpoint,
    simulator: Option<Simulator>,
}

#[derive(Debug)]
struct Simulator {
    sim: Arc<Sim>,
    directory: TempDir,
}

impl Market {
    /// Uses the server at `KITE_ENDPOINT`, or starts a simulator if the variable is not set.
    ///
    /// # Errors
    /// Returns an error if the endpoint cannot be parsed or the simulator cannot be started.
    pub async fn open() -> Result<Self, Box<dyn Error>> {
        if let Ok(endpoint) = env::var("KITE_ENDPOINT") {
            return Ok(Self { endpoint: Endpoint::parse(&endpoint)?, simulator: None });
        }
        let sim = Sim::builder().account(SECOND_API_KEY, SECOND_ACCESS_TOKEN).start().await?;
        let (sim, directory) = (Arc::new(sim), tempfile::tempdir()?);
        eprintln!("using a simulated market; set KITE_ENDPOINT to use another");
        tokio::spawn(trade(Arc::clone(&sim)));
        let endpoint = Endpoint::parse(&sim.endpoint())?;
        Ok(Self { endpoint, simulator: Some(Simulator { sim, directory }) })
    }

    /// Returns the endpoint to connect to.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    /// Returns the credentials in `KITE_API_KEY` and `KITE_ACCESS_TOKEN`, or the simulator's.
    ///
    /// # Errors
    /// Returns an error if one of the variables is not set.
    pub fn credentials(&self) -> Result<Credentials, Box<dyn Error>> {
        match self.simulator {
            Some(_) => Ok(Credentials::new(API_KEY, ACCESS_TOKEN)),
            None => Ok(Credentials::new(set("KITE_API_KEY")?, set("KITE_ACCESS_TOKEN")?)),
        }
    }

    /// Returns the credentials of a second account: `KITE_API_KEY_2` and `KITE_ACCESS_TOKEN_2`, or
    /// the simulator's.
    ///
    /// # Errors
    /// Returns an error if one of the variables is not set.
    pub fn second_credentials(&self) -> Result<Credentials, Box<dyn Error>> {
        match self.simulator {
            Some(_) => Ok(Credentials::new(SECOND_API_KEY, SECOND_ACCESS_TOKEN)),
            None => Ok(Credentials::new(set("KITE_API_KEY_2")?, set("KITE_ACCESS_TOKEN_2")?)),
        }
    }

    /// Returns the path of the credentials file in `KITE_TOKEN_FILE`.
    ///
    /// The simulator's token expires after two seconds; three seconds later the file has a new one.
    ///
    /// # Errors
    /// Returns an error if one of the variables is not set or the simulator's file cannot be
    /// written.
    pub fn token_file(&self) -> Result<PathBuf, Box<dyn Error>> {
        let Some(Simulator { sim, directory }) = &self.simulator else {
            return Ok(set("KITE_TOKEN_FILE")?.into());
        };
        let path = directory.path().join("credentials");
        write_token(&path, ACCESS_TOKEN)?;
        tokio::spawn(renew(Arc::clone(sim), path.clone()));
        Ok(path)
    }

    /// Returns the instrument list in the file `KITE_INSTRUMENTS`, or [`option_list`] for the
    /// simulator.
    ///
    /// # Errors
    /// Returns an error if the variable is not set or the file cannot be read.
    pub fn instruments(&self) -> Result<Instruments, Box<dyn Error>> {
        let loaded = match self.simulator {
            Some(_) => Instruments::from_csv(option_list())?,
            None => Instruments::from_file(set("KITE_INSTRUMENTS")?)?,
        };
        Ok(loaded.instruments)
    }

    /// Returns the hours of the exchanges, or all hours for the simulator, which never closes.
    ///
    /// # Errors
    /// Returns an error if the hours are not a session.
    pub fn sessions(&self) -> Result<Sessions, Box<dyn Error>> {
        let sessions = Sessions::default();
        if self.simulator.is_none() {
            return Ok(sessions);
        }
        Ok(sessions.with(Scope::All, None, Some(Session::new((0, 0), (24, 0))?)))
    }

    /// Drops the simulator's sockets, as a bad network would. Does nothing with a real server.
    pub fn drop_sockets(&self) {
        if let Some(Simulator { sim, .. }) = &self.simulator {
            sim.drop_all();
        }
    }
}

/// Returns an instrument list of NIFTY options, as Kite publishes it, with a strike every 50 rupees.
#[must_use]
pub fn option_list() -> String {
    let mut list = String::from(
        "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,\
         lot_size,instrument_type,segment,exchange\n",
    );
    let sides = (24_000..=28_000).step_by(50).flat_map(|strike| [(strike, "CE"), (strike, "PE")]);
    for (exchange_token, (strike, side)) in (60_000..).zip(sides) {
        let token = exchange_token << 8 | 2;
        list += &format!(
            "{token},{exchange_token},NIFTY99DEC{strike}{side},NIFTY,0,2099-12-31,{strike},0.05,75,\
             {side},NFO-OPT,NFO\n"
        );
    }
    list
}

fn set(variable: &str) -> Result<String, String> {
    let value = env::var(variable).map_err(|_| format!("{variable} is not set"))?;
    Ok(value.trim().to_owned())
}

/// Sends an order update twice a second.
async fn trade(sim: Arc<Sim>) {
    for number in 1.. {
        sleep(Duration::from_millis(500)).await;
        sim.send_order(json!({
            "order_id": format!("2508040000{number:05}"), "status": "COMPLETE",
            "tradingsymbol": "INFY", "exchange": "NSE", "transaction_type": "BUY",
            "quantity": 10, "filled_quantity": 10, "average_price": 1573.7,
        }));
    }
}

/// Expires the access token and writes the next one, as happens every morning.
/// Replaces the simulator's credentials file. A temporary file belongs to its owner alone.
fn write_token(path: &Path, token: &str) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    write!(file, "api_key = {API_KEY}\naccess_token = {token}\n")?;
    file.persist(path)?;
    Ok(())
}

async fn renew(sim: Arc<Sim>, path: impl AsRef<Path>) {
    sleep(Duration::from_secs(2)).await;
    sim.set_access_token(API_KEY, "the token of the next day");
    sim.drop_all();
    sleep(Duration::from_secs(3)).await;
    if let Err(error) = write_token(path.as_ref(), "the token of the next day") {
        eprintln!("cannot write the new token: {error}");
    }
}
