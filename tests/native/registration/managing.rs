//! The registration access token: what it is for, whose it is, and that no lost answer locks a client out.

use super::*;
use edgemint::{
    crypto::{Keys, Secret},
    model::ticket::{Initial, Registration, Ticket as _},
};

fn get(site: &Site, target: &str, token: &str) -> (u16, Value) {
    read(&ask(site, Method::GET, target, token, &Value::Null))
}

fn put(site: &Site, target: &str, token: &str, body: &Value) -> (u16, Value) {
    read(&ask(site, Method::PUT, target, token, body))
}

#[test]
fn the_registration_token_of_one_client_is_401_at_another() {
    let site = open();
    let (a, b) = (register(&site, &application()), register(&site, &application()));
    let ((_, token), (target, own)) = (managed(&a), managed(&b));
    let before = site.world.dump();
    let body = with(application(), json!({ "client_id": id(&b) }));
    for (method, body) in [(Method::GET, Value::Null), (Method::PUT, body), (Method::DELETE, Value::Null)] {
        let answer = ask(&site, method.clone(), &target, &token, &body);
        assert_eq!(answer.status, 401, "{method}");
        let challenge = "Bearer realm=\"edgemint\", error=\"invalid_token\"";
        assert_eq!(answer.header("www-authenticate"), Some(challenge));
    }
    assert_eq!(site.world.dump(), before);
    assert_eq!(get(&site, &target, &own).0, 200);
}

#[test]
fn what_is_no_registration_token_is_401_and_reaches_no_storage() {
    let site = open();
    let client = register(&site, &application());
    let (target, token) = managed(&client);
    let tokens = tokens(&site, &id(&client));
    let bent = format!("{}A", &token[..token.len() - 1]);
    site.world.operations();
    for wrong in ["", "x", "emk_a.AAAA", ADMIN_TOKEN, &string(&tokens, "access_token"), &bent] {
        let (status, body) = get(&site, &target, wrong);
        assert_eq!((status, &body["error"]), (401, &json!("invalid_token")), "{wrong}");
    }
    assert!(!site.world.operations().contains(&"REGISTRY".to_owned()));
    // Nor is it good for anything else.
    assert_eq!(site.inspect(&token), dead());
    assert_eq!(ask(&site, Method::GET, "/admin/clients", &token, &Value::Null).status, 401);
    assert_eq!(ask(&site, Method::POST, "/register", &token, &application()).status, 401);
}

#[test]
fn a_master_key_alone_makes_no_registration_token_and_no_initial_one() {
    let site = open();
    let client = register(&site, &application());
    let (target, token) = managed(&client);
    let keys = Keys::parse(KEY_A, ISSUER).unwrap_or_else(|why| panic!("{why}"));
    let own = Registration::open(&keys, &token).expect("ours");
    let forged =
        |proof: Vec<u8>, generation| Registration { id: own.id.clone(), generation, proof: Secret(proof) };
    for forged in [
        forged(Vec::new(), 1),
        forged(vec![0; 16], 1),
        forged(own.proof.0.clone(), 2),
        forged(own.proof.0.clone(), 0),
    ] {
        assert_eq!(get(&site, &target, &forged.seal(&keys).unwrap()).0, 401);
        let initial = Initial(forged).seal(&keys).unwrap();
        assert_eq!(ask(&site, Method::POST, "/register", &initial, &application()).status, 401);
    }
    assert_eq!(get(&site, &target, &token).0, 200);
}

#[test]
fn each_answer_brings_the_next_token_and_its_use_ends_the_one_before() {
    let site = open();
    let client = register(&site, &application());
    let (target, first) = managed(&client);
    let (status, shown) = get(&site, &target, &first);
    assert_eq!(
        (status, &shown["client_name"], &shown["client_id"]),
        (200, &client["client_name"], &client["client_id"])
    );
    let second = string(&shown, "registration_access_token");
    assert_ne!(first, second);
    // That answer may have been lost: the same again, and nothing is written.
    let before = site.world.dump();
    for _ in 0..3 {
        assert_eq!(string(&get(&site, &target, &first).1, "registration_access_token"), second);
    }
    assert_eq!(site.world.dump(), before);
    let (status, shown) = get(&site, &target, &second);
    assert_eq!(status, 200, "{shown}");
    assert_eq!(get(&site, &target, &first).0, 401, "whoever has the newer one has heard");
    assert_eq!(get(&site, &target, &string(&shown, "registration_access_token")).0, 200);
}

