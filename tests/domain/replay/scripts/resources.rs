//! Defined resource types, and resources that are placed, moved, removed, and ended with their environment.

use serde_json::json;
use tenure::domain::model::command::DeleteWorkspace;
use tenure::domain::model::role::Plan;

use super::{
    add, begin, delete_environment, environment, grant, place, private_environment, rbac, remove_resource, rename,
    resource_type, token,
};
use crate::support::recording::{Recorder, Recording};

/// A type is defined twice. Resources move, leave, return, and end with their environment.
pub(super) fn placed_and_moved(mut recorder: Recorder) -> Recording {
    let r = &mut recorder;
    begin(r, "2025-02-03 07:55", "foundry", Plan::Team, "imke");
    r.step("2025-02-03 08:00", "imke", "", json!([rbac(true), add("tariq", "manager"), token("tariq")]));
    r.step("2025-02-03 08:05", "imke", "", json!([add("june", "member"), environment("lab")]));
    r.step("2025-02-03 08:10", "imke", "FD-2", private_environment("line", "no_access", &[("user:june", "viewer")]));
    r.step("2025-02-03 08:30", "imke", "FD-3", place("app", "shop", "line"));
    let arm = [("read", "viewer"), ("move", "contributor")];
    r.step("2025-02-10 09:00", "tariq", "FD-7", resource_type("robot_arm", &arm));
    r.step(
        "2025-02-10 09:10",
        "tariq",
        "FD-7",
        json!([
            place("robot_arm", "north/1", "lab"),
            place("robot_arm", "north/2", "lab"),
            place("robot_arm", "ü", "lab")
        ]),
    );
    r.mark();
    r.step("2025-03-03 10:00", "tariq", "installed, FD-15", place("robot_arm", "north/1", "LINE"));
    r.step(
        "2025-03-04 16:00",
        "tariq",
        "emergency stop is for everyone, FD-16",
        resource_type("robot_arm", &[("read", "viewer"), ("move", "contributor"), ("halt", "viewer")]),
    );
    r.mark();
    r.step("2025-03-20 11:00", "tariq", "scrapped, FD-21", remove_resource("robot_arm", "north/2"));
    r.step(
        "2025-04-01 09:00",
        "imke",
        "",
        json!([rename("lab", "workshop"), grant("line", "user:june", "contributor")]),
    );
    r.step("2025-04-02 09:00", "imke", "one file for all, FD-30", place("secret", "wifi", "workshop"));
    r.step("2025-05-05 09:00", "imke", "spare part, FD-33", place("robot_arm", "north/2", "line"));
    r.mark();
    r.step("2025-06-30 17:00", "imke", "the line is sold, FD-40", delete_environment("line"));
    r.mark();
    r.step("2025-07-01 09:00", "tariq", "FD-41", json!([environment("line"), place("robot_arm", "north/1", "line")]));
    recorder.finish()
}

/// Types and placements end with their workspace.
pub(super) fn ended_with_the_workspace(mut recorder: Recorder) -> Recording {
    let r = &mut recorder;
    begin(r, "2025-08-04 09:00", "popup", Plan::Starter, "rosa");
    r.step("2025-08-04 09:10", "rosa", "", resource_type("stall", &[("open", "contributor")]));
    r.step("2025-08-04 09:20", "rosa", "", json!([place("stall", "corner", "main"), place("stall", "hall", "main")]));
    r.mark();
    r.step("2025-08-20 09:00", "rosa", "rain", remove_resource("stall", "corner"));
    r.step("2025-08-31 18:00", "rosa", "", resource_type("stall", &[("open", "contributor"), ("read", "viewer")]));
    r.workspace_step("2025-09-01 09:00", "summer is over", "rosa", DeleteWorkspace {});
    r.mark();
    recorder.finish()
}
