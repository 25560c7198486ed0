//! Protected resources: what a token is asked for (RFC 8707), and what a resource says of itself (RFC 9728).

use crate::world::*;
use http::Method;
use serde_json::{Value, json};

const ORDERS: &str = "https://api.test/orders";
const REPORTS: &str = "https://reports.test";

fn site() -> Site {
    let site = Site::new();
    for (scope, resource) in [("orders.read", ORDERS), ("orders.write", ORDERS), ("reports", REPORTS)] {
        site.patch(
            &format!("/admin/scopes/{scope}"),
            &json!({ "resource": resource, "urls": [format!("GET /{scope}")] }),
        );
    }
    site
}

fn check(site: &Site, token: &Value, path: &str) -> u16 {
    let authorization = format!("Bearer {}", string(token, "access_token"));
    let headers =
        [("authorization", authorization.as_str()), ("x-original-method", "GET"), ("x-original-uri", path)];
    site.send(&request(Method::GET, "/check", &headers, "")).status.as_u16()
}

fn audience(site: &Site, token: &Value) -> Value {
    site.inspect(&string(token, "access_token"))["aud"].clone()
}

fn own(site: &Site, more: &[(&str, &str)]) -> (u16, Value) {
    let mut fields = vec![("grant_type", "client_credentials")];
    fields.extend(more);
    site.token(MACHINE, &fields)
}

#[test]
fn a_client_gets_for_itself_what_belongs_to_the_resource_and_no_more() {
    let site = site();
    let (_, all) = own(&site, &[]);
    assert_eq!(
        (all["scope"].clone(), audience(&site, &all)),
        (json!("orders.read orders.write reports"), json!([ORDERS, REPORTS]))
    );
    let (_, orders) = own(&site, &[("resource", ORDERS)]);
    assert_eq!(
        (orders["scope"].clone(), audience(&site, &orders)),
        (json!("orders.read orders.write"), json!(ORDERS))
    );
    assert_eq!((check(&site, &orders, "/orders.read"), check(&site, &orders, "/reports")), (200, 403));
    let (_, read) = own(&site, &[("resource", ORDERS), ("scope", "orders.read reports")]);
    assert_eq!(read["scope"], "orders.read");
    let (_, both) = own(&site, &[("resource", ORDERS), ("resource", REPORTS)]);
    assert_eq!(both["scope"], "orders.read orders.write reports");
    for more in
        [&[("resource", "https://nobody.test")][..], &[("resource", REPORTS), ("scope", "orders.read")][..]]
    {
        let (status, body) = own(&site, more);
        assert_eq!((status, &body["error"]), (400, &json!("invalid_target")), "{more:?}");
    }
}

#[test]
fn what_a_person_allows_is_for_the_resources_that_were_named_and_each_token_for_those_it_is_asked_for() {
    let site = site();
    let code = site.code("demo-web", &[("resource", ORDERS)]);
    let (_, tokens) = site.redeem(&code);
    assert_eq!(
        (tokens["scope"].clone(), audience(&site, &tokens)),
        (json!("orders.read orders.write"), json!(ORDERS))
    );
    let refresh = |token: &Value, more: &[(&str, &str)]| {
        let refresh_token = string(token, "refresh_token");
        let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token.as_str())];
        fields.extend(more);
        site.token(WEB, &fields)
    };
    let (status, body) = refresh(&tokens, &[("resource", REPORTS)]);
    assert_eq!((status, &body["error"]), (400, &json!("invalid_target")));
    let (status, body) = refresh(&tokens, &[("resource", "https://nobody.test")]);
    assert_eq!((status, &body["error"]), (400, &json!("invalid_target")));
    assert_eq!(refresh(&tokens, &[("resource", ORDERS)]).0, 200, "neither used up the refresh token");
}

#[test]
fn a_code_that_is_asked_for_another_resource_than_was_granted_stays_good() {
    let site = site();
    let code = site.code("demo-web", &[("resource", ORDERS)]);
    let redeem = |resource: &str| {
        let mut fields = redemption(&code).to_vec();
        fields.push(("resource", resource));
        site.token(WEB, &fields)
    };
    for resource in [REPORTS, "https://nobody.test"] {
        let (status, body) = redeem(resource);
        assert_eq!((status, &body["error"]), (400, &json!("invalid_target")), "{resource}");
    }
    let (status, tokens) = redeem(ORDERS);
    assert_eq!((status, &tokens["scope"]), (200, &json!("orders.read orders.write")));
}

