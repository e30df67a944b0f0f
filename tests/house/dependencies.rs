//! Dependencies: their licences are allowed, they come from one registry, and `THIRD-PARTY.md` names them.
//!
//! `cargo deny` checks the same, if it is installed. These tests need only the packages that cargo has downloaded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The platform that Tenure is built for.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

const HEAD: &str = "\
# Third-party code

Tenure is built from the packages below, for Linux on x86-64. Each package holds the text of its licence.
`TENURE_BLESS=1 cargo test --test house` writes this file, and `cargo test` fails if it is stale.

Some packages bring code in other languages: `libsqlite3-sys` SQLite (public domain), `libmimalloc-sys` mimalloc (MIT), `ring` parts of
BoringSSL (Apache-2.0, ISC), `utoipa-swagger-ui-vendored` Swagger UI (Apache-2.0).
";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns cargo's metadata of this package and its dependencies.
fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let args = ["metadata", "--locked", "--format-version", "1", "--filter-platform", PLATFORM];
    let output = Command::new(cargo).args(args).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().unwrap()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// Returns every package except this one, by its id.
fn packages(metadata: &Value) -> BTreeMap<&str, &Value> {
    let others = list(metadata, "packages").iter().filter(|package| !package["source"].is_null());
    others.map(|package| (text(package, "id"), package)).collect()
}

/// Returns the ids of all packages in the program, without those that only tests and benchmarks use.
fn built_in(metadata: &Value) -> BTreeSet<&str> {
    let resolve = &metadata["resolve"];
    let nodes: BTreeMap<&str, &Value> = list(resolve, "nodes").iter().map(|node| (text(node, "id"), node)).collect();
    let (mut found, mut left) = (BTreeSet::new(), vec![text(resolve, "root")]);
    while let Some(id) = left.pop() {
        if found.insert(id) {
            let used = list(nodes[id], "deps").iter();
            let used = used.filter(|used| list(used, "dep_kinds").iter().any(|kind| kind["kind"] != "dev"));
            left.extend(used.map(|used| text(used, "pkg")));
        }
    }
    found
}

/// Returns the licences that `deny.toml` allows.
fn allowed() -> BTreeSet<String> {
    let rules = fs::read_to_string(root().join("deny.toml")).unwrap();
    let list = rules.split("allow = [").nth(1).unwrap().split(']').next().unwrap();
    let lines = list.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","));
    lines.map(ToOwned::to_owned).collect()
}

/// Returns whether an SPDX expression can be satisfied. `OR` binds less than `AND`; a slash is an old way to write
/// `OR`.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words: Vec<&str> = spaced.split_whitespace().rev().collect();
    any_of(&mut words, allowed)
}

fn any_of(words: &mut Vec<&str>, allowed: &BTreeSet<String>) -> bool {
    let mut found = all_of(words, allowed);
    while words.pop_if(|word| *word == "OR").is_some() {
        found |= all_of(words, allowed);
    }
    found
}

fn all_of(words: &mut Vec<&str>, allowed: &BTreeSet<String>) -> bool {
    let mut found = one(words, allowed);
    while words.pop_if(|word| *word == "AND").is_some() {
        found &= one(words, allowed);
    }
    found
}

fn one(words: &mut Vec<&str>, allowed: &BTreeSet<String>) -> bool {
    let word = words.pop().unwrap_or_default();
    if word == "(" {
        let found = any_of(words, allowed);
        return words.pop() == Some(")") && found;
    }
    // A licence with an exception is another licence.
    let excepted = words.pop_if(|word| *word == "WITH").and_then(|_| words.pop()).is_some();
    !excepted && allowed.contains(word.trim_end_matches('+'))
}

#[test]
fn spdx_expressions_follow_operator_precedence() {
    let allowed = ["MIT", "ISC"].map(ToOwned::to_owned).into();
    for expression in ["MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "(GPL-3.0 OR MIT) AND ISC", "X AND Y OR ISC", "MIT+"] {
        assert!(is_allowed(expression, &allowed), "{expression}");
    }
    for expression in ["", "GPL-3.0", "MIT AND GPL-3.0", "MIT WITH X", "(MIT OR ISC) AND X", "GPL-3.0 OR X AND MIT"] {
        assert!(!is_allowed(expression, &allowed), "{expression}");
    }
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let (metadata, allowed) = (metadata(), allowed());
    assert!(allowed.len() > 5, "{allowed:?}");
    for package in packages(&metadata).values() {
        let (name, licence) = (text(package, "name"), text(package, "license"));
        assert!(
            is_allowed(licence, &allowed),
            "`{name}` has the licence `{licence}`, which `deny.toml` does not allow"
        );
    }
}

#[test]
fn every_dependency_comes_from_one_registry_with_a_checksum() {
    for lock in ["Cargo.lock", "benches/peers/Cargo.lock", "fuzz/Cargo.lock"] {
        let text = fs::read_to_string(root().join(lock)).unwrap();
        for package in text.split("[[package]]").skip(1).filter(|package| !package.contains("name = \"tenure")) {
            let has = |line: &str| package.lines().any(|known| known.starts_with(line));
            let from = has(&format!("source = \"{REGISTRY}\"")) && has("checksum = \"");
            assert!(from, "{lock}: {}", package.lines().nth(1).unwrap());
        }
    }
}

/// Returns a Markdown list of packages, grouped by licence.
fn listed(title: &str, packages: &[&Value]) -> String {
    let mut by_licence: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages {
        let named = format!("{} {}", text(package, "name"), text(package, "version"));
        by_licence.entry(text(package, "license").replace('/', " OR ")).or_default().push(named);
    }
    let sections = by_licence.into_iter().map(|(licence, mut named)| {
        named.sort();
        format!("\n- **{licence}**: {}\n", named.join(", "))
    });
    format!("\n## {title}\n{}", sections.collect::<String>())
}

#[test]
fn third_party_md_lists_every_dependency() {
    let metadata = metadata();
    let (packages, built_in) = (packages(&metadata), built_in(&metadata));
    let listed_if = |title: &str, is_within: bool| {
        let chosen = packages.iter().filter(|(id, _)| built_in.contains(*id) == is_within);
        listed(title, &chosen.map(|(_, package)| *package).collect::<Vec<_>>())
    };
    let (within, beside) = (listed_if("In the program", true), listed_if("In tests and benchmarks only", false));
    let expected = format!("{HEAD}{within}{beside}");
    let file = root().join("THIRD-PARTY.md");
    if std::env::var_os("TENURE_BLESS").is_some_and(|value| value == "1") {
        fs::write(&file, &expected).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(found == expected, "`THIRD-PARTY.md` is stale: run `TENURE_BLESS=1 cargo test --test house`");
}
