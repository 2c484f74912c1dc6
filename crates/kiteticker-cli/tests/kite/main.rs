//! The built command, as a user meets it: what it prints, where, and how it ends.

mod doctor;
mod process;
mod sim;
mod usage;
