//! Whole requests, as a socket brings them: any method, target, headers and body.

use super::{
    answers::judge,
    first_line, lossy,
    prepared::{self, Rows, rows},
};
use crate::world::{ADMIN_TOKEN, ISSUER};
use edgemint::wire::{BODY_LIMIT, Request};
use http::Method;

/// More requests than these one input does not send.
const MOST: usize = 4;
/// Stands on a line of its own between two of them.
const BETWEEN: &[u8] = b"\n%%\n";

/// Some requests, one after the other, to a deployment in use.
pub fn requests(input: &[u8]) {
    let site = prepared::site();
    let before = rows(&site.world);
    let mut administered = false;
    let mut rest = input;
    for _ in 0..MOST {
        let end = rest.windows(BETWEEN.len()).position(|window| window == BETWEEN);
        let (text, behind) = match end {
            Some(end) => (&rest[..end], Some(&rest[end + BETWEEN.len()..])),
            None => (rest, None),
        };
        let Some(request) = read(&prepared::filled(text)) else { return };
        administered |= request.headers.iter().any(|(_, value)| value.contains(ADMIN_TOKEN));
        let response = site.send(&request);
        judge(&request, &response);
        if request.method == Method::HEAD {
            assert!(response.body.is_empty());
        }
        match behind {
            Some(behind) => rest = behind,
            None => break,
        }
    }
    // Every line of the log is JSON, and tells nobody's secret.
    for event in site.world.events() {
        let line = event.to_string();
        for secret in [ADMIN_TOKEN, "demo-web-secret", "demo-machine-secret", "wonderland"] {
            assert!(!line.contains(secret), "{line}");
        }
    }
    if !administered {
        assert_eq!(
            decided(&rows(&site.world)),
            decided(&before),
            "changed without the administrator's token"
        );
        assert_eq!(site.get("/healthz").status, 200);
    }
}

/// What administrators alone decide: clients, scopes, settings, and the passwords of people.
fn decided(rows: &Rows) -> Vec<String> {
    let account = |row: &String| {
        let account: serde_json::Value = serde_json::from_str(row).expect("a row is JSON");
        ["username", "password", "enabled", "groups", "roles"].map(|name| account[name].to_string()).join(" ")
    };
    rows.iter()
        .filter_map(|((binding, _, table, ..), row)| match (*binding, table.as_str()) {
            ("REGISTRY", "clients" | "policy" | "links" | "marks") | ("ACCOUNTS", "names") => {
                Some(row.clone())
            }
            ("ACCOUNTS", "accounts") => Some(account(row)),
            _ => None,
        })
        .collect()
}

/// Reads one as the door does (`src/edge/message.rs`): a target that a URL can hold, headers without line ends and by
/// names in lower case, a body up to the limit.
fn read(text: &[u8]) -> Option<Request> {
    let (line, mut rest) = first_line(text);
    let line = lossy(line);
    let (method, target) = line.trim_end_matches('\r').split_once(' ')?;
    let target: String = target.bytes().map(in_a_url).collect();
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers: Vec<(String, String)> = Vec::new();
    loop {
        let (line, behind) = first_line(rest);
        rest = behind;
        let line = lossy(line);
        let Some((name, value)) = line.split_once(':') else { break };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.replace(char::is_control, ""));
        match headers.iter_mut().find(|(known, _)| *known == name) {
            Some((_, first)) => *first = format!("{first}, {}", value.trim()),
            None => headers.push((name, value.trim().to_owned())),
        }
    }
    let host = headers.iter().find(|(name, _)| name == "host").map(|(_, host)| host.clone());
    Some(Request {
        method: Method::from_bytes(method.as_bytes()).ok()?,
        secure: false,
        host: host.unwrap_or_else(|| ISSUER.trim_start_matches("http://").to_owned()),
        path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
        query: query.to_owned(),
        headers,
        body: Some(rest.to_vec()).filter(|body| body.len() <= BODY_LIMIT),
    })
}

/// A byte as a URL has it (WHATWG URL §1.3, the query's set).
fn in_a_url(byte: u8) -> String {
    if byte.is_ascii_graphic() && !b"\"<>".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}
