//! The baseline for a decision over HTTP: an ordinary axum server.
//!
//! It parses the same question into the same type and answers with the same number of bytes of JSON.

use axum::routing::post;
use axum::{Json, Router};
use tenure::http::handlers::decisions::{DecisionBody, EvaluationBody};

async fn evaluation(Json(body): Json<EvaluationBody>) -> Json<DecisionBody> {
    Json(DecisionBody { decision: body.action.name == "deploy", context: None })
}

/// Serves until the process is killed.
pub fn serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("listening on http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/workspaces/{ws}/access/v1/evaluation", post(evaluation));
        axum::serve(listener, router).await.unwrap();
    });
}
