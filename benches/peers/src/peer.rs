//! The check before a peer is timed: it must give the same answers as Tenure.

use std::error::Error;

/// The result of a step of the run. An error ends the run; an unavailable peer is skipped instead.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A peer that answers questions by index; it received them in its own idiom beforehand.
pub trait Peer {
    /// Returns its name in the table.
    fn name(&self) -> String;

    /// Answers the question at an index.
    ///
    /// # Errors
    /// The peer failed.
    fn decide(&mut self, question: usize) -> Outcome<bool>;
}

/// Checks that a peer gives the expected answers.
///
/// # Errors
/// The first answer that differs, with the question as `describe` prints it; or the peer failed.
pub fn agree(peer: &mut dyn Peer, expected: &[bool], describe: impl Fn(usize) -> String) -> Outcome<()> {
    for (place, expected) in expected.iter().enumerate() {
        let given = peer.decide(place)?;
        if given != *expected {
            let (name, question) = (peer.name(), describe(place));
            return Err(format!("{name} says {given}, Tenure {expected}, to question {place}: {question}").into());
        }
    }
    let allowed = expected.iter().filter(|allowed| **allowed).count();
    eprintln!("{} agrees with Tenure on {} questions, {allowed} of them allowed", peer.name(), expected.len());
    Ok(())
}
