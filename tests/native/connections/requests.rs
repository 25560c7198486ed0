//! `executeRequest`: requests to resources with the token of a connection.

use super::{API, TOKEN, answer, connected, tokens};
use crate::world::*;
use edgemint::host::{Fetched, Seconds};
use http::Method;
use serde_json::{Value, json};

fn execute(site: &Site, wish: &Value) -> (u16, Value) {
    site.admin(Method::POST, "/admin/external/request", wish)
}

#[test]
fn a_resource_is_asked_with_the_token_and_nowhere_but_where_the_connection_allows() {
    let site = connected(&json!({}));
    let mut given = answer(201, &json!({ "ok": true }));
    given.headers.push(("content-type".to_owned(), "application/json".to_owned()));
    site.world.put_elsewhere(API, given);
    let wish = json!({ "connection": "mail", "method": "POST", "url": API, "headers": { "Accept": "application/json" }, "body": "{}" });
    let (status, out) = execute(&site, &wish);
    let expected =
        json!({ "status": 201, "headers": { "content-type": "application/json" }, "body": "{\"ok\":true}" });
    assert_eq!((status, out), (200, expected));
    let asked = site.world.asked();
    assert_eq!((asked[0].method.as_str(), asked[0].body.as_slice()), ("POST", &b"{}"[..]));
    let header =
        |name: &str| asked[0].headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
    assert_eq!(header("authorization").as_deref(), Some("Bearer access-1"));
    assert_eq!(header("accept").as_deref(), Some("application/json"));
    for url in [
        "https://evil.example/",
        "https://api.example.evil.example/",
        "http://api.example/orders",
        "https://localhost/",
        "x",
    ] {
        let (status, problem) = execute(&site, &json!({ "connection": "mail", "url": url }));
        assert_eq!((status, &problem["error"]), (400, &json!("invalid_target")), "{url}");
    }
    for (field, value) in [
        ("headers", json!({ "Authorization": "Bearer x" })),
        ("headers", json!({ "Host": "x" })),
        ("headers", json!({ "a b": "x" })),
        ("headers", json!({ "a": "x\r\ny: z" })),
        ("headers", json!([])),
        ("method", json!("CONNECT")),
        ("method", json!("get")),
        ("body", json!({})),
        ("url", Value::Null),
        ("connection", Value::Null),
        ("else", json!("x")),
    ] {
        let mut wish = wish.clone();
        wish[field] = value.clone();
        let (status, problem) = execute(&site, &wish);
        assert_eq!((status, &problem["field"]), (400, &json!(field)), "{value}");
    }
    assert_eq!(site.world.asked().len(), 0);
    site.world.pass(Seconds(600));
    assert_eq!(execute(&site, &json!({ "connection": "mail", "url": "https://evil.example/" })).0, 400);
    assert_eq!(site.world.asked().len(), 0, "also where the token is old");
    site.world.put_elsewhere(TOKEN, tokens(2, &json!({})));
    let vendors = site.admin(Method::POST, "/invoke/pub.client.oauth:executeRequest", &wish);
    assert_eq!(vendors.0, 200);
}

#[test]
fn a_resource_that_does_not_take_the_token_is_asked_once_more_with_a_newer_one() {
    let site = connected(&json!({}));
    site.world.put_elsewhere(API, answer(401, &json!({})));
    let wish = json!({ "connection": "mail", "url": API });
    assert_eq!(execute(&site, &wish).1["status"], 401);
    assert_eq!(site.world.asked().len(), 1, "the token has only just been got: nobody is asked again");
    site.world.pass(Seconds(10));
    site.world.put_elsewhere(TOKEN, tokens(2, &json!({})));
    assert_eq!(execute(&site, &wish).1["status"], 401);
    let asked: Vec<String> = site.world.asked().iter().map(|asked| asked.address.clone()).collect();
    assert_eq!(asked, [API, TOKEN, API]);
}

#[test]
fn bytes_that_are_no_text_and_answers_that_are_too_large() {
    let site = connected(&json!({}));
    let wish = json!({ "connection": "mail", "url": API });
    site.world.put_elsewhere(API, Fetched { status: 200, body: Some(vec![0xFF, 0]), ..Fetched::default() });
    assert_eq!(execute(&site, &wish).1["body_base64"], "/wA=");
    site.world.put_elsewhere(
        API,
        Fetched { status: 200, body: Some(vec![b'x'; 1024 * 1024 + 1]), ..Fetched::default() },
    );
    assert_eq!(execute(&site, &wish).0, 502);
}
