//! The log as an auditor verifies it, with a client that implements only RFC 6962 and the C2SP specifications.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tenure::domain::model::id::WorkspaceId;
use tenure::proof::checkpoint::Checkpoint;
use tenure::proof::hash::TreeHash;
use tenure::proof::note::VerifierKey;
use tenure::proof::path::verify_consistency;
use tenure::proof::receipt::Receipt;

use crate::support::acme::{Acme, id, path, workspace_body};
use crate::support::server::{OPERATOR, Reply, Server, signer};

/// Returns the Merkle tree hash (`MTH` of RFC 6962 §2.1) over entries.
fn root(entries: &[Vec<u8>]) -> Vec<u8> {
    match entries {
        [] => Sha256::digest([]).to_vec(),
        [entry] => Sha256::digest([&[0], entry.as_slice()].concat()).to_vec(),
        _ => {
            let (left, right) = entries.split_at(entries.len().next_power_of_two() / 2);
            Sha256::digest([vec![1], root(left), root(right)].concat()).to_vec()
        }
    }
}

/// A verified copy of a log.
struct Mirror {
    checkpoint: Checkpoint,
    entries: Vec<Vec<u8>>,
}

/// Returns the path of a tile below a thousand, with the width of a partial one.
fn place(index: usize, width: usize) -> String {
    let partial = if width == 256 { String::new() } else { format!(".p/{width}") };
    format!("{index:03}{partial}")
}

/// Returns the widths of the tiles of a level with this many hashes.
fn widths(count: usize) -> Vec<usize> {
    (0..count).step_by(256).map(|start| (count - start).min(256)).collect()
}

/// Copies the log below a URL, with a credential.
#[track_caller]
fn mirror(server: &Server, log: &str, credential: &str, key: &VerifierKey) -> Mirror {
    let get = |rest: &str| server.get(&format!("{log}/{rest}"), credential).expect(200);
    let checkpoint = Checkpoint::open(&get("checkpoint").text, key).unwrap();
    let size = usize::try_from(checkpoint.tree().size).unwrap();
    let mut entries = Vec::new();
    for (index, width) in widths(size).into_iter().enumerate() {
        let bundle = get(&format!("tile/entries/{}", place(index, width))).bytes;
        let mut rest = bundle.as_slice();
        let before = entries.len();
        while let [high, low, tail @ ..] = rest {
            let (entry, tail) = tail.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            entries.push(entry.to_vec());
            rest = tail;
        }
        assert_eq!(entries.len(), before + width);
        let hashes: Vec<u8> = entries[before..].iter().flat_map(|entry| root(std::slice::from_ref(entry))).collect();
        assert_eq!(get(&format!("tile/0/{}", place(index, width))).bytes, hashes);
    }
    let full: Vec<Vec<u8>> = entries.chunks_exact(256).map(root).collect();
    for (index, width) in widths(full.len()).into_iter().enumerate() {
        assert_eq!(get(&format!("tile/1/{}", place(index, width))).bytes, full[index * 256..][..width].concat());
    }
    assert_eq!(checkpoint.tree().root.0.as_slice(), root(&entries));
    Mirror { checkpoint, entries }
}

fn key(acme: &Acme) -> VerifierKey {
    signer().verifier(workspace(acme))
}

#[track_caller]
fn workspace(acme: &Acme) -> WorkspaceId {
    acme.server.get(&path(""), OPERATOR).expect(200).json["id"].as_str().unwrap().parse().unwrap()
}

#[track_caller]
fn mirrored(acme: &Acme) -> Mirror {
    mirror(&acme.server, &path("log"), &acme.alice, &key(acme))
}

/// Appends this many events in one change.
#[track_caller]
fn append(acme: &Acme, count: usize) -> Reply {
    let head = acme.head();
    let command = |number| json!({"type": "environment.create", "name": format!("e{head}-{number}")});
    let commands: Vec<Value> = (0..count).map(command).collect();
    // A batch of one command has a location.
    acme.post("commands", &json!({"commands": commands})).expect(if count == 1 { 201 } else { 200 })
}

/// Returns the checkpoint in a response.
#[track_caller]
fn named(reply: &Reply) -> (u64, Vec<u8>) {
    let named = &reply.json["checkpoint"];
    (named["size"].as_u64().unwrap(), BASE64_STANDARD.decode(named["root"].as_str().unwrap()).unwrap())
}

