//! The rules of prose, run as a test: public names are unique, and comments and documents are plain English.
//!
//! `TENURE_PROSE="src/http README.md" cargo test --test house prose -- --nocapture` prints every violation in these places.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The one file with examples of violations.
const EXEMPT: &str = "tests/house/prose.rs";

/// The maximum length of a sentence in a doc comment, in words.
const SENTENCE_WORDS_MAX: usize = 30;
/// Words that a doc comment must not begin with: a verb or a noun phrase describes an item, a question does not.
const FIRST_WORDS: &[&str] = &["how", "that", "what", "whatever", "where", "who", "whoever", "whose"];
/// Phrases that are archaic, vague or personify code. `|` separates the forms of a word.
const PHRASES: &[&str] = &[
    "ahead of which",
    "at work",
    "came|come|comes|coming to",
    "hand|handed|hands in",
    "by|from|of|to|with whom",
    "are|be|been|is|was|were told",
    "stand|stands|stood for",
    "take|taken|takes|took up",
    "whoever",
];
/// A clause with `what`, one of these and one of `PREDICATES` has a question as its subject: `what was asked is kept`.
const VERBS: &[&str] = &["are", "is", "was", "were"];
const PREDICATES: &[&str] = &["are", "has", "have", "is", "may", "must", "was", "were"];

/// A marker of comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marker {
    Inner,
    Outer,
    Plain,
}

/// A word, and the number of its line.
type Word = (usize, String);

#[test]
fn prose_is_plain() {
    let chosen = std::env::var("TENURE_PROSE").ok();
    let chosen: Option<Vec<&str>> = chosen.as_deref().map(|places| places.split_whitespace().collect());
    let within = |path: &Path, places: &[&str]| places.iter().any(|place| path.starts_with(place));
    let is_held = |path: &Path| match &chosen {
        Some(places) => within(path, places),
        None => !path.starts_with(EXEMPT),
    };
    let files: Vec<(PathBuf, String)> = files().into_iter().filter(|(path, _)| is_held(path)).collect();
    let mut violations: Vec<String> = files.iter().flat_map(|(path, text)| violations(path, text)).collect();
    violations.extend(shared_names(&files));
    violations.sort();
    assert!(violations.is_empty(), "{} violations\n{}", violations.len(), violations.join("\n"));
}

#[test]
fn the_rules_find_violations() {
    let of = |text: &str| violations(Path::new("x.rs"), text).join("\n");
    assert_eq!(of("/// Returns the head.\nfn head() {}"), "");
    assert_eq!(of("/// What it is.\nfn head() {}"), "x.rs:1: begins with `What`");
    assert_eq!(of("// Fine.\nfn it_is_told() {}"), "x.rs:2: says `is told`");
    assert_eq!(of("//! Good.\n//!\n//! A place for\n//! whoever asks."), "x.rs:4: says `whoever`");
    assert_eq!(of("// Here what was asked for\n// is kept."), "x.rs:1: says `what was … is`");
    assert_eq!(of("/// Returns `whoever` of `is told`.\nlet a = 1;"), "");
    let long = format!("/// Returns a{}.\nfn f() {{}}", " b".repeat(SENTENCE_WORDS_MAX));
    assert_eq!(of(&long), "x.rs:1: a sentence of 32 words");
    let list = format!("/// Returns:\n/// - a\n/// - b\n///\n/// ```\n/// {}\n/// ```\nfn f() {{}}", "c ".repeat(40));
    assert_eq!(of(&list), "");
}

/// Returns every Rust and Markdown file, with its path in the repository.
fn files() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<(PathBuf, String)> =
        ["src", "tests", "benches", "fuzz"].into_iter().flat_map(super::rust_files).collect();
    for folder in ["", "docs", "benches", "benches/peers"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path.strip_prefix(root).unwrap().to_owned(), text));
            }
        }
    }
    files
}

fn violations(path: &Path, text: &str) -> Vec<String> {
    let found = if path.extension().is_some_and(|extension| extension == "md") { document(text) } else { rust(text) };
    found.into_iter().map(|(line, what)| format!("{}:{line}: {what}", path.display())).collect()
}

fn document(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<(usize, &str)> = text.lines().enumerate().map(|(index, line)| (index + 1, line)).collect();
    let paragraphs = paragraphs(&lines);
    paragraphs.iter().flat_map(|paragraph| sentences(paragraph)).flat_map(|sentence| phrases(&sentence)).collect()
}

fn rust(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let lines: Vec<(usize, &str)> = text.lines().enumerate().map(|(index, line)| (index + 1, line)).collect();
    for block in lines.chunk_by(|one, other| marker(one.1) == marker(other.1)) {
        match block.first().and_then(|line| marker(line.1)) {
            Some(marker) => found.extend(comment(marker, block)),
            None => found.extend(block.iter().flat_map(|(number, line)| function_name(*number, line))),
        }
    }
    found
}

/// Returns the marker of a line that is a comment.
fn marker(line: &str) -> Option<Marker> {
    let line = line.trim_start();
    match line {
        _ if line.starts_with("////") => Some(Marker::Plain),
        _ if line.starts_with("///") => Some(Marker::Outer),
        _ if line.starts_with("//!") => Some(Marker::Inner),
        _ if line.starts_with("//") => Some(Marker::Plain),
        _ => None,
    }
}

fn function_name(number: usize, line: &str) -> Vec<(usize, String)> {
    let Some((_, rest)) = line.split_once("fn ") else { return Vec::new() };
    let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
    phrases(&name.split('_').map(|word| (number, word.to_owned())).collect::<Vec<_>>())
}

