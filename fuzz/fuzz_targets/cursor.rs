//! Cursors of pages and of the feed: no input panics, and a sealed cursor opens to the same value.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tenure::http::cursor::CursorKey;
use tenure::log::CursorSecret;

static KEY: LazyLock<CursorKey> = LazyLock::new(|| CursorKey::of(CursorSecret::new([7; 32])));

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    // The fuzzer sees the operands of the comparison of codes, so it can forge whole cursors.
    let _ = KEY.open::<String>("pages", &text);
    let sealed = KEY.seal("pages", &text);
    assert_eq!(KEY.open::<String>("pages", &sealed).as_deref(), Some(text.as_ref()));
    assert_eq!(KEY.open::<String>("feed", &sealed), None, "a cursor is of one list");
    assert_eq!(KEY.open::<u64>("pages", &sealed), None, "a cursor has one shape");
    if let Some((place, change)) = bytes.first().zip(bytes.last()) {
        let mut other = sealed.clone().into_bytes();
        let place = usize::from(*place) % other.len();
        other[place] ^= change & 0x7f;
        if let Ok(other) = String::from_utf8(other) {
            assert!(other == sealed || KEY.open::<String>("pages", &other).is_none(), "`{other}` was accepted");
        }
    }
});
