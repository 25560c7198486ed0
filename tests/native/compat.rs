//! webMethods' addresses: every service, at both of its forms, with both kinds of body, for every grant it takes.

mod settings;

use crate::world::*;
use edgemint::{host::Seconds, wire::Response};
use http::Method;
use serde_json::{Map, Value, json};

const SERVICES: &[&str] = &["getToken", "getAccessToken", "refreshAccessToken"];
const GRANTS: &[&str] = &["authorization_code", "refresh_token", "password", "client_credentials"];
const ADDRESSES: &[&str] = &["/invoke/pub.oauth/", "/invoke/pub.oauth:"];
const BODIES: &[&str] = &["form", "json"];

/// Which service takes which grant.
fn takes(service: &str, grant: &str) -> bool {
    match service {
        "getToken" => true,
        "getAccessToken" => grant != "refresh_token",
        _ => grant == "refresh_token",
    }
}

/// A call, as the vendor's clients make it.
fn call(site: &Site, address: &str, client: &str, body: &str, fields: &[(&str, &str)]) -> (u16, Value) {
    let response = send(site, address, client, body, fields);
    (response.status.as_u16(), serde_json::from_str(&text(&response)).expect("JSON"))
}

fn send(site: &Site, address: &str, client: &str, body: &str, fields: &[(&str, &str)]) -> Response {
    let mut request = post(address, client, fields);
    if body == "json" {
        let mut said: Map<String, Value> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        if !client.contains(':') && !client.is_empty() {
            said.insert("client_id".to_owned(), json!(client));
        }
        request.body = Some(Value::Object(said).to_string().into_bytes());
        for (name, value) in &mut request.headers {
            if name == "content-type" {
                "application/json".clone_into(value);
            }
        }
    }
    site.send(&request)
}

/// What the vendor's documentation sends for a grant.
fn inputs(site: &Site, grant: &str) -> Vec<(&'static str, String)> {
    let mut fields = vec![("grant_type", grant.to_owned())];
    match grant {
        "authorization_code" => {
            fields.push(("code", code(site, &[])));
            fields.push(("redirect_uri", LEGACY_CALLBACK.to_owned()));
            fields.push(("code_verifier", VERIFIER.to_owned()));
        }
        "refresh_token" => fields.push(("refresh_token", string(&site.legacy_tokens(), "refresh_token"))),
        "password" => {
            fields.push(("username", "alice".to_owned()));
            fields.push(("password", "wonderland".to_owned()));
        }
        _ => {}
    }
    fields
}

const LEGACY_CALLBACK: &str = "http://127.0.0.1:9999/legacy";

fn code(site: &Site, more: &[(&str, &str)]) -> String {
    site.forget_cookie("edgemint-session");
    let mut all = vec![("redirect_uri", LEGACY_CALLBACK)];
    all.extend(more);
    site.code("demo-legacy", &all)
}

fn borrowed<'a>(fields: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    fields.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[test]
fn every_service_answers_every_grant_at_both_addresses_and_to_both_bodies_as_the_vendor_says() {
    let site = Site::new();
    let mut cells = 0;
    for service in SERVICES {
        for address in ADDRESSES {
            for body in BODIES {
                for grant in GRANTS {
                    let what = format!("{address}{service} {body} {grant}");
                    let fields = inputs(&site, grant);
                    let target = format!("{address}{service}");
                    let (status, answer) = call(&site, &target, LEGACY, body, &borrowed(&fields));
                    cells += 1;
                    if !takes(service, grant) {
                        assert_eq!(
                            (status, &answer["error"]),
                            (400, &json!("unsupported_grant_type")),
                            "{what}"
                        );
                        continue;
                    }
                    assert_eq!(status, 200, "{what}: {answer}");
                    assert!(answer["access_token"].is_string(), "{what}");
                    assert_eq!(answer["token_type"], "Bearer", "{what}");
                    assert_eq!(answer["expires_in"], json!(3600), "{what}");
                    let refreshable = *grant != "client_credentials";
                    assert_eq!(answer["refresh_token"].is_string(), refreshable, "{what}");
                    assert_eq!(answer.get("scope").is_some(), *service != "getAccessToken", "{what}");
                    let known = ["access_token", "token_type", "expires_in", "refresh_token", "scope"];
                    let names = answer.as_object().unwrap().keys();
                    assert!(names.clone().all(|name| known.contains(&name.as_str())), "{what}: {answer}");
                    assert_eq!(
                        site.inspect(answer["access_token"].as_str().unwrap())["active"],
                        true,
                        "{what}"
                    );
                }
            }
        }
    }
    assert_eq!(cells, SERVICES.len() * ADDRESSES.len() * BODIES.len() * GRANTS.len());
}

