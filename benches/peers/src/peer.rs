//! What every peer must do before it is timed: give the same answers as Tenure.

use std::error::Error;

/// What a step of the run gives; what fails ends the run, but for a peer that cannot be had, which is skipped.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Something that answers the questions of a list, which it was given in its own idiom beforehand.
pub trait Peer {
    /// What it is called in the table.
    fn name(&self) -> String;

    /// Answers a question, by its place in the list.
    ///
    /// # Errors
    /// The peer could not.
    fn decide(&mut self, question: usize) -> Outcome<bool>;
}

/// Makes sure that a peer gives the expected answers.
///
/// # Errors
/// The first answer that differs, with the question as `describe` puts it; or the peer could not answer.
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
