//! The gateway: what is passed on, to whom, with what beside it; and what is not.

use crate::world::*;
use edgemint::{
    context::config::Vars,
    endpoints::gateway::Passage,
    host::{Away, Seconds},
    server::Server,
    wire::{Request, Response},
};
use http::{Method, StatusCode};
use serde_json::{Value, json};

const ROUTES: &str = "api.test=https://rest.test api.test/orders=https://orders.test:8443 \
    other.test:8080/reports=http://localhost:3000";

fn site() -> Site {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "gateway.routes": ROUTES }));
    site
}

/// A request to `host/path?query`.
fn to(method: &str, address: &str, token: &str, more: &[(&str, &str)]) -> Request {
    let (host, target) = address.split_at(address.find('/').unwrap());
    let bearer = format!("Bearer {token}");
    let mut headers = more.to_vec();
    if !token.is_empty() {
        headers.push(("authorization", bearer.as_str()));
    }
    let asked = request(Method::from_bytes(method.as_bytes()).unwrap(), target, &headers, "");
    Request { host: host.to_owned(), ..asked }
}

/// What is passed on, or the refusal; nothing where the request is one to this server.
fn pass(server: &Server, world: &World, asked: &Request) -> Option<Result<Passage, Response>> {
    let forward = async |passage| Ok((StatusCode::OK, passage));
    now(server.pass(world, asked, forward))
}

pub fn send(site: &Site, asked: &Request) -> Option<Result<Passage, Response>> {
    pass(&site.server, &site.world, asked)
}

fn passed(site: &Site, asked: &Request) -> Passage {
    match send(site, asked).expect("it is the gateway's") {
        Ok(passage) => passage,
        Err(refused) => panic!("{} {}", refused.status, text(&refused)),
    }
}

fn refused(site: &Site, asked: &Request) -> Response {
    let passed = send(site, asked).unwrap_or_else(|| panic!("{} is nobody's", asked.path));
    passed.err().unwrap_or_else(|| panic!("{} passed", asked.path))
}

fn challenge(response: &Response) -> (u16, &str) {
    (response.status.as_u16(), response.header("www-authenticate").unwrap_or_default())
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str()).collect()
}