#[test]
fn tokens_are_inspected_revoked_and_removed_at_both_addresses_and_by_both_bodies() {
    let site = Site::new();
    for address in ADDRESSES {
        for body in BODIES {
            let token = string(&site.legacy_tokens(), "access_token");
            let at = |service: &str| format!("{address}{service}");
            let fields = [("token", token.as_str())];
            let (status, answer) = call(&site, &at("introspectToken"), LEGACY, body, &fields);
            assert_eq!(status, 200);
            let expected = json!({
                "active": "true", "scope": "orders.read orders.write reports", "client_id": "demo-legacy",
                "owner_id": "alice", "token_type": "Bearer", "iat": "1800000000", "exp": "1800003600",
            });
            assert_eq!(answer, expected);
            let revoke = call(&site, &at("revokeToken"), LEGACY, body, &fields);
            assert_eq!(revoke, (200, json!({})));
            let inspected = call(&site, &at("introspectToken"), LEGACY, body, &fields);
            assert_eq!(inspected, (200, json!({ "active": "false" })));
            let unknown = call(&site, &at("revokeToken"), LEGACY, body, &[("token", "ema_nonsense")]);
            assert_eq!(unknown, (200, json!({})));
        }
    }
}

#[test]
fn what_is_over_is_removed_by_an_administrator_and_counted() {
    let site = Site::new();
    for _ in 0..3 {
        let token = string(&site.legacy_tokens(), "refresh_token");
        site.post("/revoke", LEGACY, &[("token", &token)]);
    }
    site.legacy_tokens();
    site.world.pass(Seconds(86_401));
    let remove = |token: &str, body: &str| {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let address = "/invoke/pub.oauth/removeExpiredAccessTokens";
        let answer = site.send(&request(Method::POST, address, &headers, body));
        (answer.status.as_u16(), serde_json::from_str::<Value>(&text(&answer)).expect("JSON"))
    };
    assert_eq!(remove("nobody", "{}").0, 401);
    assert_eq!(remove(ADMIN_TOKEN, "{\"maxRows\":0}").0, 400);
    assert_eq!(remove(ADMIN_TOKEN, "{\"maxRows\":2}"), (200, json!({ "removedTokensCount": 2 })));
    assert_eq!(remove(ADMIN_TOKEN, "{}"), (200, json!({ "removedTokensCount": 1 })));
    assert_eq!(remove(ADMIN_TOKEN, "{}"), (200, json!({ "removedTokensCount": 0 })));
    let (status, answer) = site.admin(Method::DELETE, "/admin/grants?expired=true&limit=5", &Value::Null);
    assert_eq!((status, answer), (200, json!({ "removedTokensCount": 0 })));
    assert_eq!(site.admin(Method::DELETE, "/admin/grants?expired=true&username=alice", &Value::Null).0, 400);
}

