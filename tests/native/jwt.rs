//! Access tokens that are JWTs (RFC 9068): what they say, who can verify them, and what they are good for; and signed
//! answers about tokens (RFC 9701).

use crate::world::*;
use edgemint::{
    crypto,
    host::{Host as _, Seconds, Store as _},
    wire::Response,
};
use http::Method;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde_json::{Map, Value, json};

const ORDERS: &str = "https://api.test/orders";
const REPORTS: &str = "https://reports.test";

/// A site whose clients get JWTs.
pub fn site() -> Site {
    let site = Site::new();
    for id in ["demo-web", "demo-machine", "demo-legacy"] {
        site.patch(&format!("/admin/clients/{id}"), &json!({ "access_token_format": "jwt" }));
    }
    site.world.operations();
    site
}

/// Header and claims of what another library verifies with what is published.
pub fn verified(site: &Site, token: &str, audience: &str) -> (Value, Map<String, Value>) {
    let published: JwkSet = serde_json::from_slice(&site.get("/jwks").body).unwrap();
    let header = decode_header(token).unwrap();
    let jwk = published.find(header.kid.as_deref().unwrap()).expect("the key is published");
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[audience]);
    // The world has a clock of its own.
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    let claims = decode::<Map<String, Value>>(token, &DecodingKey::from_jwk(jwk).unwrap(), &validation);
    (serde_json::to_value(&header).unwrap(), claims.unwrap_or_else(|why| panic!("{why}")).claims)
}

fn names(claims: &Map<String, Value>) -> Vec<&str> {
    claims.keys().map(String::as_str).collect()
}

fn own(site: &Site, more: &[(&str, &str)]) -> Value {
    let mut fields = vec![("grant_type", "client_credentials")];
    fields.extend(more);
    let (status, body) = site.token(MACHINE, &fields);
    assert_eq!(status, 200, "{body}");
    body
}

fn access(tokens: &Value) -> String {
    string(tokens, "access_token")
}

pub fn check(site: &Site, token: &str, path: &str) -> Response {
    let authorization = format!("Bearer {token}");
    let headers =
        [("authorization", authorization.as_str()), ("x-original-method", "GET"), ("x-original-uri", path)];
    site.send(&request(Method::GET, "/check", &headers, ""))
}

#[test]
fn a_grant_knows_when_its_person_proved_themself_and_a_row_of_before_is_read() {
    let site = Site::new();
    let since = site.world.now().0;
    site.code("demo-web", &[]);
    site.world.pass(Seconds(600));
    let code = site.code("demo-web", &[]);
    let said = format!("\\\"auth_time\\\":{since}");
    assert_eq!(site.world.dump().matches(&said).count(), 3, "the session and two grants");
    for (_, disk) in site.world.disks("GRANTS") {
        for table in disk.tables().unwrap() {
            for (owner, key, row) in disk.scan(&table, None, None, 9).unwrap() {
                let before = row.replace(&format!(",\"auth_time\":{since}"), "");
                disk.put(&table, &owner, &key, &before).unwrap();
            }
        }
    }
    assert_eq!(site.world.dump().matches(&said).count(), 1);
    assert_eq!(site.redeem(&code).0, 200);
}

#[test]
fn a_client_that_acts_for_itself_gets_what_rfc_9068_demands_and_nothing_else() {
    let site = site();
    let tokens = own(&site, &[("scope", "orders.read reports")]);
    let (header, claims) = verified(&site, &access(&tokens), ISSUER);
    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("ES256")));
    assert_eq!(names(header.as_object().unwrap()), ["alg", "kid", "typ"]);
    assert_eq!(names(&claims), ["aud", "client_id", "exp", "iat", "iss", "jti", "scope", "sub"]);
    let now = site.world.now().seconds();
    assert_eq!((&claims["iat"], &claims["exp"]), (&json!(now), &json!(now + 3600)));
    assert_eq!((&claims["aud"], &claims["scope"]), (&json!(ISSUER), &json!("orders.read reports")));
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!("demo-machine"), &json!("demo-machine")));
    assert_eq!((&tokens["expires_in"], &tokens["token_type"]), (&json!(3600), &json!("Bearer")));
    assert_ne!(access(&own(&site, &[])), access(&own(&site, &[])), "each has a jti of its own");
}

