//! The names of instruments.

/// Translates between instrument tokens and names, such as `NSE:INFY`. Called on the server's
/// thread; a slow implementation delays only readers.
pub trait InstrumentNames: Send + Sync + 'static {
    /// Returns the token of a name as a reader writes it; `None` if it is unknown.
    fn token(&self, name: &str) -> Option<u32>;

    /// Returns the name of a token, such as `NSE:INFY`; `None` if it is unknown.
    fn name(&self, instrument_token: u32) -> Option<String>;
}

/// Knows no names.
pub(crate) struct NoNames;

impl InstrumentNames for NoNames {
    fn token(&self, _: &str) -> Option<u32> {
        None
    }

    fn name(&self, _: u32) -> Option<String> {
        None
    }
}
