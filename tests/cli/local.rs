//! Commands without a server: help, completions, import, replay and backup.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use tenure::domain::model::time::Revision;
use tenure::log::sqlite::SqliteLog;
use tenure::log::{Directories, EventLog};

use crate::support::program::{RunOutput, Server, program, run, tenure};

const HISTORY: &str = concat!(
    r#"{"time":"2024-01-01T00:00:00Z","actor":"operator","workspace":{"name":"acme","kind":"shared","plan":"team","owner":{"user":"alice"}},"commands":[{"type":"rbac.enable"}]}"#,
    "\n",
    r#"{"time":"2024-02-01T00:00:00Z","actor":"user:alice","reason":"HR-7","commands":[{"type":"member.add","user":"bob","role":"member"},{"type":"environment.create","name":"prod","restricted":true}]}"#,
    "\n",
    r#"{"time":"2024-03-01T00:00:00Z","actor":"user:alice","commands":[{"type":"grant.set","environment":"prod","principal":"user:bob","role":"contributor"}]}"#,
    "\n",
);

fn packed(text: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(text).unwrap();
    packer.finish().unwrap()
}

/// Runs `import` into a new folder, with these bytes on standard input.
fn import_given(args: &[&str], given: &[u8]) -> RunOutput {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program();
    command.args(["import", "--data"]).arg(folder.path().join("data")).args(args).stdin(Stdio::piped());
    run_given(&mut command, given)
}

/// Runs the program with these bytes on standard input. A program that does not read all of them is no failure.
fn run_given(command: &mut Command, given: &[u8]) -> RunOutput {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let given = given.to_vec();
    let giving = std::thread::spawn(move || drop(input.write_all(&given)));
    let output = child.wait_with_output().unwrap();
    giving.join().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    RunOutput { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Encodes the history in UTF-16, with or without a byte order mark.
fn utf_16(mark: &str, bytes_of: fn(u16) -> [u8; 2]) -> Vec<u8> {
    format!("{mark}{HISTORY}").encode_utf16().flat_map(bytes_of).collect()
}

/// Makes a folder, and imports the history into its `data`.
fn imported() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let history = folder.path().join("acme.jsonl");
    fs::write(&history, HISTORY).unwrap();
    run(program().args(["import", "--data"]).arg(folder.path().join("data")).arg(history)).ok();
    folder
}

/// Returns the stored events of the only workspace, one a line.
fn recorded_log(data: &Path) -> Vec<u8> {
    let log = SqliteLog::attach(data).unwrap();
    let workspace = log.workspaces(None, 1).unwrap()[0];
    let events = log.read(workspace, Revision::ZERO, usize::MAX).unwrap();
    events.into_iter().flat_map(|event| [event.bytes, b"\n".to_vec()].concat()).collect()
}

#[test]
fn help_shows_the_first_steps_and_every_command_has_help() {
    let help = tenure("--help").ok();
    for taught in ["tenure demo", "tenure serve --data", "tenure check user:alice deploy main --explain", "Exit codes"]
    {
        assert!(help.contains(taught), "{taught}\n{help}");
    }
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    for command in names.filter(|name| !name.is_empty() && *name != "help") {
        let help = tenure(&format!("{command} --help")).ok();
        assert!(help.contains(&format!("Usage: tenure {command}")), "{help}");
        assert!(help.lines().next().unwrap().len() > 15, "{help}");
    }
}

#[test]
fn a_wrong_argument_is_reported_on_stderr_with_exit_code_2() {
    for args in ["", "chek", "check bob deploy prod", "check user:bob deploy prod --at soon", "replay", "serve"] {
        let said = tenure(args);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{args}");
        assert!(!said.err.is_empty(), "{args}");
    }
    let said = tenure("check user:bob deploy prod --at soon").err;
    assert!(said.contains("a date such as `2026-03-01`, which is its midnight in UTC"), "{said}");
}

#[test]
fn completions_are_written_for_each_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = tenure(&format!("completions {shell}")).ok();
        assert!(script.contains("service-user") && script.contains("no_access"), "{shell}");
    }
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let mut child = program().args(["completions", "bash"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn a_history_is_imported_compressed_or_not_with_advice_for_the_next_step() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, gz, data) =
        (folder.path().join("acme.jsonl"), folder.path().join("umbrella.jsonl.gz"), folder.path().join("data"));
    fs::write(&plain, HISTORY).unwrap();
    fs::write(&gz, packed(HISTORY.replace("acme", "umbrella").as_bytes())).unwrap();
    let said = run(program().args(["import", "--data"]).arg(&data).args([&plain, &gz])).ok();
    let count = "3 lines with 4 commands, 9 events until 2024-03-01T00:00:00.000000Z, in ";
    assert!(said.contains(&format!("imported `acme`: {count}")), "{said}");
    assert!(said.contains(&format!("imported `umbrella`: {count}")), "{said}");
    assert!(said.contains("tenure serve --data") && said.contains("operator.secret"), "{said}");
    let secret = data.join("operator.secret");
    assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(&secret).unwrap().trim().len() >= 32);
    assert!(!said.contains(fs::read_to_string(&secret).unwrap().trim()));
}

