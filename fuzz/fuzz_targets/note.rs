//! Signed notes, checkpoints, verifier keys and receipts: raw bytes, and bytes under a valid signature.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tenure::proof::checkpoint::Checkpoint;
use tenure::proof::note::{LogKey, Origin, VerifierKey};
use tenure::proof::receipt::Receipt;

static ORIGIN: LazyLock<Origin> =
    LazyLock::new(|| "tenure.local/workspaces/ws_01jd0000000000000000000000".parse().unwrap_or_default());
static KEY: LazyLock<LogKey> = LazyLock::new(|| LogKey::from_seed(&[7; 32]));
static VERIFIER: LazyLock<VerifierKey> = LazyLock::new(|| KEY.verifier(&ORIGIN));

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = Checkpoint::open(text, &VERIFIER);
    let signed = KEY.sign(&ORIGIN, &format!("{}\n{text}", *ORIGIN));
    if let Ok(checkpoint) = Checkpoint::open(&signed, &VERIFIER) {
        assert_eq!(checkpoint.note(), signed);
        let receipt = format!("c2sp.org/tlog-proof@v1\n{text}\n\n{signed}");
        let _ = Receipt::parse(&receipt).map(|receipt| receipt.verify(bytes, &VERIFIER));
    }
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string(), text.trim());
    }
    if let Ok(receipt) = Receipt::parse(text) {
        assert_eq!(Receipt::parse(&receipt.to_string()).ok(), Some(receipt.clone()), "what is written can be read");
        let _ = receipt.verify(bytes, &VERIFIER);
    }
});
