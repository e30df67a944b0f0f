//! Each refusal of a history. A file is imported whole or not at all.

use std::io::{BufRead, BufReader, Read, repeat};

use tenure::service::import::ImportError;

use super::support::{Store, line, opening};

const FIRST: &str = "2024-01-01T00:00:00Z";
const SECOND: &str = "2024-01-02T00:00:00Z";

/// Imports into an empty store, asserts that it stays empty, and returns the error.
#[track_caller]
fn refused(lines: &[String]) -> String {
    let store = Store::new();
    let error = store.import(lines).unwrap_err();
    assert!(store.is_untouched());
    error.to_string()
}

/// Returns the refusal of a second line after a valid first one.
#[track_caller]
fn refused_second(second: String) -> String {
    let hired = r#"[{"type":"rbac.enable"},{"type":"member.add","user":"bob","role":"member"}]"#;
    let said = refused(&[opening(FIRST, hired), second]);
    said.strip_prefix("line 2: ").unwrap_or_else(|| panic!("{said}")).to_owned()
}

#[test]
fn a_rejection_names_the_line_and_the_command() {
    let commands = r#"[{"type":"environment.create","name":"dev"},{"type":"member.remove","user":"carol"}]"#;
    assert_eq!(
        refused_second(line(SECOND, "user:alice", commands)),
        "`commands[1]`: there is no member `carol` (not_found)"
    );
    let last_owner = r#"[{"type":"member.remove","user":"alice"}]"#;
    assert!(refused_second(line(SECOND, "operator", last_owner)).ends_with("(last_owner)"));
}