#[test]
fn standard_input_is_imported_compressed_or_not_and_with_a_byte_order_mark_too() {
    let marked = format!("\u{feff}{HISTORY}");
    let windows = format!("\u{feff}{}", HISTORY.replace('\n', "\r\n"));
    let two = [packed(marked.as_bytes()), packed(b"\n")].concat();
    for given in
        [HISTORY.as_bytes().to_vec(), packed(HISTORY.as_bytes()), marked.into_bytes(), windows.into_bytes(), two]
    {
        let said = import_given(&["-"], &given).ok();
        assert!(said.contains("imported `acme`: 3 lines with 4 commands, 9 events"), "{said}");
    }
    let said = import_given(&["-"], b"").failed();
    assert!(said.contains("`standard input` was not imported: there is nothing in it"), "{said}");
    let cut = import_given(&["-"], &HISTORY.as_bytes()[..HISTORY.len() - 9]).failed();
    assert!(
        cut.contains("`standard input` was not imported: line 3:") && cut.contains("the file ends within this line"),
        "{cut}"
    );
}

#[test]
fn a_file_that_is_no_utf_8_text_is_refused_with_the_name_of_its_format() {
    let whole = packed(HISTORY.as_bytes());
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 8].fill(0xff);
    let le: fn(u16) -> [u8; 2] = u16::to_le_bytes;
    let be: fn(u16) -> [u8; 2] = u16::to_be_bytes;
    let cases: [(Vec<u8>, &str); 11] = [
        (utf_16("\u{feff}", le), "it is UTF-16 text: save it as UTF-8"),
        (utf_16("\u{feff}", be), "it is UTF-16 text"),
        (utf_16("", le), "it is UTF-16 text"),
        (utf_16("", be), "it is UTF-16 text"),
        (packed(&utf_16("\u{feff}", le)), "it is UTF-16 text"),
        (HISTORY.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect(), "it is UTF-32 text"),
        (b"\x28\xb5\x2f\xfd\x04\x00".to_vec(), "it is compressed with zstd"),
        (b"PK\x03\x04\x14\x00".to_vec(), "it is a zip archive"),
        (whole[..whole.len() - 12].to_vec(), "the compressed file is cut short: copy it again, whole"),
        (damaged, "the compressed file is"),
        ([whole.clone(), b"rubbish".to_vec()].concat(), "the compressed file is"),
    ];
    for (given, words) in cases {
        let said = import_given(&["-"], &given).failed();
        assert!(said.contains(words), "{words}\n{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn a_file_that_unpacks_to_far_more_than_its_size_is_refused_unless_the_limit_is_raised() {
    let blank = [HISTORY.as_bytes(), &vec![b'\n'; 24 << 20]].concat();
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(&blank).unwrap();
    let bomb = packer.finish().unwrap();
    assert!(bomb.len() < 64 << 10);
    let said = import_given(&["-"], &bomb).failed();
    assert!(said.contains("unpack to more than") && said.contains("`--unpacked-mib`"), "{said}");
    assert!(import_given(&["-", "--unpacked-mib", "32"], &bomb).ok().contains("9 events"));
    let said = import_given(&["-", "--unpacked-mib", "1"], &bomb).failed();
    assert!(said.contains("unpack to more than 1048576"), "{said}");
    let said = run_given(program().args(["replay", "-"]), &bomb).failed();
    assert!(said.contains("does not begin with a stored event"), "{said}");
    assert!(
        import_given(&["-"], &blank).ok().contains("9 events"),
        "a file that is not packed is as large as it looks"
    );
}

#[test]
fn a_file_that_cannot_be_imported_is_named_with_its_line_and_leaves_nothing() {
    let folder = imported();
    let (bad, data) = (folder.path().join("bad.jsonl"), folder.path().join("data"));
    let import = || run(program().args(["import", "--data"]).arg(&data).arg(&bad)).failed();
    let before = recorded_log(&data);
    fs::write(&bad, HISTORY).unwrap();
    assert!(import().contains("the workspace `acme` exists already"));
    fs::write(&bad, HISTORY.replace("acme", "other").replace("user:bob", "user:rob")).unwrap();
    let said = import();
    assert!(
        said.contains("bad.jsonl` was not imported: line 3: `commands[0]`: there is no principal `user:rob`"),
        "{said}"
    );
    fs::remove_file(&bad).unwrap();
    assert!(import().contains("cannot read"));
    assert_eq!(SqliteLog::attach(&data).unwrap().workspaces(None, 9).unwrap().len(), 1);
    assert_eq!(recorded_log(&data), before);
}

#[test]
fn a_store_and_its_recorded_log_replay_to_the_same_state_byte_for_byte() {
    let folder = imported();
    let (data, log, gz) = (folder.path().join("data"), folder.path().join("log.jsonl"), folder.path().join("log.gz"));
    fs::write(&log, recorded_log(&data)).unwrap();
    fs::write(&gz, packed(&recorded_log(&data))).unwrap();
    let replay = |args: &[&str]| run(program().arg("replay").args(args));
    let (data, log, gz) = (data.to_str().unwrap(), log.to_str().unwrap(), gz.to_str().unwrap());
    let state = replay(&["--data", data, "-o", "json"]).ok();
    assert!(state.contains("\"revision\": 9"), "{state}");
    assert_eq!(replay(&[log, "-o", "json"]).ok(), state);
    assert_eq!(replay(&[gz, "-o", "json", "--workspace", "acme"]).ok(), state);
    let early = replay(&[log, "-o", "json", "--at", "2024-01-15"]).ok();
    assert!(early.contains("\"revision\": 5") && early.contains("\"environments\""), "{early}");
    assert_eq!(replay(&["--data", data, "-o", "json", "--at", "5", "-w", "acme"]).ok(), early);
    let shown = replay(&[log]).ok();
    assert!(shown.contains("user:bob") && shown.contains("contributor") && shown.contains("alice"), "{shown}");
}

#[test]
fn a_replay_reports_the_invalid_line() {
    let folder = imported();
    let log = folder.path().join("log.jsonl");
    let whole = String::from_utf8(recorded_log(&folder.path().join("data"))).unwrap();
    let replay = |text: String, args: &[&str]| {
        fs::write(&log, text).unwrap();
        run(program().arg("replay").arg(&log).args(args)).failed()
    };
    let but_one = whole.lines().enumerate().filter(|(place, _)| *place != 3).map(|(_, line)| line);
    let hole = but_one.collect::<Vec<_>>().join(
        "
",
    );
    assert!(replay(hole, &[]).contains("at revision 4"));
    assert!(replay(whole.replace("grant.added.v1", "grant.given.v7"), &[]).contains("`grant.given.v7` is unknown"));
    assert!(replay("no event\n".to_owned(), &[]).contains("does not begin with a stored event"));
    assert!(replay(String::new(), &[]).contains("there is no event"));
    let cut = replay(whole[..whole.len() - 9].to_owned(), &[]);
    assert!(
        cut.contains("may be cut short, for its last line has no end: ") && cut.contains("copy it again, whole"),
        "{cut}"
    );
    for given in [whole.clone(), format!("\u{feff}{whole}"), whole.replace('\n', "\r\n"), whole.trim_end().to_owned()] {
        assert!(run_given(program().args(["replay", "-"]), given.as_bytes()).ok().contains("user:bob"));
    }
    assert!(replay(whole, &["-w", "umbrella"]).contains("the log of the workspace `acme`, not of `umbrella`"));
}

#[test]
fn a_store_is_backed_up_and_replayed_while_it_is_served_and_not_imported_into() {
    let server = Server::on(imported());
    let (data, out) = (server.data(), server.folder().join("copy.db"));
    let backup = || run(program().args(["backup", "--data"]).arg(&data).arg("--out").arg(&out));
    assert!(backup().ok().contains("copied"));
    assert!(backup().failed().contains("exists already"));
    let replay = |folder: &Path| run(program().args(["replay", "-o", "json", "--data"]).arg(folder)).ok();
    let restored = server.folder().join("restored");
    fs::create_dir(&restored).unwrap();
    fs::copy(&out, restored.join("tenure.db")).unwrap();
    assert_eq!(replay(&restored), replay(&data));
    let history = server.folder().join("acme.jsonl");
    let said = run(program().args(["import", "--data"]).arg(&data).arg(history)).failed();
    assert!(said.contains("in use by another tenure process"), "{said}");
}

#[test]
fn a_server_does_not_start_with_a_secret_that_could_be_guessed() {
    let folder = tempfile::tempdir().unwrap();
    let serve = |secret: Option<&str>| {
        let mut command = program();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path());
        if let Some(secret) = secret {
            command.env("TENURE_OPERATOR_SECRET", secret);
        }
        run(&mut command).failed()
    };
    let said = serve(Some("0123456789abcdef0123456789abcde"));
    assert!(said.contains("has 31 bytes: give at least 32") && !said.contains("0123"), "{said}");
    let file = folder.path().join("operator.secret");
    fs::write(&file, "short\n").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let said = serve(None);
    assert!(said.contains("has 5 bytes") && !said.contains("short"), "{said}");
}

