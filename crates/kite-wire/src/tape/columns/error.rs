//! What can be wrong with columns.

/// Why columns do not describe a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ColumnsError {
    /// A column ends before the records that it describes.
    #[error("columns end early")]
    Short,
    /// The columns describe more bytes than the block declares.
    #[error("columns describe more bytes than the block declares")]
    Long,
    /// A column has bytes that belong to no record.
    #[error("columns have bytes of no record")]
    Surplus,
    /// The columns refer to an instrument or a source that they have not introduced.
    #[error("columns refer to an instrument or a source that they do not have")]
    Unknown,
    /// The columns have more instruments or sources than a block may have.
    #[error("columns have too many instruments or sources")]
    TooMany,
}
