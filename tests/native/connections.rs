//! Connections to other servers: kept, used, broken and gone; and requests with their tokens.

mod requests;

use crate::world::*;
use edgemint::{
    host::{Fetched, Seconds},
    objects::protocol::connection::Connection,
    wire::Response,
};
use http::Method;
use serde_json::{Value, json};

const TOKEN: &str = "https://as.example/token";
const API: &str = "https://api.example/orders?x=1";

fn mail() -> Value {
    json!({
        "name": "mail", "issuer": "https://as.example", "token_endpoint": TOKEN,
        "authorization_endpoint": "https://as.example/authorize?prompt=consent",
        "client_id": "we", "client_secret": "hush-hush", "scope": "a b",
        "allowed_origins": ["https://api.example"],
    })
}

fn answer(status: u16, body: &Value) -> Fetched {
    Fetched { status, body: Some(body.to_string().into_bytes()), ..Fetched::default() }
}

fn tokens(number: u32, more: &Value) -> Fetched {
    let mut body = json!({
        "access_token": format!("access-{number}"), "refresh_token": format!("refresh-{number}"),
        "token_type": "Bearer", "expires_in": 600,
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    answer(200, &body)
}

fn made() -> Site {
    let site = Site::new();
    let (status, body) = site.admin(Method::POST, "/admin/connections", &mail());
    assert_eq!(status, 201, "{body}");
    site
}

/// Where a browser goes, and the address it comes back to with a code.
fn begun(site: &Site) -> (Vec<(String, String)>, String) {
    let (status, body) = site.admin(Method::POST, "/admin/connections/mail/authorize", &Value::Null);
    assert_eq!(status, 200, "{body}");
    let url = string(&body, "authorization_url");
    let (endpoint, query) = url.split_once('?').unwrap();
    assert_eq!(endpoint, "https://as.example/authorize");
    let params: Vec<(String, String)> =
        edgemint::wire::Params::parse(query.as_bytes(), &[]).unwrap().pairs().to_vec();
    let state = params.iter().find(|(name, _)| name == "state").unwrap().1.clone();
    (params, format!("/external/callback?state={state}&code=their-code&iss=https%3A%2F%2Fas.example"))
}

fn connected(more: &Value) -> Site {
    let site = made();
    let (_, back) = begun(&site);
    site.world.put_elsewhere(TOKEN, tokens(1, more));
    let page = site.get(&back);
    assert_eq!(page.status, 200, "{}", text(&page));
    site.world.asked();
    site
}

fn fresh(site: &Site) -> (u16, Value) {
    site.admin(Method::GET, "/admin/connections/mail/token", &Value::Null)
}

fn shown(site: &Site) -> Value {
    site.admin(Method::GET, "/admin/connections/mail", &Value::Null).1
}

/// The parameters of the forms that were sent to the token endpoint since the last call.
fn forms(site: &Site) -> Vec<String> {
    let asked = site.world.asked().into_iter().filter(|asked| asked.address == TOKEN);
    asked.map(|asked| String::from_utf8(asked.body).unwrap()).collect()
}

#[test]
fn a_connection_is_made_shown_changed_and_ended_and_its_secret_is_never_shown_or_kept_in_clear() {
    let site = made();
    let connection = shown(&site);
    for (name, value) in [
        ("name", json!("mail")),
        ("client_id", json!("we")),
        ("status", json!("new")),
        ("broken_since", Value::Null),
        ("token_endpoint_auth_method", json!("client_secret_basic")),
    ] {
        assert_eq!(connection[name], value, "{name}");
    }
    assert!(connection.get("client_secret").is_none());
    let (status, again) = site.admin(Method::POST, "/admin/connections", &mail());
    assert_eq!((status, &again["field"]), (409, &json!("name")));
    let (status, body) = site.admin(Method::PATCH, "/admin/connections/mail", &json!({ "scope": "c" }));
    assert_eq!((status, &body["scope"]), (200, &json!("c")));
    let moved = json!({ "token_endpoint": "https://elsewhere.example/token" });
    let (status, body) = site.admin(Method::PATCH, "/admin/connections/mail", &moved);
    assert_eq!((status, &body["field"]), (400, &json!("client_secret")));
    let mut whole = mail();
    whole.as_object_mut().unwrap().remove("client_secret");
    assert_eq!(site.admin(Method::PUT, "/admin/connections/mail", &whole).0, 200);
    let page = site.admin(Method::GET, "/admin/connections?q=mai", &Value::Null).1;
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert!(!site.world.dump().contains("hush-hush"), "the secret lies in clear");
    let audit = site.admin(Method::GET, "/admin/audit?q=connection", &Value::Null).1;
    assert_eq!(audit["items"].as_array().unwrap().len(), 3);
    assert!(!audit.to_string().contains("hush-hush"));
    assert_eq!(site.admin(Method::DELETE, "/admin/connections/mail", &Value::Null).0, 204);
    for target in ["/admin/connections/mail", "/admin/connections/mail/token"] {
        assert_eq!(site.admin(Method::GET, target, &Value::Null).0, 404);
    }
}

#[test]
fn the_second_of_two_administrators_is_told_that_the_connection_has_changed() {
    let site = made();
    let get = request(
        Method::GET,
        "/admin/connections/mail",
        &[("authorization", &format!("Bearer {ADMIN_TOKEN}"))],
        "",
    );
    let tag = site.send(&get).header("etag").unwrap().to_owned();
    let change = |scope: &str| {
        let authorization = format!("Bearer {ADMIN_TOKEN}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
            ("if-match", tag.as_str()),
        ];
        site.send(&request(
            Method::PATCH,
            "/admin/connections/mail",
            &headers,
            &json!({ "scope": scope }).to_string(),
        ))
    };
    assert_eq!((change("one").status.as_u16(), change("two").status.as_u16()), (200, 412));
    assert_eq!(shown(&site)["scope"], "one");
}

#[test]
fn a_browser_goes_there_with_pkce_and_its_code_is_exchanged_once() {
    let site = made();
    let (params, back) = begun(&site);
    let param = |name: &str| params.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
    for (name, value) in [
        ("prompt", "consent"),
        ("response_type", "code"),
        ("client_id", "we"),
        ("scope", "a b"),
        ("redirect_uri", "http://localhost:8787/external/callback"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(param(name), Some(value));
    }
    assert_eq!(fresh(&site).0, 409, "nobody has been there yet");
    site.world.put_elsewhere(TOKEN, tokens(1, &json!({ "scope": "a" })));
    let page = site.get(&back);
    assert!(page.status == 200 && text(&page).contains("Connected"), "{}", text(&page));
    let [form] = <[String; 1]>::try_from(forms(&site)).unwrap();
    let sent = edgemint::wire::Params::parse(form.as_bytes(), &[]).unwrap();
    assert_eq!(sent.optional("code"), Some("their-code"));
    let verifier = sent.optional("code_verifier").unwrap();
    let challenge = edgemint::model::pkce::Challenge::of(verifier).to_string();
    assert_eq!(param("code_challenge"), Some(challenge.as_str()));
    assert_eq!(site.get(&back).status, 200, "who reloads the page sees it again");
    assert_eq!(forms(&site), Vec::<String>::new(), "and nobody is asked");
    let (status, token) = fresh(&site);
    assert_eq!(
        (status, token),
        (200, json!({ "access_token": "access-1", "token_type": "Bearer", "expires_in": 600, "scope": "a" }))
    );
    assert_eq!(shown(&site)["status"], "connected");
    for secret in ["access-1", "refresh-1", "their-code", "hush-hush", verifier] {
        assert!(!site.world.dump().contains(secret), "{secret} lies in clear");
    }
    let log = format!("{:?}", site.world.events());
    assert!(log.contains("external.connected"), "{log}");
    for secret in ["access-1", "refresh-1", "their-code", "hush-hush", verifier] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[test]
fn an_answer_that_is_not_expected_asks_nobody() {
    let site = made();
    let (_, old) = begun(&site);
    let (_, back) = begun(&site);
    site.world.put_elsewhere(TOKEN, tokens(1, &json!({})));
    let bent = back.replace("state=emo_", "state=emc_");
    let foreign = back.replace("as.example", "evil.example");
    let denied = back.replace("code=their-code", "error=access_denied");
    for (target, status) in
        [(&old, 400), (&bent, 400), (&foreign, 400), (&denied, 400), (&"/external/callback".to_owned(), 400)]
    {
        let page = site.get(target);
        assert_eq!(page.status, status, "{target}: {}", text(&page));
        assert_eq!(forms(&site), Vec::<String>::new(), "{target}");
    }
    site.world.pass(Seconds(600));
    assert_eq!(site.get(&back).status, 400, "ten minutes are over");
    assert_eq!(forms(&site), Vec::<String>::new());
    let (_, back) = begun(&site);
    site.admin(Method::DELETE, "/admin/connections/mail", &Value::Null);
    site.admin(Method::POST, "/admin/connections", &mail());
    assert_eq!(site.get(&back).status, 400, "it is for a connection that is gone");
    assert_eq!((forms(&site), fresh(&site).0), (Vec::new(), 409));
}

#[test]
fn a_token_is_replaced_ahead_of_its_end_and_a_refresh_token_that_is_not_replaced_stays() {
    let site = connected(&json!({}));
    site.world.pass(Seconds(539));
    assert_eq!(fresh(&site).1["access_token"], "access-1");
    assert_eq!(forms(&site).len(), 0);
    site.world.pass(Seconds(1));
    site.world.put_elsewhere(TOKEN, tokens(2, &json!({ "refresh_token": null })));
    let (_, token) = fresh(&site);
    assert_eq!((&token["access_token"], &token["expires_in"]), (&json!("access-2"), &json!(600)));
    assert!(forms(&site)[0].contains("refresh_token=refresh-1"));
    site.world.pass(Seconds(600));
    site.world.put_elsewhere(TOKEN, tokens(3, &json!({})));
    assert_eq!(fresh(&site).1["access_token"], "access-3");
    assert!(forms(&site)[0].contains("refresh_token=refresh-1"));
}

#[test]
fn invalid_grant_breaks_the_connection_and_says_since_when_and_why_until_somebody_goes_there_again() {
    let site = connected(&json!({}));
    site.world.pass(Seconds(600));
    let said = json!({ "error": "invalid_grant", "error_description": "revoked\nby its owner" });
    site.world.put_elsewhere(TOKEN, answer(400, &said));
    let (status, problem) = fresh(&site);
    assert_eq!((status, &problem["broken_since"]), (409, &json!(1_800_000_600)));
    assert_eq!(problem["broken_reason"], "invalid_grant: revoked by its owner");
    site.world.asked();
    site.world.pass(Seconds(1000));
    assert_eq!((fresh(&site).0, site.world.asked().len()), (409, 0), "nobody is asked any more");
    let connection = shown(&site);
    assert_eq!(
        (&connection["status"], &connection["broken_since"]),
        (&json!("broken"), &json!(1_800_000_600))
    );
    assert!(format!("{:?}", site.world.events()).contains("external.broken"));
    let (_, back) = begun(&site);
    site.world.put_elsewhere(TOKEN, tokens(2, &json!({})));
    assert_eq!(site.get(&back).status, 200);
    assert_eq!(fresh(&site).1["access_token"], "access-2");
}

#[test]
fn a_provider_that_fails_is_passed_on_and_tried_again_while_a_token_that_is_good_is_given() {
    let site = connected(&json!({}));
    site.world.pass(Seconds(560));
    let said = json!({
        "error": "temporarily_unavailable", "error_description": "refresh-1 of hush-hush is late", "access_token": "x-y-z",
    });
    site.world.put_elsewhere(TOKEN, answer(503, &said));
    assert_eq!(fresh(&site).1["access_token"], "access-1", "which lives for some seconds yet");
    assert_eq!(site.world.asked().len(), 1);
    assert_eq!((fresh(&site).0, site.world.asked().len()), (200, 0), "not in the same moment again");
    site.world.pass(Seconds(60));
    let (status, body) = fresh(&site);
    assert_eq!((status, &body["external_status"]), (502, &json!(503)));
    assert_eq!(
        body["external"],
        json!({ "error": "temporarily_unavailable", "error_description": "(hidden) of (hidden) is late" })
    );
    for secret in ["x-y-z", "refresh-1 of"] {
        assert!(!site.world.dump().contains(secret), "what it says besides is not kept");
    }
    site.world.asked();
    for (wait, asked) in [(3, 0), (1, 1), (7, 0), (1, 1), (15, 0), (1, 1)] {
        site.world.pass(Seconds(wait));
        assert_eq!(
            (fresh(&site).0, site.world.asked().len()),
            (502, asked),
            "each pause is twice the one before"
        );
    }
    site.world.pass(Seconds(60));
    site.world.late(true);
    let (status, body) = fresh(&site);
    assert_eq!((status, &body["error"]), (504, &json!("external_timeout")));
    site.world.late(false);
    site.world.pass(Seconds(64));
    site.world.put_elsewhere(TOKEN, tokens(2, &json!({})));
    assert_eq!(fresh(&site).1["access_token"], "access-2");
}

#[test]
fn a_missing_key_is_said_and_nothing_is_lost_by_it() {
    let site = made();
    let public = json!({ "client_secret": null });
    assert_eq!(site.admin(Method::PATCH, "/admin/connections/mail", &public).0, 200);
    let (_, back) = begun(&site);
    site.world.put_elsewhere(TOKEN, tokens(1, &json!({})));
    assert_eq!(site.get(&back).status, 200);
    let vars = edgemint::context::config::Vars { master_key: Some(KEY_B.to_owned()), ..development() };
    let other = Site::with(&site.world, &vars);
    for _ in 0..2 {
        let (status, problem) = fresh(&other);
        assert!(status == 409 && string(&problem, "detail").contains("master key is gone"), "{problem}");
    }
    assert_eq!(fresh(&site).1["access_token"], "access-1", "the key is there again");
}

#[test]
fn a_token_that_a_resource_did_not_take_is_replaced() {
    let site = connected(&json!({ "expires_in": null }));
    site.world.pass(Seconds(100_000));
    let refuse = |token: &str| {
        site.admin(Method::POST, "/admin/connections/mail/token", &json!({ "refused": token })).1["access_token"].clone()
    };
    assert_eq!(fresh(&site).1, json!({ "access_token": "access-1", "token_type": "Bearer", "scope": "a b" }));
    assert_eq!(refuse("another"), "access-1");
    site.world.put_elsewhere(TOKEN, tokens(2, &json!({})));
    assert_eq!(refuse("access-1"), "access-2");
    assert_eq!(refuse("access-1"), "access-2");
    assert_eq!(site.world.asked().len(), 1);
}

#[test]
fn a_connection_is_for_the_clients_it_lists() {
    let site = connected(&json!({}));
    site.patch("/admin/clients/demo-machine", &json!({ "scope": "external" }));
    let (_, token) = site.token(MACHINE, &[("grant_type", "client_credentials"), ("scope", "external")]);
    let authorization = format!("Bearer {}", string(&token, "access_token"));
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let errand = json!({ "connection": "mail", "url": API }).to_string();
    site.world.put_elsewhere(API, answer(200, &json!({})));
    for (clients, status) in
        [(json!([]), 200), (json!(["demo-web"]), 403), (json!(["demo-web", "demo-machine"]), 200)]
    {
        site.patch("/admin/connections/mail", &json!({ "allowed_clients": clients }));
        let token = site.send(&request(Method::GET, "/admin/connections/mail/token", &headers, ""));
        let done = site.send(&request(Method::POST, "/admin/external/request", &headers, &errand));
        assert_eq!((token.status.as_u16(), done.status.as_u16()), (status, status), "{clients}");
        assert_eq!(fresh(&site).0, 200, "the administrator may always");
    }
}

#[test]
fn an_address_that_will_never_be_asked_is_refused_when_it_is_said() {
    let site = made();
    for (field, value) in [
        ("token_endpoint", json!("http://localhost:8787/token")),
        ("authorization_endpoint", json!("http://localhost:8787/authorize")),
        ("allowed_origins", json!(["https://api.example", "http://127.0.0.1:8787"])),
    ] {
        let patch = json!({ field: value, "client_secret": "x" });
        let (status, problem) = site.admin(Method::PATCH, "/admin/connections/mail", &patch);
        assert_eq!((status, &problem["field"]), (400, &json!(field)), "{problem}");
    }
}

#[test]
fn another_server_behind_a_connection_gets_nothing_of_what_was_held_of_the_first() {
    let site = connected(&json!({}));
    let moved = json!({ "token_endpoint": "https://b.example/token", "client_secret": "another" });
    assert_eq!(site.admin(Method::PATCH, "/admin/connections/mail", &moved).0, 200);
    assert_eq!((fresh(&site).0, site.world.asked().len()), (409, 0));
    assert_eq!(shown(&site)["status"], "new");
}

#[test]
fn what_an_older_master_key_sealed_is_sealed_anew_at_use_and_what_a_gone_one_sealed_is_said_to_be_gone() {
    let site = connected(&json!({}));
    let vars = |keys: String| edgemint::context::config::Vars { master_key: Some(keys), ..development() };
    let both = Site::with(&site.world, &vars(format!("{KEY_B},{KEY_A}")));
    assert_eq!(fresh(&both).1["access_token"], "access-1");
    let new = Site::with(&site.world, &vars(KEY_B.to_owned()));
    assert_eq!(fresh(&new).1["access_token"], "access-1");
    site.world.pass(Seconds(600));
    site.world.put_elsewhere(TOKEN, tokens(2, &json!({})));
    assert_eq!(fresh(&new).1["access_token"], "access-2");
    assert!(site.world.asked()[0].headers.iter().any(|(name, _)| name == "authorization"));
    let (status, problem) = fresh(&site);
    assert_eq!(status, 409);
    assert!(string(&problem, "detail").contains("master key is gone"), "{problem}");
}

#[test]
fn what_is_sent_again_after_the_end_of_a_connection_brings_nothing_back() {
    let site = connected(&json!({}));
    let (id, _) = site.world.disks("CONNECTIONS")[0].clone();
    assert_eq!(site.admin(Method::DELETE, "/admin/connections/mail", &Value::Null).0, 204);
    let held = site.world.disk("CONNECTIONS", &id).rows_of("held").concat();
    assert!(held.contains("\"ended\":true") && !held.contains("\"access\""), "{held}");
    let message = json!({ "format": 1, "attempt": "x", "command": { "Status": "" } }).to_string();
    assert!(site.world.deliver_raw::<Connection>(&id, &message).contains("Ended"));
}

#[test]
fn an_end_that_does_not_reach_the_object_is_brought_by_alarm() {
    let site = connected(&json!({}));
    let (id, _) = site.world.disks("CONNECTIONS")[0].clone();
    site.world.fate("CONNECTIONS", &[Fate::Lost, Fate::Lost]);
    assert_eq!(site.admin(Method::DELETE, "/admin/connections/mail", &Value::Null).0, 204);
    assert!(!site.world.disk("CONNECTIONS", &id).rows_of("held").concat().contains("\"ended\":true"));
    site.world.pass(Seconds(60));
    site.world.ring();
    assert!(site.world.disk("CONNECTIONS", &id).rows_of("held").concat().contains("\"ended\":true"));
}

#[test]
fn tokens_are_for_the_administrator_and_the_scope_external_alone() {
    let site = connected(&json!({}));
    let ask = |bearer: &str| -> Response {
        let authorization = format!("Bearer {bearer}");
        site.send(&request(
            Method::GET,
            "/admin/connections/mail/token",
            &[("authorization", &authorization)],
            "",
        ))
    };
    site.patch(
        "/admin/clients/demo-machine",
        &json!({ "scope": "reports external admin.read", "administrative": true }),
    );
    let token = |scope: &str| {
        let fields = [("grant_type", "client_credentials"), ("scope", scope)];
        string(&site.token(MACHINE, &fields).1, "access_token")
    };
    assert_eq!(ask("").status, 401);
    for scope in ["reports", "admin.read"] {
        let refused = ask(&token(scope));
        assert_eq!(refused.status, 403, "{}", text(&refused));
        assert!(refused.header("www-authenticate").unwrap().contains("scope=\"external\""));
    }
    assert_eq!(ask(&token("external")).status, 200);
    let readers = token("admin.read");
    let authorization = format!("Bearer {readers}");
    let authorize =
        request(Method::POST, "/admin/connections/mail/authorize", &[("authorization", &authorization)], "");
    assert_eq!(site.send(&authorize).status, 403);
}