#[test]
fn a_grant_of_several_resources_gives_tokens_for_one_and_keeps_the_rest() {
    let site = site();
    let code = site.code("demo-web", &[]);
    let mut fields = redemption(&code).to_vec();
    fields.push(("resource", REPORTS));
    let (_, first) = site.token(WEB, &fields);
    assert_eq!((first["scope"].clone(), audience(&site, &first)), (json!("reports"), json!(REPORTS)));
    let (_, second) = site.refresh(&string(&first, "refresh_token"));
    assert_eq!(second["scope"], "orders.read orders.write reports");
}

#[test]
fn an_unknown_resource_goes_back_to_the_client_as_invalid_target() {
    let site = site();
    for more in
        [&[("resource", "https://nobody.test")][..], &[("resource", REPORTS), ("scope", "orders.read")][..]]
    {
        let answer = site.authorize("demo-web", more);
        assert_eq!(parameter(&answer, "error").as_deref(), Some("invalid_target"), "{more:?}");
    }
}

#[test]
fn where_no_scope_names_a_resource_none_is_looked_at() {
    let site = Site::new();
    assert_eq!(own(&site, &[("resource", "https://nobody.test"), ("resource", "x")]).0, 200);
    assert_eq!(site.authorize("demo-web", &[("resource", "https://nobody.test")]).status, 200);
    let (_, token) = own(&site, &[]);
    assert_eq!(audience(&site, &token), ISSUER, "as a JWT says it");
}

#[test]
fn a_resource_is_an_absolute_uri_without_a_fragment() {
    let site = site();
    for text in [
        "orders",
        "/orders",
        "https://api.test/orders#x",
        "https://api.test/a b",
        &format!("https://api.test/{}", "x".repeat(500)),
    ] {
        let (status, problem) =
            site.admin(Method::PATCH, "/admin/scopes/reports", &json!({ "resource": text }));
        assert_eq!((status, &problem["field"]), (400, &json!("resource")), "{text}");
    }
    site.patch("/admin/scopes/reports", &json!({ "resource": null }));
    assert_eq!(site.admin(Method::GET, "/admin/scopes/reports", &Value::Null).1["resource"], "");
}

#[test]
fn a_resource_says_who_gives_tokens_for_it_and_with_which_scopes() {
    let site = site();
    site.patch("/admin/scopes/reports", &json!({ "resource": "http://localhost:8787/reports" }));
    let orders = "https%3A%2F%2Fapi.test%2Forders";
    for (target, resource, scopes) in [
        ("/reports".to_owned(), "http://localhost:8787/reports", json!(["reports"])),
        (format!("/{orders}"), ORDERS, json!(["orders.read", "orders.write"])),
    ] {
        let response = site.get(&format!("/.well-known/oauth-protected-resource{target}"));
        assert_eq!(
            (response.status.as_u16(), response.header("access-control-allow-origin")),
            (200, Some("*")),
            "{target}"
        );
        let said: Value = serde_json::from_slice(&response.body).unwrap();
        let expected = json!({
            "resource": resource, "authorization_servers": [ISSUER], "scopes_supported": scopes,
            "bearer_methods_supported": ["header"],
        });
        assert_eq!(said, expected);
    }
    let mut elsewhere = request(Method::GET, "/.well-known/oauth-protected-resource/orders", &[], "");
    (elsewhere.host, elsewhere.secure) = ("api.test".to_owned(), true);
    let response = site.send(&elsewhere);
    assert_eq!(
        serde_json::from_slice::<Value>(&response.body).unwrap()["resource"],
        ORDERS,
        "where the host is the resource's own"
    );
    for target in ["", "/orders", "/reports/", "/%zz", &format!("/{orders}/")] {
        assert_eq!(
            site.get(&format!("/.well-known/oauth-protected-resource{target}")).status,
            404,
            "{target}"
        );
    }
    let metadata = site.get("/.well-known/oauth-authorization-server");
    let metadata: Value = serde_json::from_slice(&metadata.body).unwrap();
    assert_eq!(metadata["protected_resources"], json!([ORDERS, "http://localhost:8787/reports"]));
}

