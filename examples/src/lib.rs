//! Where the programs in this package connect to, and as whom. What they show is in themselves.
//!
//! ```text
//! cargo run --example first_ticks -- 20        # prints ticks
//! cargo run --example orders                   # prints order updates
//! cargo run --example token_file               # takes each day's access token from a file
//! cargo run --example sigterm                  # stops cleanly on SIGTERM and Ctrl-C
//! cargo run --example two_accounts             # streams two accounts at once
//! cargo run --example record -- recordings     # records every frame into a directory
//! cargo run --example replay -- recordings     # replays it and makes bars of a minute
//! cargo run --example load_parquet -- recordings   # exports it and reads the table with Arrow
//! ```
//!
//! As they stand they use a simulator of Kite's ticker server, started in the same process. With
//! `KITE_ENDPOINT` set (Kite's own is `wss://ws.kite.trade`) they connect there, as `KITE_API_KEY`
//! with `KITE_ACCESS_TOKEN`.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kite_manager::{Credentials, Endpoint};
use kite_sim::{ACCESS_TOKEN, API_KEY, Sim};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::sleep;

/// NIFTY 50, RELIANCE and INFY.
pub const INSTRUMENTS: [u32; 3] = [256_265, 738_561, 408_065];

const SECOND_API_KEY: &str = "second_api_key";
const SECOND_ACCESS_TOKEN: &str = "second_access_token";

/// Kite's ticker, or a simulator of it that ends with this value.
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
    /// Takes `KITE_ENDPOINT`, or starts a simulator where it is not set.
    ///
    /// # Errors
    /// The endpoint cannot be parsed, or the simulator cannot be started.
    pub async fn open() -> Result<Self, Box<dyn Error>> {
        if let Ok(endpoint) = env::var("KITE_ENDPOINT") {
            return Ok(Self { endpoint: Endpoint::parse(&endpoint)?, simulator: None });
        }
        let sim = Sim::builder().account(SECOND_API_KEY, SECOND_ACCESS_TOKEN).start().await?;
        let (sim, directory) = (Arc::new(sim), tempfile::tempdir()?);
        eprintln!("a simulated market: set KITE_ENDPOINT for another");
        tokio::spawn(trade(Arc::clone(&sim)));
        let endpoint = Endpoint::parse(&sim.endpoint())?;
        Ok(Self { endpoint, simulator: Some(Simulator { sim, directory }) })
    }

    /// Returns where to connect to.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    /// Returns the credentials in `KITE_API_KEY` and `KITE_ACCESS_TOKEN`, or the simulator's.
    ///
    /// # Errors
    /// One of the variables is not set.
    pub fn credentials(&self) -> Result<Credentials, Box<dyn Error>> {
        match self.simulator {
            Some(_) => Ok(Credentials::new(API_KEY, ACCESS_TOKEN)),
            None => Ok(Credentials::new(set("KITE_API_KEY")?, set("KITE_ACCESS_TOKEN")?)),
        }
    }

    /// Returns those of a second account: `KITE_API_KEY_2` and `KITE_ACCESS_TOKEN_2`.
    ///
    /// # Errors
    /// One of the variables is not set.
    pub fn second_credentials(&self) -> Result<Credentials, Box<dyn Error>> {
        match self.simulator {
            Some(_) => Ok(Credentials::new(SECOND_API_KEY, SECOND_ACCESS_TOKEN)),
            None => Ok(Credentials::new(set("KITE_API_KEY_2")?, set("KITE_ACCESS_TOKEN_2")?)),
        }
    }

    /// Returns the API key, and the file named by `KITE_TOKEN_FILE` that has the access token.
    ///
    /// The simulator's token is void after two seconds; three seconds later a new one is in the file.
    ///
    /// # Errors
    /// One of the variables is not set, or the simulator's file cannot be written.
    pub fn token_file(&self) -> Result<(String, PathBuf), Box<dyn Error>> {
        let Some(Simulator { sim, directory }) = &self.simulator else {
            return Ok((set("KITE_API_KEY")?, set("KITE_TOKEN_FILE")?.into()));
        };
        let path = directory.path().join("access_token");
        std::fs::write(&path, ACCESS_TOKEN)?;
        tokio::spawn(renew(Arc::clone(sim), path.clone()));
        Ok((API_KEY.to_owned(), path))
    }

    /// Drops the simulator's sockets, as a bad network does; Kite's are left alone.
    pub fn drop_sockets(&self) {
        if let Some(Simulator { sim, .. }) = &self.simulator {
            sim.drop_all();
        }
    }
}

fn set(variable: &str) -> Result<String, String> {
    env::var(variable).map_err(|_| format!("{variable} is not set"))
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

/// Does what happens to an access token every morning.
async fn renew(sim: Arc<Sim>, path: impl AsRef<Path>) {
    sleep(Duration::from_secs(2)).await;
    sim.set_access_token(API_KEY, "the token of the next day");
    sim.drop_all();
    sleep(Duration::from_secs(3)).await;
    if let Err(error) = std::fs::write(path, "the token of the next day\n") {
        eprintln!("the new token cannot be written: {error}");
    }
}