#[test]
fn an_answer_that_was_lost_locks_no_client_out() {
    let site = open();
    let client = register(&site, &application());
    let (target, token) = managed(&client);
    let body = with(application(), json!({ "client_id": id(&client), "client_name": "Another" }));
    site.world.fate("REGISTRY", &[Fate::Unanswered, Fate::Unanswered]);
    assert_eq!(put(&site, &target, &token, &body).0, 503, "it may have been done");
    let (status, changed) = put(&site, &target, &token, &body);
    assert_eq!((status, &changed["client_name"]), (200, &json!("Another")), "{changed}");
    assert_eq!(get(&site, &target, &string(&changed, "registration_access_token")).0, 200);
}

#[test]
fn a_replacement_is_all_that_the_client_says_and_touches_nothing_that_an_administrator_decided() {
    let site = open();
    let client = register(&site, &with(application(), json!({ "contacts": ["a@b.test"] })));
    let (target, token) = managed(&client);
    let decided = json!({ "description": "watch it", "access_token_lifetime": 60 });
    site.patch(&format!("/admin/clients/{}", id(&client)), &decided);
    let other =
        json!({ "client_id": id(&client), "redirect_uris": ["https://app.test/other"], "scope": "reports" });
    let (status, changed) = put(&site, &target, &token, &other);
    assert_eq!(status, 200, "{changed}");
    assert_eq!(
        (&changed["redirect_uris"], &changed["scope"]),
        (&json!(["https://app.test/other"]), &json!("reports"))
    );
    assert_eq!(changed["token_endpoint_auth_method"], "none", "fixed at registration");
    for gone in ["client_name", "contacts"] {
        assert!(changed.get(gone).is_none(), "{changed}");
    }
    let (_, seen) = site.admin(Method::GET, &format!("/admin/clients/{}", id(&client)), &Value::Null);
    assert_eq!((&seen["description"], &seen["access_token_lifetime"]), (&json!("watch it"), &json!(60)));
    assert_eq!(seen["enabled"], true);
    // What was shown can be put back, but for what is the server's to say.
    let mut back = changed.clone();
    let token = string(&changed, "registration_access_token");
    for name in ["registration_access_token", "registration_client_uri", "client_id_issued_at"] {
        back.as_object_mut().unwrap().remove(name);
    }
    let (status, again) = put(&site, &target, &token, &back);
    assert_eq!((status, &again["redirect_uris"]), (200, &changed["redirect_uris"]), "{again}");
}

#[test]
fn a_replacement_is_of_this_client_and_a_secret_in_it_must_be_its_own() {
    let site = open();
    let confidential = json!({ "redirect_uris": [CLIENT] });
    let client = register(&site, &confidential);
    let (target, token) = managed(&client);
    let body = |more: Value| with(confidential.clone(), more);
    let before = site.world.dump_of_all_but_counts();
    for more in [
        json!({}),
        json!({ "client_id": "demo-web" }),
        json!({ "client_id": null }),
        json!({ "client_id": id(&client), "client_secret": "guess" }),
        json!({ "client_id": id(&client), "client_secret": "" }),
        json!({ "client_id": id(&client), "client_secret": null }),
        json!({ "client_id": id(&client), "token_endpoint_auth_method": "none" }),
    ] {
        let (status, answer) = put(&site, &target, &token, &body(more.clone()));
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_client_metadata")), "{more} {answer}");
    }
    assert_eq!(site.world.dump_of_all_but_counts(), before);
    let right =
        json!({ "client_id": id(&client), "client_secret": client["client_secret"], "client_name": "New" });
    let (status, answer) = put(&site, &target, &token, &body(right));
    assert_eq!((status, &answer["client_name"]), (200, &json!("New")), "{answer}");
}

