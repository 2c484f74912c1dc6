//! Records market-data feeds to files and reads them back.