#[test]
fn the_gateway_says_where_a_resource_describes_itself_and_opens_nothing_of_another() {
    let site = site();
    site.patch(
        "/admin/settings",
        &json!({ "gateway.routes": "api.test=https://origin.example reports.test=https://r.example" }),
    );
    let pass = |host: &str, path: &str, token: Option<&Value>| {
        let authorization = token.map(|token| format!("Bearer {}", string(token, "access_token")));
        let headers: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
        let mut asked = request(Method::GET, path, &headers, "");
        (asked.host, asked.secure) = (host.to_owned(), true);
        crate::gateway::send(&site, &asked)
    };
    let challenge = |host: &str, path: &str| {
        let Some(Err(refused)) = pass(host, path, None) else { panic!("{path} passed") };
        refused.header("www-authenticate").unwrap().to_owned()
    };
    let told = ", resource_metadata=\"https://api.test/.well-known/oauth-protected-resource/orders\"";
    assert!(challenge("api.test", "/orders/7").ends_with(told));
    assert!(!challenge("api.test", "/ordersx").contains("resource_metadata"));
    assert!(
        challenge("reports.test", "/x")
            .ends_with("\"https://reports.test/.well-known/oauth-protected-resource\"")
    );
    for (host, path) in [
        ("api.test", "/.well-known/oauth-protected-resource/orders"),
        ("reports.test", "/.well-known/oauth-protected-resource"),
    ] {
        assert!(pass(host, path, None).is_none(), "{path} is answered here");
    }
    assert!(pass("api.test", "/.well-known/oauth-protected-resource/other", None).is_some());
    let (_, token) = own(&site, &[]);
    assert!(matches!(pass("reports.test", "/reports", Some(&token)), Some(Ok(_))));
    assert!(
        matches!(pass("api.test", "/reports", Some(&token)), Some(Err(_))),
        "that scope is of another resource"
    );
}

#[test]
fn a_token_for_one_resource_opens_no_path_of_another_where_the_proxy_says_which_host_was_asked() {
    let site = site();
    for scope in ["orders.read", "reports"] {
        site.patch(&format!("/admin/scopes/{scope}"), &json!({ "urls": ["GET /items"] }));
    }
    let (_, orders) = own(&site, &[("resource", ORDERS)]);
    let authorization = format!("Bearer {}", string(&orders, "access_token"));
    let ask = |headers: &[(&str, &str)]| {
        let mut all = vec![("authorization", authorization.as_str())];
        all.extend(headers);
        site.send(&request(Method::GET, "/check", &all, "")).status.as_u16()
    };
    let nginx = [("x-original-method", "GET"), ("x-original-uri", "/items")];
    let at = |origin: &'static str| [nginx[0], nginx[1], ("x-original-origin", origin)];
    assert_eq!((ask(&at("https://api.test")), ask(&at(REPORTS)), ask(&nginx)), (200, 403, 200));
    site.patch("/admin/settings", &json!({ "check.source": "caddy" }));
    let caddy = |host: &'static str| {
        [
            ("x-forwarded-method", "GET"),
            ("x-forwarded-uri", "/items"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", host),
        ]
    };
    assert_eq!((ask(&caddy("api.test")), ask(&caddy("reports.test"))), (200, 403));
}

#[test]
fn what_a_challenge_names_answers() {
    let site = site();
    site.patch("/admin/settings", &json!({ "gateway.routes": "api.test=https://origin.example" }));
    for resource in
        ["https://api.test", "https://api.test/", "https://api.test/orders", "https://api.test/orders/"]
    {
        for scope in ["orders.read", "orders.write"] {
            site.patch(&format!("/admin/scopes/{scope}"), &json!({ "resource": resource }));
        }
        let to = |path: &str| {
            let mut asked = request(Method::GET, path, &[], "");
            (asked.host, asked.secure) = ("api.test".to_owned(), true);
            asked
        };
        let Some(Err(refused)) = crate::gateway::send(&site, &to("/orders/7")) else { panic!("it passed") };
        let challenge = refused.header("www-authenticate").unwrap().to_owned();
        let named =
            challenge.split("resource_metadata=\"https://api.test").nth(1).unwrap().trim_end_matches('"');
        assert!(crate::gateway::send(&site, &to(named)).is_none(), "{named} is answered here");
        let said: Value = serde_json::from_slice(&site.send(&to(named)).body).unwrap();
        assert_eq!(said["resource"], resource);
    }
}