#[test]
fn a_client_that_knows_only_the_specifications_mirrors_the_log() {
    let acme = Acme::new();
    let small = mirrored(&acme);
    let head = small.entries.len();
    append(&acme, 300);
    let large = mirrored(&acme);
    assert_eq!(large.entries.len(), head + 300);
    assert_eq!(large.entries[..head], small.entries, "it only grew");
    let decoded: Vec<Value> = large.entries.iter().map(|entry| serde_json::from_slice(entry).unwrap()).collect();
    assert_eq!(decoded, acme.events(), "each entry is the event of its place");

    let acme = acme.restart();
    let again = mirrored(&acme);
    assert_eq!(again.checkpoint, large.checkpoint);
    append(&acme, 1);
    assert_eq!(mirrored(&acme).entries[..head + 300], large.entries);
}

#[test]
fn each_workspace_has_its_own_log_and_origin() {
    let acme = Acme::new();
    let made = acme.server.post("/v1/workspaces", OPERATOR, &workspace_body("other", "shared", "team", "olga"));
    let other: WorkspaceId = made.expect(201).json["workspace"]["id"].as_str().unwrap().parse().unwrap();
    let theirs = signer().verifier(other);
    assert_eq!(mirror(&acme.server, "/v1/workspaces/other/log", OPERATOR, &theirs).entries.len(), 4);
    let note = acme.get("log/checkpoint").expect(200).text;
    assert!(note.starts_with(&format!("tenure.test/workspaces/{}\n{}\n", workspace(&acme), acme.head())), "{note}");
    Checkpoint::open(&note, &theirs).unwrap_err();
}

#[test]
fn a_receipt_is_valid_for_ever() {
    let acme = Acme::new();
    let key = key(&acme);
    let receipt = |named: &str| acme.get(&format!("log/proof/{named}")).expect(200).text;
    let mut kept = Vec::new();
    for round in [1, 3, 270] {
        append(&acme, round);
        let Mirror { checkpoint, entries } = mirrored(&acme);
        for place in [0, 1, entries.len() / 2, entries.len() - 1] {
            let event: Value = serde_json::from_slice(&entries[place]).unwrap();
            let by_revision = receipt(&event["revision"].to_string());
            assert_eq!(by_revision, receipt(event["id"].as_str().unwrap()));
            assert!(by_revision.ends_with(&format!("\n\n{}", checkpoint.note())), "{by_revision}");
            kept.push((by_revision, entries[place].clone()));
        }
    }
    for (receipt, entry) in &kept {
        Receipt::parse(receipt).unwrap().verify(entry, &key).unwrap();
        Receipt::parse(receipt).unwrap().verify(b"{}", &key).unwrap_err();
    }
}

#[test]
fn consistency_proofs_show_that_the_log_only_grew() {
    let acme = Acme::new();
    let key = key(&acme);
    let checkpoint = || Checkpoint::open(&acme.get("log/checkpoint").expect(200).text, &key).unwrap();
    let mut seen = vec![checkpoint()];
    for count in [1, 2, 250, 20] {
        append(&acme, count);
        seen.push(checkpoint());
    }
    let (newest, head) = (seen.last().unwrap().tree().size, acme.head());
    assert_eq!(newest, head);
    for (number, older) in seen.iter().enumerate() {
        for newer in &seen[number..] {
            let (from, to) = (older.tree(), newer.tree());
            let answer = acme.get(&format!("log/consistency?from={}&to={}", from.size, to.size)).expect(200);
            let fields: Vec<&String> = answer.json.as_object().unwrap().keys().collect();
            assert_eq!(fields, ["from", "to", "from_root", "to_root", "proof"]);
            let expected = json!([from.size, to.size, from.root.to_string(), to.root.to_string()]);
            let given = ["from", "to", "from_root", "to_root"].map(|field| answer.json[field].clone());
            assert_eq!(json!(given), expected);
            let hashes = answer.json["proof"].as_array().unwrap().iter();
            let proof: Vec<TreeHash> = hashes.map(|hash| hash.as_str().unwrap().parse().unwrap()).collect();
            verify_consistency(from, to, &proof).unwrap();
            if *to == *seen.last().unwrap().tree() {
                let newest = acme.get(&format!("log/consistency?from={}", from.size)).expect(200);
                assert_eq!(newest.json, answer.json);
            }
        }
    }
}

