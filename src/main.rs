//! Tenure, on the command line.

fn main() {}
