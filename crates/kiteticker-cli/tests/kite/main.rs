//! The built command, as a user meets it: what it prints, where, and how it ends.

mod doctor;
mod export;
mod inspect;
mod instruments;
mod process;
mod record;
mod replay;
mod sim;
mod tape;
mod usage;