#[test]
fn redirect_uri_is_mirrored_at_get_token_and_needed_only_of_several_at_get_access_token() {
    let site = Site::new();
    let several = json!({ "redirect_uris": [LEGACY_CALLBACK, "http://127.0.0.1:9999/other"] });
    for registered in [1, 2] {
        if registered == 2 {
            site.patch("/admin/clients/demo-legacy", &several);
        }
        for asked in [true, false] {
            // Several cannot leave it out when they ask.
            if registered == 2 && !asked {
                continue;
            }
            for given in [Some(LEGACY_CALLBACK), Some("http://127.0.0.1:9999/other"), None] {
                let right = given == Some(LEGACY_CALLBACK);
                for (service, works) in [
                    ("getToken", if asked { right } else { given.is_none() }),
                    ("getAccessToken", right || (given.is_none() && registered == 1)),
                ] {
                    let sent = if asked { LEGACY_CALLBACK } else { "" };
                    let code = code(&site, &[("redirect_uri", sent)]);
                    let mut fields = vec![
                        ("grant_type", "authorization_code"),
                        ("code", &code),
                        ("code_verifier", VERIFIER),
                    ];
                    fields.extend(given.map(|uri| ("redirect_uri", uri)));
                    let address = format!("/invoke/pub.oauth/{service}");
                    let (status, answer) = call(&site, &address, LEGACY, "form", &fields);
                    let what = format!("{service} asked {asked} given {given:?} of {registered}: {answer}");
                    assert_eq!(status, if works { 200 } else { 400 }, "{what}");
                }
            }
        }
    }
}

#[test]
fn what_the_matrix_ignores_is_ignored_and_what_it_demands_is_demanded() {
    let site = Site::new();
    let address = "/invoke/pub.oauth/getToken";
    // scope, of a code.
    let mut fields = inputs(&site, "authorization_code");
    fields.push(("scope", "nonsense and more".to_owned()));
    let (status, answer) = call(&site, address, LEGACY, "form", &borrowed(&fields));
    assert_eq!((status, &answer["scope"]), (200, &json!("orders.read orders.write reports")));
    // client_id, of a client that the header names.
    let fields = [("grant_type", "client_credentials"), ("client_id", "somebody-else"), ("code", "x")];
    let (status, answer) = call(&site, address, LEGACY, "json", &fields);
    assert_eq!(status, 200, "{answer}");
    // Narrowing is possible, and widening is not.
    let token = string(&answer_of(&site, "password"), "refresh_token");
    let refresh = |scope: &str| {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("scope", scope)];
        let (status, answer) = call(&site, address, LEGACY, "form", &fields);
        (status, answer["scope"].clone(), answer["error"].clone())
    };
    assert_eq!(refresh("reports"), (200, json!("reports"), Value::Null));
    assert_eq!(refresh("reports admin"), (400, Value::Null, json!("invalid_scope")));
    for (grant, name) in [
        ("authorization_code", "code"),
        ("refresh_token", "refresh_token"),
        ("password", "username"),
        ("password", "password"),
    ] {
        let mut fields = inputs(&site, grant);
        fields.retain(|(field, _)| *field != name);
        let (status, answer) = call(&site, address, LEGACY, "json", &borrowed(&fields));
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_request")), "{grant} {name}");
        assert!(string(&answer, "error_description").contains(name), "{answer}");
    }
    let (status, answer) = call(&site, address, LEGACY, "form", &[]);
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_request")));
}

fn answer_of(site: &Site, grant: &str) -> Value {
    let fields = inputs(site, grant);
    let (status, answer) = call(site, "/invoke/pub.oauth/getToken", LEGACY, "form", &borrowed(&fields));
    assert_eq!(status, 200, "{answer}");
    answer
}

#[test]
fn a_refresh_limit_of_0_gives_no_refresh_token_and_3_gives_three() {
    let site = Site::new();
    let token = string(&answer_of(&site, "password"), "refresh_token");
    let refresh = || {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
        call(&site, "/invoke/pub.oauth:refreshAccessToken", LEGACY, "form", &fields).0
    };
    assert_eq!([refresh(), refresh(), refresh(), refresh()], [200, 200, 200, 400]);
    site.patch("/admin/clients/demo-legacy", &json!({ "refresh_count": 0 }));
    for grant in ["authorization_code", "password"] {
        assert!(answer_of(&site, grant).get("refresh_token").is_none(), "{grant}");
    }
}