#[test]
fn a_redirect_uri_that_a_client_gives_up_takes_its_codes_with_it() {
    let site = open();
    let client = register(&site, &application());
    let (target, token) = managed(&client);
    let code = site.code(&id(&client), &[("redirect_uri", CLIENT)]);
    let body =
        with(application(), json!({ "client_id": id(&client), "redirect_uris": ["https://app.test/other"] }));
    assert_eq!(put(&site, &target, &token, &body).0, 200);
    let (status, answer) = redeem(&site, &id(&client), &code);
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")), "{answer}");
}

#[test]
fn a_client_that_ends_itself_is_gone_with_all_that_it_got() {
    let site = open();
    let client = register(&site, &application());
    let (target, token) = managed(&client);
    let tokens = tokens(&site, &id(&client));
    let answer = ask(&site, Method::DELETE, &target, &token, &Value::Null);
    assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
    assert_eq!(get(&site, &target, &token).0, 401);
    assert_eq!(ask(&site, Method::DELETE, &target, &token, &Value::Null).status, 401);
    assert_eq!(site.inspect(&string(&tokens, "access_token")), dead());
    for site in [&site, &site.beside()] {
        let (status, body) = refresh(site, &id(&client), &string(&tokens, "refresh_token"));
        assert_eq!((status, &body["error"]), (401, &json!("invalid_client")));
    }
    assert_eq!(site.admin(Method::GET, &format!("/admin/clients/{}", id(&client)), &Value::Null).0, 404);
}

#[test]
fn an_end_whose_answer_was_lost_is_204() {
    let site = open();
    let (used, unused) = (register(&site, &application()), register(&site, &application()));
    tokens(&site, &id(&used));
    for client in [used, unused] {
        let (target, token) = managed(&client);
        site.world.fate("REGISTRY", &[Fate::Unanswered]);
        assert_eq!(ask(&site, Method::DELETE, &target, &token, &Value::Null).status, 204);
        assert_eq!(get(&site, &target, &token).0, 401);
    }
}

#[test]
fn an_end_that_not_every_shard_holds_is_503() {
    let site = open();
    let client = register(&site, &application());
    let (target, token) = managed(&client);
    let tokens = tokens(&site, &id(&client));
    site.world.fate("GRANTS", &[Fate::Lost, Fate::Lost]);
    let answer = ask(&site, Method::DELETE, &target, &token, &Value::Null);
    assert_eq!((answer.status.as_u16(), answer.header("retry-after").is_some()), (503, true));
    site.world.pass(Seconds(10));
    site.world.ring();
    assert_eq!(site.inspect(&string(&tokens, "access_token")), dead());
}

#[test]
fn a_disabled_client_manages_nothing_and_cannot_enable_itself() {
    let site = open();
    let client = register(&site, &application());
    let (target, token) = managed(&client);
    site.patch(&format!("/admin/clients/{}", id(&client)), &json!({ "enabled": false }));
    let body = with(application(), json!({ "client_id": id(&client) }));
    for (method, body) in [(Method::GET, Value::Null), (Method::PUT, body), (Method::DELETE, Value::Null)] {
        assert_eq!(ask(&site, method, &target, &token, &body).status, 401);
    }
    assert_eq!(asks(&site, &id(&client)).status, 400);
    site.patch(&format!("/admin/clients/{}", id(&client)), &json!({ "enabled": true }));
    assert_eq!(get(&site, &target, &token).0, 200);
}

#[test]
fn an_administrator_makes_nothing_of_such_a_client_that_it_may_not_be() {
    let site = open();
    let client = register(&site, &application());
    let target = format!("/admin/clients/{}", id(&client));
    for (field, patch) in [
        ("scope", json!({ "scope": "reports admin" })),
        ("profile", json!({ "profile": "legacy" })),
        ("require_pkce", json!({ "require_pkce": false })),
        ("grant_types", json!({ "grant_types": ["authorization_code", "password"] })),
    ] {
        let (status, problem) = site.admin(Method::PATCH, &target, &patch);
        assert_eq!((status, &problem["field"]), (400, &json!(field)), "{problem}");
    }
    let (_, seen) = site.admin(Method::GET, &target, &Value::Null);
    assert_eq!(seen["expires_at"], 1_800_000_000 + 86_400);
    assert_eq!(site.admin(Method::PUT, &target, &seen).0, 200, "what was shown can be put back");
    let (_, seen) = site.admin(Method::GET, "/admin/clients/demo-web", &Value::Null);
    assert_eq!(seen["expires_at"], Value::Null);
}

