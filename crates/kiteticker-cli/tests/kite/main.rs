//! The built command, as a user meets it: what it prints, where, and how it ends.

mod doctor;
mod inspect;
mod process;
mod record;
mod replay;
mod sim;
mod tape;
mod usage;