#[test]
fn the_password_of_a_person_is_tried_like_at_the_page_and_counted_like_there() {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "login.failuresPerUser": 3 }));
    let try_with = |password: &str| {
        let fields = [("grant_type", "password"), ("username", "alice"), ("password", password)];
        let response = send(&site, "/invoke/pub.oauth/getToken", LEGACY, "json", &fields);
        (response.status.as_u16(), response.header("retry-after").is_some())
    };
    assert_eq!(try_with("wonderland"), (200, false));
    for _ in 0..3 {
        assert_eq!(try_with("wrong"), (400, false));
    }
    assert_eq!(try_with("wonderland"), (429, true));
    let page = site.authorize("demo-web", &[]);
    assert_eq!(site.sign_in(&page, "alice", "wonderland").status, 429);
    site.world.pass(Seconds(300));
    assert_eq!(try_with("wonderland"), (200, false));
    site.patch("/admin/users/alice", &json!({ "enabled": false }));
    assert_eq!(try_with("wonderland"), (400, false));
}

#[test]
fn a_password_gives_no_scope_of_administration_and_nothing_to_whom_it_is_not_for() {
    let site = Site::new();
    site.patch("/admin/clients/demo-legacy", &json!({ "scope": "reports admin" }));
    let ask = |client: &str, scope: &str| {
        let fields =
            [("grant_type", "password"), ("username", "alice"), ("password", "wonderland"), ("scope", scope)];
        let (status, answer) = site.token(client, &fields);
        (status, answer["error"].clone(), answer["scope"].clone())
    };
    assert_eq!(ask(LEGACY, "admin"), (400, json!("invalid_scope"), Value::Null));
    assert_eq!(ask(LEGACY, ""), (200, Value::Null, json!("reports")));
    let profile = json!({ "profile": "oauth21" });
    let (status, problem) = site.admin(Method::PATCH, "/admin/clients/demo-legacy", &profile);
    assert_eq!((status, &problem["field"]), (400, &json!("grant_types")));
    assert_eq!(ask("demo-web:demo-web-secret", "reports").1, json!("unauthorized_client"));
}

#[test]
fn the_implicit_grant_gives_an_access_token_in_the_fragment_and_never_a_refresh_token() {
    let site = Site::new();
    for path in ["/authorize", "/invoke/pub.oauth/authorize", "/invoke/pub.oauth:authorize"] {
        site.forget_cookie("edgemint-session");
        let fields = [
            ("response_type", "token"),
            ("client_id", "demo-legacy"),
            ("redirect_uri", LEGACY_CALLBACK),
            ("state", "a b&c"),
        ];
        let page = site.get(&format!("{path}?{}", form(&fields)));
        assert_eq!(page.status, 200, "{path}: {}", text(&page));
        let page = site.sign_in(&page, "alice", "wonderland");
        let first = site.decide(&page, "allow", &["reports"]);
        let location = first.header("location").unwrap();
        assert!(location.starts_with(&format!("{LEGACY_CALLBACK}#access_token=ema_")), "{location}");
        let said = |name: &str| parameter(&first, name);
        assert_eq!(said("state").as_deref(), Some("a b&c"));
        assert_eq!(said("token_type").as_deref(), Some("Bearer"));
        assert_eq!(
            (said("expires_in").as_deref(), said("scope").as_deref()),
            (Some("3600"), Some("reports"))
        );
        assert_eq!((said("refresh_token"), said("code")), (None, None));
        let token = said("access_token").unwrap();
        assert_eq!(site.inspect(&token)["scope"], "reports");
        // A button that is pressed twice gives the same grant.
        let second = site.decide(&page, "allow", &["reports"]);
        assert_eq!(site.inspect(&parameter(&second, "access_token").unwrap())["active"], true);
        let (_, grants) = site.admin(Method::GET, "/admin/grants?username=alice", &Value::Null);
        assert_eq!(grants["items"].as_array().unwrap().len(), 1);
        site.world.pass(Seconds(11));
        assert_eq!(site.decide(&page, "allow", &["reports"]).status, 400, "and later none");
        assert_eq!(site.admin(Method::DELETE, "/admin/grants?username=alice", &Value::Null).0, 204);
        assert_eq!(site.inspect(&token), dead());
    }
    let page = site.get(&format!(
        "/authorize?{}",
        form(&[("response_type", "token"), ("client_id", "demo-legacy"), ("state", "s")])
    ));
    let denied = site.decide(&page, "deny", &[]);
    assert!(
        denied.header("location").unwrap().starts_with(&format!("{LEGACY_CALLBACK}#error=access_denied"))
    );
}