fn came(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn token(site: &Site, scope: &str) -> String {
    let code = site.beside().code("demo-web", &[("scope", scope)]);
    string(&site.redeem(&code).1, "access_token")
}

/// Of `demo-machine`, for itself.
fn own(site: &Site) -> String {
    let fields = [("grant_type", "client_credentials"), ("scope", "orders.read")];
    string(&site.token(MACHINE, &fields).1, "access_token")
}

#[test]
fn a_request_that_may_pass_goes_to_the_longest_prefix_with_path_and_query_as_they_came() {
    let site = site();
    let token = token(&site, "orders.read reports");
    for (address, asked) in [
        ("api.test/reports", "https://rest.test/reports"),
        ("API.test/reports/2026/", "https://rest.test/reports/2026/"),
        ("api.test/orders", "https://orders.test:8443/orders"),
        ("api.test/orders/7?x=../..&y=%2F&", "https://orders.test:8443/orders/7?x=../..&y=%2F&"),
        ("api.test/%6Frders/a%20b", "https://orders.test:8443/%6Frders/a%20b"),
        ("other.test:8080/reports/q1", "http://localhost:3000/reports/q1"),
    ] {
        assert_eq!(passed(&site, &to("GET", address, &token, &[])).address, asked);
    }
    for address in [
        "localhost:8787/orders",
        "127.0.0.1:8787/orders",
        "elsewhere.test/orders",
        "other.test:8080/reports2",
        "other.test:8080/orders",
        "other.test/reports",
        "api.test:8080/orders",
    ] {
        assert!(send(&site, &to("GET", address, &token, &[])).is_none(), "{address}");
    }
}

#[test]
fn the_server_of_the_route_is_told_who_is_calling_by_nobody_but_this_one() {
    let site = site();
    let token = token(&site, "orders.read reports");
    let sub = site.inspect(&token)["sub"].as_str().unwrap().to_owned();
    let passage = passed(&site, &to("GET", "api.test/orders", &token, &[]));
    let forged = [
        ("x-auth-subject", "evil"),
        ("x-auth-username", "evil"),
        ("x-auth-groups", "evil"),
        ("x-auth-role", "evil"),
        ("x_auth_subject", "evil"),
        ("x-auth_username", "evil"),
        ("x.auth.groups", "evil"),
        ("x-forwarded-host", "evil"),
        ("x_forwarded_proto", "evil"),
        ("forwarded", "for=evil"),
        ("x-original-url", "/evil"),
        ("x-rewrite-url", "/evil"),
        ("x-http-method-override", "EVIL"),
        ("x-http-method", "EVIL"),
        ("x-method-override", "EVIL"),
        ("authorization", "Bearer evil"),
        ("proxy-authorization", "evil"),
        ("host", "evil"),
        ("connection", "keep-alive, X-Evil , x-auth-subject"),
        ("x-evil", "evil"),
        ("keep-alive", "evil"),
        ("te", "evil"),
        ("trailer", "evil"),
        ("transfer-encoding", "evil"),
        ("upgrade", "evil"),
        ("proxy-connection", "evil"),
    ];
    let headers = passage.headers(came(&forged));
    let all: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        all,
        [
            ("x-auth-subject", sub.as_str()),
            ("x-auth-username", "alice"),
            ("x-auth-client", "demo-web"),
            ("x-auth-scope", "orders.read reports"),
            ("x-auth-groups", "orders-staff"),
            ("x-forwarded-host", "api.test"),
            ("x-forwarded-proto", "http"),
        ]
    );
    let kept = came(&[
        ("accept", "*/*"),
        ("accept-encoding", "gzip"),
        ("content-type", "a/b"),
        ("range", "bytes=0-1"),
        ("x-author", "who"),
        ("if-none-match", "\"x\""),
    ]);
    let headers = passage.headers(kept.clone());
    assert_eq!(headers[..kept.len()], kept);

    let machine = passed(&site, &to("GET", "api.test/orders", &own(&site), &[])).headers(Vec::new());
    assert_eq!(header(&machine, "x-auth-subject"), ["demo-machine"]);
    assert_eq!(header(&machine, "x-auth-username"), [""], "it is there, and empty");
}

#[test]
fn of_the_cookies_this_servers_own_stay_here() {
    let site = site();
    let passage = passed(&site, &to("GET", "api.test/orders", &token(&site, "orders.read"), &[]));
    for (sent, passed) in [
        ("a=1; edgemint-session=s; b=2", vec!["a=1; b=2"]),
        ("edgemint-browser=x; __Host-edgemint-session=y;c=\"d=e\"", vec!["c=\"d=e\""]),
        ("__Host-edgemint-browser=x", vec![]),
        ("edgemint-session", vec![]),
        ("edgemint-sessions=1; my-edgemint-session=2", vec!["edgemint-sessions=1; my-edgemint-session=2"]),
    ] {
        assert_eq!(header(&passage.headers(came(&[("cookie", sent)])), "cookie"), passed, "{sent}");
    }
}

#[test]
fn every_cookie_that_this_server_sets_is_one_of_its_own() {
    let site = Site::new();
    let page = site.authorize("demo-web", &[]);
    let signed_in = site.sign_in(&page, "alice", "wonderland");
    let headers = page.headers.iter().chain(&signed_in.headers);
    let set: Vec<&String> =
        headers.filter(|(name, _)| *name == "set-cookie").map(|(_, value)| value).collect();
    assert!(set.len() >= 2, "{set:?}");
    for cookie in set {
        assert!(edgemint::session::is_own_cookie(cookie), "{cookie}");
        assert!(edgemint::session::is_own_cookie(&format!("__Host-{cookie}")), "{cookie}");
    }
}

