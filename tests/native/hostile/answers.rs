//! What every answer must be, whatever was asked: never an error of the server, well formed, kept by no cache, and
//! without a word that could be markup, a header, or an address somewhere else.

use crate::world::ISSUER;
use edgemint::wire::{Request, Response};
use http::{Method, StatusCode};
use serde_json::Value;

/// Addresses that scripts of any origin may call.
const OPEN: &[&str] = &["/token", "/revoke", "/register", "/jwks", "/.well-known/oauth-authorization-server"];
/// Answers that are the same for everybody.
const PUBLIC: &[&str] = &["/style.css", "/jwks", "/.well-known/oauth-authorization-server"];

/// Holds every rule against one answer.
pub fn judge(request: &Request, response: &Response) {
    let status = response.status;
    assert!((200..500).contains(&status.as_u16()), "{status}: {}", String::from_utf8_lossy(&response.body));
    headers(request, response);
    let kind = response.header("content-type").unwrap_or_default();
    if !response.body.is_empty() {
        match kind {
            "text/html; charset=utf-8" => {
                markup(std::str::from_utf8(&response.body).expect("a page is UTF-8"));
            }
            "application/json" | "application/problem+json" => {
                let body: Value = serde_json::from_slice(&response.body).expect("the body is JSON");
                let said = body["error"].as_str().is_some_and(|code| !code.is_empty());
                assert!(body.is_object() && said == (status.as_u16() >= 400), "{status}: {body}");
            }
            "text/css; charset=utf-8" => assert_eq!(request.path, "/style.css"),
            other => panic!("a body of the type {other:?}"),
        }
    }
    if status.is_client_error() {
        assert!(!kind.is_empty(), "an error without a type");
        assert!(request.method == Method::HEAD || !response.body.is_empty(), "an error without a word");
    }
}

fn headers(request: &Request, response: &Response) {
    let status = response.status;
    for (name, value) in &response.headers {
        // What a header cannot carry would be an error of the runtime.
        assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{name}: {value:?}");
    }
    let has = |name: &str| response.header(name).is_some();
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    assert!(has("content-security-policy") && has("x-frame-options") && has("referrer-policy"));
    assert_eq!(status == StatusCode::METHOD_NOT_ALLOWED, has("allow"), "{status}");
    assert_eq!(status == StatusCode::UNAUTHORIZED, has("www-authenticate"), "{status}");
    assert_eq!(status.is_redirection(), status == StatusCode::SEE_OTHER);

    let of_resource = request.path.strip_prefix("/.well-known/oauth-protected-resource");
    let of_resource = of_resource.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let public = status == StatusCode::OK && (of_resource || PUBLIC.contains(&request.path.as_str()));
    let kept = response.header("cache-control").unwrap_or_default();
    assert!(
        kept.starts_with(if public { "public" } else { "no-store" }) || status == 204,
        "{status}: {kept:?}"
    );

    let managed = request.path.strip_prefix("/register/").is_some_and(|id| {
        !id.is_empty()
            && !id.contains('/')
            && edgemint::wire::decode(id.replace('+', "%2B").as_bytes()).is_some()
    });
    let open = OPEN.contains(&request.path.as_str()) || managed || of_resource;
    assert_eq!(response.header("access-control-allow-origin"), open.then_some("*"), "{}", request.path);
    assert!(!has("access-control-allow-credentials"));

    if let Some(location) = response.header("location") {
        assert!(leads_where_it_may(location), "{location}");
    }
    for (_, cookie) in response.headers.iter().filter(|(name, _)| *name == "set-cookie") {
        let (pair, attributes) = cookie.split_once("; ").expect("attributes");
        let (name, value) = pair.split_once('=').expect("a pair");
        assert!(["edgemint-browser", "edgemint-session", "edgemint-others"].contains(&name), "{cookie}");
        assert!(value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{cookie}");
        assert!(attributes.starts_with("Path=/; HttpOnly; SameSite=Lax; Max-Age="), "{cookie}");
    }
}

/// To the issuer, to https, to this machine, or to an application's own scheme.
fn leads_where_it_may(location: &str) -> bool {
    let scheme = location.split(':').next().unwrap_or_default();
    let local = ["http://localhost", "http://127.0.0.1", "http://[::1]"];
    let local = local.iter().filter_map(|host| location.strip_prefix(host));
    location.starts_with(&format!("{ISSUER}/"))
        || location.starts_with("https://")
        || local.into_iter().any(|rest| rest.is_empty() || rest.starts_with([':', '/', '?']))
        || (scheme.contains('.') && !scheme.contains(['/', '?', '%']))
}

/// The elements and attributes of the templates. Anything else in a page was brought in from outside.
#[rustfmt::skip]
const ELEMENTS: &[&str] = &[
    "!doctype", "html", "head", "meta", "title", "link", "body", "main", "h1", "h2", "p", "code", "strong", "form",
    "fieldset", "legend", "label", "input", "span", "div", "button", "table", "tr", "th", "td", "ol", "li", "a", "pre",
];
#[rustfmt::skip]
const ATTRIBUTES: &[&str] = &[
    "html", "lang", "charset", "name", "content", "rel", "href", "class", "role", "id", "method", "action",
    "autocomplete", "type", "value", "for", "autocapitalize", "spellcheck", "required", "aria-invalid",
    "aria-describedby", "aria-label", "autofocus", "checked", "scope",
];

/// Reads a page as browsers do: tags, attributes, and their values in quotes.
fn markup(page: &str) {
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let tag = rest.trim_start_matches('/');
        let name: String = tag.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '!').collect();
        assert!(ELEMENTS.contains(&name.to_ascii_lowercase().as_str()), "<{name} in {page}");
        rest = attributes(&tag[name.len()..], page);
    }
}

/// Reads to the end of a tag, and gives what stands behind it.
fn attributes<'a>(tag: &'a str, page: &str) -> &'a str {
    let mut rest = tag.trim_start();
    loop {
        if let Some(behind) = rest.strip_prefix('>') {
            return behind;
        }
        let name: String = rest.chars().take_while(|c| !c.is_whitespace() && !"=>".contains(*c)).collect();
        assert!(ATTRIBUTES.contains(&name.as_str()), "the attribute {name:?} in {page}");
        rest = rest[name.len()..].trim_start();
        if let Some(value) = rest.strip_prefix('=') {
            let quoted = value.strip_prefix('"').expect("a value without quotes");
            let (value, behind) = quoted.split_once('"').expect("a value without an end");
            let harmless = !value.trim_start().to_ascii_lowercase().starts_with("javascript:");
            assert!(!value.contains(['<', '>']) && (harmless || name == "value"), "{name}={value} in {page}");
            rest = behind.trim_start();
        }
    }
}
