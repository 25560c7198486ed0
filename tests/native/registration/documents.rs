//! Clients that are a document at an address: what is fetched, what is refused, and what such a client is.

use super::*;
use edgemint::host::{Fetched, Store as _};

const ID: &str = "https://app.test/client.json";

/// A deployment where a client may be a document, and one that is.
pub fn with_documents() -> Site {
    let site = Site::new();
    site.patch("/admin/settings", &json!({ "registration.documents": true }));
    publish(&site, &document());
    site.world.operations();
    site.world.events();
    site
}

fn document() -> Value {
    json!({
        "client_id": ID,
        "client_name": "A document",
        "redirect_uris": [CLIENT, "http://127.0.0.1/cb"],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
        "logo_uri": "https://app.test/logo.png",
    })
}

fn answer(document: &Value) -> Fetched {
    Fetched {
        status: 200,
        headers: vec![
            ("content-type".into(), "application/json; charset=utf-8".into()),
            ("cache-control".into(), "max-age=600".into()),
        ],
        body: Some(document.to_string().into_bytes()),
    }
}

fn publish(site: &Site, document: &Value) {
    site.world.put_elsewhere(ID, answer(document));
}

fn listed(site: &Site) -> Vec<Value> {
    let (_, page) = site.admin(Method::GET, "/admin/clients?q=https", &Value::Null);
    page["items"].as_array().unwrap().clone()
}

#[test]
fn a_document_is_a_client_only_where_the_setting_says_so() {
    let site = Site::new();
    publish(&site, &document());
    let metadata = |site: &Site| -> Value {
        serde_json::from_str(&text(&site.get("/.well-known/oauth-authorization-server"))).unwrap()
    };
    assert!(metadata(&site).get("client_id_metadata_document_supported").is_none());
    assert!(text(&asks(&site, ID)).contains("invalid_client"));
    assert!(site.world.fetched().is_empty());
    site.patch("/admin/settings", &json!({ "registration.documents": true }));
    assert_eq!(metadata(&site)["client_id_metadata_document_supported"], true);
    assert_eq!(asks(&site, ID).status, 200);
}