#[test]
fn what_a_client_says_anew_is_noted_once_somebody_has_allowed_it_something() {
    let site = open();
    let client = register(&site, &application());
    let (target, token) = managed(&client);
    let rename = |name: &str, token: &str| {
        let body = with(application(), json!({ "client_id": id(&client), "client_name": name }));
        let (status, changed) = put(&site, &target, token, &body);
        assert_eq!(status, 200, "{changed}");
        string(&changed, "registration_access_token")
    };
    let noted = || {
        let (_, page) = site.admin(Method::GET, "/admin/audit?q=client.changed", &Value::Null);
        page["items"].as_array().unwrap().clone()
    };
    let token = rename("Second", &token);
    assert!(noted().is_empty(), "a stranger fills no log");
    tokens(&site, &id(&client));
    rename("Third", &token);
    let noted = noted();
    assert_eq!((noted.len(), &noted[0]["by"]["name"]), (1, &client["client_id"]));
    assert_eq!(
        (&noted[0]["before"]["client_name"], &noted[0]["after"]["client_name"]),
        (&json!("Second"), &json!("Third"))
    );
}

#[test]
fn twenty_replacements_an_hour_from_one_address_reach_the_registry() {
    let site = open();
    let client = register(&site, &application());
    let (target, mut token) = managed(&client);
    let body = |number: u32| {
        with(application(), json!({ "client_id": id(&client), "client_name": number.to_string() }))
    };
    for number in 1..20 {
        let (status, changed) = put(&site, &target, &token, &body(number));
        assert_eq!(status, 200, "{changed}");
        token = string(&changed, "registration_access_token");
    }
    site.world.operations();
    assert_eq!(put(&site, &target, &token, &body(20)).0, 429, "the registration was the first");
    assert!(!site.world.operations().contains(&"REGISTRY".to_owned()));
    assert_eq!(get(&site, &target, &token).0, 200);
}

#[test]
fn sixty_requests_a_minute_from_one_address_manage_clients() {
    let site = open();
    let client = register(&site, &application());
    let (target, token) = managed(&client);
    for _ in 0..60 {
        assert_eq!(get(&site, &target, &token).0, 200);
    }
    site.world.operations();
    let answer = ask(&site, Method::GET, &target, &token, &Value::Null);
    assert_eq!((answer.status.as_u16(), answer.header("retry-after").is_some()), (429, true));
    assert!(!site.world.operations().contains(&"REGISTRY".to_owned()));
    site.world.pass(Seconds(60));
    assert_eq!(get(&site, &target, &token).0, 200);
}

#[test]
fn nobody_moves_into_the_sector_of_another() {
    let site = open();
    let pairwise = |uri: &str| json!({ "subject_type": "pairwise", "redirect_uris": [uri] });
    for first in [pairwise("https://evil.test/cb"), json!({ "redirect_uris": ["https://evil.test/cb"] })] {
        let client = register(&site, &with(application(), first));
        let (target, token) = managed(&client);
        let moved =
            with(with(application(), pairwise("https://app.test/cb")), json!({ "client_id": id(&client) }));
        let answer = ask(&site, Method::PUT, &target, &token, &moved);
        assert_eq!(read(&answer).1["error"], "invalid_client_metadata", "{}", text(&answer));
    }
    let client = register(&site, &with(application(), pairwise("https://app.test/cb")));
    let (target, token) = managed(&client);
    let more =
        json!({ "client_id": id(&client), "redirect_uris": ["https://app.test/cb", "https://app.test/2"] });
    let same = with(with(application(), pairwise("https://app.test/cb")), more);
    assert_eq!(ask(&site, Method::PUT, &target, &token, &same).status, 200);
}
