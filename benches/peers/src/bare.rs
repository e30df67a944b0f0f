//! A bare axum handler that parses and answers the JSON of an evaluation: the cost of HTTP without a decision.

use std::io::Write as _;

use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::peer::Outcome;

#[derive(Deserialize)]
struct Entity {
    #[serde(rename = "type")]
    kind: String,
    id: String,
}

#[derive(Deserialize)]
struct Action {
    name: String,
}

#[derive(Deserialize)]
struct Evaluation {
    subject: Entity,
    action: Action,
    resource: Entity,
}

#[derive(Serialize)]
struct Decided {
    decision: bool,
}

async fn answer(Json(asked): Json<Evaluation>) -> Json<Decided> {
    let named = [&asked.subject.kind, &asked.subject.id, &asked.resource.kind, &asked.resource.id];
    Json(Decided { decision: named.iter().all(|name| !name.is_empty()) && asked.action.name != "delete" })
}

async fn ready() {}

/// Serves until the process is killed; prints its address, as `tenure serve` does.
///
/// # Errors
/// It cannot listen.
pub async fn serve() -> Outcome<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    let router = Router::new()
        .route("/v1/workspaces/{ws}/access/v1/evaluation", post(answer))
        .route("/readyz", axum::routing::get(ready));
    Ok(axum::serve(listener, router).await?)
}
