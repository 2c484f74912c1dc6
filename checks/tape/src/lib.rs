//! Empty: the tests of this package check that a replay equals its recording.