#[test]
fn what_may_not_pass_is_refused_as_at_check() {
    let site = site();
    let token = token(&site, "orders.read");
    let ask = |method: &str, address: &str, token: &str| refused(&site, &to(method, address, token, &[]));
    let missing = ask("GET", "api.test/orders", "");
    assert_eq!(challenge(&missing), (401, "Bearer realm=\"edgemint\""));
    let wrong = ask("GET", "api.test/orders", "ema_nonsense");
    assert_eq!(challenge(&wrong), (401, "Bearer realm=\"edgemint\", error=\"invalid_token\""));
    let beyond = ask("POST", "api.test/orders", &token);
    let demanded = "Bearer realm=\"edgemint\", error=\"insufficient_scope\", scope=\"orders.write\"";
    assert_eq!(challenge(&beyond), (403, demanded));
    let nowhere = ask("GET", "api.test/elsewhere", &token);
    let plain = "Bearer realm=\"edgemint\", error=\"insufficient_scope\"";
    assert_eq!(challenge(&nowhere), (403, plain));
    // A browser asks beforehand without a token.
    assert_eq!(challenge(&ask("OPTIONS", "api.test/orders", "")).0, 401);
    for refused in [missing, wrong, beyond, nowhere] {
        assert_eq!(refused.header("cache-control"), Some("no-store"));
        assert_eq!(refused.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(refused.header("content-security-policy"), None);
        let body: Value = serde_json::from_slice(&refused.body).unwrap();
        assert!(body["error"].is_string() && body["trace_id"].is_string(), "{body}");
    }
    assert!(ask("HEAD", "api.test/orders", "").body.is_empty());
    // Two hundred guesses from one address, and still the same answer.
    for _ in 0..200 {
        assert_eq!(ask("GET", "api.test/orders", "ema_guess").status, 401);
    }
    assert!(send(&site, &to("GET", "api.test/orders", &token, &[])).unwrap().is_ok());
}

#[test]
fn a_path_that_two_servers_could_read_as_two_is_passed_on_to_none() {
    let site = site();
    site.patch(
        "/admin/settings",
        &json!({ "gateway.routes": format!("{ROUTES} bent.test/a=https://a.test") }),
    );
    let token = token(&site, "orders.read reports");
    for path in [
        "//reports",
        "/reports/../reports",
        "/reports/%2e%2e/orders",
        "/reports/..;/orders",
        "/reports/a%2Fb",
        "/reports/a\\b",
        "/reports/%00",
        "/reports/%252e",
        "/reports/%zz",
        "/@evil.test",
    ] {
        for host in ["api.test", "bent.test"] {
            let asked = to("GET", &format!("{host}{path}"), &token, &[]);
            let bent = path != "/@evil.test";
            assert!(!bent || refused(&site, &asked).status == 403, "{host}{path}");
            assert!(send(&site, &asked).is_none_or(|passed| passed.is_err()), "{host}{path}");
        }
    }
    site.patch("/admin/scopes/reports", &json!({ "urls": ["GET /{any}"] }));
    let kept = passed(&site, &to("GET", "api.test/@evil.test", &token, &[]));
    let (origin, path) = kept.address.split_at(kept.address.len() - "/@evil.test".len());
    assert!(
        origin.starts_with("https://") && !origin[8..].contains('/') && path == "/@evil.test",
        "{}",
        kept.address
    );
    let without = Request { path: "@evil.test/".to_owned(), ..to("GET", "api.test/", &token, &[]) };
    assert_eq!(refused(&site, &without).status, 403);
}

#[test]
fn what_is_taken_away_is_taken_at_the_next_request_although_the_replica_lags() {
    let site = site();
    let elsewhere = site.beside();
    let (first, second) = (token(&site, "orders.read"), token(&site, "orders.read"));
    let status = |token: &str| match send(&elsewhere, &to("GET", "api.test/orders", token, &[])) {
        Some(Ok(_)) => 200,
        Some(Err(refused)) => refused.status.as_u16(),
        None => 404,
    };
    assert_eq!((status(&first), status(&second)), (200, 200));
    site.world.freeze_replica(true);
    site.world.pass(Seconds(10));
    assert_eq!(site.post("/revoke", WEB, &[("token", &first)]).0, 200);
    assert_eq!((status(&first), status(&second)), (401, 200));
    site.patch("/admin/scopes/orders.read", &json!({ "urls": ["GET /elsewhere"] }));
    assert_eq!(status(&second), 403);
    site.patch("/admin/scopes/orders.read", &json!({ "urls": ["GET /orders"] }));
    assert_eq!(status(&second), 200, "a refusal comes from the truth");
    site.patch("/admin/settings", &json!({ "gateway.routes": "api.test/reports=https://rest.test" }));
    assert_eq!(status(&second), 404, "so does what becomes of a request");
}

#[test]
fn one_object_is_asked_and_a_refusal_of_what_is_known_asks_none() {
    let site = site();
    let token = token(&site, "orders.read");
    let asked = to("GET", "api.test/orders", &token, &[]);
    passed(&site, &asked);
    site.world.operations();
    passed(&site, &asked);
    assert_eq!(site.world.operations(), ["GRANTS"]);
    for token in ["", "ema_nonsense"] {
        assert_eq!(refused(&site, &to("GET", "api.test/orders", token, &[])).status, 401);
    }
    assert!(send(&site, &to("GET", "localhost:8787/orders", &token, &[])).is_none());
    assert_eq!(site.world.operations(), Vec::<String>::new());
    site.world.fate("GRANTS", &[Fate::Lost, Fate::Lost]);
    assert_eq!(refused(&site, &asked).status, 503, "a shard that is down lets nobody pass");
}

#[test]
fn a_token_in_the_query_counts_where_the_setting_lets_it_and_is_never_passed_on() {
    let site = site();
    let token = token(&site, "orders.read");
    let asked = |query: &str| to("GET", &format!("api.test/orders?{query}"), "", &[]);
    assert_eq!(refused(&site, &asked(&format!("access_token={token}"))).status, 401);
    site.patch("/admin/settings", &json!({ "bearerToken.queryParameter": true }));
    for (query, rest) in [
        (format!("access_token={token}"), ""),
        (format!("a=1&access_token={token}&b=%20"), "?a=1&b=%20"),
        (format!("access%5Ftoken={token}&a"), "?a"),
    ] {
        let address = format!("https://orders.test:8443/orders{rest}");
        assert_eq!(passed(&site, &asked(&query)).address, address);
    }
    let both = to("GET", &format!("api.test/orders?access_token={token}"), &token, &[]);
    assert_eq!(refused(&site, &both).status, 401, "two are one too many");
    let head = to("HEAD", &format!("api.test/orders?access_token={token}"), &token, &[]);
    assert_eq!(
        passed(&site, &head).address,
        "https://orders.test:8443/orders",
        "nor where it does not count"
    );
}

#[test]
fn what_cannot_be_passed_on_is_said_to_be_so() {
    let site = site();
    let token = token(&site, "orders.read");
    let socket = to("GET", "api.test/orders", &token, &[("upgrade", "WebSocket")]);
    assert_eq!(refused(&site, &socket).status, 501);
    let ignored = to("GET", "api.test/orders", &token, &[("upgrade", "h2c")]);
    assert!(send(&site, &ignored).unwrap().is_ok(), "RFC 9110 section 7.8");
    let body = Request { body: None, ..to("GET", "api.test/orders", &token, &[]) };
    assert_eq!(refused(&site, &body).status, 400);

    site.world.events();
    let asked = to("GET", "api.test/orders", &token, &[]);
    for (away, status, code) in [
        (Away::Lost("connection refused".to_owned()), 502, "bad_gateway"),
        (Away::Late, 504, "gateway_timeout"),
    ] {
        let forward = async |_| Err::<(StatusCode, ()), _>(away);
        let answer = now(site.server.pass(&site.world, &asked, forward));
        let refused = answer.unwrap().unwrap_err();
        assert_eq!(refused.status, status);
        assert!(text(&refused).contains(code), "{}", text(&refused));
        let events = site.world.events();
        let event = events.last().unwrap();
        assert_eq!((&event["event"], &event["status"]), (&json!("gateway.failed"), &json!(status)));
        assert_eq!((&event["endpoint"], &event["client"]), (&json!("GET gateway"), &json!("demo-web")));
    }
}

#[test]
fn what_was_passed_on_and_what_was_not_is_one_event_each() {
    let site = site();
    let token = token(&site, "orders.read");
    site.world.events();
    passed(&site, &to("GET", "api.test/orders", &token, &[]));
    refused(&site, &to("DELETE", "api.test/orders", &token, &[]));
    let events = site.world.events();
    let told: Vec<_> =
        events.iter().map(|event| (&event["event"], &event["endpoint"], &event["status"])).collect();
    assert_eq!(
        told,
        [
            (&json!("resource.asked"), &json!("GET gateway"), &json!(200)),
            (&json!("refused"), &json!("DELETE gateway"), &json!(403)),
        ]
    );
    assert!(!json!(events).to_string().contains(&token));
}

#[test]
fn a_route_on_the_issuers_host_or_to_this_server_is_refused() {
    let site = Site::new();
    let set = |site: &Site, routes: &str| {
        let (status, problem) =
            site.admin(Method::PATCH, "/admin/settings", &json!({ "gateway.routes": routes }));
        assert!(status == 200 || problem["field"] == "gateway.routes", "{problem}");
        status
    };
    for routes in [
        "localhost:8787=https://rest.test",
        "127.0.0.1:8787/orders=https://rest.test",
        "[::1]:8787=https://rest.test",
        "api.test=https://a.test localhost:8787/x=https://rest.test",
        "api.test=http://localhost:8787",
        "api.test=http://127.0.0.1:8787",
        "api.test=http://rest.test",
        "api.test=https://10.0.0.1",
        "api.test",
    ] {
        assert_eq!(set(&site, routes), 400, "{routes}");
    }
    assert_eq!(set(&site, "api.localhost:8787=http://localhost:3000"), 200);

    let world = World::new();
    let production =
        |issuer: &str| Vars { mode: Some("production".into()), issuer: Some(issuer.into()), ..development() };
    let live = Site::with(&world, &production("https://as.test"));
    for routes in [
        "as.test=https://rest.test",
        "as.test:8443=https://rest.test",
        "as.test/orders=https://rest.test",
        "api.test=https://as.test",
        "api.test=https://as.test:8443",
        "api.test=http://localhost:3000",
        "api.test=https://localhost",
    ] {
        assert_eq!(set(&live, routes), 400, "{routes}");
    }
    assert_eq!(set(&live, "api.test=https://rest.test b.test=https://orders.test"), 200);

    // What was kept under another issuer, or in development, is passed on no more.
    let asked = |host: &str| to("GET", &format!("{host}/orders"), "", &[]);
    let told = |site: &Site, host: &str| send(site, &asked(host)).map(|passed| passed.is_ok());
    assert_eq!((told(&live, "api.test"), told(&live, "b.test")), (Some(false), Some(false)));
    let moved = Site::with(&world, &production("https://b.test"));
    assert_eq!((told(&moved, "api.test"), told(&moved, "b.test")), (Some(false), None));
    assert_eq!(told(&moved, "B.test:443"), None);
    let itself = Site::with(&world, &production("https://rest.test"));
    assert_eq!((told(&itself, "api.test"), told(&itself, "b.test")), (None, Some(false)));
}

#[test]
fn a_laptops_origin_and_its_data_are_none_in_production() {
    let site = site();
    let token = token(&site, "reports");
    let address = "other.test:8080/reports";
    passed(&site, &to("GET", address, &token, &[]));
    let vars =
        Vars { mode: Some("production".into()), issuer: Some("https://as.test".into()), ..development() };
    let live = Site::with(&site.world, &vars);
    assert!(send(&live, &to("GET", address, &token, &[])).is_none(), "http is for a laptop");
    assert_eq!(refused(&live, &to("GET", "api.test/reports", &token, &[])).status, 503);
}
