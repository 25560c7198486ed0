//! `GET /healthz`: this deployment is configured, and in development its data is there.

use crate::wire::Response;
use http::StatusCode;

/// 200; everything that could be wrong was checked before.
pub fn get() -> Response {
    Response::json(StatusCode::OK, &crate::json::json!({ "status": "ok" }))
}
