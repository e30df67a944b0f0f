//! Signed notes, keys and checkpoints.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use tenure::domain::model::id::WorkspaceId;
use tenure::proof::checkpoint::{Checkpoint, CheckpointError, Signer};
use tenure::proof::frontier::TreeHead;
use tenure::proof::hash::TreeHash;
use tenure::proof::note::{LogKey, NoteError, Origin, VerifierKey};
use uuid::Uuid;

/// The example of Go's `golang.org/x/mod/sumdb/note`, by which implementations of signed notes are compared.
const VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const SIGNER: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const SIGNATURE: &str =
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn peter() -> VerifierKey {
    VERIFIER.parse().unwrap()
}

fn note(text: &str, signatures: &[&str]) -> String {
    format!("{text}\n{}", signatures.concat())
}

/// A signature line of somebody else, over nothing that matters.
fn others(name: &str, bytes: &[u8]) -> String {
    format!("— {name} {}\n", BASE64_STANDARD.encode(bytes))
}

fn origin(name: &str) -> Origin {
    name.parse().unwrap()
}

#[test]
fn the_published_example_is_signed_and_opened_to_the_byte() {
    let seed: [u8; 32] = BASE64_STANDARD.decode(SIGNER).unwrap()[1..].try_into().unwrap();
    let key = LogKey::from_seed(&seed);
    assert_eq!(key.sign(&origin("PeterNeumann"), TEXT), note(TEXT, &[SIGNATURE]));
    assert_eq!(key.verifier(&origin("PeterNeumann")).to_string(), VERIFIER);
    assert_eq!(peter().open(&note(TEXT, &[SIGNATURE])), Ok(TEXT));
}

