//! Zerodha Kite Connect's instrument list: maps symbols to tokens and back, and has each
//! instrument's lot size, tick size, expiry and strike.
//!
//! Ticks identify an instrument only by its token. The list, a CSV that Kite publishes each day
//! ("Market quotes and instruments" in Kite Connect's documentation), describes the token:
//!
//! ```
//! use kite_instruments::{Amount, Date, Filter, Instruments, InstrumentType};
//!
//! let csv = "\
//! instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,instrument_type,segment,exchange
//! 408065,1594,INFY,INFOSYS,0.0,,0.0,0.05,1,EQ,NSE,NSE
//! 13010178,50821,NIFTY26DEC24500CE,\"NIFTY\",0.0,2026-12-31,24500.0,0.05,75,CE,NFO-OPT,NFO
//! 13010434,50822,NIFTY26DEC24500PE,\"NIFTY\",0.0,2026-12-31,24500.0,0.05,75,PE,NFO-OPT,NFO
//! ";
//! let loaded = Instruments::from_csv(csv)?;
//! assert!(loaded.problems.is_empty());
//! let instruments = loaded.instruments;
//!
//! // From the symbol to the token, and back.
//! let infosys = instruments.by_symbol("NSE:INFY").ok_or("unknown")?;
//! assert_eq!(infosys.instrument_token, 408_065);
//! assert_eq!(instruments.by_token(408_065).ok_or("unknown")?.to_string(), "NSE:INFY");
//!
//! // Search for what a user types.
//! let call = instruments.search("nifty 24500 ce", 10)[0];
//! assert_eq!((call.tradingsymbol, call.lot_size), ("NIFTY26DEC24500CE", Some(75)));
//! assert_eq!(call.tick_size, Some("0.05".parse()?));
//!
//! // Select by criteria.
//! let puts = Filter::new()
//!     .name("NIFTY")
//!     .instrument_type(InstrumentType::Pe)
//!     .expiry(Date::new(2026, 12, 31)?)
//!     .strikes(Amount::from(24_000)..);
//! assert_eq!(instruments.filter(&puts).count(), 1);
//!
//! // Many at once; the error names those that do not exist.
//! let error = instruments.resolve(["NSE:INFY", "NSE:INFI"]).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "1 of 2 symbols are not in the list: NSE:INFI (did you mean NSE:INFY?)"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Invalid rows are skipped and reported by line ([`Loaded::problems`]); the others load. Numbers
//! are exact ([`Amount`], kite-wire's type). A list takes 64 bytes per row plus its strings
//! and two indices; look-ups do not allocate.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `fetch` | no | `Source`: fetches the list from Kite and caches it on disk for the day |
//! | `tape` | no | `TapeNames`: the names on tapes, and which lists name the instruments of their days |
#![cfg_attr(docsrs, feature(doc_cfg))]

mod built_in;
mod contracts;
mod date;
mod error;
mod exchange;
#[cfg(feature = "fetch")]
mod fetch;
mod filter;
mod instrument;
mod instruments;
mod list;
mod load;
mod problem;
#[cfg(feature = "tape")]
mod recorded;
mod resolve;
mod search;
mod unpack;

pub use kite_wire::plain::{trimmed, without_mark};
pub use kite_wire::{Amount, Rounding};

pub use contracts::{Choice, ChoiceError, Contracts, ContractsError, Expiry};
pub use date::Date;
pub use error::{DateError, LoadError};
pub use exchange::{Exchange, InstrumentType, UnnamedText};
#[cfg(feature = "fetch")]
pub use fetch::{FetchError, Fetched, KITE_INSTRUMENTS_URL, Origin, Source};
pub use filter::Filter;
pub use instrument::Instrument;
pub use instruments::Instruments;
pub use load::{Loaded, MAX_PROBLEMS};
pub use problem::{Column, Fault, Problem};
#[cfg(feature = "tape")]
pub use recorded::TapeNames;
pub use resolve::{UnknownSymbol, UnknownSymbols, similar_names};
pub use unpack::MAX_LIST_BYTES;