#[test]
fn the_response_to_every_change_names_a_tree_with_it() {
    let acme = Acme::on(Server::start());
    let made = acme.server.post("/v1/workspaces", OPERATOR, &workspace_body("other", "shared", "team", "olga"));
    let made = made.expect(201);
    let other = signer().verifier(made.json["workspace"]["id"].as_str().unwrap().parse().unwrap());
    let mut answers = vec![
        acme.put("rbac", &json!({"enabled": true})),
        acme.put("rbac", &json!({"enabled": true})),
        acme.post("environments", &json!({"name": "prod", "restricted": true})),
        acme.post("members", &json!({"user": "bob", "role": "member"})),
        acme.put("environments/prod/grants/user:bob", &json!({"role": "viewer"})),
        acme.delete("environments/prod/grants/user:bob"),
        acme.call("PUT", "plan", OPERATOR, &json!({"plan": "enterprise"})),
        append(&acme, 30),
        acme.post("commands", &json!({"commands": [{"type": "rbac.enable"}]})),
    ];
    let none = answers.iter().filter(|answer| answer.json["events"] == json!([])).count();
    assert_eq!(none, 2, "where nothing had to change the newest one is named");
    let Mirror { entries, .. } = mirrored(&acme);
    answers.push(acme.delete("members/bob"));
    for answer in &answers[..answers.len() - 1] {
        let (size, hash) = named(answer);
        assert_eq!(size, answer.json["revision"].as_u64().unwrap());
        assert_eq!(hash, root(&entries[..usize::try_from(size).unwrap()]), "{}", answer.text);
    }
    assert_eq!(named(answers.last().unwrap()).1, root(&mirrored(&acme).entries));
    let theirs = mirror(&acme.server, "/v1/workspaces/other/log", OPERATOR, &other);
    assert_eq!(named(&made), (4, root(&theirs.entries)));
}

#[test]
fn only_immutable_content_is_cacheable_and_only_privately() {
    let acme = Acme::new();
    append(&acme, 256);
    let size = acme.head() - 256;
    let keep = "private, max-age=31536000, immutable";
    let (text, bytes) = ("text/plain; charset=utf-8", "application/octet-stream");
    for (rest, content_type, cached) in [
        ("log/checkpoint", text, "no-store"),
        ("log/proof/1", text, "no-store"),
        ("log/consistency?from=1", "application/json", "no-store"),
        ("log/tile/0/000", bytes, keep),
        ("log/tile/entries/000", bytes, keep),
        ("log/tile/entries%2F000", bytes, keep),
        ("log/tile/0/000.p/17", bytes, "no-store"),
        (&format!("log/tile/0/001.p/{size}"), bytes, "no-store"),
        (&format!("log/tile/entries/001.p/{size}"), bytes, "no-store"),
        ("log/tile/1/000.p/1", bytes, "no-store"),
    ] {
        let reply = acme.get(rest).expect(200);
        let headers = ["content-type", "cache-control"].map(|name| reply.header(name).unwrap());
        assert_eq!(headers, [content_type, cached], "{rest}");
    }
    let (whole, part) = (acme.get("log/tile/0/000").bytes, acme.get("log/tile/0/000.p/17").bytes);
    assert_eq!((whole.len(), &whole[..17 * 32]), (256 * 32, part.as_slice()));
}

#[test]
fn unknown_events_and_tiles_are_not_found() {
    let acme = Acme::new();
    let head = acme.head();
    let beyond = format!("tile/0/000.p/{}", head + 1);
    let newer = format!("tile/entries/000.p/{}", head + 1);
    for rest in [
        "tile/0/000",
        "tile/entries/000",
        "tile/0/001.p/1",
        "tile/1/000.p/1",
        "tile/8/000.p/1",
        "tile/63/000.p/1",
        &beyond,
        &newer,
        "tile/0/0.p/1",
        "tile/0/000.p/01",
        "tile/0/x000/000.p/1",
        "tile/00/000.p/1",
        "tile/0/000.p/0",
        "tile/0/",
        "tile/data/000.p/1",
        "tile/0/000.p/1/",
        "tile/0//000.p/1",
        "tile/0/..%2F000.p/1",
        "tile/checkpoint",
        "proof/0",
    ] {
        acme.get(&format!("log/{rest}")).refused(404, "not_found");
    }
    let unknown = "evt_00000000000000000000000000";
    for named in
        [&(head + 1).to_string(), "18446744073709551615", "18446744073709551616", "-1", "+1", "1.0", "x", unknown]
    {
        let refused = acme.get(&format!("log/proof/{named}")).refused(404, "not_found");
        assert!(refused.json["detail"].as_str().unwrap().contains(named), "{}", refused.text);
    }
    acme.get(&format!("log/proof/{head}")).expect(200);
}

