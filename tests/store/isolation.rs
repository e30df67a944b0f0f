//! What one caller takes of a running server is bounded, and the others are answered meanwhile: the program itself, attacked with the
//! credential of a plain member or a service user. Memory and disk are measured, and no time is.

mod program;

mod reads;
mod writes;