/// A limit of 0 is refused at the start, or the server serves with it.
#[test]
fn no_limit_of_0_makes_a_server_that_serves_nobody() {
    let folder = tempfile::tempdir().unwrap();
    for variable in [false, true] {
        let mut serve = program();
        serve.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path().join("none"));
        if variable {
            serve.env("TENURE_CONNECTIONS_PER_ADDRESS", "0");
        } else {
            serve.args(["--connections-per-address", "0"]);
        }
        let said = run(&mut serve).failed();
        assert!(said.contains("--connections-per-address") && said.contains("give at least 1"), "{said}");
        assert!(!folder.path().join("none").exists());
    }
    let zeros = [
        ("--cache-mib", "0"),
        ("--answers-mib", "0"),
        ("--bodies-mib", "0"),
        ("--disk-reserve-mib", "0"),
        ("--change-rate", "0"),
        ("--read-rate", "0/0"),
        ("--clock-settle", "0"),
        ("--connections-per-address", "1"),
    ];
    let zeros: Vec<&str> = zeros.into_iter().flat_map(|(flag, value)| [flag, value]).collect();
    let server = Server::with(tempfile::tempdir().unwrap(), "127.0.0.1:0", &zeros);
    let alice = server.found();
    server.ask(&alice, "member add bob").ok();
    server.ask(&alice, "check user:bob read app@main").code.unwrap();
    assert!(server.ask(&alice, "events -o json").ok().contains("member.added.v1"));
    assert!(server.ask(&alice, "who main").ok().contains("bob"));
}

#[test]
fn sigterm_stops_a_server_with_exit_code_0() {
    let server = Server::start();
    server.found();
    assert_eq!(server.running.stop(), Some(0));
}

#[test]
fn a_replay_shows_the_environments_of_resources() {
    let log = concat!(env!("CARGO_MANIFEST_DIR"), "/events/histories/resources-placed-and-moved.jsonl");
    let shown = run(program().args(["replay", log, "--at", "24"])).ok();
    let holds = |words: &[&str]| shown.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(holds(&["robot_arm", "halt=viewer move=contributor read=viewer"]), "{shown}");
    assert!(holds(&["robot_arm", "north/1", "line"]) && holds(&["secret", "wifi", "workshop"]), "{shown}");
}