#[test]
fn what_a_person_gave_says_who_they_are_when_they_signed_in_and_their_groups() {
    let site = site();
    let since = site.world.now().seconds();
    site.code("demo-web", &[]);
    site.world.pass(Seconds(600));
    let tokens = site.tokens();
    let (_, claims) = verified(&site, &access(&tokens), ISSUER);
    let all = ["acr", "aud", "auth_time", "client_id", "exp", "groups", "iat", "iss", "jti", "scope", "sub"];
    assert_eq!(names(&claims), all);
    let inspected = site.inspect(&access(&tokens));
    for name in ["sub", "client_id", "scope", "iat", "exp", "iss"] {
        assert_eq!(claims[name], inspected[name], "{name}");
    }
    assert_eq!((&claims["auth_time"], &claims["groups"]), (&json!(since), &json!(["orders-staff"])));
    assert_eq!(claims["acr"], edgemint::model::openid::ACR);
}

#[test]
fn every_algorithm_that_can_be_chosen_is_verified_by_what_is_published() {
    let site = site();
    for name in edgemint::host::Algorithm::NAMES {
        site.patch("/admin/settings", &json!({ "token.jwtAlgorithm": name }));
        let token = access(&own(&site, &[]));
        let (header, _) = verified(&site, &token, ISSUER);
        assert_eq!(header["alg"], *name);
        assert_eq!(site.inspect(&token)["active"], true, "{name}");
    }
}

#[test]
fn a_resource_that_wants_jwts_gets_them_whatever_the_client_has_and_is_their_audience() {
    let site = Site::new();
    for (scope, resource) in [("orders.read", ORDERS), ("reports", REPORTS)] {
        site.patch(&format!("/admin/scopes/{scope}"), &json!({ "resource": resource }));
    }
    site.patch("/admin/settings", &json!({ "token.jwtResources": format!("urn:none {ORDERS}") }));
    let of = |scope: &str| access(&own(&site, &[("scope", scope)]));
    assert!(of("reports").starts_with("ema_"));
    assert!(of("orders.write").starts_with("ema_"), "it belongs to no resource");
    assert_eq!(verified(&site, &of("orders.read"), ORDERS).1["aud"], json!(ORDERS));
    let both = of("orders.read reports");
    assert_eq!(verified(&site, &both, REPORTS).1["aud"], json!([ORDERS, REPORTS]));
    assert_eq!(site.inspect(&both)["aud"], json!([ORDERS, REPORTS]));
    let aimed = access(&own(&site, &[("resource", ORDERS)]));
    assert_eq!(verified(&site, &aimed, ORDERS).1["scope"], "orders.read");
    site.patch("/admin/settings", &json!({ "token.jwtResources": "" }));
    assert!(of("orders.read").starts_with("ema_"));
}

#[test]
fn every_endpoint_takes_one_as_it_takes_an_opaque_one() {
    let site = site();
    site.patch("/admin/clients/demo-web", &json!({ "scope": "openid orders.read reports admin" }));
    site.patch("/admin/users/alice", &json!({ "roles": ["administrator"] }));
    let code = site.code("demo-web", &[("scope", "openid orders.read admin")]);
    let (_, tokens) = site.redeem(&code);
    let token = access(&tokens);
    assert!(token.starts_with("ey"), "{token}");
    assert_eq!(site.inspect(&token)["username"], "alice");
    let (_, own_view) = site.post("/introspect", WEB, &[("token", &token)]);
    assert_eq!(own_view["active"], true);
    let (status, compat) = site.post("/invoke/pub.oauth/introspectToken", WEB, &[("token", &token)]);
    assert_eq!((status, &compat["active"]), (200, &json!("true")), "{compat}");
    let passed = check(&site, &token, "/orders/7");
    assert_eq!((passed.status.as_u16(), passed.header("x-auth-groups")), (200, Some("orders-staff")));
    let bearer = format!("Bearer {token}");
    let get = |target: &str| {
        let response = site.send(&request(Method::GET, target, &[("authorization", bearer.as_str())], ""));
        response.status.as_u16()
    };
    assert_eq!((get("/userinfo"), get("/admin/clients")), (200, 200));
    assert_eq!(site.post("/revoke", "demo-short:demo-short-secret", &[("token", &token)]).0, 400);
    assert_eq!(site.post("/revoke", WEB, &[("token", &token)]).0, 200);
    assert_eq!(site.inspect(&token), dead());
    assert_eq!((get("/userinfo"), get("/admin/clients")), (401, 401));
    assert_eq!(check(&site, &token, "/orders/7").status, 401);
    assert_eq!(site.refresh(&string(&tokens, "refresh_token")).0, 200, "the token alone was ended");
    let ended = access(&own(&site, &[]));
    let mut by_administrator = post("/invoke/pub.oauth/revokeToken", "", &[("token", &ended)]);
    by_administrator.headers.push(("authorization".to_owned(), format!("Bearer {ADMIN_TOKEN}")));
    assert_eq!(site.send(&by_administrator).status, 200);
    assert_eq!(site.inspect(&ended), dead());
}

