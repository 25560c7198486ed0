//! Attacks, each named after what must hold. `docs/attacks.md` lists the cases, and which test shows each.
//!
//! Where a case does not say the outcome it is: refused, and nothing changed.

mod client_authentication;
mod codes;
mod jwt;
mod parsing;
mod platform;
mod policy;
mod redirects;
mod refresh;
mod storage;

use crate::world::*;
use edgemint::{crypto::Keys, wire::Response};
use http::Method;
use serde_json::Value;

const SHORT: &str = "demo-short:demo-short-secret";
const API: &str = "demo-api:demo-api-secret";

/// What an act gives that changes nothing which is kept anywhere.
fn unchanged<T>(site: &Site, what: &str, act: impl FnOnce() -> T) -> T {
    let before = site.world.dump_of_all_but_counts();
    let outcome = act();
    assert!(site.world.dump_of_all_but_counts() == before, "something changed: {what}");
    outcome
}

/// Status and code of a refusal.
fn refusal(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error"].as_str().unwrap_or("none"))
}

const INVALID_GRANT: (u16, &str) = (400, "invalid_grant");
const INVALID_CLIENT: (u16, &str) = (401, "invalid_client");

/// A refusal on a page, which leads nowhere.
fn assert_page(answer: &Response, what: &str) {
    assert_eq!((answer.status.as_u16(), answer.header("location")), (400, None), "{what}: {}", text(answer));
}

/// Registers a client: its `id:secret`, or its id where it is public.
fn register(site: &Site, body: &Value) -> String {
    let (status, made) = site.admin(Method::POST, "/admin/clients", body);
    assert_eq!(status, 201, "{made}");
    let id = string(&made, "client_id");
    made["client_secret"].as_str().map_or(id.clone(), |secret| format!("{id}:{secret}"))
}

fn id_of(client: &str) -> &str {
    client.split(':').next().unwrap()
}

/// A redemption with these fields in place of the usual ones; an empty value removes.
fn redeem_with(site: &Site, client: &str, code: &str, other: &[(&str, &str)]) -> (u16, Value) {
    let mut fields = redemption(code).to_vec();
    for (name, value) in other {
        fields.retain(|(known, _)| known != name);
        fields.push((name, value));
    }
    fields.retain(|(_, value)| !value.is_empty());
    site.token(client, &fields)
}

fn refresh_as(site: &Site, client: &str, token: &str) -> (u16, Value) {
    site.token(client, &[("grant_type", "refresh_token"), ("refresh_token", token)])
}

fn keys(list: &str, issuer: &str) -> Keys {
    Keys::parse(list, issuer).unwrap_or_else(|why| panic!("{why}"))
}
