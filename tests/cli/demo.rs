//! `tenure demo`: the tour finishes with the right answers, the server keeps running, and no file is left behind.

use std::time::Instant;

use crate::support::program::{Running, program, run};

/// Returns the tour's output, up to its last line.
fn tour(running: &mut Running) -> String {
    let mut said = String::new();
    for line in running.lines.by_ref() {
        let line = line.unwrap();
        said.push_str(&line);
        said.push('\n');
        if line.trim().ends_with("/docs") {
            return said;
        }
    }
    panic!("the tour broke off:\n{said}");
}

#[test]
fn the_tour_answers_its_questions_and_the_server_keeps_running() {
    let temporary = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let mut running = Running::start(program().arg("demo").env("TMPDIR", temporary.path()));
    let said = tour(&mut running);
    // The tour takes about 0.1 s; the limit leaves room for a machine that runs other tests.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    for part in [
        "$ tenure who prod\n",
        "\nallowed\n",
        "\ndenied\n",
        "grant.expired",
        "user:temp-4711",
        "token.revoked",
        "INC-9",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let exported = |name: &str| {
        let found = said.split(&format!("{name}=")).nth(1).unwrap();
        found.split_whitespace().next().unwrap().to_owned()
    };
    let url = exported("TENURE_URL");
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    let folder = std::fs::read_dir(temporary.path()).unwrap().next().unwrap().unwrap().path();
    let secret = std::fs::read_to_string(folder.join("operator.secret")).unwrap();
    assert!(!said.contains(secret.trim()));
    let mut check = program();
    check.env("TENURE_URL", url).env("TENURE_TOKEN_ID", "operator").env("TENURE_TOKEN_SECRET", secret.trim());
    assert_eq!(run(check.args(["check", "user:farid", "deploy", "prod"])).code, Some(1));
    assert_eq!(running.stop(), Some(0));
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}