#[test]
fn issuing_asks_no_storage_once_client_and_key_are_known_and_inspecting_asks_one_shard() {
    let site = site();
    own(&site, &[]);
    site.world.operations();
    let token = access(&own(&site, &[]));
    assert_eq!(site.world.operations(), Vec::<String>::new());
    site.inspect(&token);
    assert!(["GRANTS"].iter().eq(site.world.operations().iter().filter(|op| *op != "replica")));
    let code = site.code("demo-web", &[]);
    site.redeem("emc_a.nonsense");
    site.world.operations();
    let (_, tokens) = site.redeem(&code);
    assert_eq!(site.world.operations(), ["GRANTS"]);
    site.refresh(&string(&tokens, "refresh_token"));
    assert_eq!(site.world.operations(), ["GRANTS"]);
    check(&site, &access(&tokens), "/orders/7");
    assert_eq!(site.world.operations(), ["GRANTS"]);
}

#[test]
fn a_lifetime_without_an_end_is_a_year() {
    let site = site();
    site.patch("/admin/settings", &json!({ "token.defaultExpirySeconds": -1 }));
    for tokens in [own(&site, &[]), site.tokens()] {
        assert_eq!(tokens["expires_in"], 31_536_000);
        let token = access(&tokens);
        let (_, claims) = verified(&site, &token, ISSUER);
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 31_536_000);
        assert_eq!(site.inspect(&token)["exp"], claims["exp"], "the ticket in it has the same end");
    }
    site.patch("/admin/clients/demo-machine", &json!({ "access_token_format": null }));
    assert_eq!(own(&site, &[])["expires_in"], Value::Null, "and of an opaque one there is none");
}

#[test]
fn a_refresh_gives_the_same_successor_again_and_says_the_groups_of_now() {
    let site = site();
    let first = site.tokens();
    site.patch("/admin/users/alice", &json!({ "groups": ["night-shift"] }));
    let refresh = || site.refresh(&string(&first, "refresh_token")).1;
    let (second, again) = (refresh(), refresh());
    assert_eq!(second["refresh_token"], again["refresh_token"]);
    for tokens in [&second, &again] {
        let (_, claims) = verified(&site, &access(tokens), ISSUER);
        assert_eq!(claims["groups"], json!(["night-shift"]));
        assert_eq!(site.inspect(&access(tokens))["active"], true);
    }
    let (_, before) = verified(&site, &access(&first), ISSUER);
    assert_eq!(before["groups"], json!(["orders-staff"]), "what is out is out");
    let checked = check(&site, &access(&first), "/orders/7");
    assert_eq!(checked.status, 403, "but here the groups of now decide");
}

/// RFC 9068 §2.2.1: what is said of how the person signed in is that of the grant, in every token that comes of it.
#[test]
fn a_refresh_says_the_same_time_and_level_of_signing_in_though_the_person_signed_in_since() {
    let site = site();
    let mut tokens = site.tokens();
    let (_, first) = verified(&site, &access(&tokens), ISSUER);
    assert!(first["auth_time"].is_u64() && first["acr"].is_string());
    for _ in 0..2 {
        site.world.pass(Seconds(1000));
        site.sign_in(&site.authorize("demo-web", &[("prompt", "login")]), "alice", "wonderland");
        tokens = site.refresh(&string(&tokens, "refresh_token")).1;
        let (header, claims) = verified(&site, &access(&tokens), ISSUER);
        assert_eq!((&claims["auth_time"], &claims["acr"]), (&first["auth_time"], &first["acr"]));
        let now = site.world.now().seconds();
        assert_eq!((&claims["iat"], &claims["exp"]), (&json!(now), &json!(now + 3600)));
        assert_eq!((&claims["sub"], &header["typ"]), (&first["sub"], &json!("at+jwt")));
        assert_ne!(claims["jti"], first["jti"]);
    }
}

