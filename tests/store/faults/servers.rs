//! Two servers on one folder: at the same time, where one serves and the other says why it does not; and one after the other.

use std::path::Path;

use super::life::{open, verify_all};
use super::process::{PLAIN, Process, serve};

#[track_caller]
fn refused(folder: &Path) {
    let said = Process::try_of(&mut serve(PLAIN, folder)).err().expect("the folder is taken");
    let expected = format!(
        "error: the data folder `{}` is in use by another tenure process: stop that one first, or use another folder\n",
        folder.display()
    );
    assert_eq!(said, expected);
}

#[test]
fn a_second_server_is_refused_while_the_first_goes_on_and_starts_at_once_when_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::start(folder.path());
    first.found();
    refused(folder.path());
    first.add("before", 2).expect(200);
    first.kill();
    let second = Process::start(folder.path());
    second.get("/v1/workspaces/acme/members/before-1").expect(200);
    refused(folder.path());
    second.add("after", 2).expect(200);
    second.stop();
    verify_all(&open(folder.path()));
}

#[test]
fn a_cursor_outlives_the_log_key_of_the_server_that_wrote_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::start(folder.path());
    first.found();
    first.add("member", 2).expect(200);
    let page = "/v1/workspaces/acme/members?limit=1";
    let cursor = first.get(page).expect(200).json["next"].as_str().unwrap().to_owned();
    first.stop();
    let mut other_key = serve(PLAIN, folder.path());
    let second = Process::of(other_key.arg("--accept-new-log-key").env("TENURE_LOG_KEY", "08".repeat(32)));
    second.get(&format!("{page}&cursor={cursor}")).expect(200);
    second.stop();
}

#[test]
fn of_servers_that_start_at_the_same_time_on_a_new_folder_one_serves() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let started: Vec<_> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| Process::try_of(&mut serve(PLAIN, &folder)))).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    let (serving, refused): (Vec<_>, Vec<_>) = started.into_iter().partition(Result::is_ok);
    assert_eq!(serving.len(), 1);
    assert!(refused.into_iter().all(|said| said.is_err_and(|said| said.contains("in use by another tenure process"))));
    for server in serving.into_iter().flatten() {
        server.found();
        server.stop();
    }
}
