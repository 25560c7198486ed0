//! What strangers say of their clients: at `/register`, and in documents at addresses that they name.

use super::{
    answers::judge,
    first_line, lossy,
    prepared::{self, rows},
};
use crate::world::{Site, form, request};
use edgemint::{
    host::{Fetched, Seconds},
    model::{client_document, redirect_uri::RedirectUri, registration},
};
use http::Method;
use serde_json::{Map, Value, json};

/// What a client must never be that no administrator registered, whatever it says.
fn harmless(client: &Value) {
    for (member, is) in [
        ("enabled", json!(true)),
        ("profile", json!("oauth21")),
        ("strict", json!(false)),
        ("administrative", json!(false)),
        ("resource_server", json!(false)),
        ("access_token_lifetime", Value::Null),
        ("code_lifetime", Value::Null),
        ("refresh_count", Value::Null),
        ("refresh_rotation", Value::Null),
        ("require_pkce", Value::Null),
        ("not_before", Value::Null),
        ("description", Value::Null),
    ] {
        assert_eq!(client[member], is, "{member} of {client}");
    }
    let texts = |member: &str| -> Vec<String> {
        let texts = client[member].as_array().expect("an array").iter();
        texts.map(|text| text.as_str().expect("a text").to_owned()).collect()
    };
    assert!(
        texts("grant_types")
            .iter()
            .all(|one| ["authorization_code", "refresh_token"].contains(&one.as_str()))
    );
    let uris = texts("redirect_uris");
    assert!(!uris.is_empty() && uris.iter().all(|uri| RedirectUri::parse(uri).is_ok()), "{client}");
    let scope = client["scope"].as_str().expect("a text");
    assert!(scope.split(' ').all(|name| !["admin", "admin.read", "external"].contains(&name)), "{scope}");
    assert!(client["expires_at"].is_u64(), "it ends");
}

fn shown(site: &Site, id: &str) -> Value {
    let (status, client) =
        site.admin(Method::GET, &format!("/admin/clients/{}", edgemint::wire::encode(id)), &Value::Null);
    assert_eq!(status, 200, "{client}");
    client
}

fn send(site: &Site, method: Method, target: &str, token: &str, body: &[u8]) -> (u16, Value) {
    let authorization = format!("Bearer {token}");
    let mut headers = vec![("content-type", "application/json")];
    headers.extend((!token.is_empty()).then_some(("authorization", authorization.as_str())));
    let mut request = request(method, target, &headers, "");
    request.body = Some(body.to_vec());
    let response = site.send(&request);
    judge(&request, &response);
    (response.status.as_u16(), serde_json::from_slice(&response.body).unwrap_or(Value::Null))
}

/// A registration, and behind it what is said anew: taken as it is shown, or refused with no trace.
pub fn registrations(input: &[u8]) {
    let site = prepared::site();
    site.patch("/admin/settings", &json!({ "registration.open": 2 }));
    let (first, second) = first_line(input);
    let clients = |site: &Site| {
        rows(&site.world).into_iter().filter(|((_, _, table, ..), _)| table == "clients").count()
    };
    let before = clients(&site);
    let (status, client) = send(&site, Method::POST, "/register", "", first);
    if status != 201 {
        assert!((400..500).contains(&status) && clients(&site) == before, "{client}");
        return;
    }
    let id = client["client_id"].as_str().expect("a text").to_owned();
    harmless(&shown(&site, &id));
    assert!(client.as_object().expect("an object").keys().all(|name| {
        registration::SAID.contains(&name.as_str())
            || name.starts_with("client_")
            || name.starts_with("registration_")
    }));
    let token = client["registration_access_token"].as_str().expect("a text").to_owned();
    let target = format!("/register/{id}");
    let mut said: Map<String, Value> = serde_json::from_slice(second).unwrap_or_default();
    said.entry("client_id").or_insert_with(|| json!(id));
    let seen = shown(&site, &id);
    let (status, changed) =
        send(&site, Method::PUT, &target, &token, Value::Object(said).to_string().as_bytes());
    if status != 200 {
        assert!((400..500).contains(&status), "{changed}");
        assert_eq!(shown(&site, &id), seen, "refused, and changed");
        return;
    }
    harmless(&shown(&site, &id));
    // What is shown can be put back, and is the same.
    let newer = changed["registration_access_token"].as_str().expect("a text").to_owned();
    let mut back = changed.as_object().expect("an object").clone();
    back.retain(|name, _| registration::SAID.contains(&name.as_str()) || name == "client_id");
    let (status, again) =
        send(&site, Method::PUT, &target, &newer, Value::Object(back.clone()).to_string().as_bytes());
    assert_eq!(status, 200, "{again}");
    assert!(back.iter().all(|(name, value)| again.get(name) == Some(value)), "{again}");
    let newest = again["registration_access_token"].as_str().expect("a text");
    assert_eq!(send(&site, Method::DELETE, &target, newest, b"").0, 204);
    assert_eq!(send(&site, Method::GET, &target, newest, b"").0, 401);
}

/// An address, what its server says of caching, and a document: nothing is asked of an address that is none, and what is
/// shown of a client is harmless.
pub fn client_documents(input: &[u8]) {
    let (address, rest) = first_line(input);
    let (control, document) = first_line(rest);
    let (address, control) = (lossy(address), lossy(control));
    let lifetime = client_document::lifetime(&control, &control);
    assert!((Seconds(60)..=Seconds(86_400)).contains(&lifetime));
    let host = client_document::host_of(&address);
    if let Ok(host) = host {
        assert!(
            address.starts_with(&format!("https://{host}")) && host.contains('.') && address.len() <= 400
        );
        let last = host.split('.').next_back().unwrap_or_default();
        assert!(host.parse::<std::net::IpAddr>().is_err() && !["local", "localhost"].contains(&last));
        assert!(address.bytes().all(|byte| byte.is_ascii_graphic()) && !address.contains('#'));
    }
    let site = prepared::site();
    site.patch("/admin/settings", &json!({ "registration.documents": true }));
    let answer = Fetched {
        status: 200,
        headers: vec![("content-type".into(), "application/json".into()), ("cache-control".into(), control)],
        body: Some(document.to_vec()),
    };
    site.world.put_elsewhere(&address, answer);
    let before = rows(&site.world);
    let fields = [
        ("client_id", address.as_str()),
        ("response_type", "code"),
        ("code_challenge", crate::world::CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let asked = request(Method::GET, &format!("/authorize?{}", form(&fields)), &[], "");
    let response = site.send(&asked);
    judge(&asked, &response);
    let fetched = site.world.fetched();
    assert!(
        fetched.len() <= 1 && (fetched.is_empty() || (host.is_ok() && fetched[0] == address)),
        "{fetched:?}"
    );
    if response.status == 200 {
        let said: Value = serde_json::from_slice(document).expect("it was taken");
        assert_eq!(said["client_id"], json!(address));
        assert!(said.get("client_secret").is_none());
    }
    let kept = |rows: prepared::Rows| -> prepared::Rows {
        rows.into_iter().filter(|((_, _, table, ..), _)| !table.starts_with("strikes")).collect()
    };
    assert_eq!(kept(rows(&site.world)), kept(before), "nobody allowed anything");
}
