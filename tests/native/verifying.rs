//! What `docs/verifying-tokens.md` says in Rust is compiled here, and does what it says.

mod resource_server;

use crate::world::*;
use edgemint::host::{Host as _, Seconds};
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

const ORDERS: &str = "https://api.example.com/orders";

#[test]
fn the_guide_has_the_rust_that_is_compiled_here() {
    let guide = include_str!("../../docs/verifying-tokens.md");
    let source = include_str!("verifying/resource_server.rs");
    assert!(guide.contains(&format!("```rust\n{source}```")), "docs/verifying-tokens.md has other Rust");
}

#[test]
fn the_rust_of_the_guide_takes_access_tokens_of_its_resource_and_nothing_else() {
    let site = Site::new();
    // The library reads the clock of the machine.
    let machine = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    site.world.pass(Seconds(machine.saturating_sub(site.world.now().seconds())));
    site.patch("/admin/scopes/orders.read", &json!({ "resource": ORDERS }));
    site.patch("/admin/settings", &json!({ "token.jwtResources": ORDERS }));
    let (_, tokens) = site.redeem(&site.code("demo-web", &[("scope", "openid orders.read")]));
    let keys = serde_json::from_slice(&site.get("/jwks").body).unwrap();
    let verify =
        |token: &str, issuer: &str, resource: &str| resource_server::verify(token, &keys, issuer, resource);
    let token = string(&tokens, "access_token");
    let claims = verify(&token, ISSUER, ORDERS).unwrap();
    assert_eq!((&claims["client_id"], &claims["aud"]), (&json!("demo-web"), &json!([ORDERS, ISSUER])));
    assert!(verify(&token, ISSUER, "https://api.example.com/other").is_err());
    assert!(verify(&token, "https://other.example", ORDERS).is_err());
    assert!(verify(&string(&tokens, "id_token"), ISSUER, "demo-web").is_err());
    let (signed, _) = token.rsplit_once('.').unwrap();
    assert!(verify(&format!("{signed}."), ISSUER, ORDERS).is_err());
}
