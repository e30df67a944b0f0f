//! Receipts: kept by a person, checked with a key and nothing else.

use tenure::domain::model::id::WorkspaceId;
use tenure::proof::checkpoint::{CheckpointError, Signer};
use tenure::proof::note::LogKey;
use tenure::proof::receipt::{Receipt, ReceiptError};
use uuid::Uuid;

use super::naive::{MemoryLog, entries, leaves};

const SIZE: usize = 300;

fn workspace(number: u128) -> WorkspaceId {
    WorkspaceId::from_uuid(Uuid::from_u128(number))
}

fn signer() -> Signer {
    Signer { key: LogKey::from_seed(&[3; 32]), instance: "tenure.test".parse().unwrap() }
}

fn receipt(index: usize) -> Receipt {
    let log = MemoryLog::of(&leaves(SIZE));
    let checkpoint = signer().sign(workspace(1), log.frontier.head()).note().to_owned();
    Receipt { index: index.try_into().unwrap(), path: log.inclusion(index, SIZE), checkpoint }
}

#[test]
fn a_receipt_proves_its_entry_as_written_and_read_again() {
    let key = signer().verifier(workspace(1));
    for index in [0, 1, 255, 256, 299] {
        let receipt = receipt(index);
        let text = receipt.to_string();
        assert!(text.starts_with(&format!("c2sp.org/tlog-proof@v1\nindex {index}\n")), "{text}");
        assert!(text.ends_with(&format!("\n\n{}", receipt.checkpoint)), "{text}");
        let read = Receipt::parse(&text).unwrap();
        assert_eq!(read, receipt);
        let checkpoint = read.verify(&entries(SIZE)[index], &key).unwrap();
        assert_eq!(checkpoint.tree().size, 300);
    }
}

#[test]
fn a_receipt_proves_nothing_else() {
    let key = signer().verifier(workspace(1));
    let (good, all) = (receipt(7), entries(SIZE));
    assert!(matches!(good.verify(&all[8], &key), Err(ReceiptError::Proof(_))));
    assert!(matches!(good.verify(b"", &key), Err(ReceiptError::Proof(_))));
    for index in [6, 8, 299, 300, u64::MAX] {
        let moved = Receipt { index, ..good.clone() };
        assert!(matches!(moved.verify(&all[7], &key), Err(ReceiptError::Proof(_))), "{index}");
    }
    for place in 0..good.path.len() {
        let mut other = good.clone();
        other.path[place].0[31] ^= 1;
        assert!(matches!(other.verify(&all[7], &key), Err(ReceiptError::Proof(_))));
        other.path.remove(place);
        assert!(matches!(other.verify(&all[7], &key), Err(ReceiptError::Proof(_))));
    }
    let another_log = good.verify(&all[7], &signer().verifier(workspace(2)));
    assert!(matches!(another_log, Err(ReceiptError::Checkpoint(CheckpointError::Note(_)))));
    let cut = Receipt { checkpoint: good.checkpoint.replacen("\n300\n", "\n299\n", 1), ..good };
    assert!(matches!(cut.verify(&all[7], &key), Err(ReceiptError::Checkpoint(_))));
}

#[test]
fn the_receipt_of_the_only_entry_has_an_empty_path() {
    let log = MemoryLog::of(&leaves(1));
    let checkpoint = signer().sign(workspace(1), log.frontier.head()).note().to_owned();
    let receipt = Receipt { index: 0, path: vec![], checkpoint };
    let read = Receipt::parse(&receipt.to_string()).unwrap();
    read.verify(&entries(1)[0], &signer().verifier(workspace(1))).unwrap();
}

#[test]
fn what_has_another_form_is_no_receipt() {
    let good = receipt(7).to_string();
    let hash = receipt(7).path[0].to_string();
    for wrong in [
        String::new(),
        good.replacen("@v1", "@v2", 1),
        format!("\n{good}"),
        good.replacen("index 7\n", "", 1),
        good.replacen("index 7", "index 07", 1),
        good.replacen("index 7", "index +7", 1),
        good.replacen("index 7", "index -7", 1),
        good.replacen("index 7", "index", 1),
        good.replacen("index 7", "Index 7", 1),
        good.replacen("index 7", "index 18446744073709551616", 1),
        good.replacen(&hash, &hash[1..], 1),
        good.replacen(&hash, "none", 1),
        good.replacen(&hash, &format!("{hash}\n").repeat(100), 1),
        good.split_once("\n\n").unwrap().0.to_owned(),
    ] {
        let refused = Receipt::parse(&wrong).unwrap_err();
        assert!(matches!(refused, ReceiptError::Form(_)), "{refused}: {wrong}");
    }
}
