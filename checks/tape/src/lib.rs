//! What is recorded is what is replayed: shown by the tests of this package.
