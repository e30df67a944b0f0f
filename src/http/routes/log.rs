//! Rows of the table: the log of a workspace as its auditors check it.

use super::{Route, RouteKind, get};
use crate::http::guard::Auditors;
use crate::http::handlers::log;

pub(super) fn rows() -> Vec<Route> {
    let tile = "/v1/workspaces/{ws}/log/tile/{*tile}";
    let consistency = "/v1/workspaces/{ws}/log/consistency";
    let proves = "Proves that the log has an event: a receipt that can be checked for ever";
    vec![
        get("/v1/workspaces/{ws}/log/checkpoint", "Signs the size and the root of the log", Auditors, log::checkpoint)
            .text("text/plain"),
        get("/v1/workspaces/{ws}/log/keys", "Tells which key signed the log after which", Auditors, log::keys)
            .text("text/plain"),
        get(tile, "Gives a tile of the log's tree, or a bundle of its entries", Auditors, log::tile)
            .bytes("application/octet-stream"),
        get("/v1/workspaces/{ws}/log/proof/{ref}", proves, Auditors, log::proof).text("text/plain"),
        get(consistency, "Proves that the log only grew from one size to another", Auditors, log::consistency)
            .kind(RouteKind::Consistency)
            .returns::<log::ConsistencyBody>(),
    ]
}
