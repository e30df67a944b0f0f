//! The resources that one caller can take from a running server are bounded, and others are served meanwhile. The
//! program itself is attacked with the credential of a plain member or a service user. Memory and disk are measured,
//! not time.

mod program;

mod reads;
mod writes;
