//! The administration API: its JSON bodies, its listings, and `If-Match`.

use super::{
    answers::judge,
    choose, first_line, lossy,
    prepared::{self, Rows, rows},
};
use crate::world::{ADMIN_TOKEN, Site, request};
use edgemint::wire::{Request, Response, encode};
use http::Method;
use serde_json::Value;
use std::collections::BTreeSet;

/// What takes a body.
#[rustfmt::skip]
const TAKERS: &[(Method, &str)] = &[
    (Method::POST,  "/admin/clients"),
    (Method::PATCH, "/admin/clients/demo-web"),
    (Method::PATCH, "/admin/clients/demo-legacy"),
    (Method::POST,  "/admin/registration-tokens"),
    (Method::POST,  "/admin/scopes"),
    (Method::PATCH, "/admin/scopes/reports"),
    (Method::POST,  "/admin/users"),
    (Method::PATCH, "/admin/users/alice"),
    (Method::PATCH, "/admin/settings"),
];

/// What is listed or shown.
#[rustfmt::skip]
const SHOWN: &[&str] = &[
    "/admin/clients", "/admin/registration-tokens", "/admin/scopes", "/admin/users", "/admin/grants",
    "/admin/clients/demo-web", "/admin/scopes/reports", "/admin/users/alice", "/admin/settings",
];

fn asked(method: &Method, target: &str, more: &[(&str, &str)], body: &[u8]) -> Request {
    let authorization = format!("Bearer {ADMIN_TOKEN}");
    let mut headers = vec![("content-type", "application/json"), ("authorization", authorization.as_str())];
    headers.extend(more);
    Request { body: Some(body.to_vec()), ..request(method.clone(), target, &headers, "") }
}

fn answered(site: &Site, request: &Request) -> (u16, Value, Response) {
    let response = site.send(request);
    judge(request, &response);
    let body = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
    (response.status.as_u16(), body, response)
}

/// What is decided about clients, scopes, settings and people; that somebody wished it is remembered beside it.
fn decided(rows: &Rows) -> Vec<Value> {
    let tables = ["clients", "policy", "links", "marks", "accounts", "names"];
    let decided = rows.iter().filter(|((_, _, table, ..), _)| tables.contains(&table.as_str()));
    decided
        .map(|(_, row)| {
            let mut row: Value = serde_json::from_str(row).expect("a row is JSON");
            row.as_object_mut().map(|members| members.remove("attempts"));
            row
        })
        .collect()
}

/// The address of something, and a JSON body: done whole and shown as it was answered, or refused with no trace.
pub fn admin_bodies(input: &[u8]) {
    let site = prepared::site();
    let (first, body) = first_line(input);
    let (method, target) = choose(TAKERS, first, |(method, target)| format!("{method} {target}"));
    let before = decided(&rows(&site.world));
    let stranger = Request { headers: Vec::new(), ..asked(method, target, &[], body) };
    assert_eq!(answered(&site, &stranger).0, 401);
    let change = asked(method, target, &[], body);
    let (status, answer, response) = answered(&site, &change);
    if status >= 400 {
        assert_eq!(decided(&rows(&site.world)), before, "{status}: {answer}");
        return;
    }
    assert_eq!(status, if method == Method::POST { 201 } else { 200 });
    let after = decided(&rows(&site.world));
    let place = response.header("location").map_or(*target, |location| {
        let (_, path) = location.split_once("/admin/").expect("an address of ours");
        path
    });
    let place = if place.starts_with('/') { place.to_owned() } else { format!("/admin/{place}") };
    let (status, shown, again) = answered(&site, &asked(&Method::GET, &place, &[], b""));
    assert_eq!((status, again.header("etag")), (200, response.header("etag")), "{place}");
    let mut answer = answer;
    for secret in ["client_secret", "client_secret_expires_at", "token"] {
        answer.as_object_mut().map(|members| members.remove(secret));
    }
    assert_eq!(shown, answer);
    // The same again changes nothing more, but for a password, whose hash is never the same.
    let (status, ..) = answered(&site, &change);
    if method == Method::POST {
        let drawn =
            ["/admin/clients", "/admin/registration-tokens"].iter().any(|path| place.starts_with(path));
        let chosen = !drawn || body.windows(9).any(|part| part == b"client_id");
        assert!(status == 409 || !chosen, "made twice: {status}");
    } else {
        assert_eq!(status, 200);
        let sent: Value = serde_json::from_slice(body).expect("it was taken");
        assert!(sent.get("password").is_some() || decided(&rows(&site.world)) == after, "another change");
    }
    assert_eq!(site.get("/healthz").status, 200);
    assert_eq!(site.get("/.well-known/oauth-authorization-server").status, 200);
}

/// What is listed, a tag for `If-Match`, and a query: a page is as long as was asked, the pages behind it hold other
/// things, no question changes anything, and a change is made to the version that the tag names or not at all.
pub fn listings(input: &[u8]) {
    let site = prepared::site();
    let before = rows(&site.world);
    let (first, rest) = first_line(input);
    let (tag, query) = first_line(rest);
    let path = *choose(SHOWN, first, |path| (*path).to_owned());
    let query: String =
        query.iter().filter(|byte| byte.is_ascii_graphic()).map(|byte| char::from(*byte)).collect();
    let mut question = asked(&Method::GET, path, &[], b"");
    question.query = query;
    let mut seen = BTreeSet::new();
    for _ in 0..4 {
        let (status, body, _) = answered(&site, &question);
        let (200, Some(items)) = (status, body["items"].as_array()) else { break };
        assert!(items.len() <= 200);
        for item in items {
            assert!(seen.insert(item.to_string()), "{item} stands on two pages");
        }
        let Some(next) = body["next"].as_str() else { break };
        question.query = format!("limit=2&after={}", encode(next));
    }
    assert_eq!(rows(&site.world), before, "a question changed something");

    let (_, _, shown) = answered(&site, &asked(&Method::GET, path, &[], b""));
    let Some(etag) = shown.header("etag") else { return };
    let tag = lossy(tag).replace(char::is_control, "");
    let (status, ..) = answered(&site, &asked(&Method::PATCH, path, &[("if-match", &tag)], b"{}"));
    let named = tag.trim() == "*" || tag.trim() == etag;
    assert_eq!(status, if named { 200 } else { 412 }, "{tag}");
    if !named {
        assert_eq!(rows(&site.world), before, "refused, and changed");
    }
}