#[test]
fn what_goes_out_at_once_and_what_webmethods_addresses_give_are_jwts_too() {
    let site = site();
    let wish = [("response_type", "token"), ("code_challenge", ""), ("code_challenge_method", "")];
    let page = site.authorize("demo-legacy", &wish);
    let answer = site.decide(&site.sign_in(&page, "alice", "wonderland"), "all", &[]);
    let implicit = parameter(&answer, "access_token").unwrap();
    let password = [("grant_type", "password"), ("username", "alice"), ("password", "wonderland")];
    let (_, by_password) = site.token(LEGACY, &password);
    let (_, compat) = site.post("/invoke/pub.oauth/getToken", LEGACY, &password);
    for token in [implicit, access(&by_password), access(&compat)] {
        let (_, claims) = verified(&site, &token, ISSUER);
        assert!(claims["auth_time"].is_u64() && claims["client_id"] == "demo-legacy", "{claims:?}");
        assert_eq!(site.inspect(&token)["username"], "alice");
    }
}

#[test]
fn a_client_that_knows_people_by_subjects_of_its_own_reads_no_other() {
    let site = site();
    site.patch(
        "/admin/clients/demo-web",
        &json!({ "redirect_uris": [CALLBACK], "subject_type": "pairwise" }),
    );
    let (_, tokens) = site.redeem(&site.code("demo-web", &[("scope", "openid reports")]));
    let (_, claims) = verified(&site, &access(&tokens), ISSUER);
    let payload = crypto::bytes(string(&tokens, "id_token").split('.').nth(1).unwrap()).unwrap();
    let id_token: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(claims["sub"], id_token["sub"]);
    let (_, alice) = site.admin(Method::GET, "/admin/users/alice", &Value::Null);
    assert_ne!(claims["sub"], alice["sub"]);
}

fn signed(site: &Site, client: &str, token: &str, accept: &str) -> Response {
    let mut asked = post("/introspect", client, &[("token", token)]);
    asked.headers.push(("accept".to_owned(), accept.to_owned()));
    site.send(&asked)
}

#[test]
fn an_answer_about_a_token_is_signed_for_who_asks_for_that_and_is_nobodys_token() {
    let site = Site::new();
    let token = access(&site.tokens());
    let api = "demo-api:demo-api-secret";
    let asked = "application/json;q=0.5, Application/Token-Introspection+JWT;q=1";
    for (token, expected) in [(token.as_str(), site.inspect(&token)), ("nonsense", dead())] {
        let answer = signed(&site, api, token, asked);
        assert_eq!(answer.header("content-type"), Some("application/token-introspection+jwt"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let (header, claims) = verified(&site, &text(&answer), "demo-api");
        assert_eq!((&header["typ"], &header["alg"]), (&json!("token-introspection+jwt"), &json!("ES256")));
        assert_eq!(names(&claims), ["aud", "iat", "iss", "token_introspection"]);
        assert_eq!(claims["token_introspection"], expected);
        assert_eq!(claims["iat"], site.world.now().seconds());
        // RFC 9701 §8.1: it is a token of no other kind.
        assert_eq!(site.inspect(&text(&answer)), dead());
        assert_eq!(check(&site, &text(&answer), "/orders/7").status, 401);
    }
    for accept in ["application/json", "*/*", "application/jwt", ""] {
        let answer = signed(&site, api, &token, accept);
        assert_eq!(answer.header("content-type"), Some("application/json"), "{accept}");
    }
    let refused = signed(&site, "demo-api:wrong", &token, asked);
    assert_eq!((refused.status.as_u16(), refused.header("content-type")), (401, Some("application/json")));

    site.patch("/admin/settings", &json!({ "token.jwtAlgorithm": "EdDSA" }));
    let alg = || verified(&site, &text(&signed(&site, api, &token, asked)), "demo-api").0["alg"].clone();
    assert_eq!(alg(), "EdDSA");
    site.patch("/admin/clients/demo-api", &json!({ "introspection_signed_response_alg": "RS256" }));
    assert_eq!(alg(), "RS256");
    let wrong = json!({ "introspection_signed_response_alg": "none" });
    let (status, problem) = site.admin(Method::PATCH, "/admin/clients/demo-api", &wrong);
    assert_eq!((status, &problem["field"]), (400, &json!("introspection_signed_response_alg")));
    let metadata: Value =
        serde_json::from_slice(&site.get("/.well-known/oauth-authorization-server").body).unwrap();
    assert_eq!(
        metadata["introspection_signing_alg_values_supported"],
        json!(edgemint::host::Algorithm::NAMES)
    );
}
