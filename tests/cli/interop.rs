//! Interoperability with unrelated tools: Python packages that know nothing of Tenure verify what a server serves.
//!
//! The packages are installed into a virtual environment under `target/`; if `python3-venv` is missing, Debian's
//! package is installed first. If that is impossible, the test says so and is skipped; with `CI` set it fails.

mod python;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tenure::domain::model::id::WorkspaceId;

use python::Python;

use crate::support::acme::{Acme, path};
use crate::support::server::signer;

/// More than a full tile.
const CHANGES: usize = 300;

/// A workspace with a log, and the verifier key of its checkpoints.
fn stage() -> (Acme, String) {
    let acme = Acme::new();
    let command = |number| json!({"type": "environment.create", "name": format!("e-{number}")});
    let commands: Vec<Value> = (0..CHANGES).map(command).collect();
    acme.post("commands?reason=approved%20by%20%C3%A9va", &json!({"commands": commands})).expect(200);
    let id: WorkspaceId = acme.get("").expect(200).json["id"].as_str().unwrap().parse().unwrap();
    let key = signer().verifier(id).to_string();
    (acme, key)
}

/// Flips a bit in the middle of a file.
fn damage(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).unwrap();
}

/// Changes the size in a checkpoint.
fn enlarge(file: &Path) {
    let note = fs::read_to_string(file).unwrap();
    let size = note.lines().nth(1).unwrap();
    fs::write(file, note.replacen(size, &format!("{size}0"), 1)).unwrap();
}

/// The damaged files, each with its damage.
type Harm<'a> = (&'a str, fn(&Path));

/// Exports the log while a server uses it.
fn export(acme: &Acme, out: &Path) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    command.args(["export", "--origin", "tenure.test", "--data"]).arg(acme.server.data()).arg("--out").arg(out);
    let output = command.env("TENURE_LOG_KEY", "07".repeat(32)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn unrelated_tools_verify_a_served_log_a_copy_and_an_export() {
    let Some(python) = Python::installed() else { return };
    let (acme, key) = stage();
    let url = format!("http://{}{}", acme.server.address, path("log"));
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    let copied = ["--copy", copy.to_str().unwrap()];

    let said = python.check(&url, &key, &acme.alice, &copied).unwrap();
    assert!(said.contains(&format!("{} entries", acme.head())), "{said}");
    eprint!("served: {said}");
    let said = python.check(copy.to_str().unwrap(), &key, "", &[]).unwrap();
    eprint!("copied: {said}");
    let exported = folder.path().join("exported");
    export(&acme, &exported);
    let said = python.check(exported.to_str().unwrap(), &key, "", &[]).unwrap();
    eprint!("exported: {said}");

    let other = key.replacen("tenure.test", "tenure.other", 1);
    python.check(&url, &other, &acme.alice, &[]).unwrap_err();
    python.check(&url, &key, "nobody.at-all", &[]).unwrap_err();

    let harms: [Harm<'_>; 5] = [
        ("checkpoint", enlarge),
        ("tile/0/000", damage),
        ("tile/1/000.p/1", damage),
        ("tile/entries/000", damage),
        (&format!("tile/entries/001.p/{}", acme.head() - 256), damage),
    ];
    for (file, harm) in harms {
        let file = copy.join(file);
        let kept = fs::read(&file).unwrap();
        harm(&file);
        let why = python.check(copy.to_str().unwrap(), &key, "", &[]).unwrap_err();
        assert!(why.contains("WRONG"), "{}: {why}", file.display());
        fs::write(&file, kept).unwrap();
    }
    python.check(copy.to_str().unwrap(), &key, "", &[]).unwrap();
    acme.environment("later");
    python.check(&url, &key, &acme.alice, &[]).unwrap();
}