fn comment(marker: Marker, block: &[(usize, &str)]) -> Vec<(usize, String)> {
    let lines: Vec<(usize, &str)> =
        block.iter().map(|(number, line)| (*number, line.trim_start().trim_start_matches(['/', '!']))).collect();
    let sentences: Vec<Vec<Word>> = paragraphs(&lines).iter().flat_map(|paragraph| sentences(paragraph)).collect();
    let mut found: Vec<(usize, String)> = sentences.iter().flat_map(|sentence| phrases(sentence)).collect();
    if marker == Marker::Plain {
        return found;
    }
    if let Some((number, word)) = sentences.first().and_then(|sentence| sentence.first()) {
        let is_forbidden = FIRST_WORDS.contains(&letters(word).as_str());
        found.extend(is_forbidden.then(|| (*number, format!("begins with `{word}`"))));
    }
    for sentence in sentences.iter().filter(|sentence| sentence.len() > SENTENCE_WORDS_MAX) {
        let number = sentence.first().map_or(0, |word| word.0);
        found.push((number, format!("a sentence of {} words", sentence.len())));
    }
    found
}

/// Returns the paragraphs and the items of lists, without headings, tables and code.
fn paragraphs<'a>(lines: &[(usize, &'a str)]) -> Vec<Vec<(usize, &'a str)>> {
    let (mut paragraphs, mut is_code) = (vec![Vec::new()], false);
    for (number, line) in lines {
        let line = line.trim();
        let is_fence = line.starts_with("```");
        is_code ^= is_fence;
        let is_text = !is_code && !is_fence && !line.is_empty() && !line.starts_with(['#', '|']);
        if !is_text || line.starts_with("- ") || line.starts_with("* ") {
            paragraphs.push(Vec::new());
        }
        if let Some(paragraph) = paragraphs.last_mut().filter(|_| is_text) {
            paragraph.push((*number, line));
        }
    }
    paragraphs
}

/// Returns the sentences of a paragraph as words. Code between backticks counts as one word, `code`.
fn sentences(paragraph: &[(usize, &str)]) -> Vec<Vec<Word>> {
    let (mut sentences, mut is_code) = (vec![Vec::new()], false);
    for (number, line) in paragraph {
        for token in without_code(line, &mut is_code).split_whitespace() {
            let Some(sentence) = sentences.last_mut() else { continue };
            if token.contains(char::is_alphanumeric) {
                sentence.push((*number, token.to_owned()));
            }
            let end = token.trim_end_matches([')', ']', '*', '_', '"', '”']);
            if end.ends_with(['.', '!', '?']) && !["e.g.", "i.e.", "(e.g.", "(i.e."].contains(&end) {
                sentences.push(Vec::new());
            }
        }
    }
    sentences.retain(|sentence| !sentence.is_empty());
    sentences
}

fn without_code(line: &str, is_code: &mut bool) -> String {
    let mut text = String::new();
    for (index, part) in line.split('`').enumerate() {
        if index > 0 {
            *is_code = !*is_code;
            text.push_str(if *is_code { "code" } else { "" });
        }
        text.push_str(if *is_code { "" } else { part });
    }
    text
}

fn letters(word: &str) -> String {
    word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()
}

/// Finds the forbidden phrases in a sentence.
fn phrases(sentence: &[Word]) -> Vec<(usize, String)> {
    let words: Vec<(usize, String)> = sentence.iter().map(|(number, word)| (*number, letters(word))).collect();
    let mut found = Vec::new();
    for phrase in PHRASES {
        let forms: Vec<Vec<&str>> = phrase.split(' ').map(|forms| forms.split('|').collect()).collect();
        for window in words.windows(forms.len()) {
            if window.iter().zip(&forms).all(|(word, forms)| forms.contains(&word.1.as_str())) {
                let said: Vec<&str> = window.iter().map(|word| word.1.as_str()).collect();
                found.push((window[0].0, format!("says `{}`", said.join(" "))));
            }
        }
    }
    let clauses = sentence.split_inclusive(|(_, word)| word.ends_with([',', ';', ':']));
    found.extend(clauses.filter_map(question_as_subject));
    found
}

fn question_as_subject(clause: &[Word]) -> Option<(usize, String)> {
    let mut words = clause.iter().map(|(number, word)| (*number, letters(word)));
    let (number, _) = words.find(|(_, word)| word == "what")?;
    let (_, verb) = words.find(|(_, word)| VERBS.contains(&word.as_str()))?;
    let (_, predicate) = words.find(|(_, word)| PREDICATES.contains(&word.as_str()))?;
    Some((number, format!("says `what {verb} … {predicate}`")))
}

/// Finds the names that several public types of `src` share.
fn shared_names(files: &[(PathBuf, String)]) -> Vec<String> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in files.iter().filter(|(path, _)| path.starts_with("src")) {
        for line in super::code(text).lines() {
            if let Some(name) = public_type(line) {
                places.entry(name).or_default().push(path.display().to_string());
            }
        }
    }
    let shared = places.into_iter().filter(|(_, paths)| paths.len() > 1);
    shared.map(|(name, paths)| format!("{}: `{name}` names several public types", paths.join(", "))).collect()
}

fn public_type(line: &str) -> Option<String> {
    let line = line.trim_start().strip_prefix("pub")?;
    let line = if line.starts_with('(') { line.split_once(')')?.1 } else { line };
    let (kind, rest) = line.trim_start().split_once(' ')?;
    let is_type = ["enum", "struct", "trait", "type", "union"].contains(&kind);
    // A macro that defines types has a variable in the place of the name.
    let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (is_type && !name.is_empty()).then_some(name)
}
