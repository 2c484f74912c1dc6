//! The `kite` command.

fn main() {}
