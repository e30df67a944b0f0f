//! A folder of evidence with one replaced file, and a manifest that matches the result.
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tenure::cli::verify_folder;
use tenure::log::published::files_of;
use tenure::proof::note::VerifierKey;

const MANIFEST: &str = "SHA256SUMS";
/// The valid evidence.
const GOOD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/evidence");

static KEY: LazyLock<VerifierKey> = LazyLock::new(|| {
    let key = fs::read_to_string(Path::new(GOOD).join("key")).expect("the folder `evidence`");
    key.parse().expect("a verifier key")
});
/// A copy of the valid evidence, and its files by their paths.
static COPY: LazyLock<(TempDir, Vec<(String, Vec<u8>)>)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let read = |path: String| {
        let bytes = fs::read(Path::new(GOOD).join(&path)).expect("a file of the evidence");
        write(folder.path(), &path, &bytes);
        (path, bytes)
    };
    let files = files_of(Path::new(GOOD)).expect("the files of the evidence").into_iter().map(read).collect();
    (folder, files)
});

fn write(folder: &Path, path: &str, bytes: &[u8]) {
    let file = folder.join(path);
    fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    fs::write(file, bytes).expect("a file");
}

fn seal(folder: &Path, replaced: usize, bytes: &[u8]) {
    let line = |(place, (path, good)): (usize, &(String, Vec<u8>))| {
        let digest = Sha256::digest(if place == replaced { bytes } else { good });
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{digest}  {path}\n")
    };
    let lines = COPY.1.iter().enumerate().filter(|(_, (path, _))| path != MANIFEST).map(line);
    write(folder, MANIFEST, lines.collect::<String>().as_bytes());
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let (folder, files) = &*COPY;
    let replaced = usize::from(*choice) % files.len();
    let (path, good) = &files[replaced];
    write(folder.path(), path, rest);
    if path != MANIFEST {
        seal(folder.path(), replaced, rest);
    }
    let said = verify_folder(folder.path(), &KEY);
    write(folder.path(), path, good);
    seal(folder.path(), files.len(), &[]);
    // Without the log, an answer's rows may say anything that the events do not contradict.
    let proved = !["answer.json", "answer.csv", "question.json"].contains(&path.as_str());
    assert!(said.is_err() || rest == good || !proved, "`{path}` was replaced, and nobody noticed");
});