#[test]
fn sizes_that_the_log_never_had_are_refused() {
    let acme = Acme::new();
    let head = acme.head();
    let refused = |query: &str| {
        let reply = acme.get(&format!("log/consistency{query}")).refused(422, "invalid");
        reply.json["detail"].as_str().unwrap().to_owned()
    };
    let beyond = refused(&format!("?from=1&to={}", head + 1));
    assert!(beyond.contains("`to`") && beyond.contains(&format!("{head} events")), "{beyond}");
    for query in ["", "?to=2", "?from=0", "?from=0&to=0", "?from=3&to=2", "?from=x", "?from=-1", "?from=", "?from=1.5"]
    {
        let why = refused(query);
        assert!(why.contains("`from`"), "{query}: {why}");
    }
    assert!(refused(&format!("?from={}", head + 1)).contains("`from`"));
    assert!(refused("?from=1&to=x").contains("`to`"));
    for rest in ["log/checkpoint?at=1", "log/proof/1?to=2", "log/tile/0/000.p/1?limit=1", "log/consistency?from=1&at=1"]
    {
        acme.get(rest).refused(422, "invalid");
    }
}

#[test]
fn reads_of_entries_are_recorded_and_reads_of_hashes_are_not() {
    let acme = Acme::new();
    let auditor = acme.access_key("auditor");
    for rest in ["checkpoint", "tile/0/000.p/4", "proof/1", "consistency?from=1", "tile/entries/000"] {
        let reply = acme.call("GET", &format!("log/{rest}"), &auditor, &Value::Null);
        assert_eq!(reply.status, if rest == "tile/entries/000" { 404 } else { 200 }, "{rest}");
    }
    let reads = || acme.call("GET", "audit/reads?actor=user:alice", OPERATOR, &Value::Null).expect(200).json;
    let auditors = format!("audit/reads?actor={}", id(&auditor));
    let by_key = || acme.call("GET", &auditors, OPERATOR, &Value::Null).expect(200).json["items"].clone();
    assert_eq!((reads()["items"].clone(), by_key()), (json!([]), json!([])));
    acme.call("GET", "log/tile/entries/000.p/5", &auditor, &Value::Null).expect(200);
    let read = by_key()[0].clone();
    let given = ["question", "format", "rows", "revision"].map(|field| read[field].clone());
    assert_eq!(json!(given), json!(["log/tile/entries/000.p/5", "entry_bundle", 5, acme.head()]));

    let store = Connection::open(acme.server.folder().join("tenure.db")).unwrap();
    let fault = "CREATE TRIGGER fault BEFORE INSERT ON audit_reads BEGIN SELECT RAISE(ABORT, 'a fault'); END";
    store.execute_batch(fault).unwrap();
    acme.get("log/tile/entries/000.p/5").refused(503, "unavailable");
    acme.get("log/tile/0/000.p/5").expect(200);
}

#[test]
fn the_log_of_a_deleted_workspace_can_still_be_verified() {
    let acme = Acme::new();
    let (auditor, key) = (acme.access_key("auditor"), key(&acme));
    let log = format!("/v1/workspaces/{}/log", workspace(&acme));
    let deleted = acme.delete("").expect(200);
    for credential in [OPERATOR, &auditor] {
        let found = mirror(&acme.server, &log, credential, &key);
        assert_eq!(named(&deleted), (found.checkpoint.tree().size, root(&found.entries)));
        acme.server.get(&format!("{log}/proof/1"), credential).expect(200);
        acme.server.get(&format!("{log}/consistency?from=1"), credential).expect(200);
    }
    acme.server.get(&format!("{log}/checkpoint"), &acme.alice).refused(401, "unauthenticated");
    let taken = log.replace("/log", &format!("/access-keys/{}", id(&auditor)));
    assert_eq!(named(&acme.server.delete(&taken, OPERATOR).expect(200)), named(&deleted));
}

#[test]
fn a_tree_with_a_missing_tile_is_refused() {
    let acme = Acme::new();
    append(&acme, 256);
    acme.get("log/tile/1/000.p/1").expect(200);
    let store = Connection::open(acme.server.folder().join("tenure.db")).unwrap();
    store.execute_batch("DROP TRIGGER tile_hashes_are_never_deleted; DELETE FROM tile_hashes").unwrap();
    for rest in ["log/tile/1/000.p/1", "log/proof/260", "log/consistency?from=258"] {
        acme.get(rest).refused(500, "unreadable");
    }
    acme.get("log/checkpoint").expect(200);
}
