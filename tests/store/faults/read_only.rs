//! A data folder that may not be written: one sentence that names it and says what to do, and nothing in it is touched.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::process::{Process, serve};

/// A folder that a server has served.
fn served() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let server = Process::start(folder.path());
    server.found();
    server.stop();
    folder
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// Starts a server in a shell that first takes its right to write away. None where that is not allowed, or has no effect.
fn refusal(shell: &str, folder: &Path) -> Option<String> {
    let script = format!("{shell} sh -c 'test ! -w \"$0\" && exec \"$@\"' \"$FOLDER\" \"$@\"");
    let before = files(folder);
    let mut command = serve(&script, folder);
    let output = command.env("FOLDER", folder).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.stdout.is_empty(), "it serves");
    assert_eq!(files(folder), before, "something was written");
    // The shell has other words, and other exit codes.
    (output.status.code() == Some(2) && said.starts_with("error: ")).then_some(said)
}

#[track_caller]
fn assert_clear(said: &str, folder: &Path) {
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(said.contains(&folder.display().to_string()), "{said}");
    assert!(said.contains("the data folder and its files must be writable by the user who runs tenure"), "{said}");
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().unwrap().stdout == b"0\n"
}

#[test]
fn a_folder_that_belongs_to_someone_else_is_refused_with_a_sentence_and_left_alone() {
    let folder = served();
    for path in files(folder.path()).keys() {
        fs::set_permissions(folder.path().join(path), Permissions::from_mode(0o444)).unwrap();
    }
    fs::set_permissions(folder.path(), Permissions::from_mode(0o555)).unwrap();
    // Nothing is forbidden to root, so another user has to try.
    let shell = if is_root() { "setpriv --reuid=65534 --regid=65534 --clear-groups" } else { "" };
    match refusal(shell, folder.path()) {
        Some(said) => assert_clear(&said, folder.path()),
        None => eprintln!("left out: no other user can be had here"),
    }
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_folder_on_a_file_system_for_reading_only_is_refused_with_a_sentence() {
    let folder = served();
    let mount = "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" && exec \"$@\"";
    match refusal(&format!("unshare -rm sh -c '{mount}' \"$FOLDER\""), folder.path()) {
        Some(said) => assert_clear(&said, folder.path()),
        None => eprintln!("left out: this user may not mount anything"),
    }
}
