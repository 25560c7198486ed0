//! The only place where an [`Error`] becomes a [`Response`].

use super::{Response, Surface, answer::answer_to};
use crate::{
    error::{Code, Error},
    json::{self, json},
};
use askama::Template;
use http::StatusCode;

/// The page for a refusal that may not be redirected (RFC 6749 §4.1.2.1).
#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    title: &'a str,
    code: &'a str,
    detail: &'a str,
    trace: &'a str,
    /// False where storage did not answer: then nobody knows.
    unchanged: bool,
}

/// Says no, in the manner of the endpoint. `issuer` goes into redirected errors (RFC 9207 §2), `trace` into all.
pub fn refuse(error: &Error, surface: Surface, issuer: &str, path: &str, trace: &str) -> Response {
    let detail = printable(&error.detail);
    let response = match (&error.redirect, surface) {
        (Some(back), _) => redirect(error.code, &format!("{detail} (trace {trace})"), back, issuer),
        (None, Surface::Json | Surface::Compat | Surface::Bearer | Surface::Check) => {
            let field = error.field.iter().map(|field| format!("{field} "));
            let detail = printable(&field.chain([detail]).collect::<String>());
            let body = json!({ "error": error.code.name(), "error_description": detail, "trace_id": trace });
            Response::json(error.code.status(), &body)
        }
        (None, Surface::Problem) => problem(error.code, &detail, error.field.as_deref(), trace),
        (None, Surface::Page) => page(error.code, &detail, path, trace),
    };
    let cookies = error.cookies.iter();
    let response = cookies.fold(response, |response, cookie| response.with("set-cookie", cookie.clone()));
    with_headers(response, error, surface)
}

/// RFC 9457 §3; `field` names the member that is wrong.
fn problem(code: Code, detail: &str, field: Option<&str>, trace: &str) -> Response {
    let status = code.status();
    let mut body = json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "detail": detail,
        "error": code.name(),
        "trace_id": trace,
    });
    if let (Some(field), Some(members)) = (field, body.as_object_mut()) {
        members.insert("field".to_owned(), json!(field));
    }
    Response::new(status, "application/problem+json", json::write(&body))
}

fn redirect(code: Code, detail: &str, back: &crate::error::Return, issuer: &str) -> Response {
    let mut params = vec![("error", code.name()), ("error_description", detail)];
    params.extend(back.state.as_deref().map(|state| ("state", state)));
    params.push(("iss", issuer)); // RFC 9207 §2: in error responses too.
    answer_to(back, &params)
}

fn page(code: Code, detail: &str, path: &str, trace: &str) -> Response {
    // A page is not an endpoint that clients authenticate to: what would be 401 or 403 there is 400 here.
    let status = match code.status() {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => StatusCode::BAD_REQUEST,
        other => other,
    };
    let title = if path.ends_with("authorize") { "Authorization error" } else { "This did not work" };
    let page = ErrorPage { title, code: code.name(), detail, trace, unchanged: status.is_client_error() };
    Response::new(status, "text/html; charset=utf-8", page.render().unwrap_or_default())
}

/// What HTTP demands beside some statuses.
fn with_headers(response: Response, error: &Error, surface: Surface) -> Response {
    let code = error.code;
    match (code.status(), surface) {
        // RFC 6749 §5.2 and RFC 9110 §11.6.1: every 401 names a scheme.
        (StatusCode::UNAUTHORIZED, Surface::Compat)
            if matches!(code, Code::MissingToken | Code::InvalidToken) =>
        {
            response.with("www-authenticate", "Bearer realm=\"edgemint\"")
        }
        (StatusCode::UNAUTHORIZED, Surface::Json | Surface::Compat) => {
            response.with("www-authenticate", "Basic realm=\"edgemint\", charset=\"UTF-8\"")
        }
        (StatusCode::UNAUTHORIZED, Surface::Problem | Surface::Bearer | Surface::Check)
            if code == Code::MissingToken =>
        {
            response.with("www-authenticate", "Bearer realm=\"edgemint\"")
        }
        (StatusCode::UNAUTHORIZED, Surface::Problem | Surface::Bearer | Surface::Check) => {
            response.with("www-authenticate", "Bearer realm=\"edgemint\", error=\"invalid_token\"")
        }
        (StatusCode::FORBIDDEN, Surface::Problem | Surface::Check | Surface::Bearer | Surface::Compat)
            if matches!(code, Code::InsufficientScope | Code::ClosedResource) =>
        {
            let mut challenge = "Bearer realm=\"edgemint\", error=\"insufficient_scope\"".to_owned();
            if let Some(scope) = &error.scope {
                // No name of a scope has a quotation mark or a backslash (RFC 6749 §3.3).
                challenge.push_str(", scope=\"");
                challenge.push_str(scope);
                challenge.push('"');
            }
            response.with("www-authenticate", challenge)
        }
        (StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, _) => {
            response.with("retry-after", error.retry_after.unwrap_or(1).to_string())
        }
        _ => response,
    }
}

/// The characters that `error_description` may hold (RFC 6749 §5.2).
fn printable(detail: &str) -> String {
    let allowed = |c: char| matches!(c, ' '..='!' | '#'..='[' | ']'..='~');
    detail.chars().map(|c| if allowed(c) { c } else { '\'' }).take(300).collect()
}
