//! House rules: the direction of imports, the names that each room may use, and the sizes of files and functions.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]

mod cycles;
mod dependencies;
mod prose;

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, lowest first: each may import from those before it.
const ROOMS: &[&[&str]] = &[
    &["domain"],
    &["query", "proof"],
    &["clock"],
    &["log"],
    &["service"],
    &["http"],
    &["config", "telemetry"],
    &["cli"],
];

/// The longest file, in lines of code without its tests.
const FILE_LINES_MAX: usize = 400;
/// The longest function, in lines.
const FUNCTION_LINES_MAX: usize = 70;

fn rust_files(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path.strip_prefix(root).unwrap().to_owned(), text));
            }
        }
    }
    files.sort();
    assert!(!files.is_empty());
    files
}

/// Returns the text without its comments and without the tests at its end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap();
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    text.split_inclusive('\n').filter(is_code).collect()
}

fn height(room: &str) -> Option<usize> {
    ROOMS.iter().position(|rooms| rooms.contains(&room))
}

/// Returns the room of a file in `src`.
fn room(path: &Path) -> String {
    let second = path.components().nth(1).unwrap().as_os_str().to_str().unwrap();
    second.trim_end_matches(".rs").to_owned()
}

fn each_violation(found: impl Fn(&Path, &str) -> Vec<String>) {
    let violations: Vec<String> = rust_files("src").iter().flat_map(|(path, text)| found(path, &code(text))).collect();
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

fn contains_outside(words: &[&str], allowed: &[&str]) {
    each_violation(|path, code| {
        let allowed = allowed.iter().any(|place| path.starts_with(place));
        let named = words.iter().filter(|word| !allowed && code.contains(**word));
        named.map(|word| format!("{}: names `{word}`", path.display())).collect()
    });
}

#[test]
fn rooms_import_only_from_lower_rooms() {
    each_violation(|path, code| {
        let Some(own) = height(&room(path)) else { return Vec::new() };
        let after_crate = code.split("crate::").skip(1);
        let used = after_crate.filter_map(|rest| {
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            height(&name).filter(|used| *used > own).map(|_| name)
        });
        used.map(|name| format!("{}: uses `{name}`, a higher room", path.display())).collect()
    });
}

#[test]
fn only_log_uses_sqlite() {
    contains_outside(&["rusqlite"], &["src/log"]);
}

#[test]
fn only_http_uses_the_web_framework() {
    contains_outside(&["axum", "hyper", "utoipa"], &["src/http"]);
}

#[test]
fn domain_uses_no_clock_randomness_io_or_async() {
    let words = [
        "std::fs",
        "std::net",
        "std::io",
        "std::env",
        "std::thread",
        "tokio",
        "async ",
        "Uuid::now",
        "getrandom",
        "Utc::now",
    ];
    each_violation(|path, code| {
        let named = words.iter().filter(|word| path.starts_with("src/domain") && code.contains(**word));
        named.map(|word| format!("{}: names `{word}`", path.display())).collect()
    });
}

#[test]
fn query_uses_no_cache_clock_randomness_or_io() {
    let words = [
        "std::fs",
        "std::net",
        "std::io",
        "std::env",
        "std::thread",
        "tokio",
        "async ",
        "Mutex",
        "RwLock",
        "OnceLock",
        "LazyLock",
        "Atomic",
        "moka",
        "Uuid::now",
        "getrandom",
        "Utc::now",
        "Instant::now",
    ];
    each_violation(|path, code| {
        let named = words.iter().filter(|word| path.starts_with("src/query") && code.contains(**word));
        named.map(|word| format!("{}: names `{word}`", path.display())).collect()
    });
}

#[test]
fn the_clock_and_random_numbers_have_one_source_each() {
    contains_outside(&["Utc::now", "SystemTime::now", "Local::now"], &["src/clock.rs"]);
    contains_outside(&["Uuid::now_v7", "Uuid::new_v4", "getrandom::"], &["src/service/id_generator.rs"]);
}

#[test]
fn no_code_is_unsafe_and_no_test_is_ignored_or_sleeps() {
    each_violation(|path, code| if code.contains("unsafe ") { vec![path.display().to_string()] } else { Vec::new() });
    for (path, text) in rust_files("tests") {
        let own = path.ends_with("house/main.rs");
        for word in ["#[ignore", "thread::sleep", "time::sleep"] {
            assert!(own || !text.contains(word), "{}: names `{word}`", path.display());
        }
    }
}

#[test]
fn files_are_short() {
    each_violation(|path, code| {
        let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
        let long = (lines > FILE_LINES_MAX).then(|| format!("{}: {lines} lines of code", path.display()));
        long.into_iter().collect()
    });
}

/// Returns the length of every function, from its first line to its closing brace, as `rustfmt` formats it.
fn functions(code: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let is_function = line.trim_start().split(['(', '<']).next().unwrap().split(' ').any(|word| word == "fn");
        if !is_function || line.trim_end().ends_with(';') {
            continue;
        }
        let closing = format!("{}}}", " ".repeat(indent));
        let one_line = line.trim_end().ends_with('}');
        let length = if one_line { Some(0) } else { lines[start..].iter().position(|line| *line == closing) };
        found.extend(length.map(|length| (line.trim().to_owned(), length + 1)));
    }
    found
}

#[test]
fn functions_are_short() {
    let files = rust_files("src");
    let mut all: Vec<(usize, String)> = Vec::new();
    for (path, text) in &files {
        let of_file = functions(&code(text)).into_iter();
        all.extend(of_file.map(|(name, length)| (length, format!("{}: {name}", path.display()))));
    }
    all.sort();
    let (longest, name) = all.last().unwrap();
    assert!(*longest <= FUNCTION_LINES_MAX, "{longest} lines: {name}");
    let middle = all[all.len() / 2].0;
    assert!(middle < 10, "the median function has {middle} lines");
    let (ninth, name) = &all[all.len() * 9 / 10];
    assert!(*ninth < 30, "one function in ten has {ninth} lines or more: {name}");
}
