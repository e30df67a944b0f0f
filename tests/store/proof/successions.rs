//! The keys of an instance, one after the other: who is led to which, and what is refused.

use tenure::domain::model::time::Instant;
use tenure::proof::note::{LogKey, NoteError, Origin, PublicKey, VerifierKey};
use tenure::proof::succession::{KeyChain, Succession, SuccessionError};

fn key(seed: u8) -> LogKey {
    LogKey::from_seed(&[seed; 32])
}

fn log() -> Origin {
    "tenure.local/workspaces/ws_01m8nhchw6e06r5nacfh99meya".parse().unwrap()
}

fn at(seconds: i64) -> Instant {
    Instant::from_micros(1_772_323_200_000_000 + seconds * 1_000_000)
}

fn chain(records: &[Succession]) -> KeyChain {
    records.iter().map(Succession::note).collect::<String>().parse().unwrap()
}

fn publics(keys: &[VerifierKey]) -> Vec<PublicKey> {
    keys.iter().map(VerifierKey::public).collect()
}

fn public(seeds: &[u8]) -> Vec<PublicKey> {
    seeds.iter().map(|seed| key(*seed).public()).collect()
}

#[test]
fn a_key_leads_to_its_successors_and_kept_signatures_may_be_of_its_predecessors() {
    let chain = chain(&[Succession::signed(&key(1), &key(2), at(0)), Succession::signed(&key(2), &key(3), at(1))]);
    for (from, after, around) in
        [(1, &[1, 2, 3][..], &[1, 2, 3][..]), (2, &[2, 3], &[2, 3, 1]), (3, &[3], &[3, 2, 1]), (4, &[4], &[4])]
    {
        let from = key(from).verifier(&log());
        assert_eq!(publics(&chain.after(&from)), public(after));
        assert_eq!(publics(&chain.around(&from)), public(around));
        assert!(chain.after(&from).iter().all(|key| *key.origin() == log()));
        assert_eq!(chain.broken_after(&from), None);
    }
    assert_eq!(chain.to_string().parse(), Ok(chain.clone()));
    assert_eq!("".parse(), Ok(KeyChain::default()));
}

#[test]
fn a_record_that_the_older_key_did_not_sign_leads_nobody_on() {
    let lost = Succession::unsigned(key(2).public(), &key(3), at(1));
    let chain = chain(&[
        Succession::signed(&key(1), &key(2), at(0)),
        lost.clone(),
        Succession::signed(&key(3), &key(4), at(2)),
    ]);
    let from = |seed| key(seed).verifier(&log());
    assert_eq!(publics(&chain.after(&from(1))), public(&[1, 2]));
    assert_eq!(chain.broken_after(&from(1)), Some(&lost));
    assert_eq!(publics(&chain.after(&from(3))), public(&[3, 4]));
    assert_eq!(publics(&chain.around(&from(4))), public(&[4, 3]), "nor back over it");
    assert_eq!(chain.broken_after(&from(3)), None);
}

#[test]
fn whatever_is_changed_in_a_record_it_is_refused() {
    let record = Succession::signed(&key(1), &key(2), at(0));
    let note = record.note();
    assert_eq!(Succession::open(note), Ok(record.clone()));
    for place in 0..note.len() {
        let mut bytes = note.as_bytes().to_vec();
        bytes[place] ^= 1;
        let Ok(changed) = String::from_utf8(bytes) else { continue };
        // Where the line of the older key's signature names another key, the record is as one that it never signed.
        let opened = Succession::open(&changed);
        assert!(opened.is_err() || opened.is_ok_and(|opened| !opened.is_signed_by_old), "{place}: {changed}");
    }
    let (text, signatures) = note.rsplit_once("\n\n").unwrap();
    let (by_old, by_new) = signatures.split_once('\n').unwrap();
    let only = |line: &str| Succession::open(&format!("{text}\n\n{line}\n"));
    assert!(matches!(only(by_old), Err(SuccessionError::Note(NoteError::Unsigned(_)))));
    assert!(!only(by_new.trim_end()).unwrap().is_signed_by_old);
}

#[test]
fn records_that_do_not_follow_on_each_other_are_refused() {
    let (first, second, third) = (
        Succession::signed(&key(1), &key(2), at(0)),
        Succession::signed(&key(2), &key(3), at(1)),
        Succession::signed(&key(3), &key(4), at(2)),
    );
    for records in [[&first, &third], [&second, &first]] {
        let text: String = records.into_iter().map(Succession::note).collect();
        assert!(matches!(text.parse::<KeyChain>(), Err(SuccessionError::Gap(_))));
    }
    for text in ["nonsense", "tenure/log-keys\n", "tenure/log-keys\na\nb\nc\n\n— x y\n"] {
        assert!(text.parse::<KeyChain>().is_err(), "{text}");
    }
    let cut = &second.note()[..second.note().len() - 9];
    assert!(format!("{}{cut}", first.note()).parse::<KeyChain>().is_err());
}
