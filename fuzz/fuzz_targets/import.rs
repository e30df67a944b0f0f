//! Lines of a recorded history: every line is imported, or the first invalid one is named.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tenure::clock::Clock;
use tenure::domain::model::time::Instant;
use tenure::service::id_generator::RandomIdGenerator;
use tenure::service::import::check;

/// A valid first line; most of the parser runs after it.
const FIRST: &[u8] = br#"{"time":"2024-01-01T00:00:00Z","actor":"operator","workspace":{"name":"acme","kind":"shared","plan":"team","owner":{"user":"alice"}},"commands":[{"type":"rbac.enable"}]}
"#;

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Instant {
        Instant::from_micros(1_798_588_800_000_000)
    }
}

fuzz_target!(|bytes: &[u8]| {
    for file in [bytes.to_vec(), [FIRST, bytes].concat()] {
        if let Err(error) = check(&RandomIdGenerator, &Fixed, file.as_slice()) {
            let said = error.to_string();
            assert!(!said.is_empty() && !said.contains('\n'), "one sentence: {said:?}");
        }
    }
});