#[test]
fn a_later_file_can_be_imported_after_a_refused_one() {
    let store = Store::new();
    let bad = line(SECOND, "user:alice", r#"[{"type":"member.remove","user":"carol"}]"#);
    store.import(&[opening(FIRST, "[]"), bad]).unwrap_err();
    assert!(store.is_untouched());
    store.import(&[opening(FIRST, "[]")]).unwrap();
}

#[test]
fn a_line_in_the_future_is_refused() {
    let said = refused_second(line("2027-01-01T00:00:00Z", "operator", "[]"));
    assert!(said.starts_with("`time`: `2027-01-01T00:00:00.000000Z` is in the future"), "{said}");
}

#[test]
fn a_line_earlier_than_the_one_before_is_refused_and_one_at_the_same_time_is_not() {
    let said = refused_second(line("2023-12-31T23:59:59Z", "operator", "[]"));
    assert!(said.contains("is earlier than `2024-01-01T00:00:00.000000Z`"), "{said}");
    Store::new().import(&[opening(FIRST, "[]"), line(FIRST, "operator", "[]")]).unwrap();
}

#[test]
fn a_workspace_that_exists_is_refused_and_left_as_it_was() {
    let store = Store::new();
    let imported = store.import(&[opening(FIRST, "[]")]).unwrap();
    let error = store.import(&[opening(FIRST, r#"[{"type":"rbac.enable"}]"#)]).unwrap_err();
    assert!(matches!(&error, ImportError::Exists(name) if name.as_str() == "acme"), "{error}");
    assert_eq!(store.events(&imported).len(), 4);
}

#[test]
fn the_first_line_and_only_the_first_creates_the_workspace() {
    assert!(refused(&[line(FIRST, "operator", "[]")]).starts_with("line 1: missing field `workspace`"));
    assert!(refused_second(opening(SECOND, "[]")).starts_with("`workspace`: only the first line"));
    assert!(refused(&[]).starts_with("there is nothing in it"));
}

#[test]
fn a_malformed_line_is_refused_with_the_invalid_field() {
    for (bad, said) in [
        ("{\n".to_owned(), "this is no JSON: EOF while parsing an object"),
        ("[]".to_owned(), "invalid type"),
        (line(SECOND, "operator", r#"[{"type":"member.sack","user":"bob"}]"#), "`commands[0].type`: `member.sack`"),
        (line(SECOND, "operator", r#"[{"type":"rbac.enable","now":true}]"#), "`commands[0]"),
        (line(SECOND, "operator", "[7]"), "`commands[0]`: invalid type"),
        (line("yesterday", "operator", "[]"), "`time`: `yesterday` is not accepted"),
        (line(SECOND, "operator", "[]").replace("reason", "raisin"), "`raisin`: unknown field"),
        (line(SECOND, "operator", "[]").replace("reason", "rea\\nson"), "`rea\\nson`: unknown field `rea\\nson`"),
        (
            line(SECOND, "operator", r#"[{"type":"rbac.enable","\u2028":1}]"#),
            "`commands[0].\\u{2028}`: unknown field `\\u{2028}`",
        ),
        (line(SECOND, "system", "[]"), "`actor`: `system` is not accepted: an actor is written"),
        (line(SECOND, "bob", "[]"), "`actor`: `bob` is not accepted"),
        (line(SECOND, "user:..", "[]"), "`actor`: `..` is not accepted"),
        (line(SECOND, "service_user:ci", "[]"), "`actor`: there is no service user `ci`"),
    ] {
        let found = refused_second(bad.clone());
        assert!(found.contains(said), "{bad}\n{found}");
    }
}

#[test]
fn a_damaged_file_is_refused_with_its_damage() {
    let whole = line(SECOND, "user:alice", "[]");
    let as_latin_1 = [b"{\"reason\":\"caf".as_slice(), b"\xe9\"}\n"].concat();
    let within_a_character = [b"{\"reason\":\"caf".as_slice(), b"\xc3"].concat();
    for (bytes, said) in [
        (whole.as_bytes()[..40].to_vec(), "line 2: column 41: the file ends within this line: copy it again, whole"),
        (b"{".to_vec(), "line 2: column 2: the file ends within this line"),
        (within_a_character, "line 2: column 16: the file ends within this line"),
        (as_latin_1, "line 2: column 15: this is no UTF-8: save the file as UTF-8"),
        ([whole.as_bytes(), b"\n\0\0\0\0\0\0"].concat(), "line 3: column 1: zero bytes stand here, as after a crash"),
        (b"{\0\"\0t\0i\0".to_vec(), "line 2: column 2: zero bytes stand here"),
        (
            format!("\u{feff}{whole}").into_bytes(),
            "line 2: column 1: a byte order mark stands within the file: take it out",
        ),
        (
            format!("{whole}\r{whole}\n").into_bytes(),
            "a carriage return stands within the line: end each line with a newline",
        ),
    ] {
        let store = Store::new();
        let file = [format!("{}\n", opening(FIRST, "[]")).into_bytes(), bytes].concat();
        let error = store.import_from(file.as_slice()).unwrap_err().to_string();
        assert!(error.contains(said), "{error}\n{said}");
        assert!(store.is_untouched());
    }
}

#[test]
fn a_leap_second_is_accepted_only_if_it_existed() {
    let said = refused_second(line("2024-06-30T23:59:60Z", "operator", "[]"));
    assert!(said.contains("`time`: `2024-06-30T23:59:60Z` is not accepted: no minute has a second 60 there"), "{said}");
    let grant = r#"[{"type":"token.issue","expires_at":"2025-01-01T00:00:60Z"}]"#;
    let said = refused_second(line(SECOND, "user:alice", grant));
    assert!(said.contains("no minute has a second 60 there"), "{said}");
}

#[test]
fn a_line_without_end_is_refused_before_it_fills_the_memory() {
    let store = Store::new();
    let first = format!("{}\n", opening(FIRST, "[]"));
    let endless = BufReader::new(first.as_bytes().chain(repeat(b'x')));
    let error = store.import_from(endless).unwrap_err().to_string();
    assert!(error.starts_with("line 2: the line is longer than"), "{error}");
    assert!(store.is_untouched());
}

#[test]
fn a_file_that_breaks_off_is_refused() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    let store = Store::new();
    let first = format!("{}\n", opening(FIRST, "[]"));
    let lines: Box<dyn BufRead> = Box::new(BufReader::new(first.as_bytes().chain(Broken)));
    let error = store.import_from(lines).unwrap_err();
    assert_eq!(error.to_string(), "cannot read it: the disk is gone");
    assert!(store.is_untouched());
}
