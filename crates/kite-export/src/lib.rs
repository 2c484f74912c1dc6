//! Turns recorded ticks into tables.