#[test]
fn at_the_vendors_address_an_unknown_response_type_is_an_invalid_request() {
    let site = Site::new();
    for (path, error) in
        [("/authorize", "unsupported_response_type"), ("/invoke/pub.oauth/authorize", "invalid_request")]
    {
        let fields = [("response_type", "magic"), ("client_id", "demo-legacy")];
        let answer = site.get(&format!("{path}?{}", form(&fields)));
        assert_eq!(parameter(&answer, "error").as_deref(), Some(error), "{path}");
    }
    let put = site.send(&request(Method::PUT, "/invoke/pub.oauth/authorize", &[], ""));
    assert_eq!(put.status, 400, "as it was before there was a 405");
    let page = site.get("/invoke/pub.oauth/authorize?client_id=nobody");
    assert_eq!(page.status, 400);
    assert!(text(&page).contains("Authorization error"));
}

#[test]
fn who_takes_back_what_was_given_at_once_has_taken_it_back() {
    let site = Site::new();
    let fields =
        [("response_type", "token"), ("client_id", "demo-legacy"), ("redirect_uri", LEGACY_CALLBACK)];
    let page = site.get(&format!("/authorize?{}", form(&fields)));
    let page = site.sign_in(&page, "alice", "wonderland");
    let token = parameter(&site.decide(&page, "all", &[]), "access_token").unwrap();
    assert_eq!(site.inspect(&token)["active"], true);
    assert_eq!(parameter(&site.decide(&page, "deny", &[]), "error").as_deref(), Some("access_denied"));
    assert_eq!(site.inspect(&token), dead());
}

#[test]
fn the_implicit_grant_is_not_for_a_client_that_must_use_pkce() {
    let site = Site::new();
    let ask = || {
        let fields =
            [("response_type", "token"), ("client_id", "demo-legacy"), ("redirect_uri", LEGACY_CALLBACK)];
        parameter(&site.get(&format!("/authorize?{}", form(&fields))), "error")
    };
    assert_eq!(ask(), None);
    site.patch("/admin/settings", &json!({ "requirePKCE": true }));
    assert_eq!(ask().as_deref(), Some("unauthorized_client"));
    let (status, problem) =
        site.admin(Method::PATCH, "/admin/clients/demo-legacy", &json!({ "require_pkce": true }));
    assert_eq!((status, &problem["field"]), (400, &json!("require_pkce")));
}

#[test]
fn another_clients_token_is_revoked_by_nobody_but_an_administrator_and_answered_like_one_that_nobody_has() {
    let site = Site::new();
    let given = string(&site.tokens(), "access_token");
    let own = string(&site.token(MACHINE, &OWN).1, "access_token");
    let address = "/invoke/pub.oauth/revokeToken";
    for token in [&given, &own] {
        assert_eq!(call(&site, address, LEGACY, "form", &[("token", token)]), (200, json!({})));
        assert_eq!(site.inspect(token)["active"], true);
        let bearer = format!("Bearer {ADMIN_TOKEN}");
        let headers = [("authorization", bearer.as_str()), ("content-type", FORM)];
        let answer = site.send(&request(Method::POST, address, &headers, &form(&[("token", token)])));
        assert_eq!((answer.status.as_u16(), text(&answer).as_str()), (200, "{}"));
        assert_eq!(site.inspect(token), dead());
    }
    let headers = [("authorization", "Bearer nobody"), ("content-type", FORM)];
    let answer = site.send(&request(Method::POST, address, &headers, "token=x"));
    assert_eq!(answer.status, 401);
    assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
}