#[test]
fn a_key_is_named_by_its_log_and_itself() {
    let verifier = LogKey::from_seed(&[9; 32]).verifier(&origin("tenure.test/workspaces/one"));
    let text = verifier.to_string();
    let (name, rest) = text.split_once('+').unwrap();
    let (id, encoded) = rest.split_once('+').unwrap();
    let key = BASE64_STANDARD.decode(encoded).unwrap();
    assert_eq!((name, key[0], key.len()), ("tenure.test/workspaces/one", 1, 33));
    let hash = Sha256::new().chain_update(name).chain_update(b"\n").chain_update(&key).finalize();
    assert_eq!(id, format!("{:02x}{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2], hash[3]));
    assert_eq!(text.parse(), Ok(verifier.clone()));
    assert_eq!(format!(" {text}\n").parse(), Ok(verifier), "as a file has it");
}

#[test]
fn a_key_with_a_slip_in_it_is_refused() {
    for start in 0..VERIFIER.len() {
        for end in start..=VERIFIER.len() {
            assert!((start, end) == (0, VERIFIER.len()) || VERIFIER[start..end].parse::<VerifierKey>().is_err());
        }
        let mut slip = VERIFIER.as_bytes().to_vec();
        slip[start] += 1;
        let slip = String::from_utf8(slip).unwrap();
        assert!(slip.parse::<VerifierKey>().is_err(), "{slip}");
    }
    let upper = VERIFIER.replace("c74f20a3", "C74F20A3");
    let refused = upper.parse::<VerifierKey>().unwrap_err().to_string();
    assert!(refused.contains("tenure key"), "{refused}");
    // A key of another algorithm, whose id is right.
    let ecdsa = "rekor.sigstore.dev+c0d23d6a+AjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNhtmPtrWm3U1eQXBogSMdGvXwBcK5AW5i0hrZLOC96l+\
                 smGNM7nwZ4QvFK/4sueRoVj//QP22Ni4Qt9DPfkWLc=";
    assert!(ecdsa.parse::<VerifierKey>().is_err());
}

#[test]
fn signatures_of_keys_that_are_not_known_are_passed_over() {
    let (long, short) = (others("witness.example", &[1; 200]), others("witness.example", &[1; 4]));
    let same_name = others("PeterNeumann", &[1; 68]);
    for signatures in [
        [long.as_str(), SIGNATURE, ""],
        [SIGNATURE, short.as_str(), long.as_str()],
        [same_name.as_str(), SIGNATURE, ""],
        [SIGNATURE, SIGNATURE, ""],
    ] {
        assert_eq!(peter().open(&note(TEXT, &signatures)), Ok(TEXT), "{signatures:?}");
    }
    for signatures in [[long.as_str()], [same_name.as_str()]] {
        assert_eq!(peter().open(&note(TEXT, &signatures)), Err(NoteError::Unsigned(VERIFIER.to_owned())));
    }
}

#[test]
fn a_signature_of_the_key_itself_has_to_be_good_each_time() {
    let good = BASE64_STANDARD.decode(SIGNATURE.split(' ').next_back().unwrap().trim()).unwrap();
    let forged = Err(NoteError::Forged(origin("PeterNeumann")));
    for place in 4..good.len() {
        let mut bytes = good.clone();
        bytes[place] ^= 1;
        let wrong = others("PeterNeumann", &bytes);
        assert_eq!(peter().open(&note(TEXT, &[&wrong])), forged);
        assert_eq!(peter().open(&note(TEXT, &[SIGNATURE, &wrong])), forged, "beside a good one");
    }
    for bytes in [&good[..67], &good[..4], &[good.as_slice(), &[0]].concat()] {
        assert_eq!(peter().open(&note(TEXT, &[&others("PeterNeumann", bytes)])), forged);
    }
    for (place, _) in TEXT.char_indices().filter(|(_, c)| c.is_alphabetic()) {
        let mut changed = TEXT.as_bytes().to_vec();
        changed[place] ^= 0x20;
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(peter().open(&note(&changed, &[SIGNATURE])), forged);
    }
}

#[test]
fn what_has_another_form_is_no_note() {
    let good = note(TEXT, &[SIGNATURE]);
    let wrong = [
        String::new(),
        TEXT.to_owned(),
        format!("{TEXT}{SIGNATURE}"),
        format!("{TEXT}\n"),
        good.trim_end().to_owned(),
        format!("{good}\n"),
        format!("{good} "),
        good.replace("problem,", "problem,\t"),
        good.replace('\n', "\r\n"),
        good.replace("cryptography", "crypto\0graphy"),
        good.replace('—', "-"),
        good.replace("— P", "—  P"),
        good.replace("PeterNeumann x", "PeterNeumann\u{a0}x"),
        good.replace("nAM=\n", "nAM\n"),
        good.replace("nAM=\n", "nAM= more\n"),
        good.replace("nAM=\n", "nAM=\nnot a signature\n"),
        note(TEXT, &["— PeterNeumann AAA=\n", SIGNATURE]),
        format!("{}{good}", "a line\n".repeat(10_000)),
    ];
    for wrong in wrong {
        let refused = peter().open(&wrong).unwrap_err();
        assert!(matches!(refused, NoteError::Form(_)), "{refused}: {:?}", wrong.get(..200));
    }
}

#[test]
fn a_text_may_have_blank_lines_of_its_own() {
    let key = LogKey::from_seed(&[1; 32]);
    let (name, text) = (origin("log"), "one\n\n— log AAAA\n\nthree\n");
    assert_eq!(key.verifier(&name).open(&key.sign(&name, text)), Ok(text));
}

#[test]
fn an_origin_has_no_space_no_plus_and_an_end() {
    for good in ["a", "tenure.example.com", "tenure.example.com/eu:8443", "größe", &"x".repeat(256)] {
        assert_eq!(good.parse::<Origin>().unwrap().as_str(), good);
    }
    for wrong in ["", " ", "a b", "a+b", "a\n", "a\u{a0}b", "\u{7}", &"x".repeat(257)] {
        assert!(wrong.parse::<Origin>().is_err(), "{wrong:?}");
    }
}

#[test]
fn the_key_that_signs_cannot_be_printed() {
    let key = LogKey::from_seed(&[0x41; 32]);
    let signer = Signer { key: key.clone(), instance: Origin::default() };
    assert_eq!(format!("{key:?} {key:#?}"), "LogKey(…) LogKey(…)");
    let shown = format!("{signer:?}");
    assert!(shown.contains("LogKey(…)") && !shown.contains("65") && !shown.contains("41"), "{shown}");
}

#[test]
fn a_seal_is_good_for_its_bytes_only() {
    let key = LogKey::from_seed(&[1; 32]);
    let seal = key.seal(b"bytes");
    assert_eq!(key.seal(b"bytes"), seal);
    assert_ne!(key.seal(b"other"), seal);
    assert_ne!(LogKey::from_seed(&[2; 32]).seal(b"bytes"), seal);
}

fn workspace(number: u128) -> WorkspaceId {
    WorkspaceId::from_uuid(Uuid::from_u128(number))
}

fn signer(seed: u8) -> Signer {
    Signer { key: LogKey::from_seed(&[seed; 32]), instance: origin("tenure.test") }
}

fn head(size: u64) -> TreeHead {
    TreeHead { size, root: TreeHash::of_leaf(b"root") }
}

#[test]
fn a_checkpoint_says_the_log_its_size_and_its_root_and_who_signs() {
    let signer = signer(1);
    let checkpoint = signer.sign(workspace(7), head(42));
    let (name, root) = (format!("tenure.test/workspaces/{}", workspace(7)), head(42).root);
    assert!(checkpoint.note().starts_with(&format!("{name}\n42\n{root}\n\n— {name} ")), "{}", checkpoint.note());
    assert_eq!(checkpoint.note().lines().count(), 5);
    let opened = Checkpoint::open(checkpoint.note(), &signer.verifier(workspace(7))).unwrap();
    assert_eq!((opened.tree(), opened.note()), (&head(42), checkpoint.note()));
    assert_eq!(opened, checkpoint);
}

#[test]
fn a_checkpoint_of_another_log_or_by_another_key_is_refused() {
    let mine = signer(1);
    let (note, key) = (mine.sign(workspace(7), head(42)).note().to_owned(), mine.verifier(workspace(7)));
    for other in [mine.verifier(workspace(8)), signer(2).verifier(workspace(7))] {
        let refused = Checkpoint::open(&note, &other).unwrap_err();
        assert_eq!(refused, CheckpointError::Note(NoteError::Unsigned(other.to_string())));
    }
    // Signed by the right key, for the right name, and about another log.
    let claims = mine.key.sign(&mine.origin(workspace(7)), &format!("elsewhere\n42\n{}\n", head(42).root));
    let refused = Checkpoint::open(&claims, &key).unwrap_err();
    assert!(matches!(&refused, CheckpointError::OtherLog { found, .. } if found == "elsewhere"), "{refused}");
    for changed in [
        note.replacen("\n42\n", "\n41\n", 1),
        note.replacen(&head(42).root.to_string(), &head(1).root.to_string().to_lowercase(), 1),
    ] {
        let forged = CheckpointError::Note(NoteError::Forged(mine.origin(workspace(7))));
        assert_eq!(Checkpoint::open(&changed, &key), Err(forged));
    }
}

#[test]
fn a_signed_text_without_the_lines_of_a_checkpoint_is_none() {
    let signer = signer(1);
    let (name, key) = (signer.origin(workspace(7)), signer.verifier(workspace(7)));
    let root = head(1).root;
    let open = |lines: &str| Checkpoint::open(&signer.key.sign(&name, &format!("{name}\n{lines}")), &key);
    for wrong in [
        String::new(),
        "42\n".to_owned(),
        format!("{root}\n42\n"),
        format!("042\n{root}\n"),
        format!("+42\n{root}\n"),
        format!("-1\n{root}\n"),
        format!(" 42\n{root}\n"),
        format!("18446744073709551616\n{root}\n"),
        format!("42\n{root}=\n"),
        "42\nAAAA\n".to_owned(),
        format!("42\n\n{root}\n"),
    ] {
        assert_eq!(open(&wrong), Err(CheckpointError::Form), "{wrong}");
    }
    let extended = open(&format!("42\n{root}\nan extension\n")).unwrap();
    assert_eq!(extended.tree(), &TreeHead { size: 42, root });
}
