//! Recorded histories, taken in.