#[test]
fn a_client_that_is_a_document_is_shown_allowed_redeems_and_refreshes() {
    let site = with_documents();
    let page = site.sign_in(&asks(&site, ID), "alice", "wonderland");
    let shown = text(&page);
    for part in [
        "A document",
        ID,
        "<strong id=\"consent-host\">app.test</strong>",
        "Nobody here knows this application",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(listed(&site).is_empty(), "nothing is kept of a client that nobody allowed anything");
    let given = tokens(&site, ID);
    assert_eq!(site.inspect(&string(&given, "access_token"))["client_id"], ID);
    let (status, again) = refresh(&site, ID, &string(&given, "refresh_token"));
    assert_eq!(status, 200, "{again}");
    assert_eq!(site.world.fetched(), [ID], "it was asked for once, and not at the token endpoint");
    let listed = listed(&site);
    assert_eq!((listed.len(), &listed[0]["client_id"]), (1, &json!(ID)));
    assert_eq!(listed[0]["expires_at"], 1_800_000_000 + 7_776_000);
    let (_, audit) = site.admin(Method::GET, "/admin/audit?q=client.registered", &Value::Null);
    assert_eq!(audit["items"][0]["by"], json!({ "kind": "user", "name": "alice" }));
    // At another isolate, and as a program on the person's machine.
    let other = site.beside();
    let program = other.authorize(ID, &[("redirect_uri", "http://127.0.0.1:4711/cb")]);
    assert_eq!(program.status, 200, "{}", text(&program));
}

#[test]
fn an_address_that_could_be_ours_or_of_a_private_network_is_never_asked() {
    let site = with_documents();
    for id in [
        "https://127.0.0.1/client.json",
        "https://127.1/client.json",
        "https://2130706433/client.json",
        "https://[::1]/client.json",
        "https://[::ffff:10.0.0.1]/client.json",
        "https://10.0.0.1/client.json",
        "https://192.168.0.1:8443/client.json",
        "https://169.254.169.254/latest",
        "https://localhost/client.json",
        "https://localhost:8787/client.json",
        "https://app.localhost/client.json",
        "https://printer.local/client.json",
        "https://vault.internal/client.json",
        "https://router.home.arpa/client.json",
        "https://intranet/client.json",
        "https://app.test",
        "https://app.test/a/../client.json",
        "https://app.test/%2e%2e/client.json",
        "https://app.test/client.json#x",
        "https://me@app.test/client.json",
        "https://App.test/client.json",
        "http://app.test/client.json",
    ] {
        site.world.put_elsewhere(id, answer(&with(document(), json!({ "client_id": id }))));
        let refused = asks(&site, id);
        assert_eq!((refused.status.as_u16(), refused.header("location")), (400, None), "{id}");
        assert!(text(&refused).contains("invalid_client"), "{id} {}", text(&refused));
    }
    assert_eq!(site.world.fetched(), Vec::<String>::new());
}

#[test]
fn a_redirect_a_large_answer_another_type_and_a_document_of_another_address_are_refused() {
    let good = answer(&document());
    let large = with(document(), json!({ "padding": "x".repeat(6 * 1024) }));
    let twice = document().to_string().replacen('{', "{\"client_name\":\"x\",", 1);
    for (name, wrong) in [
        ("a redirect", Fetched { status: 302, ..good.clone() }),
        ("a permanent one", Fetched { status: 308, ..good.clone() }),
        ("nothing there", Fetched { status: 404, ..good.clone() }),
        ("not changed since", Fetched { status: 304, ..good.clone() }),
        ("another success", Fetched { status: 206, ..good.clone() }),
        ("6 KB", answer(&large)),
        ("a page", Fetched { headers: vec![("content-type".into(), "text/html".into())], ..good.clone() }),
        ("no type", Fetched { headers: Vec::new(), ..good.clone() }),
        ("another address", answer(&with(document(), json!({ "client_id": "https://app.test/other.json" })))),
        ("almost this address", answer(&with(document(), json!({ "client_id": format!("{ID}/") })))),
        ("no address", answer(&with(document(), json!({ "client_id": null })))),
        ("a secret", answer(&with(document(), json!({ "client_secret": "hush" })))),
        (
            "another method",
            answer(&with(document(), json!({ "token_endpoint_auth_method": "client_secret_post" }))),
        ),
        ("keys", answer(&with(document(), json!({ "token_endpoint_auth_method": "private_key_jwt" })))),
        ("no redirect URI", answer(&with(document(), json!({ "redirect_uris": [] })))),
        (
            "an unsafe one",
            answer(&with(document(), json!({ "redirect_uris": [CLIENT, "javascript:alert(1)"] }))),
        ),
        ("no grant of ours", answer(&with(document(), json!({ "grant_types": ["client_credentials"] })))),
        ("a hidden name", answer(&with(document(), json!({ "client_name": "a\u{202e}b" })))),
        ("a member twice", Fetched { body: Some(twice.into_bytes()), ..good.clone() }),
        ("no JSON", Fetched { body: Some(b"{".to_vec()), ..good.clone() }),
        ("no object", Fetched { body: Some(b"[]".to_vec()), ..good.clone() }),
    ] {
        let site = with_documents();
        site.world.put_elsewhere(ID, wrong);
        let before = site.world.dump_of_all_but_counts();
        let refused = asks(&site, ID);
        assert_eq!((refused.status.as_u16(), refused.header("location")), (400, None), "{name}");
        assert!(text(&refused).contains("invalid_client"), "{name}: {}", text(&refused));
        assert_eq!(site.world.fetched(), [ID], "{name}: asked once");
        assert_eq!(site.world.dump_of_all_but_counts(), before, "{name}");
        // An error is not kept: once it is right it is taken.
        publish(&site, &document());
        assert_eq!(asks(&site, ID).status, 200, "{name}");
    }
}

#[test]
fn a_server_that_does_not_answer_is_503_and_nothing_is_decided() {
    let site = with_documents();
    for (id, wrong) in [
        ("https://app.test/away.json", None),
        ("https://app.test/broken.json", Some(Fetched { status: 500, ..answer(&document()) })),
        ("https://app.test/busy.json", Some(Fetched { status: 429, ..answer(&document()) })),
    ] {
        if let Some(wrong) = wrong {
            site.world.put_elsewhere(id, wrong);
        }
        let refused = asks(&site, id);
        assert_eq!((refused.status.as_u16(), refused.header("retry-after").is_some()), (503, true), "{id}");
    }
}

#[test]
fn a_document_is_asked_for_again_when_its_time_is_over_and_holds_as_it_is_then() {
    let site = with_documents();
    for _ in 0..3 {
        assert_eq!(asks(&site, ID).status, 200);
    }
    assert_eq!(site.world.fetched().len(), 1);
    publish(&site, &with(document(), json!({ "redirect_uris": ["https://app.test/other"] })));
    site.world.pass(Seconds(599));
    assert_eq!(asks(&site, ID).status, 200);
    site.world.pass(Seconds(1));
    let refused = asks(&site, ID);
    assert_eq!((refused.status.as_u16(), site.world.fetched().len()), (400, 1));
    assert!(text(&refused).contains("redirect URI"), "{}", text(&refused));
}

#[test]
fn an_isolate_keeps_so_many_documents_and_no_more() {
    let site = with_documents();
    for number in 0..300 {
        let id = format!("https://app{number}.test/client.json");
        site.world.put_elsewhere(&id, answer(&with(document(), json!({ "client_id": id }))));
        assert_eq!(asks(&site, &id).status, 200);
        site.world.pass(Seconds(4)); // Within the limit of an address.
    }
    assert_eq!(site.world.fetched().len(), 300);
    asks(&site, "https://app299.test/client.json");
    assert!(site.world.fetched().is_empty(), "the newest is kept");
    asks(&site, "https://app0.test/client.json");
    assert_eq!(site.world.fetched().len(), 1, "and the oldest is not");
}

#[test]
fn a_flood_of_addresses_asks_no_more_than_the_limits_let_and_keeps_nothing() {
    let site = with_documents();
    let before = site.world.dump_of_all_but_counts();
    let flood = |address: &str, number: u64| {
        let id = format!("https://victim.test/{number}");
        let fields = form(&authorization(&id, &[("redirect_uri", CLIENT)]));
        let headers = [("cf-connecting-ip", address)];
        site.send(&request(Method::GET, &format!("/authorize?{fields}"), &headers, "")).status.as_u16()
    };
    let answers: Vec<u16> = (0..50).map(|number| flood("192.0.2.1", number)).collect();
    assert_eq!((answers[19], answers[20]), (503, 429), "{answers:?}");
    assert_eq!(site.world.fetched().len(), 20);
    // What is refused reaches the registry no more.
    site.world.operations();
    for number in 100..120 {
        flood("192.0.2.1", number);
    }
    assert!(!site.world.operations().contains(&"REGISTRY".to_owned()));
    // From many addresses: no more than a host bears.
    for address in 10..30 {
        for number in 0..10 {
            flood(&format!("192.0.2.{address}"), address * 100 + number);
        }
    }
    assert!(site.world.fetched().len() <= 40, "sixty a minute in all");
    site.world.pass(Seconds(5));
    assert_eq!(asks(&site, ID).status, 200, "another host is asked");
    assert_eq!(site.world.dump_of_all_but_counts(), before);
}

#[test]
fn a_disabled_document_ends_what_it_got_asks_nobody_and_comes_back_only_when_it_is_enabled() {
    let site = with_documents();
    let given = tokens(&site, ID);
    let target = format!("/admin/clients/{}", edgemint::wire::encode(ID));
    let open = site.authorize(ID, &[("redirect_uri", CLIENT), ("prompt", "consent")]);
    site.patch(&target, &json!({ "enabled": false }));
    assert_eq!(site.inspect(&string(&given, "access_token")), dead());
    for site in [&site, &site.beside()] {
        let (status, body) = refresh(site, ID, &string(&given, "refresh_token"));
        assert_eq!((status, &body["error"]), (401, &json!("invalid_client")));
        site.world.fetched();
        assert!(text(&asks(site, ID)).contains("invalid_client"));
        assert!(site.world.fetched().is_empty());
    }
    assert_eq!(site.decide(&open, "all", &[]).status, 400);
    // No time makes it as good as new.
    site.world.pass(Seconds(7_776_000));
    site.world.ring();
    site.world.pass(Seconds(7_776_000));
    site.world.ring();
    assert!(text(&asks(&site, ID)).contains("invalid_client"));
    site.patch(&target, &json!({ "enabled": true }));
    let again = tokens(&site, ID);
    assert_eq!(site.inspect(&string(&again, "access_token"))["active"], true);
    assert_eq!(site.inspect(&string(&given, "access_token")), dead());
}

#[test]
fn a_document_that_is_disabled_where_an_isolate_has_not_heard_of_it_gives_nothing() {
    let site = with_documents();
    tokens(&site, ID);
    let other = site.beside();
    let page = other.authorize(ID, &[("redirect_uri", CLIENT), ("prompt", "consent")]);
    let open = other.sign_in(&page, "alice", "wonderland");
    site.world.freeze_replica(true);
    site.patch(&format!("/admin/clients/{}", edgemint::wire::encode(ID)), &json!({ "enabled": false }));
    let answer = other.decide(&open, "all", &[]);
    assert_eq!((answer.status.as_u16(), answer.header("location")), (400, None), "{}", text(&answer));
}

#[test]
fn what_an_administrator_registered_under_an_address_goes_before_its_document() {
    let site = with_documents();
    let body = json!({ "client_id": ID, "redirect_uris": ["https://app.test/mine"], "scope": "reports", "token_endpoint_auth_method": "none" });
    let (status, made) = site.admin(Method::POST, "/admin/clients", &body);
    assert_eq!((status, &made["client_id"]), (201, &json!(ID)), "{made}");
    assert_eq!(asks(&site, ID).status, 400);
    assert_eq!(site.authorize(ID, &[("redirect_uri", "https://app.test/mine")]).status, 200);
    assert!(site.world.fetched().is_empty());
    let target = format!("/admin/clients/{}", edgemint::wire::encode(ID));
    assert_eq!(site.admin(Method::GET, &target, &Value::Null).0, 200);
    assert!(
        site.admin(
            Method::GET,
            &format!("/admin/clients?after={}", edgemint::wire::encode(ID)),
            &Value::Null
        )
        .0 == 200
    );
    // Ended, it may be a document again, with a life of its own.
    assert_eq!(site.admin(Method::DELETE, &target, &Value::Null).0, 204);
    assert_eq!(site.inspect(&string(&tokens(&site, ID), "access_token"))["active"], true);
}

#[test]
fn a_document_that_was_deleted_and_is_allowed_again_has_another_life() {
    let site = with_documents();
    let first = tokens(&site, ID);
    let target = format!("/admin/clients/{}", edgemint::wire::encode(ID));
    assert_eq!(site.admin(Method::DELETE, &target, &Value::Null).0, 204);
    let second = tokens(&site, ID);
    assert_eq!(site.inspect(&string(&second, "access_token"))["active"], true);
    assert_eq!(site.inspect(&string(&first, "access_token")), dead());
    let (status, body) = refresh(&site, ID, &string(&first, "refresh_token"));
    assert_eq!((status, &body["error"]), (400, &json!("invalid_grant")));
}

#[test]
fn a_document_ends_when_nobody_used_it_for_long_and_begins_anew() {
    let site = with_documents();
    let first = tokens(&site, ID);
    site.world.pass(Seconds(7_776_000));
    let (status, body) = refresh(&site, ID, &string(&first, "refresh_token"));
    assert_eq!((status, &body["error"]), (401, &json!("invalid_client")));
    // Before anybody has taken it away, and after.
    let second = tokens(&site, ID);
    assert_eq!(site.inspect(&string(&second, "access_token"))["active"], true);
    assert_eq!(refresh(&site, ID, &string(&first, "refresh_token")).0, 400, "of its first life");
    site.world.pass(Seconds(7_776_000 + 60));
    site.world.ring();
    assert!(listed(&site).is_empty());
    tokens(&site, ID);
    let ends = site.world.disk("REGISTRY", "registry").scan("ends", None, None, 10).unwrap();
    assert_eq!(ends.len(), 1, "{ends:?}");
}

#[test]
fn what_a_document_says_anew_holds_for_what_it_is_given_from_then_on() {
    let site = with_documents();
    let first = tokens(&site, ID);
    assert_eq!(first["scope"], "orders.read orders.write reports");
    publish(&site, &with(document(), json!({ "scope": "reports", "client_name": "Renamed" })));
    site.world.pass(Seconds(600));
    let second = tokens(&site, ID);
    assert_eq!(second["scope"], "reports");
    assert_eq!(listed(&site)[0]["client_name"], "Renamed");
    // The person allowed the first more, and its client has less now.
    let about = site.inspect(&string(&first, "access_token"));
    assert_eq!(about["scope"], "reports", "{about}");
}

#[test]
fn what_a_document_is_allowed_is_remembered_from_the_first_time_and_after_it_has_changed() {
    let site = with_documents();
    let asks = |scope: &str| site.authorize(ID, &[("redirect_uri", CLIENT), ("scope", scope)]);
    let decided = |page: &Response| {
        site.world.operations();
        assert!(parameter(&site.decide(page, "all", &[]), "code").is_some());
        let asked = site.world.operations();
        ["ACCOUNTS", "REGISTRY", "GRANTS"].map(|name| asked.iter().filter(|one| *one == name).count())
    };
    let page = site.sign_in(&asks("reports"), "alice", "wonderland");
    assert_eq!(decided(&page), [2, 1, 1], "a record is made, and what is noted is of that");
    assert!(parameter(&asks("reports"), "code").is_some(), "{}", text(&asks("reports")));
    assert_eq!(decided(&asks("orders.write")), [1, 0, 1]);
    publish(&site, &with(document(), json!({ "client_name": "Renamed" })));
    site.world.pass(Seconds(600));
    assert!(text(&asks("reports")).contains("Renamed"), "what it says now has to be seen");
    assert_eq!(decided(&asks("orders.read")), [2, 1, 1]);
    assert!(parameter(&asks("orders.read orders.write reports"), "code").is_some());
    assert!(text(&site.get("/account")).contains("Renamed"));
}

#[test]
fn who_is_signed_out_before_a_document_becomes_a_client_makes_it_none() {
    let site = with_documents();
    let page = site.sign_in(&asks(&site, ID), "alice", "wonderland");
    site.patch("/admin/users/alice", &json!({ "enabled": false }));
    assert!(text(&site.decide(&page, "all", &[])).contains("login-submit"));
    assert!(listed(&site).is_empty());
}

#[test]
fn a_document_hears_of_the_end_of_a_session_in_which_it_was_allowed_something_the_first_time() {
    let site = with_documents();
    let out = "https://app.test/out";
    let listening = with(document(), json!({ "backchannel_logout_uri": out }));
    publish(&site, &listening);
    site.world.put_elsewhere(out, Fetched { status: 200, headers: Vec::new(), body: Some(Vec::new()) });
    for name in ["A document", "Renamed"] {
        publish(&site, &with(listening.clone(), json!({ "client_name": name })));
        site.world.pass(Seconds(600));
        let code = site.code(ID, &[("redirect_uri", CLIENT), ("scope", "openid")]);
        let (status, given) = redeem(&site, ID, &code);
        assert_eq!(status, 200, "{given}");
        let answer = crate::logout::logout(&site, &[("id_token_hint", &string(&given, "id_token"))]);
        assert_eq!(answer.status, 303, "{}", text(&answer));
        site.world.asked();
        site.world.ring();
        let told = site.world.asked();
        assert_eq!((told.len(), told[0].address.as_str()), (1, out), "{name}");
    }
}

#[test]
fn a_client_that_is_a_document_takes_no_secret_and_is_asked_about_nowhere_else() {
    let site = with_documents();
    tokens(&site, ID);
    let secret = format!("{}:hush", edgemint::wire::encode(ID));
    assert_eq!(site.token(&secret, &OWN).0, 401);
    let (status, body) = speak(&site, "/token", ID, &OWN);
    assert_eq!((status, &body["error"]), (400, &json!("unauthorized_client")));
    assert_eq!(speak(&site, "/introspect", ID, &[("token", "x")]).0, 401);
    // An address that nobody allowed anything is unknown there, and nothing is fetched.
    site.world.fetched();
    assert_eq!(speak(&site, "/token", "https://other.test/client.json", &OWN).0, 401);
    assert!(site.world.fetched().is_empty());
}

#[test]
fn twenty_documents_an_hour_become_known_from_one_address() {
    let site = with_documents();
    for number in 0..21 {
        let id = format!("https://app{number}.test/client.json");
        site.world.put_elsewhere(&id, answer(&with(document(), json!({ "client_id": id }))));
        let page = site.authorize(&id, &[("redirect_uri", CLIENT)]);
        let page = if number == 0 { site.sign_in(&page, "alice", "wonderland") } else { page };
        let status = site.decide(&page, "all", &[]).status.as_u16();
        assert_eq!(status, if number < 20 { 303 } else { 429 }, "{number}");
        site.world.pass(Seconds(4));
    }
    assert_eq!(listed(&site).len(), 20);
}
